"""The directory of an ordinary zip file, and one file out of it, without the generality of `zipfile`.

Vendors' days are many small archives, of which opening takes longer than unfolding. Ordinary is what zip tools write by default:
one disk, no comment, neither encryption nor 64-bit sizes, names in ASCII that occur once, stored or deflated. Of anything else,
and of anything that is not sound, nothing is said here, and the caller asks `zipfile`, which knows what is wrong and says so.
Source: PKWARE, APPNOTE.TXT 6.3, sections 4.3.7, 4.3.12 and 4.3.16.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_END = struct.Struct("<4s4H2LH")
_ENTRY = struct.Struct("<4s4H4x3L3H2H4xL")    # the header's 46 bytes, without times and attributes
_LOCAL = struct.Struct("<4s22x2H")
_STORED, _DEFLATED = 0, 8
_PLAIN_FLAGS = 0b1000_0000_1110   # how hard it was compressed, sizes after the data, names in UTF-8
_MOST = 1032            # deflate unfolds to no more than so many times its length


@dataclass(frozen=True)
class Entry:
    """Where a file of the archive lies: bytes `start` to before `end`, which unfold to `size` with the checksum `crc`."""

    deflated: bool
    start: int
    end: int
    size: int
    crc: int


def directory(data: bytes) -> Mapping[str, Entry] | None:
    """The files of a zip by name, in its order, folders left out; none where it is not an ordinary one.

    Parameters
    ----------
    data : the whole archive
    """
    last = len(data) - _END.size
    if last < 0:
        return None
    mark, disk, first_disk, here, count, length, place, comment = _END.unpack_from(data, last)
    if mark != b"PK\5\6" or disk or first_disk or here != count or comment or place + length != last:
        return None
    found: dict[str, Entry] = {}
    at = place
    for _ in range(count):
        if at + _ENTRY.size > last:
            return None
        entry = _entry(data, at, place)
        if entry is None or entry[0] in found:
            return None
        name, item, at = entry
        found[name] = item
    if at != last:
        return None
    return {name: item for name, item in found.items() if not name.endswith("/")}


def _entry(data: bytes, at: int, limit: int) -> tuple[str, Entry, int] | None:
    """Name and place of the file whose header stands at `at`, and where the next header does; files end before `limit`."""
    mark, _, needed, flags, method, crc, packed, size, named, extra, comment, disk, _, start = _ENTRY.unpack_from(data, at)
    raw = data[at + _ENTRY.size : at + _ENTRY.size + named]
    if mark != b"PK\1\2" or needed > 20 or disk or flags & ~_PLAIN_FLAGS or method not in (_STORED, _DEFLATED):
        return None
    if not raw.isascii() or b"\0" in raw or b"\\" in raw or start + _LOCAL.size > limit:
        return None
    local, local_named, local_extra = _LOCAL.unpack_from(data, start)
    begin = start + _LOCAL.size + local_named + local_extra
    same = data[begin - local_named - local_extra : begin - local_extra] == raw
    sound = local == b"PK\3\4" and same and begin + packed <= limit
    if not sound or size > _MOST * packed + 64 or (method == _STORED and size != packed):
        return None
    following = at + _ENTRY.size + named + extra + comment
    return raw.decode("ascii"), Entry(method == _DEFLATED, begin, begin + packed, size, crc), following


def unfolded(data: bytes, entry: Entry) -> np.ndarray | None:
    """The bytes of a file of the archive; none where they are not what the archive says.

    Intel's ISA-L unfolds and sums about twice as fast as zlib.

    Returns
    -------
    (size,) uint8
    """
    from isal import isal_zlib
    from isal.igzip_lib import IsalError

    part = memoryview(data)[entry.start : entry.end]
    if not entry.deflated:
        return np.frombuffer(part, dtype=np.uint8) if isal_zlib.crc32(part) == entry.crc else None
    unfolding = isal_zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        found = unfolding.decompress(part, entry.size + 1)
    except IsalError:  # type: ignore[misc]  # its stub does not say that it is an exception
        return None
    whole = unfolding.eof and not unfolding.unused_data and len(found) == entry.size
    return np.frombuffer(found, dtype=np.uint8) if whole and isal_zlib.crc32(found) == entry.crc else None


def head(data: bytes, entry: Entry, most: int) -> bytes | None:
    """The first bytes of a file of the archive; none where they cannot be unfolded."""
    part = memoryview(data)[entry.start : entry.end]
    if not entry.deflated:
        return bytes(part[:most])
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(part, most)
    except zlib.error:
        return None
