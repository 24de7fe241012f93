"""The words that users read, from one catalogue: English stands in the code, other languages in ``locale/``.

A text has names in braces for what is put in (``{name}``), so that another language may have them in another order.
The functions are named as in GNU gettext, which is how tools find the texts in the code. Nothing is read before the
first text is asked for, and nothing at all for English.

The language is the user's (``SLOTWRIGHT_LANG``, else the locale's), or the one that a document is to be in
(:func:`words_in`). Where a catalogue lacks a text, it is English.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from gettext import GNUTranslations, NullTranslations

VARIABLE = "SLOTWRIGHT_LANG"
DOMAIN = "slotwright"
ENGLISH = "en"
TRANSLATED = ("zh_CN",)
"""The languages that have a catalogue."""

_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")


@dataclass(frozen=True, slots=True)
class Message:
    """A text that is looked up later. ``context`` tells apart what is one word in English and two in others."""

    text: str
    context: str = ""


def gettext_noop(text: str) -> Message:
    """Mark a text for the catalogue, where it can't be said yet: in tables of a module."""
    return Message(text)


def pgettext_noop(context: str, text: str) -> Message:
    """The same for a text that needs a context, as each single word does."""
    return Message(text, context)


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language."""

    _catalogue: NullTranslations

    def gettext(self, text: str, /, **fields: object) -> str:
        """A whole sentence."""
        return self._catalogue.gettext(text).format(**fields)

    def pgettext(self, context: str, text: str, /, **fields: object) -> str:
        """A word, or what could mean two things."""
        return self._catalogue.pgettext(context, text).format(**fields)

    def ngettext(self, one: str, many: str, /, *, count: int, **fields: object) -> str:
        """Of ``count`` things."""
        return self._catalogue.ngettext(one, many, count).format(count=count, **fields)

    def message(self, message: Message, /, **fields: object) -> str:
        """What was marked earlier."""
        if message.context:
            return self.pgettext(message.context, message.text, **fields)
        return self.gettext(message.text, **fields)


@cache
def words_in(language: str) -> Words:
    """Of a language as a locale names it (``zh_CN.UTF-8``); one without a catalogue is English."""
    name = _known(language)
    if name is None:
        return Words(NullTranslations())
    from importlib.resources import files

    place = files("slotwright").joinpath("locale", name, "LC_MESSAGES", f"{DOMAIN}.mo")
    with place.open("rb") as file:
        return Words(GNUTranslations(file))


def user_language(environment: Mapping[str, str]) -> str:
    """What the first variable that is set says."""
    return next((value for name in (VARIABLE, *_LOCALE) if (value := environment.get(name))), ENGLISH)


def gettext(text: str, /, **fields: object) -> str:
    """A whole sentence, in the user's language."""
    return _of_user().gettext(text, **fields)


def pgettext(context: str, text: str, /, **fields: object) -> str:
    """A word, or what could mean two things, in the user's language."""
    return _of_user().pgettext(context, text, **fields)


def translated(message: Message, /, **fields: object) -> str:
    """What was marked earlier, in the user's language."""
    return _of_user().message(message, **fields)


def _of_user() -> Words:
    return words_in(user_language(os.environ))


def _known(language: str) -> str | None:
    """The catalogue for a language: its own, or, where no country is named, the first of that language."""
    name = language.partition(".")[0].partition("@")[0].replace("-", "_")
    return next((one for one in TRANSLATED if name in (one, one.partition("_")[0])), None)
