"""Passwords of this machine: made by its random numbers, found in the environment or in a file."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from slotwright.cluster.secret import Secret
from slotwright.errors import InputError


class SystemSecrets:
    """Implements :class:`slotwright.ports.Secrets`."""

    def generate(self) -> Secret:
        """192 bits."""
        return Secret(secrets.token_urlsafe(24))

    def in_variable(self, name: str) -> Secret | None:
        """One that is empty counts as none."""
        text = os.environ.get(name, "")
        return Secret(text) if text else None

    def in_file(self, path: str) -> Secret | None:
        """UTF-8, without line ends at its end. Raises InputError (password-unreadable)."""
        try:
            text = Path(path).read_text().rstrip("\r\n")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"the password file {path} can't be read: {getattr(error, 'strerror', None) or 'it is not text'}",
                code="password-unreadable",
                where=path,
            ) from error
        return Secret(text) if text else None


def new_id() -> str:
    """40 hexadecimal digits, as servers name nodes and clusters."""
    return secrets.token_hex(20)
