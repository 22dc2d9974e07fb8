"""A CSV or Parquet file as a table of text or typed columns, and its columns by our names."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from fieldcast.ground import InvalidInput

STAMP_COLUMN = "ts"
_GUESSES: dict[str, tuple[str, ...]] = {
    "ts": ("date", "datetime", "timestamp", "time", "ts", "session", "day", "index", "__index_level_0__", ""),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c", "last", "price"),
    "volume": ("volume", "v", "vol"),
}
_COMMA = r"^[+-]?[0-9.]*,[0-9.,]*$"                                  # a number but for its commas
_THOUSANDS = r"^[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?$"
_SURE = r"^[+-]?[1-9][0-9]{0,2}((,[0-9]{3})+\.[0-9]*|(,[0-9]{3}){2,})$"   # and its commas cannot be decimal ones
_DOUBTFUL_SHARE = 0.05      # of a column's cells: more of them are a way of writing numbers, fewer are slips
EMPTY = ("", ".", "-", "nan", "null", "none", "na", "n/a", "#n/a")


def table_from(data: bytes, name: str) -> pl.DataFrame:
    """A table out of a file's unfolded bytes, every line of which must be one; see `table_and_rejects`.

    Raises
    ------
    InvalidInput : it is damaged, or holds no rows
    """
    table, _, refused = table_and_rejects(data, name)
    if refused.height:
        line, text = refused["row"][0] + 2, refused["text"][0]
        raise InvalidInput(f"expected {name} to be CSV with as many fields as its header, found line {line}: {text}")
    return table


def table_and_rejects(data: bytes, name: str) -> tuple[pl.DataFrame, pl.Series, pl.DataFrame]:
    """A table out of a file's unfolded bytes: Parquet, or CSV with every column as text.

    A line of a CSV without quotes that has too many fields, or bytes that are no UTF-8, costs that line alone.

    Returns
    -------
    tuple : the table; the place of each of its rows in the file, from 0 after the header; the rejects (schema `REJECTS`)

    Raises
    ------
    InvalidInput : it is damaged, or holds no rows
    """
    from fieldcast.data.formats.contract import no_rejects

    if not data:
        raise InvalidInput(f"expected a CSV or Parquet file, found {name} empty")
    is_parquet = data[:4] == b"PAR1" or ".parquet" in Path(name).suffixes
    if is_parquet:
        table, places, refused = _parquet(data, name), None, no_rejects()
    else:
        table, places, refused = _csv(data, name)
    if table.is_empty():
        raise InvalidInput(f"expected rows in {name}, found a header and none")
    return table, pl.Series(range(table.height), dtype=pl.Int64) if places is None else places, refused


def _parquet(data: bytes, name: str) -> pl.DataFrame:
    """Through pyarrow, whose reader refuses what a damaged file claims; that of polars may end the whole process over it."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(io.BytesIO(data)) as file:
            table = file.read()
        table.validate(full=True)
        return pl.DataFrame(pl.from_arrow(table))
    except (pyarrow.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise InvalidInput(f"expected {name} to be a whole Parquet file, found: {reason}; fetch it again") from None


def _csv(data: bytes, name: str) -> tuple[pl.DataFrame, pl.Series | None, pl.DataFrame]:
    from fieldcast.data.formats.contract import no_rejects

    separator, names = _header(data, name)
    try:
        data.decode("utf-8-sig")
        table = pl.read_csv(io.BytesIO(data), infer_schema_length=0, separator=separator, encoding="utf8")
    except (UnicodeDecodeError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        read = None if b'"' in data else _by_line(data, separator, names)
        if read is None or read[0].is_empty():
            raise InvalidInput(_fault(data, separator, len(names), name)) from None
        return read
    if len(names) != table.width:
        raise InvalidInput(f"expected the {len(names)} columns of the header in {name}, found {table.width}; is it CSV?")
    return table.rename(dict(zip(table.columns, _told_apart(names), strict=True))), None, no_rejects()


def _header(data: bytes, name: str) -> tuple[str, list[str]]:
    """The separator, and the names of the columns as they are written."""
    start = data.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")
    if not start:
        raise InvalidInput(f"expected a header and rows in {name}, found blank lines")
    try:
        header = start.split(b"\n", 1)[0].decode().splitlines()[0]
    except UnicodeDecodeError as error:
        raise InvalidInput(f"expected a header in UTF-8 in {name}, found byte {error.start} that is not") from None
    separator = max(",;\t|", key=header.count)
    try:
        names = [column.strip() for column in next(csv.reader([header], delimiter=separator))]
    except csv.Error as error:
        raise InvalidInput(f"expected a header line in {name}, found: {error}") from None
    repeated = sorted({column for column in names if column and names.count(column) > 1})
    if repeated:
        raise InvalidInput(f"expected every column of {name} once, found {', '.join(repeated)} repeated")
    return separator, names


def _told_apart(names: list[str]) -> list[str]:
    """One column without a name is an index; several are told apart by their places."""
    return [column or f"column {place}" for place, column in enumerate(names, start=1)] if names.count("") > 1 else names


def _by_line(data: bytes, separator: str, names: list[str]) -> tuple[pl.DataFrame, pl.Series, pl.DataFrame]:
    """A CSV without quotes line by line: a line that is none is a reject. An empty field is null."""
    from fieldcast.data.formats.text import delimited, lines_of

    lines = lines_of(data.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n"))
    safe = [f"column {place}" for place in range(len(names))]
    table, refused = delimited(lines[1:], safe, separator)
    columns = table.select(safe).with_columns(pl.when(pl.col(name) != "").then(name).alias(name) for name in safe)
    return columns.rename(dict(zip(safe, _told_apart(names), strict=True))), table["row"], refused


def _fault(data: bytes, separator: str, width: int, name: str) -> str:
    """Which line of a CSV with quotes makes it unreadable."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return f"expected {name} to be CSV text in UTF-8, found a byte that is not in line {line}"
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        for fields in reader:
            if len(fields) > width:
                found = f"{len(fields)} in line {reader.line_num}"
                return f"expected {name} to be CSV with as many fields as its header, found {found}"
    except csv.Error as error:
        return f"expected {name} to be CSV, found in line {reader.line_num}: {error}"
    return f"expected {name} to be CSV with its quotes closed and lines that end, found other text"


def guessed(header: str) -> set[str]:
    """Our columns that a header line has under their usual names."""
    separator = max(",;\t|", key=header.count)
    found = {name.strip().strip('"').lower() for name in header.split(separator)}
    return {ours for ours, names in _GUESSES.items() if found & set(names)}


def match_columns(found: list[str], columns: Mapping[str, str] | None, name: str) -> dict[str, str]:
    """Our column → the file's: what the caller says, and for the rest the usual names, whatever their case.

    An adjusted close is never taken for the close.

    Raises
    ------
    InvalidInput : an unknown name on either side, two candidates for one column, no time, no close, or only some of
        open, high and low
    """
    chosen = dict(columns or {})
    unknown = [ours for ours in chosen if ours not in _GUESSES]
    if unknown:
        raise InvalidInput(f"expected columns out of {', '.join(_GUESSES)}, found {', '.join(unknown)}")
    absent = [theirs for theirs in chosen.values() if theirs not in found]
    if absent:
        raise InvalidInput(
            f"expected the columns named to be in {name}, missing {', '.join(absent)}; there are {', '.join(found)}"
        )
    free = [theirs for theirs in found if theirs not in chosen.values()]
    for ours, names in _GUESSES.items():
        if ours in chosen:
            continue
        candidates = [theirs for theirs in free if theirs.strip().lower() in names]
        if len(candidates) > 1:
            raise InvalidInput(
                f"expected one column for {ours} in {name}, found {', '.join(candidates)}; say which with columns="
            )
        if candidates:
            chosen[ours] = candidates[0]
    missing = [ours for ours in ("ts", "close") if ours not in chosen]
    prices = [ours for ours in ("open", "high", "low") if ours not in chosen]
    if len(prices) < 3:  # a file may give a close alone, but not half a bar
        missing += prices
    if missing:
        raise InvalidInput(
            f"expected columns for {', '.join(missing)} in {name}, found {', '.join(found)}; map them with columns="
        )
    return chosen


def as_number(column: pl.Series) -> pl.Series:
    """float64; what is no number is null. `inf` stays infinite, to be refused by its own rule.

    Commas between thousands (`1,234.5`) are read where the column leaves no doubt that they are: a point after them, or two of
    them, somewhere in it, and oftener than a comma that cannot part thousands. A few cells in doubt stay unread: they cost
    their rows, not the file.

    Raises
    ------
    InvalidInput : more than one in twenty of the column's cells are numbers with commas that could as well be decimal ones
        (`1,234`), or are (`1,5`)
    """
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        text = text.set(text.str.to_lowercase().is_in(EMPTY), None)
        column = _without_commas(text) if text.str.contains(",", literal=True).any() else text
    return column.cast(pl.Float64, strict=False)


def _without_commas(text: pl.Series) -> pl.Series:
    """The column without the commas that part thousands; cells in doubt keep theirs, and so are no numbers."""
    marked = text.str.contains(_COMMA).fill_null(value=False)
    unparted = marked & ~text.str.contains(_THOUSANDS).fill_null(value=False)
    sure = text.str.contains(_SURE).fill_null(value=False)
    doubtful = unparted if sure.sum() > unparted.sum() else marked
    if doubtful.sum() > _DOUBTFUL_SHARE * (text.len() - text.null_count()):
        example = text.filter(unparted if unparted.any() else doubtful)[0]
        raise InvalidInput(
            f"expected numbers with a point before their decimals in the column {text.name}, found {example}, whose comma may "
            "part thousands or decimals; write them without commas"
        )
    return text.zip_with(~marked | doubtful, text.str.replace_all(",", "", literal=True))
