"""Good copies of the nodes' maps, and a node that comes back with a map that another one's was made into."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotwright.server.nodes_conf import check_map, map_for, same_map
from tests.engines import TestEngine, engine_params
from tests.integration.conftest import Lab


def nodes(lab: Lab) -> list[dict]:
    return lab.run("status", "--json").json["nodes"]


def copy_of(lab: Lab, node: dict) -> Path:
    return lab.state / "clusters" / "cache" / "maps" / f"{node['address'].replace(':', '-')}.conf"


def map_of(lab: Lab, node: dict) -> Path:
    return lab.state / "clusters" / "cache" / "nodes" / node["address"].replace(":", "-") / "nodes.conf"


def test_maps_are_kept_after_up_and_follow_a_failover(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded)
    assert lab.run("up", "--yes").code == 0
    found = nodes(lab)
    assert len(list(copy_of(lab, found[0]).parent.iterdir())) == 6
    for node in found:
        assert check_map(copy_of(lab, node).read_text(), node["id"]) == ""
        assert copy_of(lab, node).stat().st_mode & 0o777 == 0o600
    before = {node["id"]: copy_of(lab, node).read_text() for node in found}
    assert lab.run("up", "--yes").code == 0
    assert {node["id"]: copy_of(lab, node).read_text() for node in found} == before, "nothing was done"
    replica = next(node for node in found if node["role"] == "replica")
    done = lab.run("failover", replica["address"], "--yes", "--json")
    assert done.code == 0, done.out
    assert "no new copy" not in done.err
    for node in found:
        kept = copy_of(lab, node).read_text()
        assert same_map(kept, map_of(lab, node).read_text())
        line = next(line for line in kept.splitlines() if line.startswith(replica["id"]))
        assert "master" in line.split()[2]
        assert copy_of(lab, node).with_name(copy_of(lab, node).name + ".1").read_text() == before[node["id"]]
    assert lab.run("destroy", "--yes").code == 0
    lab.assert_nothing_is_left()


@pytest.mark.parametrize("engine", engine_params())
def test_a_node_comes_back_with_a_map_made_from_anothers(lab: Lab, engine: TestEngine) -> None:
    """A replica, and a primary whose replica took over meanwhile: each joins under its own id, and all agree."""
    lab.topology(engine, settings="{cluster-node-timeout: 3000}")
    assert lab.run("up", "--yes").code == 0
    found = nodes(lab)
    primary, other, source = (node for node in found if node["role"] == "primary")
    replica = next(node for node in found if node["replica_of"] == other["id"])
    heir = next(node for node in found if node["replica_of"] == primary["id"])
    assert lab.run("stop", replica["address"], primary["address"], "--yes").code == 0

    def role_of(node: dict) -> str:
        return next(each["role"] for each in nodes(lab) if each["id"] == node["id"])

    lab.wait(lambda: role_of(heir) == "primary", "the replica of the primary that was stopped to take over")
    for node in (replica, primary):
        map_of(lab, node).write_text(map_for(map_of(lab, source).read_text(), node["id"], heir["id"]))
    started = lab.run("start")
    assert started.code in (0, 3), started.out + started.err  # the file has other primaries
    assert started.code in (0, 3), started.out + started.err
    after = nodes(lab)
    assert {node["address"]: node["id"] for node in after} == {node["address"]: node["id"] for node in found}
    assert all(node["reachable"] for node in after)
    assert (role_of(heir), role_of(primary), role_of(replica)) == ("primary", "replica", "replica")
    assert "no new copy" not in started.err
    assert all(same_map(copy_of(lab, node).read_text(), map_of(lab, node).read_text()) for node in after)
