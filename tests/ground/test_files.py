"""Files that are written whole or not at all, waiting for the disk or not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from fieldcast.ground.files import write_whole


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the files for which the disk was waited for."""
    sizes: list[int] = []
    truly = os.fsync

    def noted(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        truly(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return sizes


@pytest.mark.parametrize(("durable", "waited"), [(True, [5]), (False, [])])
def test_the_whole_file_stands_and_the_disk_is_waited_for_as_asked(
    tmp_path: Path, synced: list[int], durable: bool, waited: list[int]
) -> None:
    path = tmp_path / "new" / "state"
    assert write_whole(path, b"first", durable=durable) == path
    assert path.read_bytes() == b"first"
    assert synced == waited, "all bytes are in the file when the disk is waited for"
    write_whole(path, b"second", durable=durable)
    assert path.read_bytes() == b"second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [one.name for one in path.parent.iterdir()] == ["state"]


def test_by_default_the_disk_is_waited_for(tmp_path: Path, synced: list[int]) -> None:
    write_whole(tmp_path / "seal", b"kept")
    assert synced == [4]


@pytest.mark.parametrize("durable", [True, False])
def test_where_it_cannot_be_put_in_place_the_old_file_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    path = write_whole(tmp_path / "state", b"old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new", durable=durable)
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["state"], "nothing half written is left"
