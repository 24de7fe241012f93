"""What a command is answered with, by type: what answers at an address need not be a server, nor a sound one.

A reply of another form is found here, at the edge, so that whoever asked can rely on what was got. What the texts say
is read by the parsers of this package. A command that is not in the table may be answered with all that RESP 2 has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Shape = Callable[[object], bool]


def _is_text(reply: object) -> bool:
    return isinstance(reply, bytes)


def _is_number(reply: object) -> bool:
    return isinstance(reply, int)


def _is_list(reply: object) -> bool:
    return isinstance(reply, list)


def _is_list_of_texts(reply: object) -> bool:
    return isinstance(reply, list) and all(isinstance(candidate, bytes) for candidate in reply)


def _are_pairs(reply: object) -> bool:
    return _is_list_of_texts(reply) and len(reply) % 2 == 0  # type: ignore[arg-type]


def _are_two_numbers(reply: object) -> bool:
    return _is_list_of_texts(reply) and [candidate.isdigit() for candidate in reply] == [True, True]  # type: ignore[attr-defined]


def _is_page(reply: object) -> bool:
    """A cursor, and what was found."""
    if not isinstance(reply, list) or len(reply) != 2:
        return False
    cursor, result = reply
    return isinstance(cursor, bytes) and cursor.isdigit() and _is_list_of_texts(result)


def _or_null(shape: Shape) -> Shape:
    return lambda reply: reply is None or shape(reply)


_TEXT, _NUMBER, _LIST, _TEXTS = (
    ("a text", _is_text),
    ("a number", _is_number),
    ("a list", _is_list),
    ("a list of texts", _is_list_of_texts),
)
_PAIRS = ("pairs of texts", _are_pairs)
_PAGE = ("a cursor and a list of texts", _is_page)
_TEXT_OR_NULL = ("a text or null", _or_null(_is_text))
_NUMBER_OR_NULL = ("a number or null", _or_null(_is_number))

_SHAPES: dict[tuple[str, ...], tuple[str, Shape]] = {
    ("ACL", "WHOAMI"): _TEXT,
    ("ASKING",): _TEXT,
    ("BGSAVE",): _TEXT,
    ("CLIENT", "LIST"): _TEXT,
    ("CLIENT", "NO-TOUCH"): _TEXT,
    ("CLIENT", "SETNAME"): _TEXT,
    ("CLUSTER", "BUMPEPOCH"): _TEXT,
    ("CLUSTER", "COUNTKEYSINSLOT"): _NUMBER,
    ("CLUSTER", "FAILOVER"): _TEXT,
    ("CLUSTER", "FORGET"): _TEXT,
    ("CLUSTER", "GETKEYSINSLOT"): _TEXTS,
    ("CLUSTER", "INFO"): _TEXT,
    ("CLUSTER", "MEET"): _TEXT,
    ("CLUSTER", "MYID"): _TEXT,
    ("CLUSTER", "MYSHARDID"): _TEXT,
    ("CLUSTER", "NODES"): _TEXT,
    ("CLUSTER", "REPLICATE"): _TEXT,
    ("CLUSTER", "SETSLOT"): _TEXT,
    ("CLUSTER", "SLOTS"): _LIST,
    ("COMMAND",): _LIST,
    ("CONFIG", "GET"): _PAIRS,
    ("CONFIG", "REWRITE"): _TEXT,
    ("CONFIG", "SET"): _TEXT,
    ("DBSIZE",): _NUMBER,
    ("DEL",): _NUMBER,
    ("DUMP",): _TEXT_OR_NULL,
    ("EXISTS",): _NUMBER,
    ("FLUSHALL",): _TEXT,
    ("FUNCTION", "DUMP"): _TEXT_OR_NULL,
    ("FUNCTION", "LIST"): _LIST,
    ("FUNCTION", "RESTORE"): _TEXT,
    ("GET",): _TEXT_OR_NULL,
    ("INFO",): _TEXT,
    ("LASTSAVE",): _NUMBER,
    ("MEMORY", "USAGE"): _NUMBER_OR_NULL,
    ("MIGRATE",): _TEXT,
    ("MODULE", "LIST"): _LIST,
    ("MULTI",): _TEXT,
    ("PEXPIRETIME",): _NUMBER,
    ("PING",): _TEXT,
    ("PTTL",): _NUMBER,
    ("REPLCONF",): _TEXT,
    ("RESTORE",): _TEXT,
    ("SCAN",): _PAGE,
    ("SELECT",): _TEXT,
    ("SET",): _TEXT_OR_NULL,
    ("TIME",): ("two numbers", _are_two_numbers),
    ("TYPE",): _TEXT,
    ("UNLINK",): _NUMBER,
}

_OF_ITSELF = frozenset(
    [
        *("ACL", "ASKING", "AUTH", "BGSAVE", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DBSIZE", "INFO", "LASTSAVE"),
        *("MEMORY", "MODULE", "PING", "REPLCONF", "ROLE", "SELECT", "TIME"),
    ]
)
"""What is asked with these is of the server or its cluster, and as large as these are; all else may be a value."""


_AS_MANY_AS_THERE_ARE = {("CLUSTER", "GETKEYSINSLOT"), ("CLIENT", "LIST")}


def tells_of_itself(command: Sequence[object]) -> bool:
    """Whether the answer is of the server, not of what it keeps."""
    fields = tuple(_word(argument) for argument in command[:2])
    return fields[0] in _OF_ITSELF and fields not in _AS_MANY_AS_THERE_ARE


def command_name(command: Sequence[object]) -> str:
    """``CLUSTER NODES``, ``INFO``: what may be said of a command without its arguments, which may be secret."""
    fields = tuple(_word(argument) for argument in command[:2])
    return " ".join(fields if fields in _SHAPES else fields[:1])


def misfit(command: Sequence[object], reply: object) -> str:
    """What is wrong with a reply that is no error; "" where it has the form that the command's replies have."""
    fields = tuple(_word(argument) for argument in command[:2])
    wanted = _SHAPES.get(fields) or _SHAPES.get(fields[:1])
    if wanted is None or wanted[1](reply):
        return ""
    return f"{command_name(command)} is answered with {wanted[0]}, and this is {_described(reply)}"


def _word(argument: object) -> str:
    text = argument.decode(errors="replace") if isinstance(argument, bytes) else str(argument)
    return text.upper()


def _described(reply: object) -> str:
    match reply:
        case None:
            return "null"
        case bytes():
            return f"a text of {len(reply)} bytes"
        case int():
            return f"the number {reply}"
        case list():
            return f"a list of {len(reply)}"
    return f"a {type(reply).__name__}"
