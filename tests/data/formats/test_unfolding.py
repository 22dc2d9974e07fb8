"""Archives by our own reader of their directory: what zipfile makes of the same bytes, sound and damaged."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast.data.formats import Source
from fieldcast.data.formats._zip import directory, unfolded
from fieldcast.data.formats.lean_kernels import parse_numbers
from fieldcast.ground import InvalidInput

TEXT = "".join(f"{34_200_000 + 60_000 * k},{6_450_000 + 100 * (k % 7)},{100 * k % 4700}\n" for k in range(3000)).encode()


def archive(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, data in members:
            made.writestr(name, data)
        made.comment = comment
    return file.getvalue()


# the directory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_directory_is_that_of_zipfile(method):
    members = [("b.csv", TEXT), ("folder/", b""), ("folder/a.csv", b"1,2\n"), ("empty.csv", b"")]
    data = archive(*members, method=method)
    found = directory(data)
    assert list(found) == ["b.csv", "folder/a.csv", "empty.csv"]
    for name, content in members:
        if not name.endswith("/"):
            assert unfolded(data, found[name]).tobytes() == content


def test_what_is_no_ordinary_archive_is_left_to_zipfile(tmp_path: Path):
    plain = archive(("a.csv", TEXT))
    odd = {
        "comment": archive(("a.csv", TEXT), comment=b"made by hand"),
        "something before it": b"#!/bin/sh\n" + plain,
        "a name beyond ASCII": archive(("ä.csv", TEXT)),
        "another method": archive(("a.csv", TEXT), method=zipfile.ZIP_LZMA),
    }
    for what, data in odd.items():
        assert directory(data) is None, what
        path = tmp_path / "odd.zip"
        path.write_bytes(data)
        source = Source(path)
        assert source.member(source.members()[0]) == TEXT, what


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_left_to_zipfile():
    assert directory(archive(("a.csv", b"1"), ("a.csv", b"2"))) is None


def test_an_encrypted_file_and_a_size_that_cannot_be_are_left_to_zipfile():
    plain = archive(("a.csv", TEXT))
    at = plain.index(b"PK\1\2")
    for offset, value in ((8, struct.pack("<H", 1)), (24, struct.pack("<L", 1 << 31)), (42, struct.pack("<L", 5))):
        assert directory(plain[: at + offset] + value + plain[at + offset + len(value) :]) is None


def test_every_damaged_byte_is_refused_with_the_files_name_or_does_no_harm(tmp_path: Path):
    """zipfile is the oracle: whatever it still reads, we read the same."""
    text = TEXT[:300]
    plain = archive(("a.csv", text))
    path = tmp_path / "day.zip"
    refused = 0
    for place in range(len(plain)):
        damaged = bytearray(plain)
        damaged[place] ^= 0x41
        path.write_bytes(damaged)
        try:
            with zipfile.ZipFile(io.BytesIO(damaged)) as oracle:
                expected = oracle.read("a.csv")
        except (KeyError, ValueError, RuntimeError, NotImplementedError, OSError, zipfile.BadZipFile, zlib.error, EOFError):
            expected = None
        source = Source(path)
        if expected is None:
            with pytest.raises(InvalidInput, match="day\\.zip"):
                source.member("a.csv")
            refused += 1
        else:
            assert source.member("a.csv") == expected == text, place
    assert refused > len(plain) // 2


def test_a_size_or_checksum_that_is_not_the_archives_is_refused():
    data = archive(("a.csv", TEXT))
    (entry,) = directory(data).values()
    assert unfolded(data, entry).tobytes() == TEXT
    for wrong in ({"size": len(TEXT) - 1}, {"size": len(TEXT) + 1}, {"crc": entry.crc ^ 1}, {"end": entry.end - 3}):
        assert unfolded(data, replace(entry, **wrong)) is None, wrong


FIELD = r"-?([0-9]{1,18}(\.[0-9]{1,9})?|[0-9]{1,3}|\.[0-9]{1,3})|"


# numbers -------------------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.lists(st.from_regex(FIELD, fullmatch=True), min_size=2, max_size=40))
def test_fields_of_every_length_are_read_as_float_reads_them(fields):
    """Fields on either side of eight and of sixteen digits, next to one another and at the very end."""
    text = "\n".join(f"{left},{right}" for left, right in zip(fields[::2], fields[1::2], strict=False)).encode()
    text += b"\n" if text.endswith(b",") else b""       # an empty field at the very end is the slow reader's
    out = np.full((2, len(fields) // 2), -1.0)
    count = parse_numbers(np.frombuffer(text, dtype=np.uint8), 2, out)
    words = [field for pair in zip(fields[::2], fields[1::2], strict=False) for field in pair]
    if any(int("0" + word.replace("-", "").replace(".", "")) > 2**53 - 1 for word in words):
        assert count == -1      # not exact in a float64: left to the slow reader
        return
    expected = np.array([float(word) if word else np.nan for word in words]).reshape(-1, 2).T
    assert count == len(fields) // 2
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    "text", [b"3\n", b"1,2,3\n", b"1,x\n", b"1,1e5\n", b"1,--2\n", b"1,2.\r3\n", b"1,-\n", b"1,.\n", b"1,1.2.3\n", b"1\n,2\n"]
)
@pytest.mark.parametrize("after", [b"", b"1,2\n" * 40])
def test_what_is_no_plain_number_is_left_to_the_slow_reader(text, after):
    for whole in (text + after, after + text, after + text.rstrip(b"\n")):
        assert parse_numbers(np.frombuffer(whole, dtype=np.uint8), 2, np.empty((2, 100))) == -1
