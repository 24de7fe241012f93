"""What a server calls an address is one, or goes no further."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotwright.cluster.topology import Address
from slotwright.server.addresses import escaped, is_host, is_host_name, is_ip, parse_host, parse_port, parse_redirect
from tests.fakes.build import at

HOSTILE = (
    '"+str(__import__("os").system("id"))+"',
    '"); Runtime.getRuntime().exec("id"); ("',
    "'+require('child_process').execSync('id')+'",
    "${PATH}",
    "#{T(java.lang.Runtime).getRuntime()}",
    "$(id)",
    "`id`",
    "a b",
    "a\nb",
    "a\r\nb",
    "10.0.0.1\n",
    "\n10.0.0.1",
    " 10.0.0.1",
    "10.0.0.1 ",
    "10.0.0.1\x00",
    "\x1b[31mred",
    "\u202egpj.exe",
    "db\u2028example",
    "bücher.example",
    "١٠.٠.٠.١",
    "a,b",
    "a@b",
    "a/b",
    "a\\u0022b",
    "user:secret@10.0.0.1",
    'fe80::1%"+evil+"',
    "fe80::1%",
    "fe80::1%eth0%eth1",
    "fe80::1%a-name-of-17-char",
    "10.0.0.1%eth0",
    "[::1]",
    "::1::2",
    "10.0.0.256",
    "10.0.0",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.0x1",
    "-a.example",
    "a-.example",
    "a..example",
    ".example",
    "a" * 64,
    ".".join(["a" * 60] * 5),
    "?",
    "",
)
GOOD = (
    "10.0.0.1",
    "0.0.0.0",
    "::1",
    "2001:db8::2",
    "2001:0db8:0:0:0:0:0:2",
    "::ffff:10.0.0.1",
    "fe80::1%eth0",
    "fe80::1%eth0.100",
    "localhost",
    "h1",
    "db1.example.org",
    "db1.example.org.",
    "DB1.Example",
    "redis_node_1",
    "my-redis-0.my-redis-headless.default.svc.cluster.local",
    "1e3fa0c2b4d5",
    "a" * 63,
)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_host(text: str) -> None:
    assert not is_host(text)
    with pytest.raises(ValueError) as caught:
        parse_host(text)
    assert str(caught.value).isascii() and str(caught.value).isprintable()


@pytest.mark.parametrize("text", GOOD)
def test_what_is_one_stays_as_it_is(text: str) -> None:
    assert is_host(text) and parse_host(text) == text
    assert is_ip(text) is not is_host_name(text)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_nothing_that_a_language_takes_for_its_own_is_in_a_host(text: str) -> None:
    if is_host(text):
        assert text.isascii() and all(letter.isalnum() or letter in ".:-_%~" for letter in text)


@pytest.mark.parametrize(("text", "port"), [("0", 0), ("1", 1), ("6379", 6379), ("65535", 65535)])
def test_ports(text: str, port: int) -> None:
    assert parse_port(text) == port


@pytest.mark.parametrize("text", ["", "-1", "65536", "²", "٣", "6379x", "6 379", "+1", "1" * 5000, "0x10", "1\n"])
def test_no_ports(text: str) -> None:
    with pytest.raises(ValueError):
        parse_port(text)


@pytest.mark.parametrize(
    ("line", "goal"),
    [
        ("MOVED 866 10.0.0.1:7002", at("10.0.0.1:7002")),
        ("ASK 866 10.0.0.1:7002", at("10.0.0.1:7002")),
        ("MOVED 866 :7002", Address("10.0.0.9", 7002)),
        ("MOVED 866 ::1:7002", Address("::1", 7002)),
        ("MOVED 866 [::1]:7002", Address("::1", 7002)),
        ("MOVED 866 fe80::1%eth0:7002", Address("fe80::1%eth0", 7002)),
        ("MOVED 866 db_1.example:7002", Address("db_1.example", 7002)),
        ("MOVED 866 ?:7002", None),
        ("MOVED 866 10.0.0.1", None),
        ("MOVED 866 10.0.0.1:0", None),
        ("MOVED 866 10.0.0.1:70000", None),
        ("MOVED 866 10.0.0.1:²", None),
        ("MOVED 866 10.6.6.6:1 :7002", None),
        ("MOVED 866", None),
        ("MOVED", None),
        *((f"MOVED 866 {text}:7002", None) for text in HOSTILE if text not in ("", "[::1]")),
    ],
)
def test_where_a_redirection_leads(line: str, goal: Address | None) -> None:
    assert parse_redirect(line, at("10.0.0.9:7001")) == goal


def test_text_is_shown_without_anything_that_a_terminal_obeys() -> None:
    for text in HOSTILE:
        assert escaped(text).isascii() and escaped(text).isprintable()
    assert escaped("\x1b]0;x\x07\u202e") == r"'\x1b]0;x\x07\u202e'"
    assert len(escaped("x" * 5000)) < 100
