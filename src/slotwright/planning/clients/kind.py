"""What a kind of client is: a row of the table, with the template of its file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """``title`` is the library's name as people know it; ``tried`` is the version that `make clients` runs with, and
    ``is_run`` False says that nobody ran it: the machines that this was made on lack the language.

    ``file`` is where the text goes, ``comment`` how the language begins a comment, ``first`` what must stand before
    even a comment. ``dependency`` has ``{tried}`` where the version goes.
    """

    name: str
    title: str
    tried: str
    dependency: str
    file: str
    language: str
    comment: str
    template: str
    is_run: bool = True
    first: str = ""

    @property
    def dependency_line(self) -> str:
        """For the build file or the package manager."""
        return self.dependency.replace("{tried}", self.tried)
