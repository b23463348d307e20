"""Catalogues (`translations/<language>.po`) to the words of a page: English is the source, French and Chinese are whole.

The .po files are read when the panel starts, so that no compiled twin of them can be stale. Times on pages are local to
`station.timezone`, whatever the browser's clock or zone.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations
from flask import request
from flask_babel import Babel, Domain, get_locale
from flask_babel import gettext as _gettext
from flask_babel import lazy_gettext as _lazy_gettext
from flask_babel import ngettext as _ngettext

from gateway.panel.box import box

if TYPE_CHECKING:
    from flask import Flask

    from gateway.config import Site

NAMES = {"en": "English", "fr": "Français", "zh": "中文"}
TAGS = {"en": "en", "fr": "fr", "zh": "zh-Hans"}
COOKIE = "language"
FOLDER = Path(__file__).parent / "translations"


def install(app: Flask, site: Site) -> None:
    """Give the app its languages and its time zone."""
    babel = Babel()
    babel.init_app(app, default_timezone=site.station.timezone, locale_selector=chosen)
    words = Domain()
    words.cache.update({(language, "messages"): catalogue(language) for language in NAMES})
    babel.domain_instance = words


def catalogue(language: str) -> Translations:
    """Return the translations into one language; English needs none."""
    if language == "en":
        return Translations()
    with (FOLDER / f"{language}.po").open("rb") as file:
        messages = read_po(file, locale=language)
    compiled = BytesIO()
    write_mo(compiled, messages)
    compiled.seek(0)
    return Translations(compiled)


def chosen() -> str:
    """Return the language this browser asked for with the switch, else the site's."""
    asked = request.cookies.get(COOKIE, "")
    return asked if asked in NAMES else box().site.station.language


def current() -> str:
    """Return the language of the page that is being made."""
    return str(get_locale() or "en")


def gettext(sentence: str, **facts: object) -> str:
    """Return a sentence in the language of the page, with its `%(facts)s` filled in."""
    return str(_gettext(sentence, **facts))


def ngettext(one: str, many: str, num: int, **facts: object) -> str:
    """Return the sentence for one, or for many, in the language of the page."""
    return str(_ngettext(one, many, num, **facts))


def lazy_gettext(sentence: str) -> str:
    """Return a sentence that takes the language of the page when it is shown."""
    lazy: str = _lazy_gettext(sentence)
    return lazy
