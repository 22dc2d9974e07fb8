"""Where the store's bytes are kept: a folder, or a bucket of an S3-compatible service, behind one small protocol.

Names are paths relative to the store's root, with forward slashes. In a folder a file is written under a temporary name,
synced, and renamed when all files of a write are there; in a bucket an upload appears whole or not at all.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import urlsplit

from fieldcast.ground import ConfigError, Halted, InvalidInput

TEMPORARY = ".tmp"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CHUNK = 1 << 20
_PIECE = 1 << 20  # read at once while hashing: every piece costs two threads a wait for the interpreter's lock
_HELD = threading.local()     # the piece that a thread reads into, kept from file to file: fresh memory costs more than reading


class Files(Protocol):
    """Bytes by name, written whole or not at all."""

    address: str

    def stage(self, name: str, data: bytes) -> None:
        """Put `data` where `publish` gives it its name (in a bucket: at once under its name); lasting when it returns."""

    def publish(self, names: Sequence[str]) -> None:
        """Give what was staged its names, lastingly."""

    def put(self, name: str, data: bytes) -> None:
        """Write or replace one file, whole and lasting."""

    def read(self, name: str) -> bytes:
        """The bytes of a file; FileNotFoundError where there is none."""

    def sha256(self, name: str) -> str:
        """SHA-256 of the bytes of a file; FileNotFoundError where there is none."""

    def footer(self, name: str) -> dict[bytes, bytes]:
        """The key-value pairs of a Parquet file's footer."""

    def source(self, name: str) -> Path | BinaryIO:
        """What polars scans; FileNotFoundError where there is none."""

    def list(self, folder: str, *, deep: bool = False) -> list[str]:
        """Names of the files in a folder (deep: and below it), sorted; none where there is no folder."""

    def delete(self, name: str) -> None:
        """Remove a file; nothing where there is none."""

    def exists(self, name: str) -> bool:
        """True where the file is there."""


@contextmanager
def room(address: str) -> Iterator[None]:
    """A full disk as an error that says so."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise Halted(
                f"expected room for the new files in {address}, found: {error.strerror}; nothing of this write is kept "
                "and what was stored before is whole: free some space and run it again"
            ) from error
        raise


class LocalFiles:
    """Files below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.address = str(root)

    def stage(self, name: str, data: bytes) -> None:
        target = self.root / (name + TEMPORARY)
        with room(self.address):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb", buffering=0) as file:
                write_all(file, data)
                os.fsync(file.fileno())

    def publish(self, names: Sequence[str]) -> None:
        paths = [self.root / name for name in names]
        with room(self.address):
            for path in paths:
                path.with_name(path.name + TEMPORARY).rename(path)
            folders: dict[Path, None] = {}
            for path in paths:  # a new folder's name stands in the one above it
                for folder in (path.parent, *path.parent.parents):
                    folders[folder] = None
                    if folder == self.root:
                        break
            for folder in folders:
                _sync_folder(folder)

    def put(self, name: str, data: bytes) -> None:
        self.stage(name, data)
        self.publish([name])

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def sha256(self, name: str) -> str:
        if not hasattr(_HELD, "piece"):
            _HELD.piece = memoryview(bytearray(_PIECE))
        piece, state = _HELD.piece, hashlib.sha256()
        with open(f"{self.root}/{name}", "rb", buffering=0) as file:
            while count := file.readinto(piece):
                state.update(piece[:count])
        return state.hexdigest()

    def footer(self, name: str) -> dict[bytes, bytes]:
        import pyarrow.parquet as pq

        return pq.read_metadata(self.root / name).metadata or {}

    def source(self, name: str) -> Path | BinaryIO:
        return self.root / name

    def list(self, folder: str, *, deep: bool = False) -> list[str]:
        place = self.root / folder
        if not place.is_dir():
            return []
        return sorted(_files_in(place, f"{folder}/" if folder else "", deep=deep))

    def delete(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)

    def exists(self, name: str) -> bool:
        return (self.root / name).is_file()


def _files_in(place: Path, prefix: str, *, deep: bool) -> Iterator[str]:
    """Names of the files in a folder, behind a prefix; deep: and of those below it, but not through links."""
    with os.scandir(place) as entries:
        for entry in entries:
            if entry.is_file():
                yield prefix + entry.name
            elif deep and entry.is_dir(follow_symlinks=False):
                yield from _files_in(Path(entry.path), f"{prefix}{entry.name}/", deep=True)


def write_all(file: Any, data: bytes) -> None:
    """Write every byte to an unbuffered file: one call may take only some of them."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class ObjectFiles:
    """Objects below a prefix of a bucket; address and keys come from the environment, by AWS's own names.

    `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`; another service than Amazon's: `AWS_ENDPOINT_URL`, and
    `AWS_ALLOW_HTTP=true` where it has no TLS.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment or "@" in parts.netloc:
            raise ConfigError(f"expected store_url of the form s3://bucket/prefix, found {address!r}")
        try:
            from obstore.exceptions import BaseError
            from obstore.store import S3Store
        except ImportError:
            raise ConfigError(
                "expected obstore for a store on S3, found it is not installed: pip install 'fieldcast[s3]'"
            ) from None
        self.address = address.rstrip("/")
        prefix = parts.path.strip("/")
        try:
            self._store: Any = S3Store(parts.netloc, prefix=prefix or None)
        except BaseError as error:
            raise ConfigError(f"expected an S3 store at {self.address}, found: {error}; see AWS_… in the environment") from None

    def stage(self, name: str, data: bytes) -> None:
        self.put(name, data)

    def publish(self, names: Sequence[str]) -> None:
        """Nothing: an upload has its name at once, and counts only once the index knows it."""

    def put(self, name: str, data: bytes) -> None:
        with self._answers():
            self._store.put(name, bytes(data))

    def read(self, name: str) -> bytes:
        with self._answers():
            return bytes(self._store.get(name).bytes())

    def sha256(self, name: str) -> str:
        with self._answers():
            state = hashlib.sha256()
            for part in self._store.get(name).stream(min_chunk_size=_CHUNK):
                state.update(part)
            return state.hexdigest()

    def footer(self, name: str) -> dict[bytes, bytes]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with self._answers():
            size = int(self._store.head(name)["size"])
            start = max(0, size - _CHUNK)
            tail = bytes(self._store.get_range(name, start=start, end=size))
        if size > _CHUNK and int.from_bytes(tail[-8:-4], "little") + 8 > len(tail):
            tail = self.read(name)
        return pq.read_metadata(pa.BufferReader(tail)).metadata or {}

    def source(self, name: str) -> Path | BinaryIO:
        import io

        return io.BytesIO(self.read(name))

    def list(self, folder: str, *, deep: bool = False) -> list[str]:
        with self._answers():
            found = [str(item["path"]) for batch in self._store.list(prefix=folder or None) for item in batch]
        return sorted(name for name in found if deep or name.rpartition("/")[0] == folder)

    def delete(self, name: str) -> None:
        try:
            with self._answers():
                self._store.delete(name)
        except FileNotFoundError:
            return

    def exists(self, name: str) -> bool:
        try:
            with self._answers():
                self._store.head(name)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def _answers(self) -> Iterator[None]:
        """What the service refuses as an error that names it."""
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            text = str(error).splitlines()[0]
            raise Halted(f"expected {self.address} to answer, found: {text}; see AWS_… in the environment") from error


def files_at(place: Path | str) -> Files:
    """The files at a folder or at an address `s3://bucket/prefix`.

    Raises
    ------
    ConfigError : the address is not understood, or what it needs is not installed
    InvalidInput : nothing was named
    """
    if isinstance(place, str) and "://" in place:
        return ObjectFiles(place)
    if not str(place):
        raise InvalidInput("expected a folder for the store, found an empty name")
    return LocalFiles(Path(place))
