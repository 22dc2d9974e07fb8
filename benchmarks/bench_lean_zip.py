"""Reading LEAN zips beside pandas doing the same: unzip, parse, scale, local bar starts to UTC bar ends, ids and `available_at`.

The files are made here in LEAN's layout out of a random walk: minutes of a share's day with pre- and post-market, its quotes,
a day of seconds, minutes of a thousand option contracts. Both sides start from the path and end with the same columns, which are
compared before anything is timed.

Time is that of the processor, one thread a side: what other programs do on the machine does not enter. Beside each pair stand the
floors of anything that takes the same two steps with the tools at hand: unfolding alone (zlib), and parsing the unfolded bytes
alone (polars' and pandas' bare `read_csv`, neither with times, ids or scales). A day of seconds is little else: pandas is about
three times its own floor there, and tenfold is out of reach for whoever unfolds and parses at all.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import time
import zipfile
import zlib
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
from fieldcast.data.formats.lean_text import read_numbers

COVERS = (
    "src/fieldcast/data/formats/lean_bars.py", "src/fieldcast/data/formats/lean_text.py",
    "src/fieldcast/data/formats/lean_kernels.py", "src/fieldcast/data/formats/lean_paths.py",
    "src/fieldcast/data/formats/_zip.py",
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


def floors(path: Path) -> dict[str, float]:
    """Milliseconds of unfolding alone and of parsing alone, the fastest of the rounds."""
    with zipfile.ZipFile(path) as archive:
        (entry,) = archive.infolist()
        text = archive.read(entry)
    raw = path.read_bytes()
    start = entry.header_offset + 30 + len(entry.filename)
    packed = raw[start : start + entry.compress_size]
    kinds: dict[str, Callable[[], object]] = {
        "unfold_zlib": lambda: zlib.decompress(packed, -zlib.MAX_WBITS, entry.file_size),
        "parse_polars": lambda: pl.read_csv(text, has_header=False),
        "parse_pandas": lambda: pd.read_csv(io.BytesIO(text), header=None),
        "unfold_ours": lambda: Source(path).member_array(entry.filename),
        "parse_ours": lambda: read_numbers(text, text.split(b"\n", 1)[0].count(b",") + 1),
    }
    times = 20 if len(text) < 1 << 20 else 2
    return {name: round(min(seconds(work, times) for _ in range(ROUNDS)) * 1e3, 3) for name, work in kinds.items()}


def seconds(work: Callable[[], object], times: int) -> float:
    """Of the processor, for each time."""
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) / times


def compared(mine: Callable[[], object], other: Callable[[], object], times: int, rounds: int) -> list[tuple[float, float]]:
    """Milliseconds of both, side by side."""
    return [(seconds(mine, times) * 1e3, seconds(other, times) * 1e3) for _ in range(rounds)]


def summary(pairs: list[tuple[float, float]]) -> dict[str, float]:
    """The ratio's median and range, and the median milliseconds of either."""
    ratios = sorted(there / here for here, there in pairs)
    ours, pandas = (float(np.median(side)) for side in zip(*pairs, strict=True))
    figures = {"ratio": ratios[len(ratios) // 2], "low": ratios[0], "high": ratios[-1], "ms_ours": ours, "ms_pandas": pandas}
    return {name: round(value, 3) for name, value in figures.items()}


if __name__ == "__main__":
    random = np.random.default_rng(SEED)
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for resolution, kind in (("minute", "trade"), ("minute", "quote"), ("second", "trade"), ("second", "quote")):
            path = written(Path(scratch), resolution, kind, random)
            same(path, resolution, kind)
            times = 50 if resolution == "minute" else 4
            pairs = compared(
                lambda: ours(path, resolution, kind),       # noqa: B023
                lambda: theirs(path, resolution, kind),     # noqa: B023
                times, ROUNDS,
            )
            found[f"{resolution} {kind}"] = summary(pairs) | floors(path)
        path = option_zip(Path(scratch), random)
        same_options(path)
        found["minute option quote"] = summary(compared(lambda: options_ours(path), lambda: options_theirs(path), 1, 3))
    minutes = found["minute trade"]
    print(json.dumps({
        "claim": "speed of reading a LEAN minute zip over pandas doing the same, one thread (median and range of rounds)",
        "estimate": minutes["ratio"],
        "low": minutes["low"],
        "high": minutes["high"],
        "n": ROUNDS,
        "seed": SEED,
        "each": found,
    }))
