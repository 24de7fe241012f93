"""The middle stages of a repair: passwords, addresses, who leads each shard, who follows whom, who is forgotten.

A replica is promoted only when the servers' own failover has had its time, and never over a primary that another node
still reaches: that one lives, and only we can't get in. Without a majority of primaries there is no vote: a takeover
happens by itself only where the hosts say that the primaries' processes are gone, and is asked about where they may
live on, on the other side of a partition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from itertools import permutations

from slotwright.cluster.observation import NodeView, Role
from slotwright.cluster.survey import LIVES_UNREAD, SurveyNode
from slotwright.cluster.topology import Address, EngineKind
from slotwright.features.repair.model import (
    Announce,
    Await,
    Follow,
    Forget,
    Meet,
    Promote,
    RepairStep,
    Risk,
    SetPassword,
    StartServer,
    Thaw,
    Way,
)
from slotwright.features.repair.plan.processes import process_steps, replaces_copy
from slotwright.features.repair.plan.repair_input import RepairInput
from slotwright.health import permission
from slotwright.health.check_context import CheckContext
from slotwright.health.checks.addresses import right_announcement
from slotwright.health.checks.bus import cut_off
from slotwright.health.histories import source_of
from slotwright.health.members import ghosts, misannounced, misdirections, misplaced_replicas, shard_owner, votes
from slotwright.health.permission import Answer
from slotwright.health.slot_claims import claims, unclaimed_slots

TAKEOVER = "takeover"
FORGET = "forget"
MEET = "meet"


def start_steps(repair_input: RepairInput) -> Iterator[RepairStep]:
    """What brings processes back. A member that runs again tells those of each other that it knows: where two of these
    own a slot and don't hear of each other, the slot is settled first; where it can't be, somebody has to say so."""
    steps = list(process_steps(repair_input))
    starts = {step.where for step in steps if isinstance(step.action, StartServer | Thaw)}
    if not starts or not _rivals(repair_input, unheard=True):
        yield from steps
        return
    for step in steps:
        if step.where not in starts:
            yield step
        elif not _can_settle(repair_input):
            is_start = isinstance(step.action, StartServer | Thaw)
            yield replace(step, risk=Risk.LOSS, word=MEET, loss=_RIVALS_MEET) if is_start and not step.word else step


_RIVALS_MEET = "slots have two owners among the nodes: one of the two deletes its keys of these when they meet"


def _can_settle(repair_input: RepairInput) -> bool:
    """Whether slots are settled while nodes are away: there is a majority, and every slot is served (else no server
    moves a key)."""
    is_merged = any(finding.code == "clusters-merged" for finding in repair_input.findings)
    is_served = all(view.state_is_ok for view in repair_input.observation.views if view.id in claims([view]))
    return votes(repair_input.survey).is_enough and is_served and not is_merged and not _is_parted(repair_input)


def password_steps(repair_input: RepairInput) -> Iterator[RepairStep]:
    """Nodes that only the former password opens, and replicas that can't log in to their primary."""
    for address in sorted(repair_input.other_password):
        yield RepairStep(
            SetPassword(address, is_own=True),
            "wrong-password",
            str(address),
            "give it the cluster's password: only the former one opens it",
        )
    for address, fault in repair_input.observation.login_faults:
        if address not in repair_input.other_password:
            yield RepairStep(
                SetPassword(address),
                f"replica-auth-{fault.value}",
                str(address),
                "set masterauth to the cluster's password; nothing restarts",
            )


def announce_steps(repair_input: RepairInput) -> Iterator[RepairStep]:
    """Members that announce another address than the file's, at which they answer."""
    for node in misannounced(repair_input.observation, repair_input.blueprint):
        yield RepairStep(
            Announce(node.address, node.node_id, right_announcement(node)),
            "announced-wrong",
            str(node.address),
            f"have it announce {node.address}, where it answers, and not {node.announced}; nothing restarts",
        )


def address_steps(repair_input: RepairInput) -> Iterator[RepairStep]:
    """Members that others look for in the wrong place.

    Where two of them own a slot, the one with the lower epoch deletes its keys of it once they hear of each other. If
    the other one has not got these, the slot is settled first; where nothing can be settled, somebody has to say so.
    """
    rivals = _rivals(repair_input)
    for misdirection in misdirections(repair_input.observation, repair_input.blueprint):
        step = RepairStep(
            Meet(misdirection.via, misdirection.node_id, misdirection.address, misdirection.bus_port),
            "address-changed" if misdirection.is_known else "member-unknown",
            str(misdirection.address),
            f"tell {misdirection.via} that {misdirection.node_id[:8]} is here"
            + (f", not at {misdirection.wrong}" if misdirection.wrong else ""),
        )
        if rivals.isdisjoint({misdirection.via, misdirection.address}):
            yield step
        elif not votes(repair_input.survey).is_enough or _is_parted(repair_input):
            loss = "slots have two owners among them: one of the two deletes its keys of these when they meet"
            yield replace(step, risk=Risk.LOSS, word=MEET, loss=loss)


def _is_parted(repair_input: RepairInput) -> bool:
    """Whether some of those that answer are cut off: then no slot is settled, and telling them is what ends it."""
    return bool(
        cut_off(CheckContext(repair_input.survey, repair_input.observation, repair_input.expected, repair_input.exams))
    )


def _rivals(repair_input: RepairInput, *, unheard: bool = False) -> set[Address]:
    """Where the nodes are that both call a slot their own, while the one that would yield has keys that the other one
    has not, or has otherwise. ``unheard``: only those that have no link to each other."""
    slots = claims(repair_input.observation.views)
    views = {view.id: view for view in repair_input.observation.views}
    contents, addresses = repair_input.contents, set()
    equal = Counter(
        (duplicate.slot, node)
        for duplicate in contents.duplicates
        if duplicate.is_equal
        for node in (duplicate.owner, duplicate.holder)
    )
    for one, other in permutations(slots, 2):
        if unheard and (_hears(views[one], other) or _hears(views[other], one)):
            continue
        for slot in slots[one] & slots[other] if _epoch(views[one]) <= _epoch(views[other]) else ():
            if contents.keys(one, slot) > equal[slot, one]:
                addresses |= {views[one].address, views[other].address}
    return addresses


def _hears(view: NodeView, node_id: str) -> bool:
    line = view.peer(node_id)
    return line is not None and line.is_connected


def _epoch(view: NodeView) -> int:
    return view.myself.epoch if view.myself is not None else 0


def astray_steps(repair_input: RepairInput) -> Iterator[RepairStep]:
    """Replicas of a primary that is away whose data is another one's: they go back to that one, before anybody votes.

    The servers' own failover looks at offsets alone, which are of another history there, and may choose such a replica
    (cluster.c, clusterHandleSlaveFailover; 6.2 to 8.2 and Valkey): everybody else of the shard would copy it.
    """
    for node in repair_input.survey.nodes:
        view, primary = repair_input.view(node.id), repair_input.survey.primary_of(node)
        if view is None or node.role is not Role.REPLICA or primary is None:
            continue
        if primary.is_reachable or primary.is_seen_alive:
            continue  # It may be copying that one just now.
        source = source_of(view, primary.id, repair_input.observation)
        if source is not None and view.peer(source.id) is not None:
            yield RepairStep(
                Follow(view.address, source.id, source.address.host),
                "replica-misplaced",
                str(view.address),
                f"make it a replica of {source.address} again: it has that one's data, and none of {primary.place}",
            )


def promotion_steps(repair_input: RepairInput) -> Iterator[RepairStep]:
    """Shards whose primary is away and that have a live replica: by vote, or, without a majority, by takeover."""
    count = votes(repair_input.survey)
    if count.is_enough and _are_apart(repair_input):
        return
    for primary in _away(repair_input):
        best = most_advanced(repair_input, primary)
        if best is None or best.address is None:
            continue
        if not count.is_enough:
            left = f"{count.alive} of {count.total} primaries are left"
            yield _takeover(repair_input, primary, best, f"take over shard {primary.shard} from {primary.place}", left)
        elif primary.slots:
            yield from _by_vote(repair_input, primary, best)
        else:
            why = f"nobody owns its slots, and the only copy of {best.keys} keys is here"
            yield _takeover(repair_input, primary, best, f"make it a primary in place of {primary.place}", why)


def _takeover(repair_input: RepairInput, primary: SurveyNode, best: SurveyNode, what: str, why: str) -> RepairStep:
    assert best.address is not None
    is_dead = is_proven_dead(repair_input, primary)
    step = RepairStep(
        Promote(best.address, best.id, primary.id, primary.place, primary.shard or 0, Way.TAKEOVER),
        "majority-lost" if primary.slots else "slots-uncovered",
        str(best.address),
        f"{what} without votes: {why}" + (", and the primary's process is gone" if is_dead else ""),
        Risk.SERVICE if is_dead else Risk.LOSS,
        "" if is_dead else TAKEOVER,
        "" if is_dead else f"if {primary.place} lives on where it can't be seen, what it acknowledges is lost",
    )
    return _unsure(repair_input, primary, best, step)


def _unsure(repair_input: RepairInput, primary: SurveyNode, best: SurveyNode, step: RepairStep) -> RepairStep:
    """Where replicas have data of different histories, somebody has to say which one is right."""
    judgement = repair_input.may(permission.Lead(best.id, primary.id))
    if judgement.answer is Answer.YES:
        return step
    loss = f"{judgement.why}: the others would copy it"
    return replace(step, risk=Risk.LOSS, word=TAKEOVER, loss="; ".join(filter(None, (step.loss, loss))))


def _are_apart(repair_input: RepairInput) -> bool:
    """Whether some who vote are looked for in the wrong place: they are told first."""
    voters = {node.id: node.address for node in repair_input.survey.nodes if node.role is Role.PRIMARY and node.slots}
    result = misdirections(repair_input.observation, repair_input.blueprint)
    return any(misdirection.node_id in voters or misdirection.via in voters.values() for misdirection in result)


def takes_over(primary: SurveyNode, best: SurveyNode) -> str:
    """What is waited for, in words that are the same for the same promotion."""
    return f"{best.address} takes over shard {primary.shard or 0}"


def _by_vote(repair_input: RepairInput, primary: SurveyNode, best: SurveyNode) -> Iterator[RepairStep]:
    assert best.address is not None
    until = takes_over(primary, best)
    if until not in repair_input.waited:
        timeout_s = 2 * repair_input.node_timeout_s + 5
        yield RepairStep(Await(until, timeout_s), "node-down", primary.place, f"wait until {until}, as the servers do")
        return
    if not is_given_up(repair_input, primary):
        return
    step = RepairStep(
        Promote(best.address, best.id, primary.id, primary.place, primary.shard or 0, Way.FORCE),
        "node-down",
        str(best.address),
        f"have it elected in place of {primary.place}, which does not answer",
        Risk.SERVICE,
    )
    yield _unsure(repair_input, primary, best, step)


def _away(repair_input: RepairInput) -> Iterator[SurveyNode]:
    """Primaries that serve nobody, and that no start will bring back within this repair: of slots, or of none while
    slots belong to nobody and a live replica of theirs has keys.

    One that answers us lives, and so does one that another node reaches: whether all do is for them to find out.
    """
    coming = {step.where for step in process_steps(repair_input) if isinstance(step.action, StartServer | Thaw)}
    is_short = bool(unclaimed_slots(repair_input.survey, repair_input.observation))
    for node in repair_input.survey.nodes:
        is_away = node.trouble and not node.is_reachable and node.trouble not in ("loading", *LIVES_UNREAD)
        if node.role is not Role.PRIMARY or not is_away or node.is_seen_alive or node.place in coming:
            continue
        best = None if node.slots or not is_short else most_advanced(repair_input, node)
        if node.slots or (best is not None and best.keys):
            yield node


def most_advanced(repair_input: RepairInput, primary: SurveyNode) -> SurveyNode | None:
    """Of the replicas that answer, the one with the latest copy of what its primary had."""
    copies = latest_copies(repair_input, primary)
    return repair_input.node(copies[0].id) if copies else None


def latest_copies(repair_input: RepairInput, primary: SurveyNode) -> Sequence[NodeView]:
    """The latest copy of each history among its replicas that answer, without those that have another primary's data:
    more than one where nobody can tell which of them is right."""
    return permission.latest_copies(primary.id, repair_input.observation)


def is_proven_dead(repair_input: RepairInput, primary: SurveyNode) -> bool:
    """Its host was asked, and has no process of it; nor does any node see it alive, which a host may not know of."""
    exam = repair_input.exam(primary.address) if primary.address else None
    is_gone = exam is not None and exam.process is None and not exam.directory.hides_process
    return is_gone and not primary.is_seen_alive


def is_given_up(repair_input: RepairInput, primary: SurveyNode) -> bool:
    """Whether it may be replaced by a vote: held failed, dead, or nowhere.

    Nowhere is whose address nobody has: where it was looked for, a node with another id answered (cluster.c,
    clusterProcessPacket). So it is after CLUSTER RESET HARD; Redis never holds such a node failed.
    """
    is_nowhere = primary.address is None and not primary.is_seen_alive
    return primary.is_held_failed or is_nowhere or is_proven_dead(repair_input, primary)


def follower_steps(repair_input: RepairInput) -> Iterator[RepairStep]:
    """Nodes that follow nobody, or the wrong one, get the primary that they should have."""
    for node, owner in _wanted_primaries(repair_input):
        assert node.address is not None
        step = RepairStep(
            Follow(node.address, owner.id, owner.address.host if owner.address else ""),
            "replica-misplaced" if node.role is Role.REPLICA else "shard-without-replica",
            str(node.address),
            f"make it a replica of {owner.place} (shard {owner.shard})",
        )
        judgement = repair_input.may(permission.Follow(node.id, owner.id))
        yield replaces_copy(step, judgement) if judgement.answer is Answer.ASK else step


def _answer(repair_input: RepairInput, node: SurveyNode, owner: SurveyNode) -> Answer:
    return repair_input.may(permission.Follow(node.id, owner.id)).answer


def _wanted_primaries(repair_input: RepairInput) -> Iterator[tuple[SurveyNode, SurveyNode]]:
    results: set[str] = set()
    misplaced = tuple(misplaced_replicas(repair_input.survey, repair_input.blueprint))
    kept = {lost.node.id for lost in misplaced if lost.is_needed}
    for lost in misplaced:
        if lost.node.id in kept:
            continue
        results.add(lost.node.id)
        if not lost.owner.trouble and _answer(repair_input, lost.node, lost.owner) is not Answer.NO:
            yield lost.node, lost.owner
    for spare, bare in () if results else _surplus(repair_input, kept):
        results.add(spare.id)
        yield spare, bare
    results |= kept
    beside = {finding.where for finding in repair_input.findings if finding.code == "replica-beside-primary"}
    for shard, planned in repair_input.planned():
        node = repair_input.node(planned.id)
        owner = (
            shard_owner(repair_input.survey, repair_input.blueprint, shard.number) if repair_input.blueprint else None
        )
        if node is None or owner is None or node.id in results or node.id == owner.id or not node.is_reachable:
            continue
        is_idle = node.role is Role.PRIMARY and not node.slots and not node.keys
        is_apart = node.place in beside and node.replica_of != owner.id
        if (is_idle or is_apart) and not owner.trouble and _answer(repair_input, node, owner) is not Answer.NO:
            yield node, owner
    if repair_input.blueprint is None:
        yield from _spares(repair_input)


def _surplus(repair_input: RepairInput, kept: Set[str]) -> Iterator[tuple[SurveyNode, SurveyNode]]:
    """A replica of a shard that has more than the file wants, for one that has fewer and no member of its own left.

    So it is after a failover to a replica of another shard: that one leads now, and is missed at home; and where its
    own member is ``kept`` by another shard.
    """
    lacking, rich = _balance(repair_input)
    for number, owner in lacking:
        assert repair_input.blueprint is not None
        members = [repair_input.node(node.id) for node in repair_input.blueprint.shards[number - 1].nodes]
        others = [node for node in members if node is not None and node.id not in {owner.id, *kept}]
        if any(node.trouble or not node.slots for node in others):
            continue
        if rich:
            best = min(
                rich, key=lambda node: (_host(node) == _host(owner), not _is_beside(repair_input, node), node.place)
            )
            rich.remove(best)
            yield best, owner


def _balance(repair_input: RepairInput) -> tuple[list[tuple[int, SurveyNode]], list[SurveyNode]]:
    """Shards with fewer replicas than the file wants, and those replicas that others have beyond it."""
    lacking: list[tuple[int, SurveyNode]] = []
    rich: list[SurveyNode] = []
    nodes = repair_input.survey.nodes
    for shard in repair_input.blueprint.shards if repair_input.blueprint else ():
        owner = (
            shard_owner(repair_input.survey, repair_input.blueprint, shard.number) if repair_input.blueprint else None
        )
        if owner is None or owner.trouble or not owner.is_reachable:
            continue
        followers = [node for node in nodes if node.replica_of == owner.id and node.is_reachable and not node.trouble]
        if len(followers) < len(shard.replicas):
            lacking.append((shard.number, owner))
        else:
            followers.sort(key=lambda node: (not _is_beside(repair_input, node), node.place))
            rich += followers[: len(followers) - len(shard.replicas)]
    return lacking, rich


def _is_beside(repair_input: RepairInput, node: SurveyNode) -> bool:
    primary = repair_input.survey.primary_of(node)
    return primary is not None and _host(primary) == _host(node)


def _spares(repair_input: RepairInput) -> Iterator[tuple[SurveyNode, SurveyNode]]:
    """Without a file: an empty primary without slots follows one that has no replica, on another host if it can."""
    nodes = repair_input.survey.nodes
    if not any(node.role is Role.REPLICA for node in nodes):
        return
    bare = [
        node
        for node in nodes
        if node.slots and not node.trouble and not any(other.replica_of == node.id for other in nodes)
    ]
    spare = [
        node
        for node in nodes
        if node.is_reachable and node.role is Role.PRIMARY and not node.slots and not node.keys and not node.trouble
    ]
    for node in spare:
        if bare:
            best = min(bare, key=lambda owner: (_host(owner) == _host(node), owner.place))
            bare.remove(best)
            yield node, best


def _host(node: SurveyNode) -> str:
    return node.address.host if node.address else ""


def forget_steps(repair_input: RepairInput) -> Iterator[RepairStep]:
    """Ghosts, and, when somebody says so, strangers without slots."""
    for ghost in ghosts(repair_input.observation, repair_input.blueprint):
        yield RepairStep(
            Forget(ghost.id, ghost.known_to),
            "ghost-node",
            ghost.id[:8],
            f"have it forgotten by {len(ghost.known_to)} nodes",
        )
    strangers = {finding.where for finding in repair_input.findings if finding.code == "unknown-node"}
    for node in repair_input.survey.nodes:
        if node.place in strangers and not node.slots and not node.is_planned:
            on = tuple(
                view.address for view in repair_input.observation.views if view.id != node.id and view.peer(node.id)
            )
            yield RepairStep(
                Forget(node.id, on),
                "unknown-node",
                node.place,
                f"have the node {node.id[:8]}, which the file does not name, forgotten by {len(on)} nodes",
                Risk.LOSS,
                FORGET,
                f"{node.place} is no member any more; if it was wanted, it has to be added again"
                + _comes_back(repair_input, node),
            )


def _comes_back(repair_input: RepairInput, node: SurveyNode) -> str:
    """Who was forgotten and lives asks to be met again: Valkey takes it back when its ban ends (cluster.c,
    CLUSTER_BLACKLIST_TTL)."""
    views = repair_input.observation.views
    lines = [line for view in views if (line := view.peer(node.id)) and view.id != node.id]
    is_alive = any(line.is_connected and not line.is_failed for line in lines)
    if not is_alive or not any(view.version.kind is EngineKind.VALKEY for view in views):
        return ""
    return (
        ". Its server still runs: Valkey 8.1 and later takes it back a minute later, unless that is ended "
        f"(SHUTDOWN at {node.place}) or leaves by itself (CLUSTER RESET)"
    )
