"""Faults of single nodes on real hosts: `check` names them and nothing else, `repair` mends them over SSH without loss.

The same rows on loopback, with servers of several versions: tests/faults.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import redis.exceptions

from tests.lab.operator import eventually
from tests.lab.patient import Node, Patient, steps

pytestmark = pytest.mark.timeout(240)

DISK_BYTES = 48 << 20
CUT_MAP = r"""cd "$1" && head -c $(($(wc -c < nodes.conf) / 2)) nodes.conf > cut && cat cut > nodes.conf && rm cut"""
DAMAGE_LOG = r"""
file=$(ls -t "$1"/appendonlydir/*.incr.aof | head -n 1)
printf '\0rotten\0\0rotten\0\0rotten\0' | dd of="$file" bs=1 seek=$(($(wc -c < "$file") / 2)) conv=notrunc status=none
"""
MODES = r"""cd "$1" && find . -path './*.aside*' -printf '%y %m %u %p\n'"""


def taken_over(patient: Patient) -> Node:
    """A primary that is down while its replica serves its shard."""
    primary, replica = patient.pair()
    patient.take_down(primary)
    patient.wait_for_takeover(replica, but=[primary])
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


def test_a_primary_killed(patient: Patient) -> None:
    """F15."""
    primary = taken_over(patient)
    patient.tells("node-down")
    told = patient.is_mended()
    assert steps(told) == ["start"]
    assert patient.view(primary)


def test_a_replica_killed(patient: Patient) -> None:
    """F19."""
    _, replica = patient.pair()
    patient.take_down(replica)
    patient.wait_until_failed(replica)
    patient.tells("node-down")
    assert steps(patient.is_mended()) == ["start"]


def test_a_primary_frozen(patient: Patient) -> None:
    """F20: its place is taken meanwhile, so it is not woken up as the primary that it was."""
    primary, replica = patient.pair()
    patient.freeze(primary)
    patient.wait_for_takeover(replica, but=[primary])
    before = patient.pid(primary)
    patient.tells("node-stopped")
    patient.is_mended()
    assert patient.pid(primary) not in (0, before)


def test_a_replica_frozen(patient: Patient) -> None:
    """F20: it only sleeps."""
    _, replica = patient.pair()
    patient.freeze(replica)
    patient.wait_until_failed(replica)
    before = patient.pid(replica)
    patient.tells("node-stopped")
    assert steps(patient.is_mended()) == ["thaw"]
    assert patient.pid(replica) == before


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

    The unit has given up by the time of the check: a damaged file is started with until systemd has had enough."""
    primary = taken_over(patient)
    patient.host(primary).run(DAMAGE_LOG, patient.folder(primary))
    patient.tells("node-down")
    told = patient.is_mended()
    assert "aside" in steps(told), told.text
    rows = [
        line.split(" ", 3) for line in patient.host(primary).run(MODES, patient.folder(primary)).stdout.splitlines()
    ]
    assert rows
    assert {(kind, mode, user) for kind, mode, user, _ in rows} <= {
        ("d", "700", "slotwright"),
        ("f", "600", "slotwright"),
    }


def test_few_open_files(patient: Patient) -> None:
    """F46: told of the running process, not of what its unit says."""
    primary, _ = patient.pair()
    pid = patient.pid(primary)
    patient.host(primary).run("prlimit --pid $1 --nofile=128:", str(pid))
    told = patient.tells("nofile-low")
    assert patient.address(primary) in told.text
    patient.is_mended()


def test_saves_fail(patient: Patient) -> None:
    """F39: an operator takes away what is in the way."""
    primary, _ = patient.pair()
    host, place = patient.host(primary), f"{patient.folder(primary)}/dump.rdb"
    host.run("rm -f $1; mkdir $1 && touch $1/in-the-way && chown -R slotwright: $1", place)
    with patient.connect(primary) as client:
        client.bgsave()
        eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "the save to fail")
    patient.tells("persistence-failing")
    host.run("rm -r $1", place)
    patient.is_mended()


def test_the_disk_of_a_node_is_full(patient: Patient) -> None:
    """F40: what to free is said; the rest goes on by itself once there is room."""
    primary, replica = patient.pair()
    host, folder = patient.host(primary), patient.folder(primary)
    patient.take_down(replica, primary)
    host.run(
        'mv "$1" "$1.before" && mkdir -m 700 "$1" && chown slotwright: "$1" && '
        'mount -t tmpfs -o "size=$2,mode=700,uid=slotwright,gid=slotwright" tmpfs "$1" && cp -a "$1.before/." "$1/"',
        folder,
        str(DISK_BYTES),
    )
