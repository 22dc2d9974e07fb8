"""LEAN map files: which company a ticker meant on which date.

`<permtick>.csv` tells one company's life, a line for each ticker that it had: the date up to which (included) the ticker was in
force, the ticker, and a letter for the exchange. The first line opens it; a last line in 2050 says that it lives, an earlier one
is its delisting (QuantConnect, LEAN Engine, US Equity data format). `permtick` is the newest ticker, with `.1`, `.2` … for
companies that had it earlier: `fb.1` is the company that was `fb` until 2003.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

import polars as pl

from fieldcast.ground import InvalidInput

FOREVER = date(2050, 1, 1)
USA = "USA"     # consolidated United States market: where a file does not say on which exchange the company is listed
MIC = {"N": "XNYS", "Q": "XNAS", "P": "ARCX", "A": "XASE", "Z": "BATS"}
HOLDINGS: dict[str, pl.DataType] = {
    "ticker": pl.String(),      # upper case
    "first": pl.Date(),
    "last": pl.Date(),          # null = still in force
    "permtick": pl.String(),    # upper case; the company
    "venue": pl.String(),       # ISO 10383 of the exchange, `USA` where the file does not say
}


def read_map_file(path: Path) -> pl.DataFrame:
    """One company's tickers, schema `HOLDINGS`, by date.

    Raises
    ------
    InvalidInput : not a map file
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"expected a LEAN map file at {path}, found: {error}") from None
    lines = [line.strip().split(",") for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        raise InvalidInput(f"expected at least two lines in the map file {path.name}, found {len(lines)}")
    entries = []
    for fields in lines:
        if len(fields) not in (2, 3) or not fields[1].strip():
            raise InvalidInput(f"expected date,ticker[,exchange] in the map file {path.name}, found {','.join(fields)[:80]!r}")
        try:
            day = datetime.strptime(fields[0].strip(), "%Y%m%d").date()  # noqa: DTZ007
        except ValueError:
            raise InvalidInput(f"expected a date such as 20140402 in {path.name}, found {fields[0][:80]!r}") from None
        entries.append((day, fields[1].strip().upper(), fields[2].strip().upper() if len(fields) == 3 else ""))
    days = [day for day, _, _ in entries]
    if days != sorted(days):
        raise InvalidInput(f"expected dates in order in the map file {path.name}, found {days}")
    rows: list[dict[str, object]] = []
    first = entries[0][0]
    permtick = path.name.lower().removesuffix(".csv").upper()
    for day, ticker, exchange in entries[1:]:
        last = None if day >= FOREVER else day
        if rows and rows[-1]["ticker"] == ticker:
            rows[-1]["last"] = last
        elif last is None or last >= first:
            rows.append({"ticker": ticker, "first": first, "last": last, "permtick": permtick, "venue": MIC.get(exchange, USA)})
        first = date.fromordinal(day.toordinal() + 1) if last else day
    return pl.DataFrame(rows, schema=HOLDINGS)


def read_map_folder(folder: Path) -> pl.DataFrame:
    """Every company's tickers, schema `HOLDINGS`, by ticker and date.

    Raises
    ------
    InvalidInput : no such folder, no map file in it, or two companies with one ticker on the same day
    """
    files = sorted(folder.glob("*.csv")) if folder.is_dir() else []
    if not files:
        raise InvalidInput(f"expected a folder of LEAN map files at {folder}, found none there")
    return _read_folder(tuple((path, found.st_mtime_ns, found.st_size) for path in files for found in (path.stat(),)))


@lru_cache(maxsize=8)
def _read_folder(files: tuple[tuple[Path, int, int], ...]) -> pl.DataFrame:
    table = pl.concat([read_map_file(path) for path, _, _ in files]).sort("ticker", "first")
    previous = pl.col("last").shift(1).over("ticker")
    followed = pl.col("permtick").shift(1).over("ticker")
    clash = table.with_columns(other=followed, until=previous).filter(
        pl.col("other").is_not_null() & (pl.col("until").is_null() | (pl.col("first") <= pl.col("until")))
    )
    if clash.height:
        row = clash.row(0, named=True)
        raise InvalidInput(
            f"expected one company for a ticker and day, found {row['other']} and {row['permtick']} for {row['ticker']} on "
            f"{row['first']}"
        )
    return table


@dataclass(frozen=True, eq=False)
class MapFiles:
    """A folder's map files as they were read; equal to itself alone, so that what follows from them can be kept by them.

    Parameters
    ----------
    holdings : see `read_map_folder`
    """

    holdings: pl.DataFrame


_SEEN: dict[Path, MapFiles] = {}        # folder → what it held when it was last looked through
_CURRENT: dict[Path, int] = {}          # those of them that need no second look before the next import → their time of change, ns


def look_again() -> None:
    """Look every folder through again before it is used: its files may have been edited. For the start of an import."""
    _CURRENT.clear()


def beside(path: Path, folder: Path | None) -> MapFiles | None:
    """The map files that belong to a data file: those of `folder`, else `<market>/map_files` of LEAN's layout, else none.

    A folder has thousands of them and is asked for with every day's file: within an import it is looked through again only
    where a file came or went. An edited file counts from the next import on (`look_again`).
    """
    if folder is not None:
        return _looked_through(folder)
    parent = os.path.dirname(os.path.abspath(path))     # pathlib's resolve takes longer than reading a day of minutes
    for _ in range(3):
        parent = os.path.dirname(parent)
        if os.path.isdir(f"{parent}/map_files"):
            return _looked_through(Path(parent) / "map_files")
    return None


def _looked_through(folder: Path) -> MapFiles:
    try:
        changed = os.stat(folder).st_mtime_ns
    except OSError:
        raise InvalidInput(f"expected a folder of LEAN map files at {folder}, found none there") from None
    if _CURRENT.get(folder) == changed:
        return _SEEN[folder]
    holdings = read_map_folder(folder)
    known = _SEEN.get(folder)
    found = known if known is not None and known.holdings is holdings else MapFiles(holdings)
    _SEEN[folder], _CURRENT[folder] = found, changed
    return found
