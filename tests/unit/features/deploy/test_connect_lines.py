"""The lines that are printed for pasting do what slotwright does itself."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from slotwright.adapters.secrets import SystemSecrets
from slotwright.cluster.topology import PasswordRef, PasswordSource
from slotwright.features.deploy.views_connect import _python_password


@pytest.mark.parametrize("text", ["ends with a blank ", "tab\t\n", "crlf \r\n", "plain\n\n"])
def test_python_reads_a_password_file_as_slotwright_does(text: str, tmp_path: Path) -> None:
    path = tmp_path / "pw"
    path.write_bytes(text.encode())
    printed = _python_password(PasswordRef(PasswordSource.FILE, str(path)), "")
    match = re.fullmatch(r", password=open\(.*\)\.read\(\)\.rstrip\((.*)\)", printed)
    assert match is not None
    secret = SystemSecrets().in_file(str(path))
    assert secret is not None and path.read_text().rstrip(ast.literal_eval(match[1])) == secret.reveal()
