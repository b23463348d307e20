"""One pure file per instrument family: records of a serial line to Observations."""
