"""Verb -> its module, which has a ``command``, and what the list of verbs says of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verb:
    """``module`` is below the package; it is imported when the verb is called."""

    module: str
    text: str


VERBS: dict[str, Verb] = {
    "demo": Verb("features.deploy.cli.demo", "Make a real six-node cluster on this machine, and prove it."),
    "init": Verb("features.deploy.cli.init", "Write a commented cluster.yaml."),
    "preflight": Verb("features.preflight.cli.preflight", "Look at the hosts, and make right what can be."),
    "plan": Verb("features.deploy.cli.plan", "Show what `up` would do."),
    "up": Verb("features.deploy.cli.up", "Make the world what the file says, then prove it."),
    "adopt": Verb("features.adopt.cli", "Make a topology file of a cluster that was made by hand."),
    "status": Verb("features.look.cli.status", "Show the nodes by shard, and who owns which slots."),
    "check": Verb("features.look.cli.check", "Prove that the cluster is sound, or say what is not."),
    "repair": Verb(
        "features.repair.cli.repair",
        "Mend what is broken, losing nothing; ask before anything could be lost.",
    ),
    "resume": Verb("features.repair.cli.resume", "Go on with work that was cut."),
    "abort": Verb("features.repair.cli.abort", "Give up work that was cut, and take back what it did."),
    "failover": Verb("features.failover.cli", "Make a replica the primary, or bring primaries back."),
    "watch": Verb("features.watch.cli", "Show the cluster live, and what happens."),
    "client": Verb("features.clients.cli", "Print a client's configuration, or walk the way of a client."),
    "slot": Verb("features.look.cli.slot", "Show the slot of a key, and which node serves it."),
    "logs": Verb("features.look.cli.logs", "Show a node's log."),
    "start": Verb("features.lifecycle.cli.start", "Start nodes that don't run."),
    "stop": Verb("features.lifecycle.cli.stop", "Stop nodes cleanly, with a save."),
    "destroy": Verb("features.lifecycle.cli.destroy", "Take a cluster away with all of its files."),
    "list": Verb("features.look.cli.list", "List the clusters made here."),
    "drill": Verb("features.drill.cli", "Kill a primary on purpose, and tell what clients saw."),
    "archive": Verb("features.archive.cli", "Set every node's data aside, with checksums."),
    "rebuild": Verb("features.rebuild.cli", "Archive, make a new cluster, bring the keys back: the last resort."),
    "migrate": Verb("features.migrate.cli.migrate", "Move a running server's data into a cluster, live, with proof."),
    "jobs": Verb("features.jobs.cli", "Show long work of any kind, and pause it, go on, give it up, or slow it."),
    "compare": Verb("features.compare.cli", "Prove that a cluster has every key of another server."),
    "exec": Verb("features.preflight.cli.exec", "Run a command on every host, side by side."),
    "bundle": Verb("features.bundle.cli", "Put everything that hosts without internet need into one folder."),
    "completion": Verb("cli.completion", "Print the shell's completion script."),
}
