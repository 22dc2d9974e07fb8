"""How much better than log-HAR + VIX is the online blend of volatility forecasters, in QLIKE, on the same rows?

15 US equities and ETFs, 2010 to 2025, daily bars back-adjusted for splits and dividends; one and five sessions ahead. Each row's
outcome is the squared nights plus Garman-Klass days of the sessions ahead. An instrument is scored from its 850th session on
(TSLA from 2013-11, META from 2015-10). Forecasters, features and settings were chosen on outcomes up to 2022; 2023 to 2025
has been looked at by others and is shown apart. The blend chooses by itself, from ended outcomes. The 15 names are today's
large ones: survivors.

Intervals: 95 %, circular block bootstrap of dates in blocks of 20, all instruments of a date together. DM: Diebold-Mariano
t of the date means against HAR by least squares, Newey-West with 20 lags.

    python benchmarks/evidence_volatility.py [folder]        folder keeps the forecasters' paths from run to run
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcast.features.panel import Panel, panel
from fieldcast.market import BARS, conform, sessions
from fieldcast.models.volatility import (
    Ewma,
    Garch,
    Har,
    PooledTrees,
    VolatilityForecaster,
    aggregate,
    ahead,
    qlike_rows,
    realised_variance,
)

COVERS = (
    "src/fieldcast/features/panel.py",
    "src/fieldcast/models/garch.py",
    "src/fieldcast/models/volatility/_inputs.py",
    "src/fieldcast/models/volatility/blend.py",
    "src/fieldcast/models/volatility/boosted.py",
    "src/fieldcast/models/volatility/contract.py",
    "src/fieldcast/models/volatility/har.py",
    "src/fieldcast/models/volatility/recursive.py",
)
ROOT = Path(__file__).resolve().parents[1]
NAMES = ("AAPL", "AMZN", "BAC", "DIA", "IWM", "JNJ", "JPM", "META", "MSFT", "NVDA", "QQQ", "SPY", "TLT", "TSLA", "WMT")
FIRST_SESSION, FIRST_FORECAST, LOOKED_AT = "1990-01-02", "2010-01-01", "2023-01-01"
SCORED_FROM = 850  # an instrument's sessions before its first scored row
HORIZONS = (1, 5)
REFERENCE = "log_har+vix"
BLENDED = ("trees_gamma", "trees_log", "log_har+vix", "gjr")
BLOCK, REPLICATES, LAGS, SEED = 20, 2000, 20, 11


def read(folder: Path, name: str) -> pl.DataFrame:
    """Bars of one file: the session's close of XNYS as ts; volume 0 is unknown."""
    closes = sessions("XNYS").select("session", ts="close")
    table = pl.read_csv(folder / f"{name}.csv.gz").with_columns(session=pl.col("date").str.slice(0, 10).str.to_date())
    table = table.join(closes, on="session").sort("session").filter(pl.col("session") >= pl.lit(FIRST_SESSION).str.to_date())
    volume = pl.when(pl.col("volume") > 0).then(pl.col("volume").cast(pl.Float64))
    fixed = {"instrument": pl.lit(name), "available_at": pl.col("ts"), "volume": volume, "reasons": pl.lit(None, dtype=pl.String)}
    return conform(table.with_columns(**fixed), BARS)


def load() -> Panel:
    """The 15 instruments and VIX, which is out 15 minutes after their close."""
    data = os.environ.get("FIELDCAST_REALDATA")
    if not data:
        raise SystemExit("expected FIELDCAST_REALDATA to name the folder of real market data, found nothing")
    folder = Path(data) / "daily" / "yahoo_adjusted"
    vix = read(folder, "VIX").with_columns(available_at=pl.col("ts") + pl.duration(minutes=15))
    return panel({name: read(folder, name) for name in NAMES}, {"vix": vix})


def forecasters() -> tuple[VolatilityForecaster, ...]:
    return (
        Har("ols"),
        Har("wls"),
        Har("log"),
        Har("log", ("vix",)),
        Ewma(),
        PooledTrees("gamma"),
        PooledTrees("log"),
        Garch(),
        Garch(asymmetric=True),
    )


def code_hash() -> str:
    """Of the code that makes the paths: a path kept by other code is not used again."""
    modules = ("contract", "har", "recursive", "boosted", "_inputs")
    files = ["src/fieldcast/features/panel.py", *(f"src/fieldcast/models/volatility/{name}.py" for name in modules)]
    return hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in files)).hexdigest()[:12]


def paths(given: Panel, horizon: int, folder: Path, models: tuple[VolatilityForecaster, ...], first: int) -> dict[str, Any]:
    """Sigma of every forecaster, from the folder where it is there."""
    out = {}
    for model in models:
        kept = folder / f"{model.name}-{horizon}-{given.rows}-{code_hash()}.npy"
        if not kept.exists():
            started = time.monotonic()
            np.save(kept, model.path(given, horizon, first))
            print(f"{model.name} {horizon}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        out[model.name] = np.load(kept)
    return out


def by_date(loss: Any, use: Any) -> Any:
    """Sum over the instruments of each date."""
    return np.where(use, loss, 0.0).sum(axis=1)


def ratio_interval(ours: Any, theirs: Any, rng: np.random.Generator) -> list[float]:
    """Ratio of two date series' sums with its 95 % interval (circular blocks of 20 dates)."""
    n = len(ours)
    begin = rng.integers(0, n, size=(REPLICATES, -(-n // BLOCK)))
    place = ((begin[:, :, None] + np.arange(BLOCK)) % n).reshape(REPLICATES, -1)[:, :n]
    drawn = ours[place].sum(axis=1) / theirs[place].sum(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return [round(float(v), 4) for v in (ours.sum() / theirs.sum(), low, high)]


def diebold_mariano(difference: Any) -> float:
    """t of the mean with a Newey-West variance."""
    d = difference - difference.mean()
    variance = d @ d / len(d)
    for lag in range(1, LAGS + 1):
        variance += 2.0 * (1.0 - lag / (LAGS + 1)) * (d[lag:] @ d[:-lag]) / len(d)
    return float(difference.mean() / np.sqrt(variance / len(d)))


def study(given: Panel, horizon: int, folder: Path) -> dict[str, Any]:
    """Scores of every forecaster and of the blend at one horizon."""
    first = int(np.searchsorted(given.session, np.datetime64(FIRST_FORECAST)))
    variance = realised_variance(given)
    realised = ahead(variance, horizon)
    sigma = paths(given, horizon, folder, forecasters(), first)
    blend = aggregate({name: sigma[name] for name in BLENDED}, realised, horizon)
    sigma["blend"] = blend.sigma
    known = np.isfinite(variance).cumsum(axis=0) > SCORED_FROM
    use = known & np.isfinite(realised)
    use[:first] = False
    for path in sigma.values():
        use &= np.isfinite(path)
    dates = np.flatnonzero(use.any(axis=1))
    count = use[dates].sum(axis=1)
    square = np.maximum(given.log_return(horizon) ** 2, 1e-8)
    loss = {name: by_date(qlike_rows(realised, path), use)[dates] for name, path in sigma.items()}
    squared = {name: by_date(qlike_rows(square, path), use)[dates] for name, path in sigma.items()}
    year = given.session[dates].astype("datetime64[Y]").astype(int) + 1970
    looked = given.session[dates] >= np.datetime64(LOOKED_AT)
    table = {}
    for name in sigma:
        rng = np.random.default_rng(SEED)
        table[name] = {
            "qlike": round(float(loss[name].sum() / count.sum()), 4),
            "to_har": ratio_interval(loss[name], loss["har"], rng),
            "to_reference": ratio_interval(loss[name], loss[REFERENCE], rng),
            "to_reference_2010_2022": ratio_interval(loss[name][~looked], loss[REFERENCE][~looked], rng),
            "to_reference_2023_2025": ratio_interval(loss[name][looked], loss[REFERENCE][looked], rng),
            "to_reference_squared_return": ratio_interval(squared[name], squared[REFERENCE], rng),
            "dm_t_to_har": round(diebold_mariano((loss[name] - loss["har"]) / count), 1) if name != "har" else None,
            "dm_t_to_reference": round(diebold_mariano((loss[name] - loss[REFERENCE]) / count), 1) if name != REFERENCE else None,
        }
    rows = {name: np.where(use, qlike_rows(realised, sigma[name]), 0.0).sum(axis=0) for name in ("blend", REFERENCE)}
    return {
        "n": int(count.sum()),
        "dates": len(dates),
        "models": table,
        "blend_to_reference_by_year": {
            int(y): round(float(loss["blend"][year == y].sum() / loss[REFERENCE][year == y].sum()), 3) for y in np.unique(year)
        },
        "blend_to_reference_by_instrument": {
            name: round(float(rows["blend"][i] / rows[REFERENCE][i]), 3) for i, name in enumerate(NAMES)
        },
        "weights_at_the_end": dict(zip(blend.names, blend.weights[-1].round(3).tolist(), strict=True)),
        "mean_square_over_forecast": round(float((square[use] / sigma["blend"][use] ** 2).mean()), 3),
    }


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    given = load()
    found = {horizon: study(given, horizon, folder) for horizon in HORIZONS}
    for horizon, result in found.items():
        print(f"horizon {horizon}: n = {result['n']}, {result['dates']} dates")
        for name, row in sorted(result["models"].items(), key=lambda item: -item[1]["qlike"]):
            print(f"  {name:14} {row}")
        print("  by year", result["blend_to_reference_by_year"])
        print("  by instrument", result["blend_to_reference_by_instrument"])
        print("  weights", result["weights_at_the_end"], "E r^2/f", result["mean_square_over_forecast"])
    estimate, low, high = found[1]["models"]["blend"]["to_reference"]
    print(json.dumps({
        "claim": "QLIKE of the online blend of volatility forecasters against log-HAR + VIX, ratio, one session ahead, 15 US "
                 "equities and ETFs 2010-2025 pooled; below 1 is better (circular block bootstrap of dates, blocks of 20)",
        "estimate": estimate,
        "low": low,
        "high": high,
        "n": found[1]["n"],
        "seed": SEED,
        "span": [str(given.session[-1]), FIRST_FORECAST][::-1],
        "chosen_on": "outcomes up to 2022; 2023 to 2025 looked at",
        "horizons": {str(horizon): result for horizon, result in found.items()},
    }))  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
