"""The scripts about nodes' folders and about slotwright's own things on a host: run by the shells that hosts have."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from pathlib import Path

import pytest

from slotwright.cluster.formats import FormatTag
from slotwright.cluster.node_files import MARKER, NODES_CONF, PID_FILE, PROCESS, SERVER_CONF, SERVER_LOG
from slotwright.cluster.topology import Address
from slotwright.hosts.facts.installation import Site
from slotwright.hosts.facts.nodes import DirectoryState, NodeQuery
from slotwright.hosts.node_formats import UnknownFormat, parse_unknown_format
from slotwright.hosts.scripts import nodes as scripts
from slotwright.hosts.scripts.files import REFUSED, read_script
from slotwright.hosts.scripts.site import READ_SITE, REMOVE_SITE, parse_site
from tests.fakes.shells import OURS, Sh, make_ours

AS_OWNER = read_script("nodes/as_owner.sh")


def state_of(sh: Sh, folder: Path, cluster_id: str = "c1") -> DirectoryState:
    found = scripts.parse_folders(sh.run(scripts.FIND, str(folder)).stdout, cluster_id)
    return found[str(folder)][0].state


def test_what_a_folder_is(sh: Sh, folder: Path) -> None:
    assert state_of(sh, folder) is DirectoryState.ABSENT
    folder.mkdir(parents=True)
    assert state_of(sh, folder) is DirectoryState.EMPTY
    (folder / ".slotwright.json.77.tmp").write_text("cut")
    assert state_of(sh, folder) is DirectoryState.EMPTY, "what a killed writer left counts for nothing"
    (folder / "dump.rdb").write_text("x")
    assert state_of(sh, folder) is DirectoryState.FOREIGN
    (folder / MARKER).write_text("not json")
    assert state_of(sh, folder) is DirectoryState.FOREIGN
    make_ours(folder)
    assert state_of(sh, folder) is DirectoryState.OURS
    assert state_of(sh, folder, "another") is DirectoryState.OTHER_CLUSTER


@pytest.mark.parametrize("text", ['{"format": 2, "slotwright": "0.9"}', '{\n "slotwright": "0.9",\n "format": 12\n}'])
def test_a_later_format_is_told_and_refused(sh: Sh, folder: Path, text: str) -> None:
    make_ours(folder, SERVER_CONF, NODES_CONF)
    (folder / MARKER).write_text(text)
    found = scripts.parse_folders(sh.run(scripts.FIND, str(folder)).stdout, "c1")[str(folder)][0]
    assert found.state is DirectoryState.NEWER
    assert "its slotwright.json was written by slotwright 0.9 in format" in found.reason
    before = sorted(folder.iterdir())
    for script, arguments in (
        (scripts.MAKE_FOLDER, ()),
        (scripts.PACK, ("c1",)),
        (scripts.REMOVE, ("c1",)),
        (scripts.SET_ASIDE, ("c1", f"{folder}-kept")),
    ):
        done = sh.run(script, str(folder), *arguments)
        assert (done.returncode, done.stdout) == (REFUSED, "")
        assert done.stderr.startswith("@newer slotwright.json ")
    assert sorted(folder.iterdir()) == before
    # By the script of whoever fills it, too: what it would write comes on its input.
    done = sh.run(scripts.IN_FOLDER, "", scripts.FILL_FOLDER, str(folder), "--", stdin="x\n--\n" * 3)
    assert (done.returncode, (folder / MARKER).read_text()) == (REFUSED, text)


def test_a_folder_that_is_made_again_tells_its_marker(sh: Sh, folder: Path) -> None:
    assert sh.run(scripts.MAKE_FOLDER, str(folder)).stdout == ""
    make_ours(folder)
    done = sh.run(scripts.MAKE_FOLDER, str(folder))
    assert (done.returncode, done.stdout) == (0, OURS)


def test_a_file_where_a_folder_should_be_is_said(sh: Sh, folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")
    assert state_of(sh, folder) is not DirectoryState.EMPTY
    below = folder / "deeper"
    found = scripts.parse_folders(sh.run(scripts.FIND, str(below)).stdout, "c1")[str(below)][0]
    assert found.state is DirectoryState.UNWRITABLE
    assert "is not a folder" in found.reason


def test_an_inspection_tells_digest_room_and_addresses(sh: Sh, folder: Path) -> None:
    make_ours(folder, SERVER_CONF, NODES_CONF)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        queries = [
            NodeQuery(Address("127.0.0.1", port), str(folder), with_bus=False),
            NodeQuery(Address("192.0.2.7", port), str(folder) + "-other"),
        ]
        text = sh.run(scripts.INSPECT, *(query.directory for query in queries)).stdout
        facts = scripts.parse_inspection(text, "h", "c1", queries)
    here, there = facts.nodes
    assert here.directory.conf_digest == hashlib.sha256((folder / SERVER_CONF).read_bytes()).hexdigest()
    assert here.directory.has_nodes_conf
    assert here.directory.owner == "cache"
    assert (here.port_error, there.port_error) == ("in-use", "not-local")
    assert facts.free_bytes > 0
    assert here.process is None


def test_an_inspection_that_was_cut_is_no_answer(sh: Sh, folder: Path) -> None:
    text = sh.run(scripts.INSPECT, str(folder)).stdout
    query = NodeQuery(Address("127.0.0.1", 1), str(folder))
    scripts.parse_inspection(text, "h", "c1", [query])
    for cut in range(len(text.rstrip())):
        with pytest.raises(ValueError, match="too early"):
            scripts.parse_inspection(text[:cut], "h", "c1", [query])


@pytest.mark.parametrize(
    ("line", "port", "owner"),
    [
        (
            '@ss LISTEN 0 511 10.0.0.2:6379 0.0.0.0:* users:(("redis-server",pid=77,fd=6))',
            6379,
            "pid 77 (redis-server)",
        ),
        ("@ss LISTEN 0 511 *:6379 *:*", 6379, "a process that this user may not see"),
        ("@ss LISTEN 0 511 [::]:6379 [::]:*", 6379, "a process that this user may not see"),
        ("@ss LISTEN 0 511 10.0.0.2%eth0:6379 0.0.0.0:*", 6379, "a process that this user may not see"),
        ("@proc 0: 0200000A:18EB 00000000:0000 0A 0 0 0 0", 6379, "a process that this user may not see"),
        ("@proc 0: 00000000:18EB 00000000:0000 0A 0 0 0 0", 6379, "a process that this user may not see"),
    ],
)
def test_who_listens_by_whatever_the_host_has(line: str, port: int, owner: str) -> None:
    query = NodeQuery(Address("10.0.0.2", port), "/x")
    facts = scripts.parse_inspection(f"@folder /x\n{line}\n@end\n", "h", "c1", [query]).nodes[0]
    assert facts.port_error == "in-use"
    assert str(facts.port_owner) == owner


@pytest.mark.parametrize(
    "line",
    [
        "@ss LISTEN 0 511 127.0.0.1:6379 0.0.0.0:*",
        "@ss LISTEN 0 511 10.0.0.2:63790 0.0.0.0:*",
        "@proc 0: 0100007F:18EB 00000000:0000 0A 0 0 0 0",
        "@proc 0: 0200000A:18EB 0300000A:9C40 01 0 0 0 0",
    ],
)
def test_what_is_in_nobodys_way(line: str) -> None:
    query = NodeQuery(Address("10.0.0.2", 6379), "/x")
    facts = scripts.parse_inspection(f"@folder /x\n{line}\n@end\n", "h", "c1", [query]).nodes[0]
    assert facts.port_error == ""


def test_files_come_whole_and_closed_to_others(sh: Sh, folder: Path) -> None:
    folder.mkdir(parents=True)
    secret = 'requirepass "a % b \' ü\\\\n"\n'
    done = sh.run(scripts.FILL_FOLDER, str(folder), "EOT", stdin=f"{OURS}EOT\n{secret}EOT\nmap\nEOT\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / SERVER_CONF).read_text() == secret
    assert (folder / MARKER).read_text() == OURS
    assert (folder / NODES_CONF).read_text() == "map\n"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_map_that_is_there_stays_and_an_empty_one_is_none(sh: Sh, folder: Path) -> None:
    make_ours(folder, NODES_CONF)
    sh.run(scripts.FILL_FOLDER, str(folder), "EOT", stdin=f"{OURS}EOT\nx\nEOT\nnew\nEOT\n")
    assert (folder / NODES_CONF).read_text() == f"text of {NODES_CONF}\n"
    (folder / NODES_CONF).unlink()
    sh.run(scripts.FILL_FOLDER, str(folder), "EOT", stdin=f"{OURS}EOT\nx\nEOT\nEOT\n")
    assert not (folder / NODES_CONF).exists()


def test_a_text_that_was_cut_replaces_nothing(sh: Sh, folder: Path) -> None:
    make_ours(folder, SERVER_CONF)
    done = sh.run(scripts.REWRITE, str(folder), "EOT", stdin="half of a conf")
    assert done.returncode == 42
    assert (folder / SERVER_CONF).read_text() == f"text of {SERVER_CONF}\n"
    assert [path.name for path in folder.iterdir() if path.name.endswith(".tmp")] == []


def test_a_full_disk_replaces_nothing(sh: Sh, folder: Path) -> None:
    make_ours(folder, SERVER_CONF)
    limited = "ulimit -f 1\ntrap '' XFSZ\n" + scripts.REWRITE
    text = "x" * 80 + "\n"
    done = sh.run(limited, str(folder), "EOT", stdin=text * 200 + "EOT\n")
    assert done.returncode != 0
    assert (folder / SERVER_CONF).read_text() == f"text of {SERVER_CONF}\n"


def test_a_removal_takes_what_is_ours_and_nothing_else(sh: Sh, folder: Path) -> None:
    make_ours(folder, "dump.rdb", ".hidden")
    assert sh.run(scripts.REMOVE, str(folder), "another").returncode == 44
    assert (folder / "dump.rdb").exists()
    assert sh.run(scripts.REMOVE, str(folder), "c1").returncode == 0
    assert not folder.parent.exists(), "the folder above is empty, and goes too"
    assert sh.run(scripts.REMOVE, str(folder), "c1").returncode == 0, "twice is once"
    folder.mkdir(parents=True)
    (folder / "dump.rdb").write_text("x")
    assert sh.run(scripts.REMOVE, str(folder), "c1").returncode == 44, "no marker: not ours"
    assert (folder / "dump.rdb").exists()


def test_data_set_aside_takes_no_password_along(sh: Sh, folder: Path, tmp_path: Path) -> None:
    make_ours(folder, "dump.rdb", SERVER_CONF, SERVER_LOG, f"{SERVER_LOG}.1", PID_FILE, NODES_CONF)
    goal = tmp_path / "kept data" / "n1"
    assert sh.run(scripts.SET_ASIDE, str(folder), "another", str(goal)).returncode == 44
    assert sh.run(scripts.SET_ASIDE, str(folder), "c1", str(goal)).returncode == 0
    assert sorted(path.name for path in goal.iterdir()) == sorted(["dump.rdb", MARKER, NODES_CONF])
    assert stat.S_IMODE(goal.parent.stat().st_mode) == 0o700
    assert sh.run(scripts.SET_ASIDE, str(folder), "c1", str(goal)).returncode == 0


def test_a_port_is_free_only_with_its_bus_port(sh: Sh) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        taken = one.getsockname()[1]
        bus_taken = other.getsockname()[1] - 10000
        free = sh.run(scripts.FREE_PORT, str(taken), str(bus_taken), "5").stdout
    assert free == "5\n"
    with socket.create_server(("127.0.0.1", 0)) as one:
        done = sh.run(scripts.FREE_PORT, str(one.getsockname()[1]))
        assert (done.returncode, done.stdout) == (1, "")


def test_the_end_of_a_log_and_what_follows(sh: Sh, folder: Path) -> None:
    assert sh.run(scripts.LOG_TAIL, str(folder), "5").stdout == ""
    folder.mkdir(parents=True)
    (folder / SERVER_LOG).write_text("one\ntwo\n")
    assert sh.run(scripts.LOG_TAIL, str(folder), "4").stdout == "two\n"
    assert sh.run(scripts.LOG_FROM, str(folder), "4").stdout == "4 8\ntwo\n"
    assert sh.run(scripts.LOG_FROM, str(folder), "-1").stdout == "8 8\n"
    assert sh.run(scripts.LOG_FROM, str(folder), "99").stdout == "0 8\none\ntwo\n", "rotated: from its start"


def test_a_log_is_rotated_when_it_is_large(sh: Sh, folder: Path) -> None:
    folder.mkdir(parents=True)
    log = folder / SERVER_LOG
    for text in ("first", "second", "third", "fourth"):
        log.write_text(text)
        assert sh.run(scripts.ROTATE, str(folder), "99", "3").returncode == 0
        assert log.exists()
        sh.run(scripts.ROTATE, str(folder), "5", "3")
        assert not log.exists()
    kept = {path.name: path.read_text() for path in folder.iterdir()}
    assert kept == {f"{SERVER_LOG}.1": "fourth", f"{SERVER_LOG}.2": "third", f"{SERVER_LOG}.3": "second"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_script_runs_as_the_owner_whole_arguments_and_all(sh: Sh) -> None:
    told = sh.run(AS_OWNER, "nobody", 'id -un; printf "%s|" "$@"; cat', "a b", "c'd", stdin="given")
    assert told.stdout == "nobody\na b|c'd|given"
    assert sh.run(AS_OWNER, "", 'id -u; echo "$1"', "a b").stdout == "0\na b\n"
    assert sh.run(AS_OWNER, "no-such-user", "true").returncode == 43


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_link_in_the_owners_folder_leads_root_nowhere(sh: Sh, open_folder: Path) -> None:
    folder = open_folder / "nodes" / "n1"
    assert sh.run(f"owner=nobody\n{scripts.MAKE_FOLDER}", str(folder)).returncode == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder.owner() == "nobody"
    folder.parent.chmod(0o711)
    goal = open_folder / "root's own"
    goal.write_text("precious")
    goal.chmod(0o600)
    (folder / SERVER_CONF).symlink_to(goal)
    done = sh.run(AS_OWNER, "nobody", scripts.REWRITE, str(folder), "EOT", stdin="new\nEOT\n")
    assert done.returncode == 0
    assert goal.read_text() == "precious"
    assert (folder / SERVER_CONF).owner() == "nobody"


def test_slotwrights_own_things_are_seen(sh: Sh, tmp_path: Path) -> None:
    tree, data = tmp_path / "tree", tmp_path / "data"
    words = (str(tree), str(data), "no-such-user", "slotwright-none@.service")
    assert parse_site(sh.run(READ_SITE, *words).stdout, "h") == Site("h", False)
    tree.mkdir()
    data.mkdir()
    (tree / "engine").symlink_to("/opt/somewhere")
    found = parse_site(sh.run(READ_SITE, str(tree), str(data), "root", words[3]).stdout, "h")
    assert (found.has_user, found.link, found.rooms) == (True, "/opt/somewhere", True)


def test_the_instances_of_a_unit_are_read_from_its_text() -> None:
    text = "@site\n@user\n@systemd\n@unit abc\n@enabled n1\n@enabled n2\n@rooms\n@end\n"
    assert parse_site(text, "h") == Site("h", True, "", "abc", frozenset({"n1", "n2"}), True)
    for cut in ("", "@site\n@user\n", text.removeprefix("@site\n"), text.removesuffix("@end\n")):
        with pytest.raises(ValueError, match="too early"):
            parse_site(cut, "h")


def test_what_is_not_ours_survives_the_removal_of_the_site(sh: Sh, tmp_path: Path) -> None:
    tree, data = tmp_path / "tree", tmp_path / "data"
    (tree / "rehearsal" / "n").mkdir(parents=True)
    (tree / ".rehearsal-1").mkdir()
    (tree / "engine").symlink_to("/")
    data.mkdir()
    (data / "somebody's").write_text("x")
    for _ in range(2):
        assert sh.run(REMOVE_SITE, str(tree), str(data)).returncode == 0
    assert not tree.exists()
    assert (data / "somebody's").exists()


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ("slotwright.json 2 0.9", UnknownFormat(MARKER, FormatTag(2, "0.9"))),
        ("process.json - -", UnknownFormat(PROCESS, FormatTag(None))),
        (f"slotwright.json {'9' * 5000} 0.9", UnknownFormat(MARKER, FormatTag(None, "0.9"))),
        (f"slotwright.json 2 {'9' * 50}", UnknownFormat(MARKER, FormatTag(2))),
        ("server.conf 2 0.9", None),
        ("", None),
    ],
)
def test_what_a_host_says_of_a_format_is_read_with_care(facts: str, found: UnknownFormat | None) -> None:
    assert parse_unknown_format(facts) == found
    reason, remedy = scripts.explain_newer(facts)
    assert reason
    assert remedy
