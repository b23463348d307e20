"""Raw buffers to pictures, pictures to bytes and back. Importing this package imports neither Numba nor a codec."""
