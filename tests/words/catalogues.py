"""The catalogues of words, made from the code: ``python -m tests.words.catalogues`` (``make words``).

Writes the template, takes new texts into each language's ``.po`` and texts that are gone out of it, and compiles it.
What a language does not have yet has an empty translation there, for somebody to fill in.
"""

from __future__ import annotations

import io
import sys
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from slotwright.console.words import DOMAIN, TRANSLATED

PACKAGE = Path(__file__).parents[2] / "src" / "slotwright"
LOCALE = PACKAGE / "locale"
TEMPLATE = LOCALE / f"{DOMAIN}.pot"

KEYWORDS = {
    "gettext": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_noop": ((1, "c"), 2),
}
_HEADER = "# Words of slotwright, written by `make words`. Translations go into the languages, not the template.\n#"


class WordCatalog(Catalog):
    """With the headers that are read, and no others: the same texts make the same file, whoever writes it when."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        headers = [("Language", str(self.locale_identifier)), ("Plural-Forms", self.plural_forms)] * bool(self.locale)
        return [*headers, ("Content-Type", "text/plain; charset=utf-8"), ("Content-Transfer-Encoding", "8bit")]

    @mime_headers.setter
    def mime_headers(self, headers: object) -> None:
        """A file's own are not taken over."""


def po_path(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"


@cache
def extracted() -> Catalog:
    """All texts that the code has."""
    catalog = _catalog()
    texts = extract_from_dir(PACKAGE, [("**.py", "python")], keywords=KEYWORDS, comment_tags=("For translators:",))
    for file, _, text, comments, context in sorted(texts, key=lambda found: found[:2]):
        if file != "console/words.py":
            catalog.add(text, locations=[(file, 0)], auto_comments=comments, context=context)
    return catalog


def updated(language: str) -> Catalog:
    """What a language has, with all texts of the code and no others."""
    catalog = _catalog(language)
    for message in read(language):
        if message.id:
            catalog[message.id] = message
    catalog.update(extracted(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    return catalog


def read(language: str) -> Catalog:
    """A language's ``.po`` as it stands."""
    path = po_path(language)
    return read_po(io.BytesIO(path.read_bytes()), locale=language) if path.exists() else _catalog(language)


def po_text(catalog: Catalog) -> bytes:
    buffer = io.BytesIO()
    write_po(buffer, catalog, width=110, include_lineno=False, sort_output=False)
    return buffer.getvalue()


def mo_bytes(catalog: Catalog) -> bytes:
    buffer = io.BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def _catalog(language: str | None = None) -> Catalog:
    return WordCatalog(locale=language, domain=DOMAIN, header_comment=_HEADER, fuzzy=False)


def main() -> int:
    TEMPLATE.write_bytes(po_text(extracted()))
    for language in TRANSLATED:
        catalog = updated(language)
        po_path(language).parent.mkdir(parents=True, exist_ok=True)
        po_path(language).write_bytes(po_text(catalog))
        po_path(language).with_suffix(".mo").write_bytes(mo_bytes(catalog))
    return 0


if __name__ == "__main__":
    sys.exit(main())
