"""What a kind of client is: a row of the table, with the template of its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slotwright.package_data import read_text


@dataclass(frozen=True, slots=True)
class ClientKind:
    """``title`` is the library's name as people know it; ``tried`` is the version that `make clients` runs with, and
    ``is_run`` False says that nobody ran it: the machines that this was made on lack the language.

    ``file`` is where the text goes, ``comment`` how the language begins a comment, ``first`` what must stand before
    even a comment. ``dependency`` has ``{tried}`` where the version goes. ``template`` is the name of a file in
    ``templates/``, and ``values`` are those that it wants beside what a cluster gives.
    """

    name: str
    title: str
    tried: str
    dependency: str
    file: str
    language: str
    comment: str
    template: str
    values: Mapping[str, str] = field(default_factory=dict)
    is_run: bool = True
    first: str = ""

    @property
    def dependency_line(self) -> str:
        """For the build file or the package manager."""
        return self.dependency.replace("{tried}", self.tried)

    @property
    def template_text(self) -> str:
        """Its text, with the marks of ``template.py``."""
        return read_text("slotwright.features.clients.configs", f"templates/{self.template}")
