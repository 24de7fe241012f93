"""Plans as files: written for approval, known by their first bytes, believed only where nobody else can write."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from slotwright.adapters.files import host_error, write_atomically
from slotwright.adapters.path_ownership import demand_own
from slotwright.adapters.topology.file import unreadable
from slotwright.cluster.formats import FileKind, demand_known, head_of, tag_of
from slotwright.cluster.steps import Plan
from slotwright.console.streams import printable
from slotwright.errors import InputError, RefusedError
from slotwright.features.deploy.model import ApprovedPlan
from slotwright.features.deploy.plan.approval import is_intact, to_be_approved

_KIND = "kind"
_HEAD = re.compile(rb'\s*\{\s*"format"\s*:\s*[^,{}]{1,40},\s*"slotwright"\s*:\s*"[^"]{0,80}",\s*"kind"\s*:\s*"plan"')
_TIME = re.compile(r"[0-9TZ:-]{1,40}", re.ASCII)
_HEAD_BYTES = 1000
_MOST_BYTES = 64 * 1024 * 1024
SHEET_MARK = "<!-- slotwright change sheet: "
"""A sheet begins with it and the cluster's name."""

_OWN_PLACE = "keep plans in a folder that only you can write to"


def is_plan_file(path: Path) -> bool:
    """Whether its content begins as a plan does, whatever its name and its format."""
    return _HEAD.match(_beginning(path)) is not None


def read_plan(path: Path) -> ApprovedPlan:
    """The plan in ``path``. Raises InputError (plan-unreadable), and RefusedError: format-newer, or folder-unsafe where
    others could have written it."""
    import msgspec

    demand_own(path.absolute(), instead=_OWN_PLACE)
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        demand_known(FileKind.PLAN, tag_of(msgspec.json.decode(data)), f"the plan {path}", str(path))
        approved = msgspec.json.decode(data, type=ApprovedPlan)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error).splitlines()[0]) from error
    if not (_TIME.fullmatch(approved.made_at) and approved.made_by.isprintable()):
        raise _damaged(path, "it does not say when and by whom it was made")
    if not is_intact(approved):
        raise _damaged(path, "its facts are not those that its digest was taken from")
    return approved


def plan_text(approved: ApprovedPlan) -> bytes:
    """The content of its file. Raises InputError (path-not-text)."""
    import msgspec

    content = {**head_of(FileKind.PLAN), _KIND: FileKind.PLAN.value, **msgspec.to_builtins(approved)}
    try:
        return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"
    except UnicodeEncodeError as error:
        raise InputError(
            f"the path {approved.topology_path!a} is not UTF-8, and can't stand in a plan",
            code="path-not-text",
            where=ascii(approved.topology_path),
            left="nothing was written",
            hint="give the topology file, and its folders, names in UTF-8",
        ) from error


def made_now(plan: Plan, topology_path: Path, operator: str) -> ApprovedPlan:
    """``plan`` as it would be written, with the time and who runs this."""
    made_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return to_be_approved(plan, str(topology_path.absolute()), made_at, printable(operator))


def write_plan(approved: ApprovedPlan, path: Path, sheet: str, sheet_path: Path) -> None:
    """Write the plan and its sheet, each as a whole. Raises HostError, and what :func:`demand_place` raises."""
    demand_place(path, sheet_path, approved.name)
    content = plan_text(approved)
    write_atomically(sheet_path.absolute(), sheet)
    write_atomically(path.absolute(), content)


def demand_place(path: Path, sheet_path: Path, name: str) -> None:
    """Raise where one of the files can't be written, or something else than a plan of ``name`` would be lost.

    InputError (no-folder, usage), RefusedError (file-exists, format-newer, folder-unsafe).
    """
    if path.absolute() == sheet_path.absolute():
        raise InputError("the plan and its sheet can't be one file", code="usage", where=str(path))
    for place in (path, sheet_path):
        _demand_folder(place)
        demand_own(place.absolute(), instead=_OWN_PLACE)
    if path.exists() and (not is_plan_file(path) or read_plan(path).name != name):
        raise _in_the_way(path, f"it is no plan of {name}")
    if sheet_path.exists() and not _beginning(sheet_path).startswith(f"{SHEET_MARK}{name} ".encode()):
        raise _in_the_way(sheet_path, f"it is no sheet of {name}")


def _demand_folder(place: Path) -> None:
    try:
        is_possible = place.absolute().parent.is_dir() and not place.is_dir()
    except OSError as error:
        raise host_error("write", place, error) from error
    if not is_possible:
        raise InputError(
            f"{place} can't be a file: there is no such folder",
            code="no-folder",
            where=str(place),
            hint="make the folder first, or name another file",
        )


def _beginning(path: Path) -> bytes:
    """Of a file that can be read, which a pipe is not: what was read of it would be gone."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return b""


def _damaged(path: Path, seen: str) -> InputError:
    return InputError(
        f"the plan {path} can't be read",
        code="plan-unreadable",
        where=str(path),
        seen=seen,
        left="nothing was changed",
        hint="slotwright plan FILE -o OTHER.plan makes a new one",
    )


def _in_the_way(path: Path, why: str) -> RefusedError:
    return RefusedError(
        f"{path} exists already, and {why}",
        code="file-exists",
        where=str(path),
        left="it was not touched",
        hint="name another file with -o (and with --sheet)",
    )
