"""The files in which the warm states of instruments stand between two processes.

One file for each instrument and experiment, `data/warm/<experiment>/<instrument>.npz` in the workspace: arrays, and one line of
JSON for the rest. Nothing in it can be executed (no pickle), and it is written whole or not at all. It is an aid and never a
source: a state is used where everything fits that its figures rest on, else it is passed over and made again, and the log says
why.

    key     experiment, instrument as described, id of the VIX series; Fieldcast's version and the SHA-256 of its code from the
            rows to the projection; versions of the libraries that compute, Python's and the machine's kind
    data    how many bars, the moment of the last, SHA-256 over all their columns, and over the rows of the VIX series that were
            known by then: a bar that was restated, came late or went away leaves no state that fits
    sum     SHA-256 over all of the file's arrays and its JSON

Settings of the processor count too (a sum may round otherwise on another one): a workspace is not meant to be carried about.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import platform
import zipfile
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
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.records import table_hash
from fieldcast.workflows.workspace import Workspace

LOG = logging.getLogger("fieldcast.warm")
FORMAT = 1
FOLDER = "warm"
_JSON, _SUM = "about.json", "sha256"
_CODE = ("data", "evaluation", "features", "fields", "ground", "indicators", "market", "models", "pricing", "projection")
_MODULES = ("experiment", "prepare", "projector", "study", "walks", "warm_parts", "warm_states", "records", "sealing")
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


def data_of(bars: pl.DataFrame, covariate: pl.DataFrame | None, known_by: datetime) -> dict[str, Any]:
    """What a state rests on: the bars up to its last one, and of the VIX series what was known at that one's decision."""
    seen = None if covariate is None else table_hash(covariate.filter(pl.col("available_at") <= known_by))
    last = int(bars["ts"].dt.epoch("us")[-1])
    return {"rows": bars.height, "last_ts": last, "bars": table_hash(bars), "vix": seen}


def state_path(workspace: Workspace, instrument: str, experiment: Experiment) -> Path:
    """Where the state of an instrument stands."""
    return workspace.settings.data_dir / FOLDER / experiment.hash[:16] / f"{file_name(instrument)}.npz"


def keep_state(path: Path, state: KeptState) -> None:
    """Write a state, whole or not at all."""
    about = {"key": state.key, "data": state.data, "values": state.values}
    text = json.dumps(about, sort_keys=True, allow_nan=False).encode()
    arrays = {name: np.ascontiguousarray(array) for name, array in state.arrays.items()}
    arrays[_JSON] = np.frombuffer(text, dtype=np.uint8)
    arrays[_SUM] = np.frombuffer(_sum(arrays), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_whole(path, buffer.getvalue())


def kept_state(path: Path, key: Mapping[str, Any]) -> KeptState | str:
    """The state in a file, or why it cannot be used: there is none, it is damaged, or it was made with something else."""
    if not path.is_file():
        return "none is kept"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        return f"expected arrays in {path.name}, found a damaged file ({error})"
    recorded = arrays.pop(_SUM, None)
    if recorded is None or _JSON not in arrays or recorded.tobytes() != _sum(arrays):
        return f"expected the SHA-256 in {path.name} to be that of its content, found another"
    about = json.loads(arrays.pop(_JSON).tobytes())
    for name, expected in key.items():
        found = about["key"].get(name)
        if found != expected:
            return f"expected {name} {_short(expected)}, found a state made with {_short(found)}"
    return KeptState(about["key"], about["data"], arrays, about["values"])


def _short(value: Any) -> str:
    """A hash by its first digits, the rest as it is."""
    text = json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value)
    return text[:16] if len(text) == 64 else text


def _sum(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        total.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.digest()
