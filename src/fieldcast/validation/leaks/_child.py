"""The far side of a leak test: loads the user's file and computes its columns on whatever bars it is sent.

It is run as a script in a process of its own, so that code which hangs, prints, exits or breaks memory does it there. It needs
the standard library and NumPy alone, and imports polars or pandas only for code that asks for them. Messages go through the two
pipes as one line of JSON, then the raw bytes of the arrays that the line names; nothing is unpickled on either side. What the
user's code prints goes to standard error.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import json
import os
import sys
import traceback
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

FORMS = ("polars", "pandas", "arrays")
_TIME = "ts"


class Refused(Exception):
    """What the user's code did wrong, by the name of its kind."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


# messages -----------------------------------------------------------------------------------------------------------


def send(pipe: BinaryIO, head: dict[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> None:
    """One message: a line of JSON, then the arrays' bytes in its order."""
    arrays = {name: np.ascontiguousarray(values) for name, values in (arrays or {}).items()}
    listed = [[name, values.dtype.str, values.size] for name, values in arrays.items()]
    pipe.write(json.dumps({**head, "arrays": listed}).encode() + b"\n")
    for values in arrays.values():
        pipe.write(values.tobytes())
    pipe.flush()


def receive(pipe: BinaryIO) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """The next message; None where the other side is gone."""
    line = pipe.readline()
    if not line.endswith(b"\n"):
        return None
    head = json.loads(line)
    arrays = {}
    for name, dtype, size in head.pop("arrays"):
        kind = np.dtype(dtype)
        content = pipe.read(kind.itemsize * size)
        if len(content) < kind.itemsize * size:
            return None
        arrays[name] = np.frombuffer(content, kind).copy()
    return head, arrays


# the user's function ------------------------------------------------------------------------------------------------


def load(path: str, name: str | None) -> tuple[Callable[[Any], Any], str]:
    """The function of a file: the one named, else its only public one, else `features`, `compute` or `columns`."""
    folder = str(Path(path).resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location("_checked_for_leaks", path)
    if spec is None or spec.loader is None:
        raise Refused("not_found", f"expected a Python file, found {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    own = {
        key: value
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == spec.name and not key.startswith("_")
    }
    if name is not None:
        found = getattr(module, name, None)
        if not callable(found):
            raise Refused("not_found", f"expected a function {name} in {Path(path).name}, found {_names(own)}")
        return found, name
    if len(own) == 1:
        key, value = next(iter(own.items()))
        return value, key
    for usual in ("features", "compute", "columns"):
        if usual in own:
            return own[usual], usual
    raise Refused("not_found", f"expected one public function in {Path(path).name}, found {_names(own)}; name it with --function")


def _names(own: Mapping[str, Any]) -> str:
    return ", ".join(own) or "none"


def form_of(function: Callable[[Any], Any]) -> str | None:
    """What the function's first parameter is declared to be; None where that is not said."""
    try:
        first = next(iter(inspect.signature(function).parameters.values()))
    except (StopIteration, ValueError, TypeError):
        return None
    declared = first.annotation
    if declared is inspect.Parameter.empty:
        return None
    text = declared if isinstance(declared, str) else f"{getattr(declared, '__module__', '')}.{declared}"
    if "polars" in text or text.startswith("pl."):
        return "polars"
    if "pandas" in text or text.startswith("pd."):
        return "pandas"
    return "arrays" if "dict" in text or "Mapping" in text else None


def as_table(columns: Mapping[str, np.ndarray], form: str) -> Any:
    """The bars in the form that the function takes; always a copy, which it may change.

    pandas gets `ts` as a column and as an index without a name; arrays are one NumPy array a column.
    """
    if form == "arrays":
        return {name: values.copy() for name, values in columns.items()}
    if form == "polars":
        import polars as pl

        made = {}
        for name, values in columns.items():
            if name == _TIME:
                made[name] = pl.Series(name, values.astype("datetime64[us]")).dt.replace_time_zone("UTC")
            else:
                made[name] = pl.Series(name, values.astype(str) if values.dtype.kind in "US" else values, nan_to_null=True)
        return pl.DataFrame(made)
    import pandas as pd

    plain = {name: values.astype(object) if values.dtype.kind in "US" else values.copy() for name, values in columns.items()}
    if _TIME in plain:
        plain[_TIME] = pd.to_datetime(columns[_TIME].astype("datetime64[us]"), utc=True)
        return pd.DataFrame(plain, index=pd.DatetimeIndex(plain[_TIME], name=None))
    return pd.DataFrame(plain)


def as_columns(result: Any, bars: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the function returned as name → (n,) float64 in the order of the bars; NaN where a value is not known.

    A result with as many rows as there are bars is taken row by row, unless its own `ts` says that it is in another order; one
    with fewer rows is matched by its `ts` (a column, or the index of pandas).
    """
    stamps = bars[_TIME].astype("datetime64[us]") if _TIME in bars else None
    single = "instrument" not in bars or np.unique(bars["instrument"]).size == 1
    table, times = _plain(result)
    if not table:
        raise Refused("wrong_rows", f"expected columns with one value a bar, found {type(result).__name__} without any")
    rows = stamps.size if stamps is not None else next(iter(bars.values())).size
    lengths = {values.shape[0] for values in table.values()}
    if len(lengths) != 1:
        raise Refused("wrong_rows", f"expected columns of one length, found {sorted(lengths)}")
    length = lengths.pop()
    moved = times is not None and stamps is not None and single and (length != rows or not np.array_equal(times, stamps))
    if moved and times is not None and stamps is not None:
        place = np.searchsorted(stamps, times)
        inside = place < rows
        known = inside.all() and bool((stamps[np.minimum(place, rows - 1)] == times).all())
        if known and np.unique(times).size == length:
            full = {}
            for name, values in table.items():
                full[name] = np.full(rows, np.nan)
                full[name][place] = values
            return full
    if length != rows:
        raise Refused(
            "wrong_rows",
            f"expected one value for each of {rows} bars, found {length}; return every row, or a column ts that says which",
        )
    return table


def _plain(result: Any) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    module = type(result).__module__.split(".")[0]
    times: np.ndarray | None = None
    if module == "polars":
        if hasattr(result, "collect"):
            result = result.collect()
        found = {result.name or "value": result} if not hasattr(result, "columns") else {c: result[c] for c in result.columns}
        times = _stamps(found[_TIME].dt.epoch("us").to_numpy() if _TIME in found and found[_TIME].dtype.is_temporal() else None)
        return {name: _numbers(values.to_numpy()) for name, values in found.items() if name != _TIME}, times
    if module == "pandas":
        many = hasattr(result, "columns")
        found = {str(name): result[name] for name in result.columns} if many else {result.name or "value": result}
        clock = result.index if type(result.index).__name__ == "DatetimeIndex" else None
        if _TIME in found and hasattr(found[_TIME], "dt"):
            clock = found[_TIME]
        if clock is not None:
            naive = clock.dt.tz_convert(None) if hasattr(clock, "dt") and clock.dt.tz is not None else clock
            naive = naive.tz_convert(None) if getattr(naive, "tz", None) is not None else naive
            times = np.asarray(naive.to_numpy()).astype("datetime64[us]")
        return {str(name): _numbers(values.to_numpy()) for name, values in found.items() if name != _TIME}, times
    if isinstance(result, Mapping):
        named = {str(name): np.asarray(values) for name, values in result.items() if name != _TIME}
        return {name: _numbers(values) for name, values in named.items()}, None
    values = np.asarray(result)
    if values.ndim == 1:
        return {"value": _numbers(values)}, None
    if values.ndim == 2:
        return {f"column_{place}": _numbers(values[:, place]) for place in range(values.shape[1])}, None
    raise Refused("wrong_rows", f"expected columns with one value a bar, found {type(result).__name__}")


def _stamps(micros: Any) -> np.ndarray | None:
    return None if micros is None else np.asarray(micros).astype("datetime64[us]")


def _numbers(values: np.ndarray) -> np.ndarray:
    """Text as checksums, times as microseconds, truth as 0 and 1: every column can be compared in one way."""
    if values.ndim != 1:
        raise Refused("wrong_rows", f"expected one value a bar, found an array of shape {values.shape}")
    if values.dtype.kind in "mM":
        out = values.astype("datetime64[us]" if values.dtype.kind == "M" else "timedelta64[us]").astype(np.int64).astype(float)
        return np.where(np.isnat(values), np.nan, out)
    if values.dtype.kind in "biuf":
        plain = values.astype(np.float64)
    else:
        plain = np.array([_number(value) for value in values], dtype=np.float64)
    return np.where(np.isfinite(plain), plain, np.nan)


def _number(value: Any) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, str):
        return float(zlib.crc32(value.encode()))
    try:
        return float(value)
    except (TypeError, ValueError):
        return float(zlib.crc32(str(value).encode()))


def evaluate(function: Callable[[Any], Any], bars: Mapping[str, np.ndarray], form: str) -> dict[str, np.ndarray]:
    """One computation; anything that it raises becomes a refusal that names the line."""
    try:
        result = function(as_table(bars, form))
    except Exception as error:  # noqa: BLE001  the user's code may raise anything: it is told, not hidden
        raise Refused("raised", _where(error, getattr(function, "__code__", None))) from None
    except SystemExit as left:
        raise Refused("raised", _where(left, getattr(function, "__code__", None))) from None
    return as_columns(result, bars)


def _where(error: BaseException, code: Any = None, path: str | None = None) -> str:
    """The error, and the innermost line of the user's own file that led to it."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if isinstance(error, SyntaxError):  # it names its line itself
        return text + (f": {error.text.strip()}" if error.text else "")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    own = path if path is not None else getattr(code, "co_filename", None)
    mine = [frame for frame in frames if frame.filename == own]
    found = mine[-1] if mine else frames[0] if frames else None
    if found is None:
        return text
    return f"{text} (line {found.lineno} of {Path(found.filename).name}{': ' + found.line if found.line else ''})"


def choose(function: Callable[[Any], Any], bars: Mapping[str, np.ndarray], form: str | None) -> str:
    """The form of table that the function takes: as asked, as declared, else the first with which it works."""
    asked = form or form_of(function)
    if asked is not None:
        return asked
    told: list[str] = []
    kinds: list[Refused] = []
    for trial in FORMS:
        try:
            evaluate(function, bars, trial)
        except Refused as refusal:
            told.append(f"{trial}: {refusal.text}")
            kinds.append(refusal)
        except ImportError:
            told.append(f"{trial}: not installed")
        else:
            return trial
    returned = next((refusal for refusal in kinds if refusal.kind != "raised"), None)
    if returned is not None:  # with this form it runs, and what it returns is unfit
        raise returned
    same = {refusal.text for refusal in kinds}
    raise Refused("raised", same.pop() if len(same) == 1 else "with no form of table does it work; " + "; ".join(told))


def serve(path: str, name: str | None, form: str | None) -> None:
    """Load, then answer until the other side is gone."""
    inward, outward = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    try:
        function, found = load(path, name)
    except Refused as refusal:
        send(outward, {"refused": refusal.kind, "text": refusal.text})
        return
    except SystemExit as left:
        send(outward, {"refused": "raised", "text": f"the file ends the program with {left.code} when it is loaded"})
        return
    except Exception as error:  # noqa: BLE001  the same for what loading the file raises
        send(outward, {"refused": "raised", "text": _where(error, path=path)})
        return
    send(outward, {"function": found})
    chosen: str | None = None
    while (message := receive(inward)) is not None:
        _, bars = message
        try:
            chosen = chosen or choose(function, bars, form)
            columns = evaluate(function, bars, chosen)
        except Refused as refusal:
            send(outward, {"refused": refusal.kind, "text": refusal.text})
        else:
            send(outward, {"form": chosen}, columns)


if __name__ == "__main__":
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry).resolve() != Path(here)]
    with contextlib.suppress(BrokenPipeError):
        serve(sys.argv[1], sys.argv[2] or None, sys.argv[3] or None)
