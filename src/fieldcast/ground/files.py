"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> Path:
    """Write `data` to `path`; a reader sees the old file or the whole new one, never half of it.

    Parameters
    ----------
    durable : False leaves it to the system when the disk has it: for files that tell damage themselves and can be made anew,
        since a power cut may leave one empty

    Raises
    ------
    OSError : the folder cannot be made or written, or the disk is full; the old file stands
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            if durable:
                os.fsync(handle.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path
