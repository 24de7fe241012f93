"""``engine``: which server, and where its programs come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slotwright.adapters.topology.paths import absolute_path, path_on_hosts
from slotwright.adapters.topology.schema import EnginePart, Report, nearest, read_part, shown
from slotwright.cluster.topology import Engine, EngineKind, EngineOrigin

ARCHIVE_ENDINGS = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
"""What ends so is an archive, everything else with a '/' a directory."""

_EXAMPLE = "engine: {kind: valkey, from: embedded}"
_WORDS = {word.value: word for word in (EngineOrigin.EMBEDDED, EngineOrigin.PATH, EngineOrigin.PACKAGE)}
_AT = ("engine", "from")
_WITHOUT_HOSTS = {
    EngineOrigin.PACKAGE: "install the package on this machine and write from: path",
    EngineOrigin.ARCHIVE: "unpack and build it here and write the directory of its programs, or from: embedded",
}


@dataclass(frozen=True, slots=True)
class HostPlaces:
    """Where the hosts are: remote, local, or neither when the file is not clear about it."""

    is_remote: bool
    is_local: bool


def read_engine(raw: object, base: Path, reach: HostPlaces, report: Report) -> Engine:
    """The engine; ``base`` is the folder of relative paths. Problems go to ``report``."""
    part = EnginePart()
    match raw:
        case str():
            part = read_part(EnginePart, {"kind": raw}, ("engine",), report)
        case Mapping():
            part = read_part(EnginePart, raw, ("engine",), report)
        case None:
            report.missing("engine", _EXAMPLE)
        case _:
            what = f"engine must be redis, valkey or a mapping, not {shown(raw)}"
            report.problem(what, "engine", hint=_EXAMPLE)
    if isinstance(raw, Mapping) and part.kind is None and report.is_clean("engine"):
        report.problem("engine has no kind", "engine", hint="kind: redis or kind: valkey")
    origin, directory = _read_origin(part.origin or "path", base, reach, report)
    if reach.is_local and origin in _WITHOUT_HOSTS:
        what = f"from: {origin.value} is for hosts with ssh, and these hosts are this machine"
        what = "an archive is for hosts with ssh, and these hosts are this machine" if directory else what
        report.problem(what, *_AT, hint=_WITHOUT_HOSTS[origin])
    return Engine(EngineKind(part.kind or "valkey"), origin, directory)


def _read_origin(text: str, base: Path, reach: HostPlaces, report: Report) -> tuple[EngineOrigin, str]:
    """A word, an archive by its ending, or a directory: whatever holds a '/' or starts with '~' or '.'."""
    if text in _WORDS:
        return _WORDS[text], ""
    if text.lower().endswith(ARCHIVE_ENDINGS):
        return EngineOrigin.ARCHIVE, absolute_path(text, base, _AT, report)
    if "/" in text or text.startswith(("~", ".")):
        where = path_on_hosts(text, _AT, report) if reach.is_remote else absolute_path(text, base, _AT, report)
        return EngineOrigin.DIRECTORY, where
    if text == EngineOrigin.ARCHIVE:
        what, hint = "from: archive does not say which", "write its path instead: from: ./valkey-9.1.0.tar.gz"
    else:
        what = f"from must be embedded, path, package, an archive or a directory, not {shown(text)}"
        hint = nearest(text, tuple(_WORDS)) or f"write ./{text} if it is a directory"
    report.problem(what, *_AT, hint=hint)
    return EngineOrigin.PATH, ""
