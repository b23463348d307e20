"""Every sentence the panel can say, collected from its source; `python -m tests.panel.messages` brings the catalogues up.

Three sources: calls in Python, templates, and the sentences and hints of the error classes.
"""

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

from gateway.errors import by_code
from gateway.panel import language

METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
KEYWORDS = DEFAULT_KEYWORDS | {"lazy_gettext": None}
OPTIONS = {"templates/**.html": {"trimmed": "true", "newstyle_gettext": "true"}}
HEADER = """# The panel's words: short, plain, calm. Updated by `python -m tests.panel.messages`.
msgid ""
msgstr ""
"Language: {code}\\n"
"Plural-Forms: {plural}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""
TRANSLATED = [code for code in language.NAMES if code != "en"]


def collected() -> Catalog:
    """Return every sentence, without translations."""
    catalog = Catalog(project="modality-gateway")
    found = extract_from_dir(language.FOLDER.parent, METHODS, OPTIONS, KEYWORDS)
    for file, _line, message, _comments, context in sorted(found, key=lambda row: (row[0], row[1])):
        catalog.add(message, locations=[(file, None)], context=context)
    for code, cls in by_code().items():
        for sentence in (cls.sentence(), cls.hint):
            catalog.add(sentence, locations=[(f"errors {code}", None)])
    return catalog


def stored(code: str) -> Catalog:
    """Return the catalogue of one language as it stands in its file."""
    with (language.FOLDER / f"{code}.po").open("rb") as file:
        return read_po(file, locale=code)


def update(code: str) -> int:
    """Add what is new to a catalogue, drop what is gone; return how many sentences wait for a translator."""
    path = language.FOLDER / f"{code}.po"
    old = stored(code) if path.exists() else Catalog(locale=code)
    new = Catalog(locale=code, project="modality-gateway")
    for message in collected():
        if message.id:
            known = old.get(message.id)
            new.add(message.id, string=known.string if known else None, locations=message.locations)
    with path.open("wb") as file:
        file.write(HEADER.format(code=code, plural=new.plural_forms).encode())
        write_po(file, new, width=120, omit_header=True, include_lineno=False)
    return sum(not is_whole(message) for message in new if message.id)


def is_whole(message) -> bool:
    """Say whether every form of a message is translated."""
    forms = message.string if isinstance(message.string, tuple) else (message.string,)
    return all(forms) and not message.fuzzy


if __name__ == "__main__":
    for language_code in TRANSLATED:
        print(language_code, update(language_code), "sentences to translate")
