"""`watch`: what happens is told as it happens, and nothing is written to the cluster."""

from __future__ import annotations

import json
import signal
import threading

from tests.engines import TestEngine
from tests.integration.conftest import Lab


def test_a_failover_is_told_while_it_happens(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, settings="{cluster-node-timeout: 2000}")
    assert lab.run("up", "--yes").code == 0
    victim = next(node for node in lab.run("status", "--json").json["nodes"] if node["role"] == "primary")
    watching = lab.popen("watch", "cache", "--json", "-n", "0.2")
    lines: list[dict] = []
    assert watching.stdout is not None
    reading = threading.Thread(
        target=lambda: lines.extend(json.loads(line) for line in watching.stdout or ()), daemon=True
    )
    reading.start()
    lab.wait(lambda: lines, "its first look")
    assert (lines[0]["happening"], lines[0]["where"]) == ("state", "cache")
    lab.kill(victim["address"])
    lab.wait(lambda: "failover" in {line["happening"] for line in lines}, "the failover")
    told = [line["happening"] for line in lines]
    assert told.index("node-down") < told.index("failover")
    assert next(line["where"] for line in lines if line["happening"] == "node-down") == victim["address"]
    watching.send_signal(signal.SIGINT)
    assert watching.wait(60) == 0
    reading.join(60)
