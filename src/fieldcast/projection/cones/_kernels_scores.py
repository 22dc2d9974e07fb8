"""Loops over a sorted window of known scores, one series at a time.

At row t the score of row t - h becomes known and joins the window; past `window` scores the oldest leaves it. What is read at row
t is therefore what the decision at t may use. Each kernel has a plain twin in its test.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@njit(cache=True)
def ranks(scores: Floats, horizon: int, window: int, minimum: int, below: Floats, above: Floats, counts: Counts) -> None:
    """Fill (T,): the least tail mass at which a one-sided set made at t would miss the score of row t; scores known at t.

    below[t] = (1 + #{known <= z_t}) / (n + 1), above[t] = (1 + #{known >= z_t}) / (n + 1); left as they are where z_t is not
    known or fewer than `minimum` scores are.
    """
    length = scores.shape[0]
    held = np.empty(window + 1)
    ages = np.empty(length)
    n, oldest, newest = 0, 0, 0
    for t in range(length):
        if t >= horizon and not np.isnan(scores[t - horizon]):
            value = scores[t - horizon]
            place = np.searchsorted(held[:n], value)
            held[place + 1 : n + 1] = held[place:n].copy()
            held[place] = value
            ages[newest] = value
            n, newest = n + 1, newest + 1
            if n > window:
                place = np.searchsorted(held[:n], ages[oldest])
                held[place : n - 1] = held[place + 1 : n].copy()
                n, oldest = n - 1, oldest + 1
        counts[t] = n
        if n >= minimum and not np.isnan(scores[t]):
            below[t] = (1.0 + np.searchsorted(held[:n], scores[t], side="right")) / (n + 1.0)
            above[t] = (1.0 + n - np.searchsorted(held[:n], scores[t], side="left")) / (n + 1.0)


@njit(cache=True)
def order_statistics(
    scores: Floats,
    horizon: int,
    window: int,
    minimum: int,
    mass: Floats,
    upper: NDArray[np.bool_],
    result: Floats,
    capped: NDArray[np.bool_],
) -> None:
    """Fill (T, L) with split-conformal quantiles at tail masses `mass` (T, L): number floor((n + 1) a) from the side.

    A mass that asks for more than the window holds takes its most extreme score, and the row is flagged in `capped` (T,).
    """
    length = scores.shape[0]
    held = np.empty(window + 1)
    ages = np.empty(length)
    n, oldest, newest = 0, 0, 0
    for t in range(length):
        if t >= horizon and not np.isnan(scores[t - horizon]):
            value = scores[t - horizon]
            place = np.searchsorted(held[:n], value)
            held[place + 1 : n + 1] = held[place:n].copy()
            held[place] = value
            ages[newest] = value
            n, newest = n + 1, newest + 1
            if n > window:
                place = np.searchsorted(held[:n], ages[oldest])
                held[place : n - 1] = held[place + 1 : n].copy()
                n, oldest = n - 1, oldest + 1
        if n < minimum:
            continue
        for column in range(mass.shape[1]):
            rank = math.floor((n + 1) * mass[t, column])
            place = min(max(rank, 1), n)
            if rank != place:
                capped[t] = True
            result[t, column] = held[n - place] if upper[column] else held[place - 1]


@njit(cache=True)
def window_quantiles(scores: Floats, horizon: int, window: int, minimum: int, levels: Floats, result: Floats) -> None:
    """Fill (T, L) with linearly interpolated quantiles of the known scores (numpy's default, Hyndman and Fan's type 7)."""
    length = scores.shape[0]
    held = np.empty(window + 1)
    ages = np.empty(length)
    n, oldest, newest = 0, 0, 0
    for t in range(length):
        if t >= horizon and not np.isnan(scores[t - horizon]):
            value = scores[t - horizon]
            place = np.searchsorted(held[:n], value)
            held[place + 1 : n + 1] = held[place:n].copy()
            held[place] = value
            ages[newest] = value
            n, newest = n + 1, newest + 1
            if n > window:
                place = np.searchsorted(held[:n], ages[oldest])
                held[place : n - 1] = held[place + 1 : n].copy()
                n, oldest = n - 1, oldest + 1
        if n < minimum:
            continue
        for column in range(levels.shape[0]):
            at = (n - 1) * levels[column]
            low = math.floor(at)
            high = min(low + 1, n - 1)
            result[t, column] = held[low] + (at - low) * (held[high] - held[low])
