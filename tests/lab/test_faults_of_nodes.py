"""Faults of single nodes on real hosts: `check` names them and nothing else, `repair` mends them over SSH without loss.

The same rows on loopback, with servers of several versions: tests/faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import redis.exceptions

from tests.lab.damaged_cluster import DamagedCluster, Node, steps
from tests.lab.operator import PASSWORD, eventually
from tests.lab.secret_scanner import SecretScanner, files_below, files_on, journal_lines

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


def taken_over(damaged: DamagedCluster, but: Sequence[Node] = ()) -> Node:
    """A primary that is down while its replica serves its shard; ``but`` are down already."""
    primary, replica = damaged.pair()
    damaged.take_down(primary)
    damaged.wait_for_takeover(replica, but=[primary, *but])
    return primary


def test_good_copies_of_all_maps_are_there_after_up(damaged: DamagedCluster) -> None:
    """What F25 and F27 are mended with, where no member has seen the node since."""
    maps = damaged.operator.state / "clusters" / "cache" / "maps"
    for node in damaged.nodes:
        path = maps / f"{damaged.host(node).address}-{node.port}.conf"
        assert path.stat().st_mode & 0o777 == 0o600
        mine = next(line for line in path.read_text().splitlines() if "myself" in line)
        assert mine.split()[0] == damaged.id(node)
    damaged.is_proved = True


def test_a_primary_and_a_replica_killed(damaged: DamagedCluster) -> None:
    """F15 and F19, each in a shard of its own."""
    other = damaged.replica_of(damaged.primaries()[1])
    damaged.take_down(other)
    primary = taken_over(damaged, but=[other])
    damaged.wait_until_failed(primary, other)
    told = damaged.tells("node-down")
    found = {each["where"] for each in told.json["findings"] if each["code"] == "node-down"}
    assert found == {damaged.address(primary), damaged.address(other)}
    assert steps(damaged.is_mended()) == ["start", "start"]


def test_a_primary_and_a_replica_frozen(damaged: DamagedCluster) -> None:
    """F20: whose place was taken meanwhile is not woken up as the primary that it was; a replica only sleeps."""
    replica = damaged.replica_of(damaged.primaries()[1])
    primary, heir = damaged.pair()
    damaged.freeze(replica)
    damaged.freeze(primary)
    damaged.wait_for_takeover(heir, but=[primary, replica])
    before = damaged.pid(primary), damaged.pid(replica)
    told = damaged.tells("node-stopped")
    assert len([each for each in told.json["findings"] if each["code"] == "node-stopped"]) == 2
    assert sorted(steps(damaged.is_mended())) == ["end", "start", "thaw"]
    assert damaged.pid(primary) not in (0, before[0])
    assert damaged.pid(replica) == before[1]


def test_a_map_cut_off(damaged: DamagedCluster) -> None:
    """F25: the node keeps its id."""
    _, replica = damaged.pair()
    own = damaged.id(replica)
    damaged.take_down(replica)
    damaged.host(replica).run(CUT_MAP, damaged.folder(replica))
    damaged.wait_until_failed(replica)
    damaged.tells("map-broken", "node-down")
    damaged.is_mended()
    assert damaged.id(replica) == own


def test_a_folder_that_is_gone(damaged: DamagedCluster) -> None:
    """F27: the node keeps its id, and copies its data from who took over."""
    primary, replica = damaged.pair()
    own = damaged.id(primary)
    damaged.take_down(primary)
    damaged.host(primary).run("rm -r $1", damaged.folder(primary))
    damaged.wait_for_takeover(replica, but=[primary])
    damaged.tells("folder-lost", "node-down")
    damaged.is_mended()
    assert damaged.id(primary) == own
    modes = damaged.host(primary).run("stat -c '%a %U' $1 $1/server.conf", damaged.folder(primary)).stdout
    assert modes.splitlines() == ["700 slotwright", "600 slotwright"]


def test_a_replica_without_masterauth(damaged: DamagedCluster) -> None:
    """F35."""
    _, replica = damaged.pair()
    with damaged.connect(replica) as client:
        client.config_set("masterauth", "")
        client.execute_command("CLIENT", "KILL", "TYPE", "master")
        eventually(lambda: client.info("replication")["master_link_status"] == "down", "the link to be lost")
    damaged.tells("replica-auth-missing")
    damaged.is_mended()


def test_an_append_only_file_damaged(damaged: DamagedCluster) -> None:
    """F38: what is damaged is set aside, for its owner's scanner alone, and the node copies from who took over.

    Its unit tries it with the damaged file meanwhile, again and again."""
    primary = taken_over(damaged)
    host, folder = damaged.host(primary), damaged.folder(primary)
    host.run(DAMAGE_LOG, folder)
    damaged.start(primary)
    eventually(lambda: host.run(IN_VAIN, folder, damaged.unit(primary)), "the unit's tries")
    damaged.tells("", one_of="append-log-damaged node-down")
    told = damaged.is_mended()
    assert "aside" in steps(told), told.text
    rows = [line.split(" ", 3) for line in host.run(MODES, folder).stdout.splitlines()]
    assert rows
    assert {(kind, mode, user) for kind, mode, user, _ in rows} <= {
        ("d", "700", "slotwright"),
        ("f", "600", "slotwright"),
    }


def test_few_open_files(damaged: DamagedCluster) -> None:
    """F46: told of the running process, not of what its unit says."""
    primary, _ = damaged.pair()
    pid = damaged.pid(primary)
    damaged.host(primary).run("prlimit --pid $1 --nofile=128:", str(pid), user="slotwright")
    told = damaged.tells("nofile-low")
    assert damaged.address(primary) in told.text
    left = damaged.repair().ended_with(3)
    assert left.json["done"] == []
    assert damaged.pid(primary) == pid, "nothing was restarted for that unasked"
    damaged.operator.run("stop", "cache", damaged.address(primary), "--yes", "--json").succeeded()
    damaged.operator.run("start", "cache", damaged.address(primary), "--json").succeeded()
    damaged.prove()


def test_saves_fail(damaged: DamagedCluster) -> None:
    """F39: an operator takes away what is in the way."""
    primary, _ = damaged.pair()
    host, place = damaged.host(primary), f"{damaged.folder(primary)}/dump.rdb"
    host.run("rm -f $1; mkdir $1 && touch $1/in-the-way && chown -R slotwright: $1", place)
    with damaged.connect(primary) as client:
        client.bgsave()
        eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "the save to fail")
    damaged.tells("persistence-failing", "canary-failed")
    host.run("rm -r $1", place)
    with damaged.connect(primary) as client:
        client.bgsave()
        eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok", "the save to succeed")
    damaged.is_mended()


@contextmanager
def small_disk(damaged: DamagedCluster, node: Node) -> Iterator[None]:
    """Within it the node's folder is a file system of its own.

    Redis 7.0 may leave an append-only file that can't be read where it could write only a part: then the node comes
    back as any other whose file is damaged."""
    host, folder = damaged.host(node), damaged.folder(node)
    damaged.take_down(node)
    mounted = host.run(SMALL_DISK, folder, str(DISK_BYTES), check=False)
    if mounted.returncode != 0:
        damaged.is_proved = False
        pytest.skip(f"no mounts on the lab's hosts here: {mounted.stderr.strip()}")
    damaged.start(node)
    damaged.wait_until_whole()
    yield
    other = damaged.replica_of(node)
    damaged.take_down(node)
    damaged.wait_for_takeover(other, but=[node])
    host.run(LARGE_DISK, folder)
    damaged.is_mended()


def test_the_disk_of_a_node_is_full(damaged: DamagedCluster) -> None:
    """F40: what to free is said; once there is room, all goes on."""
    _, victim = damaged.pair()
    with small_disk(damaged, victim):
        damaged.operator.run("failover", damaged.address(victim), "cache", "--yes", "--json").succeeded()
        with damaged.connect(victim) as client:
            ballast = f"{damaged.folder(victim)}/ballast"
            damaged.host(victim).run('dd if=/dev/zero of="$1" bs=64k 2>&1 | grep -q "No space left"', ballast)
            filler = damaged.keys_of(victim)[0]
            filler = filler + b":until-full" if filler.startswith(b"{") else b"{" + filler + b"}:until-full"

            def fails() -> bool:
                try:
                    client.set(filler, b"x" * 60000)
                except redis.exceptions.ResponseError as error:
                    return "MISCONF" in str(error)
                return False

            eventually(fails, "the append to fail")
        told = damaged.tells("persistence-failing", "canary-failed disk-filling")
        found = next(each for each in told.json["findings"] if each["code"] == "persistence-failing")
        assert found["where"] == damaged.address(victim)
        assert "disk is full" in found["what"]
        plan = damaged.operator.run("repair", "cache", "--plan", "--json").ended_with(3).json
        assert plan["steps"] == []
        assert "persistence-failing" in {each["code"] for each in plan["unrepaired"]}
        damaged.host(victim).run("rm $1", ballast)
        damaged.is_mended()
        with damaged.connect(victim) as client:
            client.delete(filler)


def test_killed_for_want_of_memory(damaged: DamagedCluster) -> None:
    """F41: the kernel ends it at the limit of its unit, and systemd says so."""
    primary, replica = damaged.pair()
    host, unit = damaged.host(primary), damaged.unit(primary)
    if "memory" not in host.run("cat /sys/fs/cgroup/cgroup.controllers", check=False).stdout.split():
        damaged.is_proved = True
        pytest.skip("the hosts' systemd has no memory controller of control groups v2 here: it can't set MemoryMax")
    host.run("systemctl set-property --runtime $1 MemoryMax=1M MemorySwapMax=0", unit)
    eventually(lambda: damaged.pid(primary) == 0, "the kernel to end it")
    host.run("systemctl stop $1; systemctl revert $1", unit)
    damaged.wait_for_takeover(replica, but=[primary])
    damaged.tells("oom-killed", "node-down")
    damaged.is_mended()


def test_the_only_copy_of_a_shard_is_damaged(damaged: DamagedCluster) -> None:
    """F38, F27 and F19 at once: nothing is cut off without the word, and everything is archived before.

    And while that is done no secret is in any process, journal or file where it has no business to be."""
    primary, replica = damaged.pair()
    kept = set(damaged.known) - set(damaged.keys_of(primary))
    damaged.take_down(primary, replica)
    damaged.host(primary).run(DAMAGE_LOG, damaged.folder(primary))
    damaged.host(replica).run("rm -r $1", damaged.folder(replica))
    damaged.wait_until_failed(primary, replica)
    damaged.tells("node-down folder-lost", "cluster-state-fail")
    scanner = SecretScanner([PASSWORD])
    with scanner.open():
        refused = damaged.repair().ended_with(4)
        assert {step["word"] for step in refused.json["refused"]} == {"cut-log"}
        told = damaged.repair("--accept", "cut-log").succeeded()
    assert "mend-log" in steps(told) or "cut" in " ".join(steps(told)), told.text
    assert scanner.seen == set()
    archive = damaged.operator.folder / told.json["archive"]
    assert archive.is_dir()
    assert len(list(archive.rglob("*.tar.gz"))) == len(damaged.nodes)
    state = damaged.operator.state
    assert {path.stat().st_mode & 0o077 for path in [state, *state.rglob("*")]} == {0}
    assert_no_secret(damaged)
    lost = set(damaged.differing())
    assert lost.isdisjoint(kept)
    for key in lost:
        del damaged.known[key]
    damaged.prove()


def assert_no_secret(damaged: DamagedCluster) -> None:
    """But in the configuration of the nodes, and where the control machine keeps it."""
    assert files_below(damaged.operator.state, [PASSWORD]) == ["clusters/cache/password"]
    for host in damaged.lab.hosts.values():
        assert journal_lines(host, [PASSWORD]) == 0
        mine = [damaged.folder(node) for node in damaged.nodes if damaged.host(node) is host]
        assert files_on(host, [PASSWORD]) == sorted(f"{folder}/server.conf" for folder in mine)
