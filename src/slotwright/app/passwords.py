"""Where a password comes from when a verb needs it; it goes to connections and 0600 files, and nowhere else."""

from __future__ import annotations

from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import PasswordRef, PasswordSource
from slotwright.errors import InputError
from slotwright.ports import ClusterStore, Secrets

FOREIGN_VARIABLE = "SLOTWRIGHT_PASSWORD"


def resolve(
    secrets: Secrets, reference: PasswordRef, store: ClusterStore, inline: Secret | None = None
) -> Secret | None:
    """The password that the file refers to; for a cluster that is up, the kept one where the reference gives none.

    A ``generate`` is made here the first time; keeping it is the caller's matter. None: no password is wanted.
    Raises InputError (password-missing, password-unreadable, password-unusable).
    """
    match reference.source:
        case PasswordSource.NONE:
            return None
        case PasswordSource.GENERATED:
            return store.read_password() or secrets.generate()
        case PasswordSource.INLINE:
            secret = inline or store.read_password()
        case PasswordSource.ENVIRONMENT:
            secret = secrets.in_variable(reference.name) or store.read_password()
        case PasswordSource.FILE:
            secret = secrets.in_file(reference.name) or store.read_password()
    if secret is None:
        raise _missing(reference)
    return _usable(secret)


def for_known_cluster(store: ClusterStore) -> Secret | None:
    """The password that the nodes were given."""
    return store.read_password()


def for_foreign_cluster(secrets: Secrets) -> Secret | None:
    """For a ``host:port``: the variable SLOTWRIGHT_PASSWORD, or none."""
    return secrets.in_variable(FOREIGN_VARIABLE)


def _usable(password: Secret) -> Secret:
    if any(character in password.reveal() for character in "\n\r\0"):
        raise InputError("the password has a line break or a NUL in it", code="password-unusable")
    return password


def _missing(reference: PasswordRef) -> InputError:
    if reference.source is PasswordSource.ENVIRONMENT:
        return InputError(
            f"the password's variable {reference.name} is not set",
            code="password-missing",
            where=reference.name,
            left="nothing was changed",
            hint=f"export {reference.name}=... and run the command again, or write `password: generate` in the file",
        )
    return InputError(
        f"the password file {reference.name} does not exist or is empty",
        code="password-missing",
        where=reference.name,
        left="nothing was changed",
        hint="write the password into it (chmod 600), or write `password: generate` in the file",
    )
