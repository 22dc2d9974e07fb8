"""One million European options: price with 13 Greeks, and implied volatilities, beside others, side by side in one run.

The others: plain numpy with scipy's error function; bare parallel numba kernels with the library's exp and erfc (the floor); and
py_vollib_vectorized, which needs an interpreter of its own (0.1.1 with py_vollib 1.0.1, py_lets_be_rational 1.0.1 and
numba below 0.62) named by PY_VOLLIB_PYTHON. Ratios are their time over ours: above 1 is faster. The estimate is the ratio of the
best times to py_vollib_vectorized's five Greeks where that can run, else to numpy and scipy; low and high are of single rounds.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from collections.abc import Callable

import numpy as np
from numba import njit, prange
from scipy.special import ndtr

from fieldcast.pricing import bsm_greeks, bsm_price, implied_volatility

COVERS = ("src/fieldcast/pricing",)
OPTIONS, ROUNDS, SEED = 1_000_000, 5, 7
RATE, CARRY = 0.03, 0.01

PEER = """
import sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
from py_vollib_vectorized import get_all_greeks, vectorized_black_scholes_merton, vectorized_implied_volatility
n, seed, rounds = (int(a) for a in sys.argv[1:])
r = np.random.default_rng(seed)
S = 100.0 * np.exp(r.normal(0.0, 0.2, n)); T = r.uniform(0.01, 2.0, n); v = r.uniform(0.1, 0.6, n)
flag = np.where(r.random(n) < 0.5, "c", "p")
price = vectorized_black_scholes_merton(flag, S, 100.0, T, 0.03, v, 0.01, return_as="numpy")
greeks = lambda: get_all_greeks(flag, S, 100.0, T, 0.03, v, 0.01, model="black_scholes_merton", return_as="dict")
implied = lambda: vectorized_implied_volatility(price, S, 100.0, T, 0.03, flag, q=0.01, model="black_scholes_merton",
                                                return_as="numpy", on_error="ignore")
greeks(); found = implied()
print("lost", int(np.sum(~(found > 0))), flush=True)
for line in sys.stdin:
    work = greeks if line.strip() == "greeks" else implied
    started, worked = time.perf_counter(), time.process_time(); work()
    print(time.perf_counter() - started, time.process_time() - worked, flush=True)
"""


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """(wall time, processor time of all threads)."""
    started, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - worked


def plain(s, k, t, r, q, v, c):  # type: ignore[no-untyped-def]
    """Price and 13 Greeks as one writes them with numpy."""
    root = np.sqrt(t)
    x = np.log(s / k) + (r - q) * t
    d1 = x / (v * root) + 0.5 * v * root
    d2 = d1 - v * root
    sign = np.where(c, 1.0, -1.0)
    growth, discount = np.exp(-q * t), np.exp(-r * t)
    p1, p2 = ndtr(sign * d1), ndtr(sign * d2)
    n = np.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
    price = sign * (s * growth * p1 - k * discount * p2)
    delta = sign * growth * p1
    gamma = growth * n / (s * v * root)
    vega = s * growth * n * root
    slope = (r - q) / (v * root) - 0.5 * d2 / t
    theta = sign * (q * s * growth * p1 - r * k * discount * p2) - 0.5 * vega * v / t
    rho = sign * t * k * discount * p2
    vanna = -growth * n * d2 / v
    charm = q * delta - growth * n * slope
    vomma = vega * d1 * d2 / v
    speed = -gamma / s * (d1 / (v * root) + 1.0)
    zomma = gamma * (d1 * d2 - 1.0) / v
    color = gamma * (q + 0.5 / t + d1 * slope)
    veta = vega * (q - 0.5 / t + d1 * slope)
    ultima = -vega / v**2 * (d1 * d2 * (1.0 - d1 * d2) + d1 * d1 + d2 * d2)
    return price, delta, gamma, vega, theta, rho, vanna, charm, vomma, speed, zomma, color, veta, ultima


@njit(parallel=True)
def bare_greeks(s, k, t, v, c, out):  # type: ignore[no-untyped-def]
    """The floor: price and 8 Greeks, one loop over threads, nothing checked."""
    for i in prange(s.size):
        sign = 1.0 if c[i] else -1.0
        root = math.sqrt(t[i])
        deviation = v[i] * root
        d1 = (math.log(s[i] / k) + (RATE - CARRY + 0.5 * v[i] * v[i]) * t[i]) / deviation
        d2 = d1 - deviation
        growth, discount = math.exp(-CARRY * t[i]), math.exp(-RATE * t[i])
        p1, p2 = 0.5 * math.erfc(-sign * d1 * 0.7071067811865476), 0.5 * math.erfc(-sign * d2 * 0.7071067811865476)
        n = math.exp(-0.5 * d1 * d1) * 0.3989422804014327
        out[0, i] = sign * (s[i] * growth * p1 - k * discount * p2)
        out[1, i] = sign * growth * p1
        out[2, i] = growth * n / (s[i] * deviation)
        out[3, i] = s[i] * growth * n * root
        out[4, i] = sign * (CARRY * s[i] * growth * p1 - RATE * k * discount * p2) - 0.5 * out[3, i] * v[i] / t[i]
        out[5, i] = sign * t[i] * k * discount * p2
        out[6, i] = -growth * n * d2 / v[i]
        out[7, i] = CARRY * out[1, i] - growth * n * ((RATE - CARRY) / deviation - 0.5 * d2 / t[i])
        out[8, i] = out[3, i] * d1 * d2 / v[i]


@njit(parallel=True)
def bare_implied(price, f, k, t, d, c, out):  # type: ignore[no-untyped-def]
    """The floor: Halley's steps from a fixed guess until they settle; it loses options, which is not counted against it."""
    for i in prange(price.size):
        sign = 1.0 if c[i] else -1.0
        x = math.log(f[i] / k)
        s = 0.3 * math.sqrt(t[i])
        for _ in range(12):
            d1 = x / s + 0.5 * s
            d2 = d1 - s
            value = (
                0.5 * sign * (f[i] * math.erfc(-sign * d1 * 0.7071067811865476) - k * math.erfc(-sign * d2 * 0.7071067811865476))
            )
            vega = f[i] * math.exp(-0.5 * d1 * d1) * 0.3989422804014327
            newton = (value - price[i] / d[i]) / vega
            step = newton / (1.0 - 0.5 * newton * d1 * d2 / s)
            s = max(s - step, 0.1 * s)
            if abs(step) < 1e-10 * s:
                break
        out[i] = s / math.sqrt(t[i])


if __name__ == "__main__":
    random = np.random.default_rng(SEED)
    spot = 100.0 * np.exp(random.normal(0.0, 0.2, OPTIONS))
    years, sigma = random.uniform(0.01, 2.0, OPTIONS), random.uniform(0.1, 0.6, OPTIONS)
    is_call = random.random(OPTIONS) < 0.5
    price = bsm_price(spot, 100.0, years, RATE, CARRY, sigma, is_call)
    forward, discount = spot * np.exp((RATE - CARRY) * years), np.exp(-RATE * years)

    def bare_g() -> None:
        bare_greeks(spot, 100.0, years, sigma, is_call, np.empty((9, OPTIONS)))

    def bare_i() -> None:
        bare_implied(price, forward, 100.0, years, discount, is_call, np.empty(OPTIONS))

    works: dict[str, Callable[[], object]] = {
        "greeks": lambda: bsm_greeks(spot, 100.0, years, RATE, CARRY, sigma, is_call),
        "greeks numpy + scipy": lambda: plain(spot, 100.0, years, RATE, CARRY, sigma, is_call),
        "greeks bare kernel (8)": bare_g,
        "price": lambda: bsm_price(spot, 100.0, years, RATE, CARRY, sigma, is_call),
        "implied": lambda: implied_volatility(price, forward, 100.0, years, discount, is_call),
        "implied bare kernel": bare_i,
    }
    peer = None
    lost = None
    if interpreter := os.environ.get("PY_VOLLIB_PYTHON"):
        peer = subprocess.Popen(
            [interpreter, "-c", PEER, str(OPTIONS), str(SEED), str(ROUNDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert peer.stdin is not None
        assert peer.stdout is not None
        lost = int(peer.stdout.readline().split()[1])

    def ask(what: str) -> tuple[float, float]:
        assert peer is not None
        assert peer.stdin is not None
        assert peer.stdout is not None
        peer.stdin.write(what + "\n")
        peer.stdin.flush()
        wall, processor = peer.stdout.readline().split()
        return float(wall), float(processor)

    for work in works.values():
        work()  # compile and warm
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            times[name].append(seconds(work))
        if peer is not None:
            for kind in ("greeks", "implied"):
                times.setdefault(f"{kind} py_vollib_vectorized", []).append(ask(kind))
    if peer is not None:
        peer.kill()
    ratios = {
        name: sorted(t[0] / ours[0] for t, ours in zip(taken, times[name.split()[0]], strict=True))
        for name, taken in times.items()
        if " " in name
    }
    found, status = implied_volatility(price, forward, 100.0, years, discount, is_call)
    best = {name: min(taken)[0] / min(times[name.split()[0]])[0] for name, taken in times.items() if " " in name}
    processor = {
        name: min(p for _, p in taken) / min(p for _, p in times[name.split()[0]]) for name, taken in times.items() if " " in name
    }
    main = "greeks py_vollib_vectorized" if peer is not None else "greeks numpy + scipy"
    print(
        json.dumps(
            {
                "claim": "price and 13 Greeks of a million options: time of py_vollib_vectorized's five Greeks over ours"
                if peer is not None
                else "price and 13 Greeks of a million options: time of numpy + scipy over ours",
                "estimate": best[main],
                "low": ratios[main][0],
                "high": ratios[main][-1],
                "n": ROUNDS,
                "seed": SEED,
                "median_ratios": {name: round(r[ROUNDS // 2], 2) for name, r in ratios.items()},
                "best_seconds": {name: round(min(t)[0], 4) for name, t in times.items()},
                "best_processor_seconds": {name: round(min(p for _, p in t), 4) for name, t in times.items()},
                "ratios_of_best": {name: round(r, 2) for name, r in best.items()},
                "ratios_of_best_processor_time": {name: round(r, 2) for name, r in processor.items()},
                "implied_without_an_answer": int(np.sum(status != 0)),
                "their_implied_without_an_answer": lost,
            }
        )
    )
