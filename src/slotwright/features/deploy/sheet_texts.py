"""The texts of the change and rollback sheet, by what they are of; the languages it can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slotwright.console.words import Message, Words, gettext_noop, pgettext_noop, words_in

LANGUAGES = ("en", "zh")


@dataclass(frozen=True, slots=True)
class Texts:
    """In one language."""

    words: Words

    def __call__(self, key: str, /, **fields: object) -> str:
        """The text of ``key``, with what stands in its braces. Raises KeyError for an unknown key."""
        return self.words.message(TEXTS[key], **fields)


def texts_in(language: str) -> Texts:
    """Of one of :data:`LANGUAGES`."""
    return Texts(words_in(language))


TEXTS: Mapping[str, Message] = {
    "title": gettext_noop("Change and rollback sheet: {name}"),
    "cluster": pgettext_noop("sheet", "cluster"),
    "file": pgettext_noop("sheet", "topology file"),
    "plan": pgettext_noop("sheet", "plan"),
    "made": pgettext_noop("sheet", "made"),
    "by": pgettext_noop("sheet", "by"),
    "digest": pgettext_noop("sheet", "digest"),
    "do": gettext_noop("to be done with"),
    "consent": gettext_noop(
        "The plan file is the consent: this command does not ask again. It does these steps and no others; "
        "where a fact that the plan rests on has changed since, it refuses, names the fact, and changes "
        "nothing."
    ),
    "unseen": gettext_noop("Not seen, and not in this plan: {hosts}. The hosts could not be reached."),
    "what": pgettext_noop("sheet", "What changes"),
    "where": gettext_noop("Where, and in which order"),
    "order": gettext_noop("A stage begins when the one before it is done. The steps of a stage are done side by side."),
    "canary": gettext_noop(
        "Canary: in stage {stage}, {node} goes first, alone. What it refuses is put back on it, and no other "
        "node is changed."
    ),
    "replanned": gettext_noop(
        "When the hosts are ready they are looked at again, and the steps for the nodes are planned again. "
        "Steps beyond these are refused; only lowered timings of new nodes are put back."
    ),
    "stage": pgettext_noop("sheet", "stage"),
    "step": pgettext_noop("sheet", "step"),
    "node": gettext_noop("node or host"),
    "detail": pgettext_noop("sheet", "detail"),
    "risk": pgettext_noop("sheet", "Risk"),
    "proof": pgettext_noop("sheet", "Proof afterwards"),
    "proof-text": gettext_noop(
        "All of it is read from the servers afterwards: every node answers and is ok; all nodes agree on "
        "roles, slots and primaries; all slots are served; every replica is in sync; the running settings "
        "are those of the file; a key is written, read and deleted on every shard. What does not hold is "
        "named, and the exit code is 3. `slotwright check {name}` repeats it at any time."
    ),
    "proof-one": gettext_noop(
        "Read from the server afterwards: it answers, runs with the settings of the file, and a key is "
        "written, read and deleted. What does not hold is named, and the exit code is 3."
    ),
    "back": pgettext_noop("sheet", "Way back"),
    "no-back": gettext_noop("What has no way back"),
    "old-values": gettext_noop("Values now, node by node"),
    "setting": pgettext_noop("sheet", "setting"),
    "old": pgettext_noop("sheet", "now"),
    "new": pgettext_noop("sheet", "after"),
    "rules-added": gettext_noop("Firewall rules that are added"),
    "rules-removed": gettext_noop("Firewall rules that are removed"),
    "rule": pgettext_noop("sheet", "rule"),
    "host": pgettext_noop("sheet", "host"),
    "cut": gettext_noop("If it is cut in the middle"),
    "cut-text": gettext_noop(
        "Steps that are done stay done. Run `slotwright up {file}`: it looks, shows what is left, and goes "
        "on from there. This plan is refused then, since what it rests on has changed; to have the rest "
        "approved, make a new plan."
    ),
    "signatures": pgettext_noop("sheet", "Approval"),
    "role": pgettext_noop("sheet", "role"),
    "name": pgettext_noop("sheet", "name"),
    "date": pgettext_noop("sheet", "date"),
    "signature": pgettext_noop("sheet", "signature"),
    "applicant": pgettext_noop("sheet", "made by"),
    "approver": pgettext_noop("sheet", "approved by"),
    "executor": pgettext_noop("sheet", "done by"),
    "to-the-file": gettext_noop("to the value of the file (secret)"),
    "rewrite": gettext_noop("configuration file written anew"),
    "every-pair": gettext_noop("every pair of {hosts} hosts, ports {ports}"),
    "whole": pgettext_noop("sheet", "the cluster"),
    "role-of": gettext_noop("{role} of shard {shard}"),
    "primary": pgettext_noop("sheet", "primary"),
    "replica": pgettext_noop("sheet", "replica"),
    "new-node": pgettext_noop("sheet", "new"),
    "is-gone": gettext_noop("its process is gone"),
    "same-file": gettext_noop("the file's new text is kept"),
    "prepare": pgettext_noop("sheet", "prepare"),
    "prepare-what": pgettext_noop("sheet", "prepares {count}"),
    "prepare-risk": gettext_noop(
        "Adds what is missing on the host; nothing of others is changed. Running nodes go on."
    ),
    "prepare-back": gettext_noop(
        "`slotwright destroy {name}` takes it back, together with the cluster. It may stay without harm."
    ),
    "firewall": pgettext_noop("sheet", "firewall"),
    "firewall-what": gettext_noop("changes the firewall of {count}"),
    "firewall-risk": gettext_noop(
        "Only the rules below are changed, running and permanent. A removed rule ends the access that it gave."
    ),
    "firewall-back": gettext_noop(
        "`slotwright up` with the old file sets the rules as that file needs them; `slotwright destroy "
        "{name}` takes back all that were added. By hand: the rules below, the other way round."
    ),
    "reach": pgettext_noop("sheet", "prove reach"),
    "reach-what": gettext_noop("proves that the hosts reach each other"),
    "reach-risk": gettext_noop("Changes nothing; opens listeners for some seconds."),
    "reach-back": gettext_noop("Nothing to take back."),
    "create": pgettext_noop("sheet", "create"),
    "create-what": pgettext_noop("sheet", "makes {count}"),
    "create-risk": gettext_noop("New folders only; no data is there yet."),
    "create-back": gettext_noop(
        "`slotwright destroy {name}` removes the nodes and their folders, with all keys that were written "
        "meanwhile (`--keep-data` sets the data files aside)."
    ),
    "start": pgettext_noop("sheet", "start"),
    "start-what": pgettext_noop("sheet", "starts {count}"),
    "start-risk": gettext_noop(
        "Takes memory and ports on its host. A replica that comes back copies from its primary."
    ),
    "start-back": gettext_noop("`slotwright stop {file} NODE` stops a node with a save."),
    "set": pgettext_noop("sheet", "set"),
    "set-what": gettext_noop("sets {names} on {count}, without a restart"),
    "set-what-file": gettext_noop("writes the configuration files of {count} anew"),
    "set-risk": gettext_noop(
        "Takes effect at once on a running server; clients stay connected. Limits of memory, persistence and "
        "time-outs change what the server does from that moment on: with a lower maxmemory it may evict keys "
        "or refuse writes."
    ),
    "set-back": gettext_noop(
        "Put the old values (or the old file) in place of the new, and run `slotwright up {file}`. The "
        "values of every node stand below; those of secrets are not written down."
    ),
    "lowered-back": gettext_noop(
        "Only timings that were lowered while the nodes start are put back: nothing to take back."
    ),
    "lowered-risk": gettext_noop(
        "Puts timings back that were lowered while the nodes start; no other setting is changed."
    ),
    "wait": pgettext_noop("sheet", "wait"),
    "wait-what": gettext_noop("waits for {count}: all agree, every replica is in sync"),
    "wait-risk": pgettext_noop("sheet", "Changes nothing."),
    "wait-back": gettext_noop("Nothing to take back."),
    "seal": pgettext_noop("sheet", "note"),
    "seal-what": gettext_noop("notes that the cluster is formed"),
    "seal-risk": gettext_noop("A note on the control machine."),
    "seal-back": gettext_noop("It goes with `slotwright destroy {name}`."),
    "remember": gettext_noop("keep the file"),
    "remember-what": gettext_noop("keeps the file's new text"),
    "remember-risk": gettext_noop("A note on the control machine; no server is told."),
    "remember-back": gettext_noop("`slotwright up` with the old file keeps the old text. Keep a copy of the old file."),
    "no-back-set": gettext_noop(
        "what the server does meanwhile under the new settings: keys that it evicts, writes that it refuses, "
        "data that it does not save"
    ),
    "no-back-secret": gettext_noop("the old values of {names}: they are secrets, and stand nowhere in this sheet"),
    "no-back-create": gettext_noop(
        "keys that are written into new nodes: `destroy` without `--keep-data` removes them"
    ),
    "no-back-file": gettext_noop("lines that were changed by hand in a configuration file that is written anew"),
    "no-back-none": pgettext_noop("sheet", "nothing"),
}
