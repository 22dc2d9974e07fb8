"""The leak test of the user's own code: `fieldcast leaks my_features.py`, `fc.leaks(function, bars)`.

The code is a function from a table of bars (polars, pandas, or a dict of NumPy arrays) to columns with one value a bar. A file is
run in a process of its own, with a time limit; a function that exists only here is called here. Without bars of one's own, the
real daily bars that come with the package are used, so that it works offline.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from fieldcast.data import BUNDLED, load_instrument, read_bundled
from fieldcast.ground import InvalidInput, MissingData, Settings, load_settings
from fieldcast.validation.leaks import CallRunner, FileRunner, LeakReport, check_leaks
from fieldcast.validation.leaks.page import write_page
from fieldcast.validation.leaks.runner import LIMIT
from fieldcast.workflows.progress import Progress, silent

ROWS = 1_000
DEFAULT = "nasdaq"
_TIMES = ("ts", "date", "datetime", "timestamp", "time")


def leaks(
    code: Path | str | Callable[[Any], Any],
    bars: pl.DataFrame | Any | None = None,
    *,
    function: str | None = None,
    data: str | None = None,
    file: Path | None = None,
    rows: int = ROWS,
    warmup: int | None = None,
    decision: str = "close",
    form: str | None = None,
    strict: bool = False,
    limit: float = LIMIT,
    seed: int = 0,
    page: Path | None = None,
    settings: Settings | None = None,
    progress: Progress = silent,
) -> LeakReport:
    """Say which column of the user's code looks ahead, when, how far and why.

    Parameters
    ----------
    code : a Python file, or a function of this process
    bars : polars or pandas table with ts (or a date) and close; None = `data` or `file`
    function : name of the file's function, where it has several
    data : a bundled series (nasdaq, sp500) or the id of a stored instrument; None = nasdaq, where no other bars are given
    file : CSV or Parquet file of bars
    rows : the last so many times are used
    warmup : rows after which no value may depend on where the history began; None = measured only
    decision : `close` or `open`: what of its own bar a row may use
    form : polars, pandas or arrays; None = as the function declares, else the first that works
    strict : columns that move with the level of prices fail too
    limit : seconds that one computation may take
    page : write the result as an HTML page to this file
    settings : of the workspace that holds `data`; None = the machine's

    Raises
    ------
    CodeFault : the code gives no columns to judge: it is not there, raises, hangs, ends its process, returns another number of
        rows, or knows nothing
    InvalidInput, MissingData : bars that are not fit, or several sources of bars
    """
    given = [name for name, value in (("bars", bars), ("data", data), ("file", file)) if value is not None]
    if len(given) > 1:
        raise InvalidInput(f"expected one source of bars, found {' and '.join(given)}")
    if rows < 1:
        raise InvalidInput(f"expected at least one row, found {rows}")
    table, name, simulated = _bars(bars, data, file, settings)
    times = table["ts"].unique().sort().tail(rows)
    table = table.filter(pl.col("ts") >= times[0]) if times.len() else table
    settled: dict[str, Any] = {"data": name, "simulated": simulated, "warmup": warmup, "decision": decision, "strict": strict}
    settled |= {"seed": seed, "progress": progress}
    if callable(code):
        report = check_leaks(CallRunner(code, form=form, limit=limit), table, **settled)
    else:
        with FileRunner(Path(code), name=function, form=form, limit=limit) as runner:
            report = check_leaks(runner, table, **settled)
    if page is not None:
        write_page(report, page)
    return report


def _bars(bars: Any, data: str | None, file: Path | None, settings: Settings | None) -> tuple[pl.DataFrame, str, bool]:
    """The table with `ts`, what it is called, and whether it is simulated."""
    if bars is not None:
        return _own(bars), "your bars", False
    if file is not None:
        return _own(_read(file)), file.name, False
    wanted = data or DEFAULT
    if wanted in BUNDLED:
        instrument, table, _ = read_bundled(wanted)
        return table, f"{instrument.id} (bundled)", False
    from fieldcast.workflows.workspace import open_workspace

    with open_workspace(settings=settings or load_settings()) as workspace:
        stored = load_instrument(workspace.ledger, wanted)
        table = workspace.store.read(wanted)
        if table.is_empty():
            raise MissingData(f"expected bars of {wanted}, found none; import a file first, or name one of {', '.join(BUNDLED)}")
        held = workspace.store.datasets().filter((pl.col("instrument") == wanted) & (pl.col("table") == "bars/1d"))
        return table, wanted, stored.simulated or bool(held["simulated"].any())


def _read(file: Path) -> pl.DataFrame:
    if not file.is_file():
        raise MissingData(f"expected a file of bars, found none at {file}")
    try:
        return pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file, try_parse_dates=True)
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"expected a CSV or Parquet file of bars in {file}, found {error}") from None


def _own(bars: Any) -> pl.DataFrame:
    """A user's table with names in lower case, and its time as `ts`."""
    return _timed(_as_polars(bars))


def _as_polars(bars: Any) -> pl.DataFrame:
    if not isinstance(bars, pl.DataFrame):
        if type(bars).__module__.split(".")[0] != "pandas":
            raise InvalidInput(f"expected a polars or pandas table of bars, found {type(bars).__name__}")
        kept = bars.reset_index(names="ts") if bars.index.dtype.kind == "M" and "ts" not in bars.columns else bars
        return pl.DataFrame({str(name): kept[name].to_numpy() for name in kept.columns})
    return bars


def _timed(bars: pl.DataFrame) -> pl.DataFrame:
    table = bars.rename({name: name.lower() for name in bars.columns})
    found = next((name for name in _TIMES if name in table.columns), None)
    if found is None:
        raise InvalidInput(f"expected bars with a time (one of {', '.join(_TIMES)}), found {', '.join(bars.columns[:8])}")
    if not table[found].dtype.is_temporal():
        raise InvalidInput(f"expected dates or times in {found}, found {table[found].dtype}; write them as 2024-01-31")
    stamps = table[found].cast(pl.Datetime("us")) if table[found].dtype == pl.Date else table[found]
    zone = getattr(stamps.dtype, "time_zone", None)
    plain = stamps.dt.replace_time_zone("UTC") if zone is None else stamps.dt.convert_time_zone("UTC")
    return table.drop(found).with_columns(plain.cast(pl.Datetime("us", "UTC")).alias("ts"))
