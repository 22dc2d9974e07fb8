"""The files in which the warm states of instruments stand between two processes.

One file for each instrument and experiment, `data/warm/<experiment>/<instrument>.state` in the workspace: arrays, and one line of
JSON for the rest. Nothing in it can be executed (no pickle), and it is written whole or not at all. It is an aid and never a
source: a state is used where everything fits that its figures rest on, else it is passed over and made again, and the log says
why.

    key     experiment, instrument as described, id of the VIX series; Fieldcast's version and the SHA-256 of its code from the
            rows to the projection; versions of the libraries that compute, Python's and the machine's kind
    data    how many bars, the moment of the last, SHA-256 over all their columns, and over the rows of the VIX series that were
            known by then: a bar that was restated, came late or went away leaves no state that fits
    sum     SHA-256 over everything that follows it in the file

Settings of the processor count too (a sum may round otherwise on another one): a workspace is not meant to be carried about.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import platform
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import fieldcast
from fieldcast import __version__
from fieldcast.ground import digest
from fieldcast.ground.files import write_whole
from fieldcast.market import Instrument, file_name
from fieldcast.workflows.bars_hash import BarsHash
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.workspace import Workspace

LOG = logging.getLogger("fieldcast.warm")
FORMAT = 2
FOLDER = "warm"
_MAGIC, _SUM, _ALIGN = b"FCSTATE2", 32, 64
_LENGTH = struct.Struct("<Q16x")  # of the JSON, in bytes
_HEAD = len(_MAGIC) + _SUM + _LENGTH.size  # magic, SHA-256 of all that follows, length
_CODE = ("data", "evaluation", "features", "fields", "ground", "indicators", "market", "models", "pricing", "projection")
_MODULES = (
    "bars_hash", "experiment", "prepare", "projector", "projector_calendar", "projector_history", "projector_opening",
    "projector_packets", "study", "walks", "warm_parts", "warm_states", "records", "sealing",
)  # fmt: skip
_LIBRARIES = ("numpy", "polars", "scipy", "numba", "lightgbm", "scikit-learn", "exchange_calendars")


@dataclass(frozen=True)
class KeptState:
    """What a file holds.

    Parameters
    ----------
    key : what the state was made with; see the module
    data : `rows`, `last_ts` (µs since 1970), `bars` and `vix` (SHA-256; none without a series)
    arrays, values : the state
    """

    key: Mapping[str, Any]
    data: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    values: Mapping[str, Any]


def code_root() -> Path:
    """The folder of the package."""
    return Path(fieldcast.__file__).parent


def code_files() -> list[Path]:
    """The modules that decide a projection, and all that they compute with, ascending."""
    root = code_root()
    files = [file for package in _CODE for file in (root / package).rglob("*.py")]
    return sorted(files + [root / "workflows" / f"{name}.py" for name in _MODULES])


@cache
def code_hash() -> str:
    """SHA-256 over `code_files`: a formula that changes makes every kept state void."""
    root, total = code_root(), hashlib.sha256()
    for file in code_files():
        total.update(f"{file.relative_to(root).as_posix()}\0".encode())
        total.update(file.read_bytes())
    return total.hexdigest()


@cache
def _libraries() -> dict[str, str]:
    found = {name: version(name) for name in _LIBRARIES}
    return found | {"python": platform.python_version(), "machine": platform.machine()}


def key_of(instrument: Instrument, experiment: Experiment, vix: str | None) -> dict[str, Any]:
    """What a state has to be made with in order to be used."""
    return {
        "format": FORMAT,
        "experiment": experiment.hash,
        "instrument": digest(asdict(instrument)),
        "vix": vix,
        "version": __version__,
        "code": code_hash(),
        "libraries": _libraries(),
    }


def data_of(rows: int, last_ts: int, bars: str, covariate: pl.DataFrame | None, known_by: datetime) -> dict[str, Any]:
    """What a state rests on: the bars up to its last one, and of the VIX series what was known at that one's decision.

    Parameters
    ----------
    bars : their `BarsHash`
    """
    seen = None if covariate is None else BarsHash(covariate.filter(pl.col("available_at") <= known_by)).hexdigest()
    return {"rows": rows, "last_ts": last_ts, "bars": bars, "vix": seen}


def state_path(workspace: Workspace, instrument: str, experiment: Experiment) -> Path:
    """Where the state of an instrument stands."""
    return workspace.settings.data_dir / FOLDER / experiment.hash[:16] / f"{file_name(instrument)}.state"


def keep_state(path: Path, state: KeptState) -> None:
    """Write a state, whole or not at all."""
    described, parts, place = {}, [], 0
    for name, array in sorted(state.arrays.items()):
        content = np.ascontiguousarray(array)
        described[name] = [content.dtype.str, list(array.shape), place]
        padded = -(-content.nbytes // _ALIGN) * _ALIGN
        parts += [content.tobytes(), bytes(padded - content.nbytes)]
        place += padded
    about = {"key": state.key, "data": state.data, "values": state.values, "arrays": described}
    text = json.dumps(about, sort_keys=True, allow_nan=False).encode()
    text += b" " * (-len(text) % _ALIGN)
    rest = b"".join([text, *parts])
    rest = _LENGTH.pack(len(text)) + rest
    write_whole(path, _MAGIC + hashlib.sha256(rest).digest() + rest, durable=False)


def kept_state(path: Path, key: Mapping[str, Any]) -> KeptState | str:
    """The state in a file, or why it cannot be used: there is none, it is damaged, or it was made with something else."""
    if not path.is_file():
        return "none is kept"
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"expected a state in {path.name}, found a file that cannot be read ({error})"
    if len(content) < _HEAD or not content.startswith(_MAGIC):
        return f"expected a state of format {FORMAT} in {path.name}, found something else"
    hashed_from = len(_MAGIC) + _SUM
    if hashlib.sha256(memoryview(content)[hashed_from:]).digest() != content[len(_MAGIC) : hashed_from]:
        return f"expected the SHA-256 in {path.name} to be that of its content, found another"
    try:
        begin = _HEAD + _LENGTH.unpack_from(content, hashed_from)[0]
        about = json.loads(content[_HEAD:begin])
        state = KeptState(about["key"], about["data"], _arrays_of(content, begin, about["arrays"]), about["values"])
    except (ValueError, KeyError, TypeError) as error:
        return f"expected key, data, values and arrays of numbers in {path.name}, found: {error}"
    for name, expected in key.items():
        found = state.key.get(name)
        if found != expected:
            return f"expected {name} {_short(expected)}, found a state made with {_short(found)}"
    return state


def _arrays_of(content: bytes, begin: int, described: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The arrays of a file, not to be written to; an array of objects, which bytes cannot hold, is a ValueError."""
    return {
        name: np.frombuffer(content, np.dtype(kind), math.prod(shape), begin + place).reshape(shape)
        for name, (kind, shape, place) in described.items()
    }


def _short(value: Any) -> str:
    """A hash by its first digits, the rest as it is."""
    text = json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value)
    return text[:16] if len(text) == 64 else text
