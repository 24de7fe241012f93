"""The scenarios, by what they are about. Importing this writes all of them down in ``rules.RULES``."""

from tests.conformance.rules import RULES
from tests.conformance.scenarios import answers, elections, keys, members, moves, restarts, slots

__all__ = ["RULES", "answers", "elections", "keys", "members", "moves", "restarts", "slots"]
