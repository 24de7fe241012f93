"""The topology file as it goes into a bundle: the same text, without a password, its tarball beside it."""

from __future__ import annotations

import io
import re

from slotwright.adapters.topology.file import LoadedTopology
from slotwright.cluster.topology import EngineOrigin, PasswordSource
from slotwright.server.server_conf import is_secret


def bundled_topology(loaded: LoadedTopology, archive: str) -> tuple[str, tuple[str, ...]]:
    """The text, and what to say about it. ``archive`` is the tarball's path in the bundle, "" without one.

    Comments and order are kept; only what has to be different is changed.
    """
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    text = loaded.path.read_bytes().decode("utf-8-sig")
    data = yaml.load(text)
    notes = []
    topology = loaded.topology
    if topology.engine.origin is EngineOrigin.ARCHIVE:
        data["engine"]["from"] = f"./{archive}"
    match topology.password.source:
        case PasswordSource.INLINE:
            variable = re.sub(r"[^A-Z0-9]", "_", topology.name.upper()) + "_PASSWORD"
            data["password"] = {"env": variable}
            notes.append(f"the password in the file was taken out: it is read from {variable} there")
        case PasswordSource.FILE:
            notes.append(f"the password's file {topology.password.name} is not in the bundle: bring it by another way")
        case _:
            pass
    for name in [str(candidate) for candidate in data.get("settings") or {} if is_secret(str(candidate))]:
        del data["settings"][name]
        notes.append(f"the setting {name} was taken out of the file: it is a secret")
    if not notes and topology.engine.origin is not EngineOrigin.ARCHIVE:
        return text, ()
    out = io.StringIO()
    yaml.dump(data, out)
    return out.getvalue(), tuple(notes)
