"""Values for RESTORE, the commands around them, and what is inside of compressed strings and listpacks."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotwright.errors import SnapshotError
from slotwright.server.rdb.crc64 import crc64
from slotwright.server.rdb.dump import dump_payload, read_dump, restore_command, set_command
from slotwright.server.rdb.listpack import elements
from slotwright.server.rdb.lzf import decompress
from slotwright.server.rdb.strings import read_length, read_string, skip_string, write_length, write_string
from tests.unit.server.rdb_build import strings

FROM_REDIS_7_0 = bytes.fromhex("000576616c75650a0081f6c138c1aa9b6e")
FROM_VALKEY_9_1 = bytes.fromhex("140d0d0000000200816102816202ff5000ac197e562a6e5829")


def test_what_servers_dump_is_read_and_made_again() -> None:
    assert read_dump(FROM_REDIS_7_0) == (0, b"\x05value", 10)
    kind, value, version = read_dump(FROM_VALKEY_9_1)
    assert (kind, version, elements(read_string(value, 0)[0])) == (20, 80, [b"a", b"b"])
    assert dump_payload(kind, value, version) == FROM_VALKEY_9_1


def test_the_checksum_is_the_servers() -> None:
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA
    assert crc64(b"6789", crc64(memoryview(b"12345"))) == 0xE9C6D914C4B8D9CA


@given(st.integers(0, 255), st.binary(max_size=99), st.integers(1, 0xFFFF))
def test_what_is_packed_for_restore_is_read_back(kind: int, value: bytes, version: int) -> None:
    assert read_dump(dump_payload(kind, value, version)) == (kind, value, version)


@pytest.mark.parametrize("damaged", [b"", bytes(10), dump_payload(0, b"\x01v", 10)[:-1] + b"\x00"])
def test_what_is_no_dump_is_refused(damaged: bytes) -> None:
    with pytest.raises(SnapshotError) as caught:
        read_dump(damaged)
    assert caught.value.code == "dump-unreadable"


def _words(command: bytes) -> list[bytes]:
    """The arguments of one command in RESP, which must be exactly that."""
    count, _, rest = command.partition(b"\r\n")
    words = []
    for _ in range(int(count.removeprefix(b"*"))):
        size, _, rest = rest.partition(b"\r\n")
        assert size.startswith(b"$")
        end = int(size[1:])
        words.append(rest[:end])
        assert rest[end : end + 2] == b"\r\n"
        rest = rest[end + 2 :]
    assert not rest
    return words


@given(st.binary(max_size=30), st.binary(max_size=30), st.integers(0, 1 << 60))
def test_set_keeps_bytes_and_expiry(key: bytes, value: bytes, expires_ms: int) -> None:
    expiry = [b"PXAT", b"%d" % expires_ms] if expires_ms else []
    assert _words(set_command(key, value, expires_ms)) == [b"SET", key, value, *expiry]


@given(
    st.binary(max_size=30), st.binary(max_size=30), st.integers(0, 1 << 60), st.integers(-1, 99), st.integers(-1, 255)
)
def test_restore_says_all_that_is_known(key: bytes, payload: bytes, expires_ms: int, idle_s: int, often: int) -> None:
    more = [b"IDLETIME", b"%d" % idle_s] if idle_s >= 0 else [b"FREQ", b"%d" % often] if often >= 0 else []
    head = [b"RESTORE", key, b"%d" % expires_ms, payload, b"ABSTTL", b"REPLACE"]
    assert _words(restore_command(key, payload, expires_ms, idle_s, often)) == [*head, *more]


@given(st.integers(0, (1 << 64) - 1))
def test_lengths_are_read_back(number: int) -> None:
    written = write_length(number)
    assert read_length(written + b"more", 0) == (number, len(written))


@given(strings)
def test_strings_end_where_they_end(both: tuple[bytes, bytes]) -> None:
    shown, written = both
    assert read_string(b"." + written + b"more", 1) == (shown, 1 + len(written))
    assert skip_string(b"." + written + b"more", 1) == 1 + len(written)
    assert read_string(write_string(shown), 0)[0] == shown


@pytest.mark.parametrize(
    ("packed", "size", "text"),
    [
        (b"\x02abc", 3, b"abc"),
        (b"\x00a\xe0\x5a\x00", 100, b"a" * 100),
        (b"\x01ab\x20\x01", 5, b"ababa"),
        (b"\x03abcd\x20\x03\x00!", 8, b"abcdabc!"),
    ],
)
def test_compressed_bytes_come_out(packed: bytes, size: int, text: bytes) -> None:
    assert decompress(packed, size) == text


@given(st.binary(max_size=60), st.integers(0, 300))
def test_any_bytes_decompress_to_the_size_or_are_refused(packed: bytes, size: int) -> None:
    with suppress(ValueError):
        assert len(decompress(packed, size)) == size


@given(st.binary(max_size=60))
def test_any_bytes_are_a_listpack_or_refused(noise: bytes) -> None:
    for listpack in (noise, (len(noise) + 7).to_bytes(4, "little") + b"\xff\xff" + noise + b"\xff"):
        with suppress(ValueError):
            elements(listpack)


def test_a_listpack_has_texts_and_numbers_of_all_widths() -> None:
    wide = b"x" * 5000
    parts = [
        (b"\x7f", b"127"),
        (b"\xc0\x80", b"128"),
        (b"\xdf\xff", b"-1"),
        (b"\x82ab", b"ab"),
        (b"\xe0\x40" + b"y" * 64, b"y" * 64),
        (b"\xf0" + len(wide).to_bytes(4, "little") + wide, wide),
        (b"\xf1\x00\x80", b"-32768"),
        (b"\xf2\xff\xff\x7f", b"8388607"),
        (b"\xf3\x00\x00\x00\x80", b"-2147483648"),
        (b"\xf4" + (1 << 62).to_bytes(8, "little"), b"%d" % (1 << 62)),
    ]
    body = b"".join(encoded + bytes(1 if len(encoded) < 128 else 2) for encoded, _ in parts)
    listpack = (len(body) + 7).to_bytes(4, "little") + len(parts).to_bytes(2, "little") + body + b"\xff"
    assert elements(listpack) == [shown for _, shown in parts]
