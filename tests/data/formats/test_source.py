"""A file in blocks: the last line without an end, and the head of an archive."""

from __future__ import annotations

import tracemalloc
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.formats import Options, Source
from fieldcast.data.importing import import_source
from fieldcast.ground import Reason


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "size", "expected"),
    [
        (b"aa\nbb\ncc", 4, [b"aa\n", b"bb\ncc"]),
        (b"aa\nbb\ncc", 100, [b"aa\nbb\ncc"]),
        (b"aa\nbb\ncc\n", 3, [b"aa\n", b"bb\n", b"cc\n"]),
        (b"abcdefgh", 3, [b"abcdefgh"]),
        (b"a\nbcdefgh", 3, [b"a\nbcdefgh"]),
    ],
)
def test_a_last_line_without_an_end_is_no_block_of_its_own(tmp_path: Path, packed, content, size, expected):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    source = Source(path)
    if packed:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.write(path, "a.csv")
        source = Source(tmp_path / "a.zip")
    found = list(source.member_lines("a.csv", size) if packed else source.lines(size))
    assert found == expected


def test_a_recording_that_was_cut_in_its_last_line_loses_that_line(tmp_path: Path):
    start = datetime(2024, 3, 1, tzinfo=UTC)
    lines = []
    for n in range(50):
        at = int((start + timedelta(minutes=n)).timestamp() * 1000)
        lines.append(f"{at},100,102,99,101,2.5,{at + 59_999},250.0,7,1.5,150.0,0")
    path = tmp_path / "BTCUSDT-1m.csv"
    path.write_text("\n".join(lines)[:-40])
    report = import_source(path, Options(now=datetime(2026, 1, 1, tzinfo=UTC)), store=MemoryStore())
    assert (report.rows_kept, report.removed) == (49, {Reason.ROW_UNREADABLE: 1})


def test_the_head_of_an_archive_unfolds_no_more_than_that(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", bytes(64 << 20))
    source = Source(tmp_path / "bomb.zip")
    tracemalloc.start()
    try:
        head = source.sample().head
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(head) == 4096
    assert most < 8 << 20
