"""SOURCE -> the server that data comes from, and the login that opens it. ``compare`` and ``migrate`` share this."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from slotwright.app.context import Context
from slotwright.app.targets import Target, find_by_node, find_target, is_target
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address, Topology
from slotwright.errors import AuthenticationError, InputError, NodeUnreachableError
from slotwright.ports import Dialer, Fleet, ReplyError, Secrets

VARIABLE = "SOURCE_PASSWORD"
FILE_OPTION = "--source-password-file"


@dataclass(frozen=True, slots=True)
class MigrationSource:
    """The server at ``address``, and how to log in there. ``username`` "": the default user. ``password`` None: none
    was given, and none is known. ``origin`` says in words where the password comes from, "" for None.

    ``target`` is there when it is a cluster that is known here: its hosts, and the way to them.
    """

    name: str
    address: Address
    username: str = ""
    password: Secret | None = field(default=None, repr=False)
    origin: str = ""
    target: Target | None = None

    @property
    def topology(self) -> Topology | None:
        """For :meth:`Context.fleet`: the hosts of a cluster known here; None for a server that we only talk to."""
        return self.target.topology if self.target else None

    def dialer(self, fleet: Fleet) -> Dialer:
        """Dials servers of the source with its login."""
        return fleet.login(self.password, self.username)


def find_source(context: Context, text: str, user: str = "", password_file: Path | None = None) -> MigrationSource:
    """What ``text`` names: ``host:port`` of any server, or a topology file or name as :func:`find_target` takes them.

    Its password: ``password_file``, else that of a cluster known here, else the variable SOURCE_PASSWORD. Nothing is
    dialled. Raises InputError (source-unknown, source-password-unreadable, source-password-missing).
    """
    given = _from_file(password_file) if password_file is not None else None
    target = _known(context, text)
    if target is not None:
        address = target.seed or _first_address(target)
        source = MigrationSource(target.name, address, user, target.password, f"the record of {target.name}", target)
    else:
        source = _from_variable(context.secrets, MigrationSource(text, _parse(text), user))
    if given is not None:
        source = replace(source, password=given, origin=f"{FILE_OPTION} {password_file}")
    return replace(source, origin="") if source.password is None else source


async def open_source(context: Context, fleet: Fleet, source: MigrationSource) -> MigrationSource:
    """The source with a password that was seen to work: where the server wants one and none was given, somebody is
    asked.

    Raises AuthenticationError whose hint says where the password came from, and what dialling raises.
    """
    wants = await _wants_password(fleet, source)
    if not wants:
        return source
    if source.password is None:
        secret = context.ask_secret(f"password of {source.address}")
        if secret is not None:
            typed = replace(source, password=secret, origin="what was typed")
            wants = await _wants_password(fleet, typed)
            if not wants:
                return typed
    raise AuthenticationError(
        f"{source.address} wants a password", where=str(source.address), seen=wants, hint=_hint(source)
    )


async def _wants_password(fleet: Fleet, source: MigrationSource) -> str:
    """ "" when we are let in, the server's words where it wants a password and got none."""
    try:
        connection = await source.dialer(fleet).dial(source.address)
    except AuthenticationError as error:
        error.hint = _hint(source, error.seen)
        raise
    except NodeUnreachableError as error:
        error.left = error.left or "nothing was changed"
        error.hint = error.hint or "see that the source runs there and may be reached from this machine"
        raise
    try:
        await connection.call("PING")
    except ReplyError as error:
        if error.code == "NOAUTH":
            return str(error)
        if error.code == "DENIED":
            raise NodeUnreachableError(
                f"{source.address} is in protected mode: without a password it lets in its own machine only",
                code="protected-mode",
                where=str(source.address),
                seen=str(error).partition(".")[0],
                hint="set requirepass on it (or protected-mode no, where a firewall guards it), then try again",
            ) from error
        # NOPERM, MISCONF, MASTERDOWN: whoever is told this has been let in.
    finally:
        await connection.close()
    return ""


def _hint(source: MigrationSource, seen: str = "") -> str:
    if source.password is None:
        return f"put its password into the variable {VARIABLE}, or into a file for {FILE_OPTION}"
    if "without any password configured" in seen:
        return f"it has no password, but one was sent: {source.origin}"
    user = f" for the user {source.username}" if source.username else ""
    return f"the password{user} comes from {source.origin}"


def _known(context: Context, text: str) -> Target | None:
    """A cluster that slotwright keeps a record of."""
    try:
        address = Address.parse(text)
    except ValueError:
        return find_target(context, text) if is_target(context, text) else None
    return find_by_node(context, address)


def _first_address(target: Target) -> Address:
    assert target.record is not None
    return target.record.blueprint.nodes[0].address


def _parse(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError:
        raise InputError(
            f"'{text}' is not host:port, no file, and no cluster known here",
            code="source-unknown",
            where=text,
            hint="name the server whose data is meant, as 10.0.0.1:6379 or [fd00::1]:6379",
        ) from None


def _from_variable(secrets: Secrets, source: MigrationSource) -> MigrationSource:
    secret = secrets.in_variable(VARIABLE)
    return source if secret is None else replace(source, password=secret, origin=f"the variable {VARIABLE}")


def _from_file(path: Path) -> Secret:
    """The file's bytes without one line break at their end; those that are no UTF-8 are kept as they are."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the source's password file {path} can't be read: {error.strerror}",
            code="source-password-unreadable",
            where=str(path),
        ) from error
    content = content.removesuffix(b"\n").removesuffix(b"\r")
    if not content:
        raise InputError(
            f"the source's password file {path} is empty",
            code="source-password-missing",
            where=str(path),
            hint="write the password into it (chmod 600)",
        )
    return Secret(content.decode(errors="surrogateescape"))
