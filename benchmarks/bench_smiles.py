"""A whole SPX-like snapshot, 20 expiries × 300 strikes × 2: filtered, forwards, implied volatilities, surface without arbitrage.

One thread. The share of each step is printed before the result.
"""

from __future__ import annotations

import json
import time

import numpy as np

from fieldcast.pricing.arbitrage import check_surface
from fieldcast.pricing.black76 import black76_price
from fieldcast.pricing.forwards import implied_forwards
from fieldcast.pricing.otm import otm_volatilities
from fieldcast.pricing.quotes import ChainQuotes, judge
from fieldcast.pricing.smiles import SmileRules, calibrate, fit_surface

COVERS = ("src/fieldcast/pricing",)
EXPIRIES, STRIKES, ROUNDS, SEED = 20, 300, 15, 7
DAY = 86_400_000_000


def snapshot() -> ChainQuotes:
    """Quotes around an SSVI surface, spreads and rounding to ticks as the index has them."""
    random = np.random.default_rng(SEED)
    days = np.unique(np.round(np.geomspace(1, 730, EXPIRIES + 3)))[:EXPIRIES]
    columns: list[tuple[np.ndarray, ...]] = []
    for series, day in enumerate(days):
        years = day / 365
        forward, discount = 5000 * np.exp(0.035 * years), np.exp(-0.05 * years)
        theta = 0.16**2 * years
        phi = 1.1 / np.sqrt(theta * (1 + theta))
        strike = np.unique(np.round(forward * np.exp(np.linspace(-5, 2.5, STRIKES) * np.sqrt(theta)) * 4) / 4)
        k = np.log(strike / forward)
        sigma = np.sqrt(0.5 * theta * (1 - 0.7 * phi * k + np.sqrt((phi * k - 0.7) ** 2 + 1 - 0.7**2)) / years)
        for is_call in (True, False):
            price = np.asarray(black76_price(forward, strike, years, discount, sigma, np.full(len(strike), is_call)))
            half = np.maximum(0.025, 0.01 * np.sqrt(price))
            mid = price + 0.5 * half * random.standard_normal(len(price))
            bid = np.floor(np.maximum(mid - half, 0) / 0.05) * 0.05
            ask = np.maximum(np.ceil((mid + half) / 0.05) * 0.05, bid + 0.05)
            n = len(strike)
            columns.append((strike, bid, ask, np.full(n, is_call), np.full(n, int(day) * DAY), np.full(n, series)))
    strike, bid, ask, is_call, expiry, series_of = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    n = len(strike)
    return ChainQuotes(
        as_of=0, spot=5000.0, strike=strike, bid=bid, ask=ask, is_call=is_call, american=np.zeros(n, bool), expiry=expiry,
        quote_time=np.zeros(n, np.int64), vendor_iv=np.full(n, np.nan), series=series_of, roots=("SPX",) * len(days),
    )


if __name__ == "__main__":
    chain = snapshot()
    calibration = calibrate(chain)      # compile and warm
    calibrate(chain, smile_rules=SmileRules(model="essvi"))
    assert check_surface(calibration.surface).is_free
    assert len(calibration.surface.smiles) == EXPIRIES

    def rounds(model: str) -> list[tuple[float, ...]]:
        found = []
        for _ in range(ROUNDS):
            at = [time.perf_counter()]
            kept = chain.take(judge(chain).kept)
            at.append(time.perf_counter())
            forwards = implied_forwards(kept)
            at.append(time.perf_counter())
            quotes = otm_volatilities(kept, forwards)
            at.append(time.perf_counter())
            fit_surface(quotes, forwards, SmileRules(model=model))  # type: ignore[arg-type]
            at.append(time.perf_counter())
            found.append((*np.diff(at), at[-1] - at[0]))
        return found

    for model in ("svi", "essvi"):
        parts = np.median(np.array(rounds(model)), axis=0) * 1e3
        names = ("filter_ms", "forwards_ms", "volatilities_ms", "fit_ms", "all_ms")
        print(model, dict(zip(names, parts.round(1).tolist(), strict=True)))
    totals = sorted(one[-1] for one in rounds("svi"))
    print(json.dumps({
        "claim": f"seconds from {len(chain)} quotes of {EXPIRIES} expiries to an arbitrage-free SVI surface (median, range)",
        "estimate": round(totals[ROUNDS // 2], 4),
        "low": round(totals[0], 4),
        "high": round(totals[-1], 4),
        "n": ROUNDS,
        "seed": SEED,
        "rmse_volatility": round(float(np.mean([smile.rmse for smile in calibration.surface.smiles])), 5),
        "share_inside_spread": round(float(np.mean([smile.inside for smile in calibration.surface.smiles])), 3),
    }))
