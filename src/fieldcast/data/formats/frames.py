"""What the readers share: columns into a table's schema, dates into session closes, local times into UTC."""

from __future__ import annotations

import polars as pl

from fieldcast.data._times import from_wall
from fieldcast.data.formats.contract import REJECTS
from fieldcast.ground import Reason
from fieldcast.market import STAMP, Table, sessions


def rows_of(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` in the table's schema: what it lacks is null, `available_at` is `ts` where nothing else is said.

    A value that does not fit its type becomes null, for cleaning to count.
    """
    if "available_at" not in frame.columns:
        frame = frame.with_columns(available_at=pl.col("ts"))
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in table.schema.items() if name not in frame.columns]
    return frame.with_columns(absent).select(pl.col(name).cast(dtype, strict=False) for name, dtype in table.schema.items())


def session_close(day: pl.Series, calendar: str) -> pl.Series:
    """The close of each date's session in UTC; noon of a date that has none, for cleaning to find."""
    closes = sessions(calendar).select("session", "close")
    frame = pl.DataFrame({"session": day.cast(pl.Date)}).join(closes, on="session", how="left", maintain_order="left")
    noon = pl.col("session").cast(STAMP) + pl.duration(hours=12)
    return frame.select(pl.coalesce("close", noon).alias("ts"))["ts"]


def from_zone(local: pl.Series, zone: str, owners: pl.Series | None = None) -> tuple[pl.Series, tuple[str, ...]]:
    """Wall-clock times of a zone in UTC, one that does not occur in spring null; and what had to be assumed.

    In the hour that occurs twice in autumn the order of the file tells which is meant (`data._times.from_wall`). Where it does
    not tell, because only one of the two hours is there, it is the earlier, and the note says so.

    Parameters
    ----------
    owners : whose row each is; none = all are of one
    """
    wall = local.cast(pl.Datetime("us"))
    found = from_wall(wall, zone, owners)
    earlier, later = (wall.dt.replace_time_zone(zone, ambiguous=which, non_existent="null") for which in ("earliest", "latest"))
    doubled = (earlier != later).fill_null(value=False)
    if not doubled.any():
        return found, ()
    who = pl.Series("owner", [""], dtype=pl.String).new_from_index(0, wall.len()) if owners is None else owners.alias("owner")
    late = (found == later.dt.convert_time_zone("UTC")).alias("late")
    rows = pl.DataFrame([who, wall.dt.date().alias("day"), late]).filter(doubled)
    told = rows.select(pl.col("late").any().over("owner", "day"))["late"]
    guessed = int((~told).sum())
    if not guessed:
        return found, ()
    return found, (
        f"{guessed} rows stand in an hour that occurs twice in {zone}, and nothing in the file says in which: "
        "the earlier is assumed",
    )


def rejects(rows: pl.Series | list[int], text: pl.Series | list[str], reason: Reason = Reason.ROW_UNREADABLE) -> pl.DataFrame:
    """Rows that could not be read, in the schema of `REJECTS`."""
    frame = pl.DataFrame({"row": rows, "text": text}, schema={"row": pl.Int64(), "text": pl.String()})
    return frame.select("row", pl.lit(str(reason)).alias("reason"), pl.col("text").str.slice(0, 200)).cast(dict(REJECTS))  # type: ignore[arg-type]
