"""A text that must never be shown: it prints as ``***`` everywhere, and its value is asked for by name.

What others say may hold it all the same: a server quotes the arguments of a command that it does not know, a library
the value that it could not use. So every secret's text is known to :func:`redacted`, which takes it out of what comes
from elsewhere before that is shown or written.
"""

from __future__ import annotations

import re

_STARS = "***"
_SHORT = 6

_texts: set[str] = set()


class Secret:
    """Wraps a password. ``reveal()`` is the only way to its text; two secrets with one text are equal."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        if text:
            _texts.add(text)

    def reveal(self) -> str:
        """The text itself, for a connection or a 0600 file; never for a log, an argument or a message."""
        return self._text

    def __repr__(self) -> str:
        return _STARS

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def redacted(text: str) -> str:
    """``text`` without the text of any secret that this process has had, in whatever way it is quoted. A short one is
    taken out where it stands alone: it is part of too many words."""
    forms = {form for secret in _texts for form in _forms(secret) if form}
    for form in sorted(forms, key=len, reverse=True):
        if len(form) < _SHORT:
            text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", _STARS, text)
        else:
            text = text.replace(form, _STARS)
    return text


def _forms(secret: str) -> tuple[str, ...]:
    try:
        data = secret.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        data = secret.encode(errors="surrogatepass")
    plain = data.decode(errors="replace")
    return secret, repr(secret)[1:-1], repr(data)[2:-1], plain, secret.encode("ascii", "backslashreplace").decode()
