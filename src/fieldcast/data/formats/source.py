"""A file on the disk as a reader meets it: its name, its bytes, the members of an archive."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fieldcast.data.formats._zip import Entry, directory, head, unfolded
from fieldcast.ground import InvalidInput

LARGEST = 8 << 30  # bytes that a compressed file may unfold to
_HEAD = 4096
_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_BLOCK = 1 << 20
_BROKEN = (KeyError, ValueError, RuntimeError, NotImplementedError, OSError, zipfile.BadZipFile, zlib.error, EOFError)


@dataclass(frozen=True)
class Sample:
    """What a format is recognised by.

    Parameters
    ----------
    path : the file, with its folders (some vendors say the ticker and the date there)
    head : its first 4 KiB, unfolded where it is gzip; of a zip, those of its first member
    members : names of a zip's members; empty for other files
    """

    path: Path
    head: bytes
    members: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name in lower case, without `.gz`."""
        name = self.path.name.lower()
        return name.removesuffix(".gz")

    @property
    def first_line(self) -> str:
        """The first line as text; bytes that are no UTF-8 are replaced."""
        return self.head.split(b"\n", 1)[0].decode("utf-8-sig", "replace").rstrip("\r")


class Source:
    """One file; nothing is read before it is asked for.

    Raises (every way of reading)
    ------
    InvalidInput : no such file, an empty one, or an archive that is cut short, damaged or unfolds beyond 8 GiB
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def sha256(self) -> str:
        """Of the bytes on the disk."""
        state = hashlib.sha256()
        try:
            with self.path.open("rb") as file:
                while block := file.read(_BLOCK):
                    state.update(block)
        except OSError as error:
            raise InvalidInput(f"expected a file at {self.path}, found: {error.strerror}") from None
        return state.hexdigest()

    def sample(self) -> Sample:
        """Name and first bytes."""
        raw = self._start()
        if raw[:4] == _ZIP:
            names = tuple(self.members())
            return Sample(self.path, self._member_head(names[0]) if names else b"", names)
        if raw[:2] == _GZIP:
            try:
                raw = zlib.decompressobj(31).decompress(raw, _HEAD)
            except zlib.error as error:
                raise InvalidInput(f"expected {self.name} to be whole, found: {error}; fetch it again") from None
        return Sample(self.path, raw)

    def _start(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                raw = file.read(_HEAD)
        except OSError as error:
            raise InvalidInput(f"expected a file at {self.path}, found: {error.strerror}") from None
        if not raw:
            raise InvalidInput(f"expected data in {self.name}, found an empty file")
        return raw

    def data(self) -> bytes:
        """The whole file, unfolded where it is gzip."""
        return b"".join(self.blocks())

    def blocks(self, size: int = _BLOCK) -> Iterator[bytes]:
        """The file's bytes in blocks, unfolded where it is gzip."""
        start = self._start()
        total = 0
        try:
            with gzip.open(self.path, "rb") if start[:2] == _GZIP else self.path.open("rb") as file:
                while block := file.read(size):
                    total += len(block)
                    if total > LARGEST:
                        raise InvalidInput(f"expected {self.name} to unfold to at most 8 GiB, found more; split it")
                    yield block
        except (EOFError, OSError, zlib.error) as error:
            raise InvalidInput(f"expected {self.name} to be whole, found: {error}; fetch it again") from None

    def lines(self, size: int = 32 << 20) -> Iterator[bytes]:
        """The file's bytes in blocks of about `size` that end with a whole line; a last line without an end goes with the block
        before it."""
        yield from _whole_lines(self.blocks(size))

    @cached_property
    def _raw(self) -> bytes:
        """The bytes of an archive on the disk."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise InvalidInput(f"expected {self.name} to be a whole zip file, found: {error}; fetch it again") from None

    @cached_property
    def _entries(self) -> Mapping[str, Entry] | None:
        """The files of an ordinary archive; none where it is left to `zipfile`."""
        entries = directory(self._raw)
        return entries if entries is None or sum(item.size for item in entries.values()) <= LARGEST else None

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        try:
            archive = zipfile.ZipFile(io.BytesIO(self._raw))
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise InvalidInput(f"expected {self.name} to be a whole zip file, found: {error}; fetch it again") from None
        if sum(item.file_size for item in archive.infolist()) > LARGEST:
            raise InvalidInput(f"expected {self.name} to unfold to at most 8 GiB, found more; split it")
        return archive

    def members(self) -> list[str]:
        """Names of a zip's files, in its order."""
        if self._entries is not None:
            return list(self._entries)
        return [item.filename for item in self._archive.infolist() if not item.is_dir()]

    def member(self, name: str) -> bytes:
        """The bytes of a zip's file."""
        return self.member_array(name).tobytes()

    def member_array(self, name: str) -> np.ndarray:
        """The bytes of a zip's file as they were unfolded: (size,) uint8, not to be written to."""
        entry = None if self._entries is None else self._entries.get(name)
        found = None if entry is None else unfolded(self._raw, entry)
        return self._slow_member(name) if found is None else found

    def _slow_member(self, name: str) -> np.ndarray:
        """The same by `zipfile`, which knows every kind of archive and what is wrong with a damaged one."""
        try:
            return np.frombuffer(self._archive.read(name), dtype=np.uint8)
        except _BROKEN as error:
            raise InvalidInput(f"expected {name} of {self.name} to be whole, found: {error}; fetch it again") from None

    def _member_head(self, name: str) -> bytes:
        """The first bytes of a zip's file; no more of it is unfolded."""
        entry = None if self._entries is None else self._entries.get(name)
        start = None if entry is None else head(self._raw, entry, _HEAD)
        if start is not None:
            return start
        try:
            with self._archive.open(name) as file:
                return file.read(_HEAD)
        except _BROKEN as error:
            raise InvalidInput(f"expected {name} of {self.name} to be whole, found: {error}; fetch it again") from None

    def member_lines(self, name: str, size: int = 32 << 20) -> Iterator[bytes]:
        """The bytes of a zip's file in blocks as `lines` gives them."""
        yield from _whole_lines(self._member_blocks(name, size))

    def _member_blocks(self, name: str, size: int) -> Iterator[bytes]:
        try:
            with self._archive.open(name) as file:
                while block := file.read(size):
                    yield block
        except _BROKEN as error:
            raise InvalidInput(f"expected {name} of {self.name} to be whole, found: {error}; fetch it again") from None


def _whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks cut anew after the last line that ends in each; one is held back, so that what remains at the end joins it."""
    held, rest = b"", b""
    for block in blocks:
        head, mark, tail = block.rpartition(b"\n")
        if mark:
            if held:
                yield held
            held, rest = rest + head + mark, tail
        else:
            rest += block
    if held or rest:
        yield held + rest
