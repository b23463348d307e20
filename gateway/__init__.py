"""The modality gateway: one box that makes a legacy imaging modality part of a modern hospital."""

__version__ = "0.1.0"
