"""Reading LEAN zips beside pandas doing the same: unzip, parse, scale, local bar starts to UTC bar ends, ids and `available_at`.

The files are made here in LEAN's layout out of a random walk: minutes of a share's day with pre- and post-market, its quotes,
a day of seconds, minutes of a thousand option contracts. Both sides start from the path and end with the same columns, which are
compared before anything is timed. Unzipping is common to both: in a day of seconds it takes most of the time of either.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import polars as pl

from fieldcast.data.formats import Options, Source
from fieldcast.data.formats.lean_bars import LEAN_BARS
from fieldcast.data.formats.lean_options import LEAN_OPTIONS

COVERS = (
    "src/fieldcast/data/formats/lean_bars.py", "src/fieldcast/data/formats/lean_text.py",
    "src/fieldcast/data/formats/lean_kernels.py", "src/fieldcast/data/formats/lean_paths.py",
    "src/fieldcast/data/formats/lean_instruments.py", "src/fieldcast/data/formats/lean_options.py",
)
ROUNDS, SEED, DAY = 15, 7, "20140605"
MINUTES, SECONDS = 960, 57_600   # 04:00 to 20:00
CONTRACTS, CONTRACT_ROWS = 1000, 120
OPTION_READERS = {format.name: format for format in LEAN_OPTIONS}
READERS = {format.name: format for format in LEAN_BARS}
OPTIONS = Options(now=datetime(2026, 1, 1, tzinfo=UTC))
SIDE = ("open", "high", "low", "close")
FIELDS = {
    "trade": ["ms", *SIDE, "volume"],
    "quote": ["ms", *(f"bid_{part}" for part in SIDE), "bid_size", *(f"ask_{part}" for part in SIDE), "ask_size"],
}


def written(folder: Path, resolution: str, kind: str, random: np.random.Generator) -> Path:
    """One LEAN zip of a day."""
    rows, step = (MINUTES, 60_000) if resolution == "minute" else (SECONDS, 1000)
    close = 100 * np.round(64_500 * np.exp(np.cumsum(random.normal(0, 1e-4, rows)))).astype(int)   # whole cents
    wide = 100 * random.integers(0, 9, (3, rows))
    around = [close - wide[0], close + wide[1], close - wide[0] - wide[2], close]
    size = 100 * random.integers(1, 50, rows)
    columns = [14_400_000 + step * np.arange(rows), *around, size]
    if kind == "quote":
        columns += [part + 200 for part in around] + [size[::-1]]
    text = "\n".join(",".join(map(str, row)) for row in zip(*columns, strict=True)) + "\n"
    path = folder / "equity" / "usa" / resolution / "aapl" / f"{DAY}_{kind}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{DAY}_aapl_{resolution}_{kind}.csv", text)
    return path


def ours(path: Path, resolution: str, kind: str) -> pl.DataFrame:
    return next(READERS[f"lean-{resolution}-{kind}"].read(Source(path), OPTIONS)).rows


def theirs(path: Path, resolution: str, kind: str) -> pd.DataFrame:
    """What a pandas user writes for it."""
    names = FIELDS[kind]
    frame = pd.read_csv(path, header=None, names=names)
    prices = [name for name in names if name.split("_")[-1] in SIDE]
    frame[prices] = frame[prices] / 10_000
    span = pd.Timedelta(minutes=1) if resolution == "minute" else pd.Timedelta(seconds=1)
    local = pd.Timestamp(DAY) + pd.to_timedelta(frame.pop("ms"), unit="ms")
    ts = local.dt.tz_localize("America/New_York").dt.tz_convert("UTC") + span
    frame.insert(0, "instrument", "USA:AAPL")
    frame.insert(1, "ts", ts)
    frame.insert(2, "available_at", ts)
    opened, closed = (pd.Timestamp(f"{DAY} {clock}", tz="America/New_York").tz_convert("UTC") for clock in ("09:30", "16:00"))
    outside = (ts <= opened) | (ts - span >= closed)
    frame["reasons"] = np.where(outside, "outside_hours", None)
    return frame


def option_zip(folder: Path, random: np.random.Generator) -> Path:
    """The minute quotes of an option chain: one member a contract, as LEAN writes them."""
    path = folder / "option" / "usa" / "minute" / "aapl" / f"{DAY}_quote_american.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(CONTRACTS):
            bid = 100 * random.integers(100, 900, (CONTRACT_ROWS, 1)) + np.array([0, 100, -100, 0])
            stamp = 34_200_000 + 60_000 * np.arange(CONTRACT_ROWS)
            size = random.integers(1, 50, CONTRACT_ROWS)
            rows = np.column_stack([stamp, bid, size, bid + 300, size])
            text = "\n".join(",".join(map(str, row)) for row in rows.tolist()) + "\n"
            right = "call" if k % 2 else "put"
            archive.writestr(f"{DAY}_aapl_minute_quote_american_{right}_{4_000_000 + 10_000 * (k // 2)}_20140719.csv", text)
    return path


def options_ours(path: Path) -> pl.DataFrame:
    return next(OPTION_READERS["lean-option-quote"].read(Source(path), OPTIONS)).rows


def options_theirs(path: Path) -> pd.DataFrame:
    """A frame a contract, joined, then the same conversions at once."""
    frames = []
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                frame = pd.read_csv(file, header=None, names=FIELDS["quote"])
            *_, right, strike, expiry = member.removesuffix(".csv").split("_")
            frame["right"], frame["strike"], frame["expiry"] = right, int(strike) / 10_000, expiry
            frame["contract_id"] = f"{'AAPL':<6}{expiry[2:]}{right[0].upper()}{int(strike) // 10:08d}"
            frames.append(frame)
    whole = pd.concat(frames, ignore_index=True)
    local = pd.Timestamp(DAY) + pd.to_timedelta(whole.pop("ms"), unit="ms")
    whole["ts"] = local.dt.tz_localize("America/New_York").dt.tz_convert("UTC") + pd.Timedelta(minutes=1)
    whole["available_at"] = whole["quote_ts"] = whole["ts"]
    whole["bid"], whole["ask"] = whole["bid_close"] / 10_000, whole["ask_close"] / 10_000
    expiry = pd.to_datetime(whole["expiry"]) - pd.Timedelta(days=1) + pd.Timedelta(hours=16)     # a Saturday's Friday
    whole["expiry_ts"] = expiry.dt.tz_localize("America/New_York").dt.tz_convert("UTC")
    whole["instrument"], whole["root"], whole["multiplier"] = "USA:AAPL", "AAPL", 100.0
    return whole


def same(path: Path, resolution: str, kind: str) -> None:
    """Refuse to time two things that differ."""
    mine, other = ours(path, resolution, kind), theirs(path, resolution, kind)
    for name in mine.columns:
        left, right = mine[name], pl.Series(name, pl.from_pandas(other)[name])
        if name in ("ts", "available_at"):
            right = right.cast(left.dtype)
        assert left.equals(right.cast(left.dtype), null_equal=True), name


def same_options(path: Path) -> None:
    mine, other = options_ours(path), pl.from_pandas(options_theirs(path))
    for name in ("ts", "contract_id", "strike", "right", "expiry_ts", "bid", "ask", "bid_size", "ask_size"):
        assert mine[name].equals(other[name].cast(mine[name].dtype)), name


def seconds(work: Callable[[], object], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - started) / times


if __name__ == "__main__":
    random = np.random.default_rng(SEED)
    found: dict[str, list[float]] = {}
    spent: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for resolution, kind in (("minute", "trade"), ("minute", "quote"), ("second", "trade"), ("second", "quote")):
            path = written(Path(scratch), resolution, kind, random)
            same(path, resolution, kind)
            times = 50 if resolution == "minute" else 4
            pairs = [
                (
                    seconds(lambda: ours(path, resolution, kind), times),      # noqa: B023
                    seconds(lambda: theirs(path, resolution, kind), times),    # noqa: B023
                )
                for _ in range(ROUNDS)
            ]
            name = f"{resolution} {kind}"
            found[name] = sorted(there / here for here, there in pairs)
            spent[name] = (min(here for here, _ in pairs) * 1e3, min(there for _, there in pairs) * 1e3)
        path = option_zip(Path(scratch), random)
        same_options(path)
        pairs = [(seconds(lambda: options_ours(path), 1), seconds(lambda: options_theirs(path), 1)) for _ in range(3)]
        found["minute option quote"] = sorted(there / here for here, there in pairs)
        spent["minute option quote"] = (min(here for here, _ in pairs) * 1e3, min(there for _, there in pairs) * 1e3)
    ratios = found["minute trade"]
    print(json.dumps({
        "claim": "speed of reading a LEAN minute zip over pandas doing the same, one thread (median and range of rounds)",
        "estimate": ratios[ROUNDS // 2],
        "low": ratios[0],
        "high": ratios[-1],
        "n": ROUNDS,
        "seed": SEED,
        "others": {name: values[len(values) // 2] for name, values in found.items()},
        "milliseconds_ours_and_pandas": spent,
    }))
