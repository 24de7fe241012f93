"""Faults of single nodes on real hosts: `check` names them and nothing else, `repair` mends them over SSH without loss.

The same rows on loopback, with servers of several versions: tests/faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import redis.exceptions

from tests.lab.eyes import Eyes, files_below, files_on, journal_lines
from tests.lab.operator import PASSWORD, eventually
from tests.lab.patient import Node, Patient, steps

DISK_BYTES = 48 << 20
SMALL_DISK = r"""
mv "$1" "$1.before" && mkdir -m 700 "$1" && chown slotwright: "$1" &&
mount -t tmpfs -o "size=$2,mode=700,uid=$(id -u slotwright),gid=$(id -g slotwright)" tmpfs "$1" &&
cp -a "$1.before/." "$1/"
"""
LARGE_DISK = 'rm -r "$1.before" && cp -a "$1" "$1.before" && umount "$1" && rmdir "$1" && mv "$1.before" "$1"'
CUT_MAP = r"""cd "$1" && head -c $(($(wc -c < nodes.conf) / 2)) nodes.conf > cut && cat cut > nodes.conf && rm cut"""
DAMAGE_LOG = r"""
file=$(ls -t "$1"/appendonlydir/*.incr.aof | head -n 1)
half=$(($(wc -c < "$file") / 2))
at=$(grep -abo '^\*[0-9]' "$file" | awk -F: -v half="$half" '{ at = $1 } at >= half { exit } END { print at + 0 }')
printf '\0rotten\0\0rotten\0\0rotten\0' | dd of="$file" bs=1 seek="$at" conv=notrunc status=none
"""
"""Where a command begins: within a value nobody would notice."""
IN_VAIN = (
    '[ $(grep -c "Bad file format" "$1/server.log") -ge 2 ] && [ $(systemctl show -p NRestarts --value "$2") -ge 1 ]'
)
MODES = r"""cd "$1" && find . -path './aside-*' -printf '%y %m %u %p\n'"""


def taken_over(patient: Patient, but: Sequence[Node] = ()) -> Node:
    """A primary that is down while its replica serves its shard; ``but`` are down already."""
    primary, replica = patient.pair()
    patient.take_down(primary)
    patient.wait_for_takeover(replica, but=[primary, *but])
    return primary


def test_good_copies_of_all_maps_are_there_after_up(patient: Patient) -> None:
    """What F25 and F27 are mended with, where no member has seen the node since."""
    maps = patient.operator.state / "clusters" / "cache" / "maps"
    for node in patient.nodes:
        path = maps / f"{patient.host(node).address}-{node.port}.conf"
        assert path.stat().st_mode & 0o777 == 0o600
        mine = next(line for line in path.read_text().splitlines() if "myself" in line)
        assert mine.split()[0] == patient.id(node)
    patient.is_proved = True


def test_a_primary_and_a_replica_killed(patient: Patient) -> None:
    """F15 and F19, each in a shard of its own."""
    other = patient.replica_of(patient.primaries()[1])
    patient.take_down(other)
    primary = taken_over(patient, but=[other])
    patient.wait_until_failed(primary, other)
    told = patient.tells("node-down")
    found = {each["where"] for each in told.json["findings"] if each["code"] == "node-down"}
    assert found == {patient.address(primary), patient.address(other)}
    assert steps(patient.is_mended()) == ["start", "start"]


def test_a_primary_and_a_replica_frozen(patient: Patient) -> None:
    """F20: whose place was taken meanwhile is not woken up as the primary that it was; a replica only sleeps."""
    replica = patient.replica_of(patient.primaries()[1])
    primary, heir = patient.pair()
    patient.freeze(replica)
    patient.freeze(primary)
    patient.wait_for_takeover(heir, but=[primary, replica])
    before = patient.pid(primary), patient.pid(replica)
    told = patient.tells("node-stopped")
    assert len([each for each in told.json["findings"] if each["code"] == "node-stopped"]) == 2
    assert sorted(steps(patient.is_mended())) == ["end", "start", "thaw"]
    assert patient.pid(primary) not in (0, before[0])
    assert patient.pid(replica) == before[1]


def test_a_map_cut_off(patient: Patient) -> None:
    """F25: the node keeps its id."""
    _, replica = patient.pair()
    own = patient.id(replica)
    patient.take_down(replica)
    patient.host(replica).run(CUT_MAP, patient.folder(replica))
    patient.wait_until_failed(replica)
    patient.tells("map-broken", "node-down")
    patient.is_mended()
    assert patient.id(replica) == own


def test_a_folder_that_is_gone(patient: Patient) -> None:
    """F27: the node keeps its id, and copies its data from who took over."""
    primary, replica = patient.pair()
    own = patient.id(primary)
    patient.take_down(primary)
    patient.host(primary).run("rm -r $1", patient.folder(primary))
    patient.wait_for_takeover(replica, but=[primary])
    patient.tells("folder-lost", "node-down")
    patient.is_mended()
    assert patient.id(primary) == own
    modes = patient.host(primary).run("stat -c '%a %U' $1 $1/server.conf", patient.folder(primary)).stdout
    assert modes.splitlines() == ["700 slotwright", "600 slotwright"]


def test_a_replica_without_masterauth(patient: Patient) -> None:
    """F35."""
    _, replica = patient.pair()
    with patient.connect(replica) as client:
        client.config_set("masterauth", "")
        client.execute_command("CLIENT", "KILL", "TYPE", "master")
        eventually(lambda: client.info("replication")["master_link_status"] == "down", "the link to be lost")
    patient.tells("replica-auth-missing")
    patient.is_mended()


def test_an_append_only_file_damaged(patient: Patient) -> None:
    """F38: what is damaged is set aside, for its owner's eyes alone, and the node copies from who took over.

    Its unit tries it with the damaged file meanwhile, again and again."""
    primary = taken_over(patient)
    host, folder = patient.host(primary), patient.folder(primary)
    host.run(DAMAGE_LOG, folder)
    patient.start(primary)
    eventually(lambda: host.run(IN_VAIN, folder, patient.unit(primary)), "the unit's tries")
    patient.tells("", one_of="append-log-damaged node-down")
    told = patient.is_mended()
    assert "aside" in steps(told), told.text
    rows = [line.split(" ", 3) for line in host.run(MODES, folder).stdout.splitlines()]
    assert rows
    assert {(kind, mode, user) for kind, mode, user, _ in rows} <= {
        ("d", "700", "slotwright"),
        ("f", "600", "slotwright"),
    }


def test_few_open_files(patient: Patient) -> None:
    """F46: told of the running process, not of what its unit says."""
    primary, _ = patient.pair()
    pid = patient.pid(primary)
    patient.host(primary).run("prlimit --pid $1 --nofile=128:", str(pid), user="slotwright")
    told = patient.tells("nofile-low")
    assert patient.address(primary) in told.text
    left = patient.repair().ended_with(3)
    assert left.json["done"] == []
    assert patient.pid(primary) == pid, "nothing was restarted for that unasked"
    patient.operator.run("stop", "cache", patient.address(primary), "--yes", "--json").succeeded()
    patient.operator.run("start", "cache", patient.address(primary), "--json").succeeded()
    patient.prove()


def test_saves_fail(patient: Patient) -> None:
    """F39: an operator takes away what is in the way."""
    primary, _ = patient.pair()
    host, place = patient.host(primary), f"{patient.folder(primary)}/dump.rdb"
    host.run("rm -f $1; mkdir $1 && touch $1/in-the-way && chown -R slotwright: $1", place)
    with patient.connect(primary) as client:
        client.bgsave()
        eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "the save to fail")
    patient.tells("persistence-failing", "canary-failed")
    host.run("rm -r $1", place)
    with patient.connect(primary) as client:
        client.bgsave()
        eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok", "the save to succeed")
    patient.is_mended()


@contextmanager
def small_disk(patient: Patient, node: Node) -> Iterator[None]:
    """Within it the node's folder is a file system of its own.

    Redis 7.0 may leave an append-only file that can't be read where it could write only a part: then the node comes
    back as any other whose file is damaged."""
    host, folder = patient.host(node), patient.folder(node)
    patient.take_down(node)
    mounted = host.run(SMALL_DISK, folder, str(DISK_BYTES), check=False)
    if mounted.returncode != 0:
        patient.is_proved = False
        pytest.skip(f"no mounts on the lab's hosts here: {mounted.stderr.strip()}")
    patient.start(node)
    patient.wait_until_whole()
    yield
    other = patient.replica_of(node)
    patient.take_down(node)
    patient.wait_for_takeover(other, but=[node])
    host.run(LARGE_DISK, folder)
    patient.is_mended()


def test_the_disk_of_a_node_is_full(patient: Patient) -> None:
    """F40: what to free is said; once there is room, all goes on."""
    _, victim = patient.pair()
    with small_disk(patient, victim):
        patient.operator.run("failover", patient.address(victim), "cache", "--yes", "--json").succeeded()
        with patient.connect(victim) as client:
            ballast = f"{patient.folder(victim)}/ballast"
            patient.host(victim).run('dd if=/dev/zero of="$1" bs=64k 2>&1 | grep -q "No space left"', ballast)
            filler = patient.keys_of(victim)[0]
            filler = filler + b":until-full" if filler.startswith(b"{") else b"{" + filler + b"}:until-full"

            def fails() -> bool:
                try:
                    client.set(filler, b"x" * 60000)
                except redis.exceptions.ResponseError as error:
                    return "MISCONF" in str(error)
                return False

            eventually(fails, "the append to fail")
        told = patient.tells("persistence-failing", "canary-failed disk-filling")
        found = next(each for each in told.json["findings"] if each["code"] == "persistence-failing")
        assert found["where"] == patient.address(victim)
        assert "disk is full" in found["what"]
        plan = patient.operator.run("repair", "cache", "--plan", "--json").ended_with(3).json
        assert plan["steps"] == []
        assert "persistence-failing" in {each["code"] for each in plan["unrepaired"]}
        patient.host(victim).run("rm $1", ballast)
        patient.is_mended()
        with patient.connect(victim) as client:
            client.delete(filler)


def test_killed_for_want_of_memory(patient: Patient) -> None:
    """F41: the kernel ends it at the limit of its unit, and systemd says so."""
    primary, replica = patient.pair()
    host, unit = patient.host(primary), patient.unit(primary)
    if "memory" not in host.run("cat /sys/fs/cgroup/cgroup.controllers", check=False).stdout.split():
        patient.is_proved = True
        pytest.skip("the hosts' systemd has no memory controller of control groups v2 here: it can't set MemoryMax")
    host.run("systemctl set-property --runtime $1 MemoryMax=1M MemorySwapMax=0", unit)
    eventually(lambda: patient.pid(primary) == 0, "the kernel to end it")
    host.run("systemctl stop $1; systemctl revert $1", unit)
    patient.wait_for_takeover(replica, but=[primary])
    patient.tells("oom-killed", "node-down")
    patient.is_mended()


def test_the_only_copy_of_a_shard_is_damaged(patient: Patient) -> None:
    """F38, F27 and F19 at once: nothing is cut off without the word, and everything is archived before.

    And while that is done no secret is in any process, journal or file where it has no business to be."""
    primary, replica = patient.pair()
    kept = set(patient.known) - set(patient.keys_of(primary))
    patient.take_down(primary, replica)
    patient.host(primary).run(DAMAGE_LOG, patient.folder(primary))
    patient.host(replica).run("rm -r $1", patient.folder(replica))
    patient.wait_until_failed(primary, replica)
    patient.tells("node-down folder-lost", "cluster-state-fail")
    eyes = Eyes([PASSWORD])
    with eyes.open():
        refused = patient.repair().ended_with(4)
        assert {step["word"] for step in refused.json["refused"]} == {"cut-log"}
        told = patient.repair("--accept", "cut-log").succeeded()
    assert "mend-log" in steps(told) or "cut" in " ".join(steps(told)), told.text
    assert eyes.seen == set()
    archive = patient.operator.folder / told.json["archive"]
    assert archive.is_dir()
    assert len(list(archive.rglob("*.tar.gz"))) == len(patient.nodes)
    state = patient.operator.state
    assert {path.stat().st_mode & 0o077 for path in [state, *state.rglob("*")]} == {0}
    assert_no_secret(patient)
    lost = set(patient.differing())
    assert lost.isdisjoint(kept)
    for key in lost:
        del patient.known[key]
    patient.prove()


def assert_no_secret(patient: Patient) -> None:
    """But in the configuration of the nodes, and where the control machine keeps it."""
    assert files_below(patient.operator.state, [PASSWORD]) == ["clusters/cache/password"]
    for host in patient.lab.hosts.values():
        assert journal_lines(host, [PASSWORD]) == 0
        mine = [patient.folder(node) for node in patient.nodes if patient.host(node) is host]
        assert files_on(host, [PASSWORD]) == sorted(f"{folder}/server.conf" for folder in mine)
