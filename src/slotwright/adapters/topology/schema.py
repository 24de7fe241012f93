"""The shape of the topology file: which keys there are and what kind of value each takes.

The models are flat on purpose and every field may be absent: each entry of a list is read by itself, a value
of the wrong kind is reported and left out, and the checks that follow see all that was right. So one run
names every problem. Whether a field is needed, and what its value means, is decided by those checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from slotwright.adapters.topology.lines import Document, KeyPath, WrittenFloat, WrittenInt
from slotwright.errors import InputError, Problem


def as_written(value: object) -> object:
    """A number as the text that the author wrote; anything else as it is."""
    return value.text if isinstance(value, WrittenInt | WrittenFloat) else value


Label = Annotated[str, BeforeValidator(as_written), Field(min_length=1)]
"""A text that may look like a number, as ``rack: 1``."""


_UNDER_SSH = {key: f"it goes under ssh: `ssh: {{{key}: ...}}`" for key in ("user", "key", "jump", "sudo")}


class Part(BaseModel):
    """A mapping of the file.

    ``may_be_empty`` are the keys for which no value means the same as no key; ``elsewhere`` has a hint for keys
    that belong to another place; ``is_secret`` forbids to quote anything of it.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)
    may_be_empty: ClassVar[frozenset[str]] = frozenset()
    elsewhere: ClassVar[Mapping[str, str]] = {}
    is_secret: ClassVar[bool] = False

    @classmethod
    def key_names(cls) -> tuple[str, ...]:
        """The keys as they stand in the file."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())


class RootPart(Part):
    """The whole file; the parts within are read one by one."""

    may_be_empty = frozenset({"settings", "shards"})
    elsewhere: ClassVar[Mapping[str, str]] = _UNDER_SSH

    name: Label | None = None
    engine: object = None
    hosts: list[object] | None = None
    ports: list[object] | None = None
    ssh: object = None
    via: Literal["ssh", "direct"] | None = None
    clients: list[object] | None = None
    mode: Literal["cluster", "single"] | None = None
    replicas: Annotated[int, Field(ge=0)] | None = None
    shards: list[object] | None = None
    password: object = None
    data: Annotated[str, Field(min_length=1)] | None = None
    settings: dict[str, object] | None = None
    allow_colocated_replicas: bool | None = None


class EnginePart(Part):
    """``engine: {kind: valkey, from: embedded}``."""

    elsewhere: ClassVar[Mapping[str, str]] = dict.fromkeys(("path", "file", "directory"), "the path stands after from")

    kind: Literal["redis", "valkey"] | None = None
    origin: Annotated[str, Field(min_length=1)] | None = Field(default=None, alias="from")


class HostPart(Part):
    """``{address: 10.0.0.1, ports: [6379], rack: r1, zone: a, ssh: {user: root}}``.

    Its ports stand instead of the file's, its ssh over the file's, key by key.
    """

    elsewhere: ClassVar[Mapping[str, str]] = {
        **_UNDER_SSH,
        "password": "that of SSH goes under ssh, the servers' under the file's password",
    }

    address: Annotated[str, Field(min_length=1)] | None = None
    ports: list[object] | None = None
    rack: Label | None = None
    zone: Label | None = None
    ssh: object = None


class SshPart(Part):
    """``{user: root, port: 22, key: ~/.ssh/id_ed25519, jump: gate, address: db1, password: ask, sudo: auto}``."""

    elsewhere: ClassVar[Mapping[str, str]] = {"passphrase": "load the key into ssh-agent; its passphrase stays there"}

    user: Label | None = None
    port: int | None = None
    key: Annotated[str, Field(min_length=1)] | None = None
    jump: Annotated[str, Field(min_length=1)] | None = None
    address: Annotated[str, Field(min_length=1)] | None = None
    password: object = None
    sudo: object = None


class SshPasswordPart(Part):
    """``{env: NAME}``."""

    is_secret = True

    env: str | None = None


class ShardPart(Part):
    """``{primary: "10.0.0.1:6379", replicas: ["10.0.0.2:6379"]}``."""

    primary: object = None
    replicas: list[object] | None = None


class PasswordPart(Part):
    """``{env: NAME}``, ``{file: PATH}`` or ``{inline: TEXT}``."""

    is_secret = True

    env: str | None = None
    file: str | None = None
    inline: str | None = None


class Report:
    """Collects the problems and warnings of one file, each with its line; sorted by line in the end."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._problems: list[tuple[int, Problem]] = list(document.problems)
        self._warnings: list[tuple[int, Problem]] = []
        self._paths: list[KeyPath] = []

    def problem(self, what: str, *path: str | int, hint: str = "") -> None:
        """``what`` is wrong at ``path``; no path means the whole file."""
        self._paths.append(path)
        self._problems.append(self._placed(what, path, hint))

    def missing(self, key: str, hint: str) -> None:
        """The file needs ``key``, has none, and nothing was said about it before."""
        if self.is_clean(key):
            self._paths.append((key,))
            self._problems.append(self._placed(f"{key} is missing", (), hint))

    def suspect(self, *path: str | int) -> None:
        """A problem elsewhere was probably meant for ``path``; do not say that it is missing too."""
        self._paths.append(path)

    def warning(self, what: str, *path: str | int, hint: str = "") -> None:
        """``what`` is allowed at ``path``, and the author should know."""
        self._warnings.append(self._placed(what, path, hint))

    def is_clean(self, *path: str | int) -> bool:
        """True when nothing was wrong or missing at ``path``, below it or around it."""
        return not any(result[: len(path)] == path[: len(result)] for result in self._paths)

    def warnings(self) -> tuple[Problem, ...]:
        """All warnings, by line."""
        return tuple(warning for _, warning in sorted(self._warnings, key=lambda entry: entry[0]))

    def raise_if_any(self) -> None:
        """One :class:`InputError` ``bad-topology`` with every problem by line, if there is any."""
        problems = [problem for _, problem in sorted(self._problems, key=lambda entry: entry[0])]
        if not problems:
            return
        where = self._document.where
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise InputError(f"{where} has {count}", code="bad-topology", where=where, problems=problems)

    def _placed(self, what: str, path: KeyPath, hint: str) -> tuple[int, Problem]:
        line = self._document.line(path) if path else 0
        return line, Problem(what, self._document.place(path), hint)


P = TypeVar("P", bound=Part)


def read_part(model: type[P], raw: Mapping[str, object], path: KeyPath, report: Report) -> P:
    """``raw`` as a ``model``; what does not fit is in ``report`` and absent from the result."""
    given = {key: value for key, value in raw.items() if not _is_absent(model, key, value, path, report)}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults: list[Any] = list(error.errors(include_url=False))
    for fault in faults:
        what, hint = _explain_fault(model, fault)
        report.problem(what, *path, *fault["loc"], hint=hint)
        if fault["type"] == "extra_forbidden" and (meant := near_word(str(fault["loc"][0]), model.key_names())):
            report.suspect(*path, meant)
    broken = {fault["loc"][0] for fault in faults}
    return model.model_validate({key: value for key, value in given.items() if key not in broken})


def near_word(word: str, fields: tuple[str, ...]) -> str:
    """The one of ``words`` that ``word`` is probably a slip of, or nothing."""
    return next(iter(get_close_matches(word.lower(), fields, 1)), "")


def nearest(word: str, fields: tuple[str, ...]) -> str:
    """``did you mean 'replicas'?``, or nothing when no word is near."""
    near = near_word(word, fields)
    return f"did you mean '{near}'?" if near else ""


def shown(value: object) -> str:
    """A value as a message shows it: short, and as the author wrote it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case WrittenInt() | WrittenFloat():
            return value.text
        case str():
            return repr(value if len(value) <= 40 else value[:37] + "...")
        case _:
            return "a list" if isinstance(value, list) else "a mapping"


def _is_absent(model: type[P], key: str, value: object, path: KeyPath, report: Report) -> bool:
    """True for a known key without a value; says so unless the model allows it."""
    if value is not None or key not in model.key_names():
        return False
    if key not in model.may_be_empty:
        report.problem(f"{key} has no value", *path, key, hint="give it one, or remove the line")
    return True


def _explain_fault(model: type[Part], fault: Mapping[str, Any]) -> tuple[str, str]:
    """What is wrong, and a hint; pydantic's own words never reach the user."""
    key = str(fault["loc"][0])
    if fault["type"] == "extra_forbidden":
        return _unknown_key(model, key)
    value = fault["input"]
    but = "" if model.is_secret else f", not {shown(value)}"
    match fault["type"]:
        case "int_type":
            return f"{key} must be a whole number{but}", ""
        case "greater_than_equal":
            return f"{key} must be {fault['ctx']['ge']} or more{but}", ""
        case "bool_type":
            return f"{key} must be true or false{but}", ""
        case "list_type":
            return f"{key} must be a list{but}", _list_hint(key, value)
        case "dict_type":
            return f"{key} must be a mapping of names to values{but}", ""
        case "string_too_short" | "too_short":
            return f"{key} is empty", ""
        case "string_type":
            is_number = isinstance(value, int | float)
            return f"{key} must be a text{but}", "put it in quotes" if is_number else ""
        case "literal_error":
            return _not_one_of(key, str(fault["ctx"]["expected"]), value)
        case _:
            return f"{key} can't be used as it is{but}", ""


def _unknown_key(model: type[Part], key: str) -> tuple[str, str]:
    if key in model.elsewhere:
        return f"unknown key '{key}'", model.elsewhere[key]
    near = nearest(key, model.key_names())
    if model.is_secret and not near:
        return "unknown key in password", "its keys are: " + ", ".join(model.key_names())
    names = "the keys here are: " + ", ".join(model.key_names())
    more = "; directives of the server go under settings" if model is RootPart else ""
    return f"unknown key '{key}'", near or names + more


def _list_hint(key: str, value: object) -> str:
    if isinstance(value, str) or (key == "ports" and isinstance(value, WrittenInt)):
        return f"{key}: [{as_written(value)}]"
    return ""


def _not_one_of(key: str, expected: str, value: object) -> tuple[str, str]:
    fields = tuple(word.strip(" '") for word in expected.replace(" or ", ",").split(","))
    hint = nearest(value, fields) if isinstance(value, str) else ""
    return f"{key} must be {' or '.join(fields)}, not {shown(value)}", hint
