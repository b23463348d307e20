"""Words and pixels to DICOM objects, and what is asked of objects that exist: peek, revise, transcode, verify."""

from pydicom import config as _pydicom

# pydicom warns of a bad value by printing it, and a value may be a name: what arrives is judged by `verify`, in our own words.
_pydicom.settings.reading_validation_mode = _pydicom.IGNORE
