"""The technologist's and the engineer's screens: rows of the spool to pages, and presses to rows.

Floors: an outlet beside forward and media. It has no hands (no device, no wire) and no pixels; what it needs of other
services comes as functions in `create_app`. Every screen works without JavaScript and with a keyboard alone.
"""

from gateway.panel.app import create_app
from gateway.panel.box import EchoAnswer

__all__ = ["EchoAnswer", "create_app"]
