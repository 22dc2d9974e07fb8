"""Write the pinned values of the feature tests: tests/features/data/references.json and talib_a20.json.

    registry    number of columns and hash of the declarations, by block
    values      by column, its value in the last row of the pinned bars of tests/features/tier_bars.py. For a20, volatility, VIX
                and the tiers it is worked out word by word from the formula (`tiers.rederive`), not by the kernels; for an
                engine's fields and the set of 31 it is the value that their own tests prove, and later changes are held to it
    a20         the columns of a20 on the same bars out of TA-Lib's C library

A test fails when a declaration or a value moves; run this when that was meant: .venv/bin/python tools/feature_references.py
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import talib

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "features" / "data"
sys.path.insert(0, str(ROOT / "tests" / "features"))


def references() -> dict[str, object]:
    """The first file."""
    from tier_bars import tier_bars, tier_vix

    from fieldcast import features
    from fieldcast.features import tiers, validators
    from fieldcast.features._inputs import read_bars

    bars = tier_bars()
    vix = tier_vix(bars)
    inputs = read_bars(bars)
    leaves = {"O": inputs.open, "H": inputs.high, "L": inputs.low, "C": inputs.close, "V": inputs.volume}
    leaves |= tiers.calendar(inputs)
    memo: dict[int, np.ndarray] = {}
    values = {name: float(tiers.rederive(text, leaves, memo)[-1]) for name, text in validators.FORMULAS.items()}
    own = {"C": vix["close"].to_numpy()}
    values |= {name: float(tiers.rederive(text, own)[-1]) for name, text in validators.VIX_FORMULAS.items()}
    values["vix_regime"] = float((own["C"][-1] >= 15.0) + (own["C"][-1] >= 25.0))
    rest = [block for block in features.blocks() if any(name not in values for name in features.columns([block]))]
    last = features.compute(bars, rest).row(-1, named=True) if rest else {}
    values |= {name: value for name, value in last.items() if name != "ts" and name not in values}
    registry = {
        block: {"columns": len(features.columns([block])), "hash": features.registry_hash(features.columns([block]))}
        for block in features.blocks()
    }
    return {"registry": registry, "values": {name: values[name] for name in features.registry()}}


def talib_a20() -> dict[str, object]:
    """The second file: rows 900, 950, …, 1299."""
    from tier_bars import tier_bars

    bars = tier_bars()
    high, low, close, volume = (bars[name].to_numpy() for name in ("high", "low", "close", "volume"))
    upper, _, lower = talib.BBANDS(close, 20, 2, 2)
    obv, traded = talib.OBV(close, volume), talib.SUM(volume, 20)
    columns = {
        **{f"close_to_dema_{p}": np.log(close / talib.DEMA(close, p)) for p in (9, 10, 20, 25, 90)},
        **{f"close_to_sma_{p}": np.log(close / talib.SMA(close, p)) for p in (12, 50, 100, 200)},
        "rsi_14": talib.RSI(close, 14) / 100,
        "stochrsi_14": talib.STOCHRSI(close, 14, 5, 3, 0)[0] / 100,
        "macd_to_close": talib.MACD(close, 12, 26, 9)[0] / close,
        "obv_20": (obv - np.roll(obv, 20)) / traded,
        "adosc_to_volume": talib.ADOSC(high, low, close, volume, 3, 10) / (traded / 20),
        "atr_to_close": talib.ATR(high, low, close, 14) / close,
        "adx_14": talib.ADX(high, low, close, 14) / 100,
        "percent_b_20": (close - lower) / (upper - lower),
        "close_to_vwap_20": np.log(close / (talib.SUM(close * volume, 20) / traded)),
    }
    rows = [*range(900, close.size, 50), close.size - 1]
    weekly = [np.ascontiguousarray(close[row - 245 : row + 1 : 5]) for row in rows]
    stored = {name: [float(values[row]) for row in rows] for name, values in columns.items()}
    stored["rsi_weekly"] = [float(talib.RSI(blocks, 14)[-1] / 100) for blocks in weekly]
    stored["stochrsi_weekly"] = [float(talib.STOCHRSI(blocks, 14, 5, 3, 0)[0][-1] / 100) for blocks in weekly]
    return {"talib": talib.__version__, "rows": rows, "columns": stored}


if __name__ == "__main__":
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    FOLDER.mkdir(exist_ok=True)
    for name, made in (("references.json", references()), ("talib_a20.json", talib_a20())):
        (FOLDER / name).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
