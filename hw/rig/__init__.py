"""The virtual bench: a QEMU guest with a stock Debian kernel, whose drivers play the hardware our unmodified code runs against."""
