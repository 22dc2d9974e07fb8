"""How sharp are cones of Bitcoin's next 15 minutes, beside the quantiles of the last day?

Minute bars of three files: Binance 2024-12 and 2025-03 (liquid), Bitfinex 2019-01 to 2019-04 (thin: minutes without trades are
absent). A forecast at every minute whose 15 next ones are there, scored on the last 70 % of each file. The benchmark is the
empirical distribution of the 15-minute returns of the last 1,440 rows, renewed at every minute. Ours are the cones of
`fieldcast.projection.cones.MinuteExperts`: five experts (scales from ranges and trees, symmetric shapes), aggregated online.
Beside the minutes they see, where there are any,

    hours     Binance's hourly bars of BTCUSDT from 2022 on, each from its end: the seasonality of the week, the last week's level
    earlier   the minute files that end before: rows that steady the regressions of the first days

    CRPS    2 * trapezoid of the pinball loss over nine levels, .05 to .95: what lies beyond the outer two is left out
    whole   2 * integral over 0 to 1, the loss beyond an outer level taken as the one at it (why both: evidence_cones_panel.py)
    IS90    interval score of the 90 % band
    ratios to the benchmark with 95 % intervals from a bootstrap of whole days (UTC)

Flat returns are kept. Members, windows and terms were chosen on the Bitfinex file and on Binance's hours of 2022 (about 60
variants; the Bitfinex row is therefore no test), the trees on Bitfinex's BTC and ETH minutes of 2019 (52 more: 34 of columns and
settings, 18 of how they join the experts). Each set was frozen and then scored on the liquid months once. This is the third:

    CRPS, 90 % band, CRPS with its ends
    1   0.9755 (0.971 to 0.980), 0.902 (0.883 to 0.921)                               no ranges, no mirrored shapes
    2   0.9705 (0.965 to 0.976), 0.880 (0.862 to 0.898), 0.967 (0.961 to 0.972)       no trees

The second had been scored from each month's minutes alone, too. The best single member of the first, time of day with scores of
5 days, is printed beside ours. Needs the folder of the crypto files: FIELDCAST_REALDATA, or the first argument.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from fieldcast.evaluation import interval_score, pinball, skill_interval
from fieldcast.market import BARS
from fieldcast.models.volatility import TimeOfDay
from fieldcast.projection.cones import CONE_LEVELS, MinuteExperts, minute_scales, window_quantiles

COVERS = (
    "src/fieldcast/models/volatility/range_scale.py",
    "src/fieldcast/models/volatility/seasonality.py",
    "src/fieldcast/models/volatility/tree_scale.py",
    "src/fieldcast/models/volatility/weekly_profile.py",
    "src/fieldcast/projection/cones/aggregate.py",
    "src/fieldcast/projection/cones/minutes.py",
)
HORIZON, DAY, SEED, DRAWS = 15, 1440, 7, 2000
SCORED = 0.7  # the last part of each file
MINIMUM = 500  # scores below which a forecaster says nothing
AIM_CRPS, AIM_IS90 = 0.965, 0.88
TAU = np.array(CONE_LEVELS)
HOURS = "binance_klines/BTCUSDT_1h.csv.gz"  # of the liquid months' venue
FILES = {  # oldest first
    "Bitfinex 2019-01..04": "bitfinex_1m/BTCUSD_2019-01_2019-04_1m.csv.gz",
    "Binance 2024-12": "binance_BTCUSDT_1m_2024-12_with_trades.csv.gz",
    "Binance 2025-03": "binance_1m_utc/BTCUSDT_marzo_2025_1m.csv.gz",
}
LIQUID = ("Binance 2024-12", "Binance 2025-03")


def load(path: Path) -> pl.DataFrame:
    """Minute bars, ts = end of the bar, UTC."""
    raw = pl.read_csv(path)
    if "timestamp_ms" in raw.columns:
        ts = pl.from_epoch(raw["timestamp_ms"] + 60_000, "ms")
    elif "timestamp" in raw.columns:
        ts = raw["timestamp"].str.to_datetime("%Y-%m-%d %H:%M:%S").dt.offset_by("1m")
    else:  # a close stamp of one millisecond before the minute, with its offset
        closed = raw["close_datetime"].str.to_datetime("%Y-%m-%d %H:%M:%S%.f%z").dt.convert_time_zone("UTC")
        ts = closed.dt.replace_time_zone(None).dt.offset_by("1ms")
    ts = ts.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return as_bars(raw, ts)


def hourly(path: Path) -> pl.DataFrame:
    """Hourly bars, ts = end of the bar, UTC."""
    raw = pl.read_csv(path)
    ts = pl.from_epoch(raw["open_time_ms"] + 3_600_000, "ms").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return as_bars(raw, ts)


def as_bars(raw: pl.DataFrame, ts: pl.Series) -> pl.DataFrame:
    prices = {name: raw[name].cast(pl.Float64) for name in ("open", "high", "low", "close", "volume")}
    made = {"instrument": ["BTC"] * raw.height, "ts": ts, "available_at": ts, **prices, "reasons": [None] * raw.height}
    return pl.DataFrame(made, schema_overrides=dict(BARS)).select(list(BARS)).unique("ts").sort("ts")


def cones(
    bars: pl.DataFrame, hours: pl.DataFrame | None, earlier: list[pl.DataFrame]
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Days (n,), 15-minute returns (n,), quantiles by forecaster (n, 9), and where the last 70 % begins."""
    ts = bars["ts"].dt.timestamp("us").to_numpy()
    price = np.log(bars["close"].to_numpy())
    wanted = ts + HORIZON * 60_000_000
    place = np.minimum(np.searchsorted(ts, wanted), len(ts) - 1)
    ret = np.where(ts[place] == wanted, price[place] - price, np.nan)
    sigma = TimeOfDay("UTC", around_the_clock=True).path(bars, HORIZON).sigma
    scores = window_quantiles((ret / sigma)[:, None], HORIZON, 5 * DAY, MINIMUM, TAU)[:, 0]
    scales = minute_scales(bars, HORIZON, hours=hours, earlier=earlier)
    made = {
        "rolling": window_quantiles(ret[:, None], HORIZON, DAY, MINIMUM, TAU)[:, 0],
        "time of day, 5 d": np.sort(scores * sigma[:, None], axis=1),
        "ours": MinuteExperts(scales, MINIMUM).quantiles(ret, horizon=HORIZON),
    }
    ready = np.all([np.isfinite(one).all(axis=1) for one in made.values()], axis=0)
    scored = ready & np.isfinite(ret) & (np.arange(len(ts)) >= (1.0 - SCORED) * len(ts))
    return ts // 86_400_000_000, ret, made, scored


def crps(quantiles: np.ndarray, y: np.ndarray) -> np.ndarray:
    losses = np.column_stack([pinball(quantiles[:, k], y, float(tau)) for k, tau in enumerate(TAU)])
    return 2.0 * np.trapezoid(losses, TAU, axis=1)


def with_ends(crps_of: np.ndarray, is90: np.ndarray) -> np.ndarray:
    """CRPS over 0 to 1; the interval score is 2 / (1 - .9) times the two outer losses."""
    return crps_of + 2.0 * TAU[0] * 0.05 * is90


def ratio(ours: np.ndarray, base: np.ndarray, days: np.ndarray) -> dict[str, float]:
    found = skill_interval(ours, base, dates=days, block=1.0, draws=DRAWS, seed=SEED)
    return {"ratio": 1.0 - found.estimate, "low": 1.0 - found.high, "high": 1.0 - found.low, "n": int(found.n)}


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(os.environ["FIELDCAST_REALDATA"]) / "crypto"
    started, losses, table = time.perf_counter(), {}, {}
    seen: list[pl.DataFrame] = []
    for name, file in FILES.items():
        bars = load(folder / file)
        liquid = name in LIQUID
        day, ret, made, scored = cones(bars, hourly(folder / HOURS) if liquid else None, list(seen))
        seen.append(bars)
        y, days = 1e4 * ret[scored], day[scored]
        low, high = 0, len(TAU) - 1
        by = {
            model: (crps(1e4 * q[scored], y), interval_score(1e4 * q[scored, low], 1e4 * q[scored, high], y, 0.90))
            for model, q in made.items()
        }
        losses[name] = (days, by)
        rows = {}
        base, band = by["rolling"]
        for model, (one, other) in by.items():
            q = 1e4 * made[model][scored]
            inside = {share: (y >= q[:, edge]) & (y <= q[:, -1 - edge]) for share, edge in ((90, 0), (75, 1), (50, 2))}
            cover = {f"cover_{share}": float(found.mean()) for share, found in inside.items()}
            rows[model] = {
                "crps_bps": float(one.mean()),
                "whole_bps": float(with_ends(one, other).mean()),
                "crps": ratio(one, base, days) if model != "rolling" else None,
                "whole": ratio(with_ends(one, other), with_ends(base, band), days) if model != "rolling" else None,
                "is90": ratio(other, band, days) if model != "rolling" else None,
                **cover,
            }
        table[name] = rows
        for model, figures in rows.items():
            print(name, model, json.dumps(figures))
    days = np.concatenate([losses[name][0] for name in LIQUID])
    one, other = (
        [np.concatenate([losses[name][1][model][place] for name in LIQUID]) for model in ("ours", "rolling")] for place in (0, 1)
    )
    sharp, width = ratio(one[0], one[1], days), ratio(other[0], other[1], days)
    whole = ratio(with_ends(one[0], other[0]), with_ends(one[1], other[1]), days)
    print(
        json.dumps(
            {
                "claim": "CRPS of Bitcoin's 15-minute cones over the last day's quantiles, two liquid months",
                "estimate": sharp["ratio"],
                "low": sharp["low"],
                "high": sharp["high"],
                "n": sharp["n"],
                "seed": SEED,
                "whole_crps": whole,
                "interval_score_90": width,
                "days": len(np.unique(days)),
                "met": {
                    "crps without its ends": sharp["ratio"] <= AIM_CRPS,
                    "crps with its ends": whole["ratio"] <= AIM_CRPS,
                    "is90": width["ratio"] <= AIM_IS90,
                },
                "seconds": time.perf_counter() - started,
            }
        )
    )
