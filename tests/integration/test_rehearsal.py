"""A rehearsal touches nothing outside of its own folder, whatever paths the settings name; with real servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slotwright.adapters.clock import MonotonicClock
from slotwright.adapters.local.fleet import LocalFleet
from slotwright.adapters.local.host import LocalHost
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import Mode
from slotwright.errors import InputError, ServerError
from slotwright.ops.rehearse import RehearsalHost, Rehearsed, Script
from slotwright.server.capabilities import parse_version_output
from slotwright.server.path_directives import TOUCHES, Touch
from tests.engines import TestEngine, engine_params
from tests.fakes import build
from tests.integration.conftest import Lab

pytestmark = pytest.mark.parametrize("engine", engine_params())

_ABOUT_PATHS = ("file", "dir", "path", "socket", "module", "script", "syslog", "-ini", "ext-load", "library")
_ABOUT_NO_PATH = frozenset(
    {
        *("enable-module-command", "rdb-del-sync-files", "socket-mark-id"),
        *("tls-key-file-pass", "tls-client-key-file-pass"),
    }
)


def version_of(engine: TestEngine) -> ServerVersion:
    import subprocess

    said = subprocess.run([str(engine.binary), "--version"], capture_output=True, text=True, check=True).stdout
    found = parse_version_output(said)
    assert found is not None
    return found


def rehearse(lab: Lab, engine: TestEngine, *settings: tuple[str, str], extra: tuple[str, ...] = ()) -> Rehearsed:
    blueprint = build.blueprint(build.topology())
    folder = str(lab.state / "rehearsal")
    script = Script(folder, str(engine.binary), version_of(engine), Mode.CLUSTER, None, settings, extra)
    stage = RehearsalHost(LocalHost(), MonotonicClock(), LocalFleet().login)
    try:
        return asyncio.run(stage.rehearse(script, blueprint))
    finally:
        assert not Path(folder).exists()


@contextmanager
def listening(path: Path) -> Iterator[None]:
    """Somebody else's server on a Unix socket; it must be reachable to the end."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_the_table_knows_every_directive_of_this_server_that_names_a_path(lab: Lab, engine: TestEngine) -> None:
    port = lab.free_port()
    lab.serve(engine, f"{lab.hosts[0]}:{port}")
    shown = lab.client(f"{lab.hosts[0]}:{port}").config_get("*")
    assert len(shown) > 140
    about = {name for name in shown if any(word in name for word in _ABOUT_PATHS)}
    assert about - set(TOUCHES) - _ABOUT_NO_PATH == set()
    assert {name for name, value in shown.items() if "/" in value} <= set(TOUCHES) | {"client-output-buffer-limit"}


def test_nothing_that_a_setting_names_is_touched(lab: Lab, engine: TestEngine) -> None:
    """Settings of a record that an earlier version wrote, which no file may have any more."""
    precious = {}
    for name, touch in TOUCHES.items():
        if touch in (Touch.PLACE, Touch.CODE):
            path = lab.folder / f"precious-{name}"
            path.write_text(f"text of {name}\n")
            precious[name] = (path, path.stat())
    settings = [(name, str(path)) for name, (path, _) in precious.items() if name != "dir"]
    settings += [("dir", str(lab.folder)), ("appenddirname", ".."), ("dbfilename", "../precious-dir")]
    settings += [("syslog-enabled", "yes"), ("loadmodule", f"{precious['loadmodule'][0]} {lab.folder}/data")]
    before = sorted(path.name for path in lab.folder.iterdir())
    found = rehearse(lab, engine, ("maxmemory", "64mb"), *settings, extra=tuple(TOUCHES))
    assert found.settings["maxmemory"] == str(64 << 20)
    assert not set(found.settings) & {"unixsocket", "dir", "logfile", "pidfile", "aclfile"}
    assert found.modules == (str(precious["loadmodule"][0]),) * 2
    after = [path for path in lab.folder.iterdir() if path != lab.state]
    assert sorted(path.name for path in after) == [name for name in before if name != "state"]
    for path, status in precious.values():
        assert path.read_text() == f"text of {path.name.removeprefix('precious-')}\n"
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (status.st_ino, status.st_mtime_ns)


def test_a_socket_of_somebody_else_stays(lab: Lab, engine: TestEngine) -> None:
    path = lab.folder / "s"
    with listening(path):
        assert "unixsocket" not in rehearse(lab, engine, ("unixsocket", str(path)), ("unixsocketperm", "770")).settings


def test_plan_refuses_a_file_that_names_a_socket_and_touches_none(lab: Lab, engine: TestEngine) -> None:
    path = lab.folder / "s"
    lab.topology(engine, settings=f"{{unixsocket: {path}}}")
    with listening(path):
        outcome = lab.run("plan", "--json")
        assert outcome.code == 2
        assert "unixsocket can't be set here" in str(outcome.error)
    lab.topology(engine, settings="{appenddirname: .., dbfilename: nodes.conf}")
    assert lab.run("plan", "--json").error["what"] == "cluster.yaml has 2 problems"


def test_a_module_is_loaded_as_the_nodes_would_load_it(lab: Lab, engine: TestEngine) -> None:
    module = lab.folder / "no-module.so"
    module.write_text("not a library")
    with pytest.raises((ServerError, InputError)):
        rehearse(lab, engine, ("loadmodule", str(module)))
    found = rehearse(lab, engine, ("loadmodule", f"{module} DB {lab.folder}/db"), ("m.path", "x"))
    assert found.modules == (str(module),)
    lab.topology(engine, settings=f"{{loadmodule: {module} DB {lab.folder}/db}}")
    planned = lab.run("plan", "--json")
    assert planned.code == 3
    told = [(each["code"], each["severity"]) for each in planned.json["findings"]]
    assert ("module-not-rehearsed", "note") in told
