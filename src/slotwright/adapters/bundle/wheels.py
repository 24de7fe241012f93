"""The wheels of a bundle: slotwright's own, its dependencies' for other Pythons and architectures, and pip's."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

from slotwright.adapters.engines.wheels import last_words, pip_command, pip_download
from slotwright.errors import HostError

_SEPARATORS = re.compile(r"[-_.]+")
_EPOCH = (2020, 1, 1, 0, 0, 0)  # the same content is the same wheel


def own_wheel(folder: Path) -> Path:
    """slotwright's own wheel, put into ``folder``.

    An editable installation is built from its source (its metadata may be older than its code); an ordinary one is
    packed again from its files, which needs no tool. Raises HostError (bundle-failed).
    """
    source = _editable_source()
    if source is None:
        return _packed_again(folder)
    command = pip_command()
    if not command:
        raise _no_pip()
    done = subprocess.run(
        [*command, "wheel", "--no-deps", "--quiet", "--wheel-dir", str(folder), str(source)],
        capture_output=True,
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
    )
    built = sorted(folder.glob("slotwright-*.whl"))
    if done.returncode or not built:
        raise HostError(
            "slotwright's own wheel could not be built",
            code="bundle-failed",
            where=str(source),
            seen=last_words(done.stderr),
            hint="a bundle is made where there is internet; it is used where there is none",
        )
    return built[-1]


def fetch_dependencies(wheel: Path, folder: Path, machine: str, python: str) -> None:
    """Everything that ``wheel`` needs on that architecture and Python ("3.12"), put into ``folder``.

    Raises HostError (bundle-failed).
    """
    text = pip_download([str(wheel), "--find-links", str(folder)], machine, folder, python)
    if text:
        raise HostError(
            f"the dependencies for Python {python} on {machine} could not be fetched",
            code="bundle-failed",
            seen=text,
            hint="a bundle is made where there is internet; --python and --arch name fewer of them",
        )
    # pip asks this Python, not the one that is meant, whether a conditional dependency counts: take all of them.
    known = {_name(path) for path in folder.glob("*.whl")}
    for wanted in sorted(_conditional(folder)):
        if _normal(re.split(r"[^A-Za-z0-9_.-]", wanted)[0]) not in known:
            pip_download([wanted, "--no-deps"], machine, folder, python)


def fetch_pip(folder: Path) -> str:
    """pip itself, which installs without being installed; "" or why it can't be had."""
    return pip_download(["pip", "--no-deps"], "x86_64", folder)


def _conditional(folder: Path) -> Iterator[str]:
    """Dependencies that depend on Python's version, of every wheel in ``folder``."""
    for path in folder.glob("*.whl"):
        with zipfile.ZipFile(path) as archive:
            name = next(candidate for candidate in archive.namelist() if candidate.endswith(".dist-info/METADATA"))
            text = archive.read(name).decode(errors="replace")
        for line in re.findall(r"(?m)^Requires-Dist: (.+?)\r?$", text):
            wanted, _, marker = line.partition(";")
            if "python_" in marker and "extra" not in marker and "platform" not in marker and "os_name" not in marker:
                yield re.sub(r"[()\s]", "", wanted)


def _editable_source() -> Path | None:
    """The source tree of an editable installation."""
    text = importlib.metadata.distribution("slotwright").read_text("direct_url.json")
    values = json.loads(text) if text else {}
    if not values.get("dir_info", {}).get("editable"):
        return None
    path = Path(unquote(urlparse(values["url"]).path))
    return path if (path / "pyproject.toml").is_file() else None


def _packed_again(folder: Path) -> Path:
    """An installed wheel as a wheel: the files of the package and of its metadata, with a RECORD of their checksums."""
    distribution = importlib.metadata.distribution("slotwright")
    record: list[str] = []
    path = folder / f"slotwright-{distribution.version}-py3-none-any.whl"
    info = f"slotwright-{distribution.version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _installed_files(distribution):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(content)}")
        record.append(f"{info}/RECORD,,")
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD", _EPOCH), "\n".join(record) + "\n")
    return path


def _installed_files(distribution: importlib.metadata.Distribution) -> Iterator[tuple[str, bytes]]:
    left_out = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
    for file in distribution.files or ():
        is_ours = file.parts[0] == "slotwright" or file.parts[0].endswith(".dist-info")
        if is_ours and "__pycache__" not in file.parts and file.name not in left_out:
            yield file.as_posix(), file.read_binary()


def _name(path: Path) -> str:
    return _normal(path.name.partition("-")[0])


def _normal(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()


def _no_pip() -> HostError:
    return HostError(
        "a bundle is made with pip, and there is none", code="bundle-failed", hint="python3 -m ensurepip, or apt/dnf"
    )
