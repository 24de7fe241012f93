"""What verbs of other capabilities may know of long work: the values, whoever keeps them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobSummary:
    """What verbs of other capabilities may know of a job. ``clusters`` are the names of those that it reads or writes;
    ``doing`` is in words, ``since`` the time of day when it was begun. ``is_open``: it is not over, and can be gone on
    with. ``is_paused``: somebody asked its last process to end, and it did. The others are commands: that wait for its
    end, go on with a cut one, and give it up."""

    title: str
    clusters: tuple[str, ...]
    doing: str
    since: float
    is_open: bool
    finish: str
    go_on: str
    give_up: str
    is_paused: bool = False


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job that is not over, or on which a process works now (``is_running``). ``words`` are what that process told
    last of what it does, "" for nothing."""

    name: str
    summary: JobSummary
    is_running: bool
    words: str = ""
