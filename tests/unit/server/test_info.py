"""INFO as servers print it."""

from __future__ import annotations

import pytest

from slotwright.cluster.observation import Health, Link, Replication, Role
from slotwright.cluster.topology import Address
from slotwright.features.migrate.survey.source_info import primary_fault, role_and_primary
from slotwright.server.info import count_keys, health, parse_info, replication

HERE = Address("10.0.0.1", 7001)
PRIMARY = """\
# Replication\r
role:master\r
connected_slaves:3\r
slave0:ip=127.0.0.1,port=7004,state=online,offset=140,lag=0\r
slave1:ip=127.0.0.1,port=7005,state=wait_bgsave,offset=0,lag=0\r
slave2:ip=::1,port=7006,state=online,offset=140,lag=1,type=replica\r
slave_expires_tracked_keys:0\r
replicas_waiting_psync:0\r
master_failover_state:no-failover\r
master_repl_offset:140\r
"""

REPLICA = """\
# Replication
role:slave
master_host:127.0.0.1
master_port:7001
master_link_status:{status}
master_last_io_seconds_ago:1
master_sync_in_progress:{syncing}
slave_read_repl_offset:131
slave_repl_offset:126
master_repl_offset:126
{more}
"""

WHOLE = """\
# Server
redis_version:7.0.15
process_id:12095
uptime_in_seconds:17

# Clients
connected_clients:3

# Memory
used_memory:1816584
maxmemory:67108864

# Persistence
loading:0
async_loading:0
rdb_last_bgsave_status:ok
aof_enabled:1
aof_last_write_status:ok

# Keyspace
db0:keys=3,expires=1,avg_ttl=0
db12:keys=40,expires=0,avg_ttl=0,subexpiry=0

# Keysizes
db0_distrib_strings_sizes:1=3
"""


def test_values_may_hold_colons_and_headings_are_none() -> None:
    assert parse_info("# Server\r\nexecutable:/a:b\r\n\r\nno colon\r\nempty:\r\n") == {
        "executable": "/a:b",
        "empty": "",
    }


def test_a_primary() -> None:
    assert replication(parse_info(PRIMARY)) == Replication(Role.PRIMARY, 140)


def test_a_primary_that_requires_replicas_says_how_many_are_good() -> None:
    assert replication(parse_info(PRIMARY + "min_slaves_good_slaves:1")).good_replicas == 1


@pytest.mark.parametrize(
    ("status", "syncing", "more", "found"),
    [
        ("up", 0, "", Replication(Role.REPLICA, 126, Link.UP)),
        ("down", 1, "master_link_down_since_seconds:-1", Replication(Role.REPLICA, 126, Link.DOWN, None, True)),
        ("down", 0, "master_link_down_since_seconds:42", Replication(Role.REPLICA, 126, Link.DOWN, 42)),
        ("down", 0, "master_link_down_since_seconds:0", Replication(Role.REPLICA, 126, Link.DOWN, 0)),
    ],
)
def test_a_replica(status: str, syncing: int, more: str, found: Replication) -> None:
    assert replication(parse_info(REPLICA.format(status=status, syncing=syncing, more=more))) == found


def test_the_health_of_a_process() -> None:
    assert health(parse_info(WHOLE)) == Health(17, 1816584, 67108864, False, True, True, True, 43)


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("loading:1", "is_loading", True),
        ("rdb_last_bgsave_status:err", "last_save_ok", False),
        ("aof_last_write_status:err", "last_append_ok", False),
        ("aof_enabled:0", "has_append_log", False),
        ("maxmemory_policy:allkeys-lru", "maxmemory_policy", "allkeys-lru"),
        ("maxclients:968", "maxclients", 968),
        ("aof_last_bgrewrite_status:err", "last_rewrite_ok", False),
        ("aof_current_size:4024", "append_log_bytes", 4024),
        ("evicted_keys:3", "evicted_keys", 3),
    ],
)
def test_one_line_at_a_time(line: str, field: str, value: object) -> None:
    assert getattr(health(parse_info(WHOLE + line)), field) == value


@pytest.mark.parametrize("number", ["lots", "", "1e9", "9" * 5000, "18446744073709551616", "٣"])
@pytest.mark.parametrize("line", ["used_memory:{}", "db0:keys={},expires=0"])
def test_a_number_that_is_none_is_no_zero(line: str, number: str) -> None:
    with pytest.raises(ValueError, match="not a number of 64 bits"):
        health(parse_info(WHOLE + line.format(number)))


def test_nothing_said_is_nothing_wrong() -> None:
    assert health({}) == Health(0, 0, 0, False, True, True, False, 0)


def test_keys_of_all_databases() -> None:
    assert count_keys({"db0": "keys=1,expires=0", "db15": "keys=2", "dbx": "keys=9", "db3": "expires=1"}) == 3


@pytest.mark.parametrize(
    ("host", "port", "primary"),
    [
        ("10.0.0.1", "7001", HERE),
        ("fe80::1%eth0", "7001", Address("fe80::1%eth0", 7001)),
        ("db_1", "7001", Address("db_1", 7001)),
        ("no one", "7001", None),
        ('"+evil+"', "7001", None),
        ("10.0.0.1", "²", None),
        ("10.0.0.1", "65536", None),
    ],
)
def test_whom_a_replica_follows(host: str, port: str, primary: Address | None) -> None:
    info = {"role": "slave", "master_host": host, "master_port": port, "master_link_status": "up"}
    assert role_and_primary(info) == (Role.REPLICA, primary, True)
    assert bool(primary_fault(info)) is (primary is None)
    assert primary_fault(info).isprintable()
