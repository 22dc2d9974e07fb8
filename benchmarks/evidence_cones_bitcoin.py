"""How sharp are cones of Bitcoin's next 15 minutes, beside the quantiles of the last day?

Minute bars of three files: Binance 2024-12 and 2025-03 (liquid), Bitfinex 2019-01 to 2019-04 (thin: minutes without trades are
absent). A forecast at every minute whose 15 next ones are there, scored on the last 70 % of each file. The benchmark is the
empirical distribution of the 15-minute returns of the last 1,440 rows. Ours is the online aggregation (Bernstein) of five
forecasters, among them that benchmark; experts and settings were written down before the first run and none was tried twice:

    time of day    TimeOfDay's sigma x quantiles of its scores of 5 days, and of 1 day
    level          the same sigma without a time of day x 5 days
    EWMA           half-life 60 minutes x 5 days
    rolling        the benchmark

    CRPS    2 * trapezoid of the pinball loss over nine levels; IS90 the interval score of the 90 % band
    ratios to the benchmark with 95 % intervals from a bootstrap of whole days (UTC)

Flat returns are kept. The months have been looked at by the study whose anchors these are (.967 to .971 and .885 to .895).
Needs the folder of the shared crypto files: FIELDCAST_REALDATA, or the first argument.
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
from fieldcast.projection.cones import CONE_LEVELS, Experts, window_quantiles

COVERS = ("src/fieldcast/models/volatility/seasonality.py", "src/fieldcast/projection/cones")
HORIZON, DAY, SEED, DRAWS = 15, 1440, 7, 2000
SCORED = 0.7  # the last part of each file
MINIMUM = 500  # scores below which an expert says nothing
AIM_CRPS, AIM_IS90 = 0.965, 0.88
TAU = np.array(CONE_LEVELS)
FILES = {
    "Binance 2024-12": "binance_BTCUSDT_1m_2024-12_with_trades.csv.gz",
    "Binance 2025-03": "binance_1m_utc/BTCUSDT_marzo_2025_1m.csv.gz",
    "Bitfinex 2019-01..04": "bitfinex_1m/BTCUSD_2019-01_2019-04_1m.csv.gz",
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
    prices = {name: raw[name].cast(pl.Float64) for name in ("open", "high", "low", "close", "volume")}
    made = {"instrument": ["BTC"] * raw.height, "ts": ts, "available_at": ts, **prices, "reasons": [None] * raw.height}
    return pl.DataFrame(made, schema_overrides=dict(BARS)).select(list(BARS)).unique("ts").sort("ts")


def cones(bars: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Days (n,), 15-minute returns (n,), quantiles by forecaster (n, 9), and where the last 70 % begins."""
    ts = bars["ts"].dt.timestamp("us").to_numpy()
    close = bars["close"].to_numpy()
    price = np.log(close)
    wanted = ts + HORIZON * 60_000_000
    place = np.minimum(np.searchsorted(ts, wanted), len(ts) - 1)
    ret = np.where(ts[place] == wanted, price[place] - price, np.nan)
    step = np.where(np.diff(ts, prepend=ts[0]) == 60_000_000, np.diff(price, prepend=price[0]), np.nan)
    sigmas = {
        "time of day": TimeOfDay("UTC", around_the_clock=True).path(bars, HORIZON).sigma,
        "level": TimeOfDay("UTC", around_the_clock=True, seasonal=False).path(bars, HORIZON).sigma,
        "ewma": np.sqrt(HORIZON * ewma(step**2, 60.0)),
    }
    made = {"rolling": window_quantiles(ret[:, None], HORIZON, DAY, MINIMUM, TAU)[:, 0]}
    for name, days in (("time of day", 5), ("time of day", 1), ("level", 5), ("ewma", 5)):
        sigma = sigmas[name]
        scores = window_quantiles((ret / sigma)[:, None], HORIZON, days * DAY, MINIMUM, TAU)[:, 0]
        made[f"{name}, {days} d"] = np.sort(scores * sigma[:, None], axis=1)
    ready = np.all([np.isfinite(one).all(axis=1) for one in made.values()], axis=0)
    scale = np.where(ready, np.maximum(sigmas["time of day"], 1e-6), np.nan)
    experts = [np.where(ready[:, None], one, np.nan)[:, None] for one in made.values()]
    mixed = Experts(smooth=1.0).combine(experts, ret[:, None], scale[:, None], horizon=HORIZON)
    made["ours"] = mixed.quantiles[:, 0]
    scored = ready & np.isfinite(ret) & (np.arange(len(ts)) >= (1.0 - SCORED) * len(ts))
    return ts // 86_400_000_000, ret, made, scored


def ewma(square: np.ndarray, half_life: float) -> np.ndarray:
    """Exponential mean of the known squares up to each row; the unknown are passed over."""
    keep, out, level = 0.5 ** (1.0 / half_life), np.full(len(square), np.nan), float(np.nanmean(square[:DAY]))
    for row, value in enumerate(square.tolist()):
        if value == value:
            level = keep * level + (1.0 - keep) * value
        out[row] = level
    out[:DAY] = np.nan  # its start is a mean of that day
    return np.where(out > 0, out, np.nan)


def crps(quantiles: np.ndarray, y: np.ndarray) -> np.ndarray:
    losses = np.column_stack([pinball(quantiles[:, k], y, float(tau)) for k, tau in enumerate(TAU)])
    return 2.0 * np.trapezoid(losses, TAU, axis=1)


def ratio(ours: np.ndarray, base: np.ndarray, days: np.ndarray) -> dict[str, float]:
    found = skill_interval(ours, base, dates=days, block=1.0, draws=DRAWS, seed=SEED)
    return {"ratio": 1.0 - found.estimate, "low": 1.0 - found.high, "high": 1.0 - found.low, "n": int(found.n)}


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(os.environ["FIELDCAST_REALDATA"]) / "crypto"
    started, losses, table = time.perf_counter(), {}, {}
    for name, file in FILES.items():
        day, ret, made, scored = cones(load(folder / file))
        y, days = 1e4 * ret[scored], day[scored]
        low, high = 0, len(TAU) - 1
        by = {
            model: (crps(1e4 * q[scored], y), interval_score(1e4 * q[scored, low], 1e4 * q[scored, high], y, 0.90))
            for model, q in made.items()
        }
        losses[name] = (days, by)
        rows = {}
        for model, (one, other) in by.items():
            q = 1e4 * made[model][scored]
            inside = {share: (y >= q[:, edge]) & (y <= q[:, -1 - edge]) for share, edge in ((90, 0), (75, 1), (50, 2))}
            cover = {f"cover_{share}": float(found.mean()) for share, found in inside.items()}
            rows[model] = {
                "crps_bps": float(one.mean()),
                "crps": ratio(one, by["rolling"][0], days) if model != "rolling" else None,
                "is90": ratio(other, by["rolling"][1], days) if model != "rolling" else None,
                **cover,
            }
        table[name] = rows
        for model, figures in rows.items():
            print(name, model, json.dumps(figures))
    days = np.concatenate([losses[name][0] for name in LIQUID])
    one, other = (
        [np.concatenate([losses[name][1][model][place] for name in LIQUID]) for model in ("ours", "rolling")] for place in (0, 1)
    )
    sharp, band = ratio(one[0], one[1], days), ratio(other[0], other[1], days)
    print(
        json.dumps(
            {
                "claim": "CRPS of Bitcoin's 15-minute cones over the last day's quantiles, two liquid months",
                "estimate": sharp["ratio"],
                "low": sharp["low"],
                "high": sharp["high"],
                "n": sharp["n"],
                "seed": SEED,
                "interval_score_90": band,
                "days": len(np.unique(days)),
                "met": {"crps": sharp["ratio"] <= AIM_CRPS, "is90": band["ratio"] <= AIM_IS90},
                "seconds": time.perf_counter() - started,
            }
        )
    )
