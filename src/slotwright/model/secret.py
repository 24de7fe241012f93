"""A text that must never be shown: it prints as ``***`` everywhere, and its value is asked for by name."""

from __future__ import annotations


class Secret:
    """Wraps a password. ``reveal()`` is the only way to its text; two secrets with one text are equal."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for a connection or a 0600 file; never for a log, an argument or a message."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")
