"""Which side of the book is heavier, and which way its changes push.

After each message, from the sizes q at the best levels (b bid, a ask; level 1 is the best):

    imbalance_k    (Σ_{l≤k} q_b,l − Σ_{l≤k} q_a,l) / (Σ_{l≤k} q_b,l + Σ_{l≤k} q_a,l)           −1 … 1
    weighted       the same over all levels given, each size times exp(−distance in bps / 50)    −1 … 1
    microprice     (P_a q_b + P_b q_a) / (q_b + q_a) at level 1: nearer to the side with less size       price
    order flow     at level m, from one message to the next, in units:

        e_m = 1[P_b ≥ P_b'] q_b − 1[P_b ≤ P_b'] q_b' − 1[P_a ≤ P_a'] q_a + 1[P_a ≥ P_a'] q_a'

where a prime marks the state before. Bids that come and asks that go count up, the reverse down; `ofi_k` is the sum of e_m over
the first k levels (the single levels: `by_level`). A message that sums up 100 ms of changes gives the net change alone.

Sources: Gould & Bonart, Queue imbalance as a one-tick-ahead price predictor (2016) for the imbalance; the distance weighting
follows the reference system this engine descends from; Cont, Kukanov & Stoikov, The price impact of order book events, J.
Financial Econometrics 12 (2014) 47-88, for e at the best level; Xu, Gould & Howison, Multi-level order-flow imbalance in a
limit order book (2018) for deeper ones; Stoikov, The micro-price, Quantitative Finance 18 (2018) 1959-1966.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcast.fields._rows import Flags, Floats
from fieldcast.fields.books.ladders import level_arrays, levels_of
from fieldcast.ground import InvalidInput, Reason


@dataclass(frozen=True)
class ImbalanceSettings:
    """What is summed.

    Parameters
    ----------
    levels : how many levels each imbalance and each flow sums over, ascending; the last says how many a row must have
    decay_bps : distance from the mid at which a size weighs 1/e in the weighted imbalance
    """

    levels: tuple[int, ...] = (1, 5, 10)
    decay_bps: float = 50.0

    def __post_init__(self) -> None:
        if not self.levels or self.levels[0] < 1 or any(b <= a for a, b in zip(self.levels, self.levels[1:], strict=False)):
            raise InvalidInput(f"expected ascending numbers of levels from 1 on, found {self.levels}")
        if not self.decay_bps > 0:
            raise InvalidInput(f"expected a decay above 0 bps, found {self.decay_bps}")

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        sums = [f"{name}_{count}" for name in ("imbalance", "ofi") for count in self.levels]
        return ("mid", "spread_bps", "microprice", "imbalance_weighted", *sums)


def order_book_imbalance(
    states: pl.DataFrame, settings: ImbalanceSettings | None = None, *, by_level: bool = False
) -> pl.DataFrame:
    """Imbalance, microprice and order flow after each message.

    Parameters
    ----------
    states : `data.books.replay(depth, levels).states`, one row a message, with at least `settings.levels[-1]` levels
    by_level : also the flow at each single level, `ofi_level_1` …

    Returns
    -------
    instrument, ts, available_at; mid, microprice (price), spread_bps, imbalance_weighted, imbalance_k (−1 … 1) and ofi_k (units)
    for each k; `reasons` for what is null. A side with fewer than k levels leaves imbalance_k and ofi_k null (`beyond_book`); the
    flow has no value at the first message after an unknown book (`warming_up`)

    Raises
    ------
    InvalidInput : not a table of states, or one with fewer levels than are summed
    """
    settings = settings or ImbalanceSettings()
    deepest = settings.levels[-1]
    if levels_of(states) < deepest:
        raise InvalidInput(f"expected states with {deepest} levels, found {levels_of(states)}; replay more of them")
    step = BookStep(settings)
    known = states["reasons"].is_null().to_numpy()
    values = step.advance(*level_arrays(states, deepest), known)
    columns = [pl.Series(name, values[name], nan_to_null=True) for name in settings.quantities]
    if by_level:
        flows = values["ofi_levels"]
        columns += [pl.Series(f"ofi_level_{m + 1}", flows[:, m], nan_to_null=True) for m in range(deepest)]
    reasons = _reasons(states, values, known, settings)
    return states.select("instrument", "ts", "available_at").with_columns(*columns, reasons)


class BookStep:
    """The same quantities one message at a time, for live use: the kernel of the batch, with its state kept.

    The cost of a message does not depend on how many came before it.
    """

    def __init__(self, settings: ImbalanceSettings | None = None) -> None:
        self.settings = settings or ImbalanceSettings()
        self._counts = np.array(self.settings.levels, np.int64)
        self._deepest = self.settings.levels[-1]
        self._state = np.zeros(1 + 4 * self._deepest)

    def update(
        self,
        bids: Iterable[tuple[float, float]],
        asks: Iterable[tuple[float, float]],
        *,
        known: bool = True,
    ) -> dict[str, float]:
        """Take the book after one message; return what is known now by name.

        Parameters
        ----------
        bids, asks : (price, size) of the best levels, best first; more than are summed are passed over
        known : False where the book is unknown or crossed after this message
        """
        row = np.full((4, 1, self._deepest), np.nan)
        for place, side in ((0, bids), (2, asks)):
            for level, pair in zip(range(self._deepest), side, strict=False):
                row[place : place + 2, 0, level] = pair
        values = self.advance(row[0], row[1], row[2], row[3], np.array([known]))
        return {name: float(values[name][0]) for name in self.settings.quantities if np.isfinite(values[name][0])}

    def advance(self, bid: Floats, bid_size: Floats, ask: Floats, ask_size: Floats, known: Flags) -> dict[str, Floats]:
        """Take n messages: (n, levels) arrays, NaN where a side has no level; (n,) values by name, and `ofi_levels` (n, levels).

        This is the hot path: unknown values are NaN here; `order_book_imbalance` gives them as null with their reason.
        """
        from fieldcast.fields.books import _kernels

        counts = self._counts.size
        out = np.empty((bid.shape[0], _kernels.HEAD + counts + self._deepest))
        bid, bid_size, ask, ask_size = (np.ascontiguousarray(part, np.float64) for part in (bid, bid_size, ask, ask_size))
        shared = (np.ascontiguousarray(known), self._counts, self.settings.decay_bps, self._state, out)
        _kernels.book_lines(bid, bid_size, ask, ask_size, *shared)
        flows = out[:, _kernels.HEAD + counts :]
        found = {
            "mid": out[:, _kernels.MID],
            "spread_bps": out[:, _kernels.SPREAD_BPS],
            "microprice": out[:, _kernels.MICROPRICE],
            "imbalance_weighted": out[:, _kernels.WEIGHTED],
            "ofi_levels": flows,
        }
        for place, count in enumerate(self.settings.levels):
            found[f"imbalance_{count}"] = out[:, _kernels.HEAD + place]
            found[f"ofi_{count}"] = flows[:, :count].sum(axis=1)
        return found


@dataclass(frozen=True, eq=False)
class MicropriceTable:
    """Stoikov's micro-price, fitted elsewhere and frozen: what the mid is expected to become, by imbalance and spread.

    Parameters
    ----------
    tick : price step of the instrument
    edges : (k + 1,) ascending edges of I = q_b / (q_b + q_a), from 0 to 1
    adjustment : (s, k) expected move of the mid in prices, by spread of 1 … s ticks and by imbalance
    """

    tick: float
    edges: Floats
    adjustment: Floats

    def __post_init__(self) -> None:
        edges = self.edges
        if not (self.tick > 0 and edges.ndim == 1 and edges.size > 1 and edges[0] == 0.0 and edges[-1] == 1.0):
            raise InvalidInput("expected a tick above 0 and edges from 0 to 1")
        if (np.diff(edges) <= 0).any() or self.adjustment.ndim != 2 or self.adjustment.shape[1] != edges.size - 1:
            raise InvalidInput(f"expected ascending edges and one adjustment for each bucket, found {self.adjustment.shape}")
        if not np.isfinite(self.adjustment).all():
            raise InvalidInput("expected finite adjustments, found others")

    def price(self, bid: float, bid_size: float, ask: float, ask_size: float) -> float | None:
        """The micro-price of one quote; None where the spread is wider than the table was fitted for."""
        ticks = round((ask - bid) / self.tick)
        if not 1 <= ticks <= self.adjustment.shape[0]:
            return None
        share = bid_size / (bid_size + ask_size)
        bucket = min(int(np.searchsorted(self.edges, share, side="right")) - 1, self.edges.size - 2)
        return 0.5 * (bid + ask) + float(self.adjustment[ticks - 1, bucket])


def _reasons(states: pl.DataFrame, values: dict[str, Floats], known: Flags, settings: ImbalanceSettings) -> pl.Series:
    """Why something is null in a row: the book's own reason, one side empty, too few levels, or no message before."""
    one_sided = known & np.isnan(values["mid"])
    short = known & ~one_sided & np.isnan(values[f"imbalance_{settings.levels[-1]}"])
    before = np.concatenate(([False], known[:-1]))
    fresh = known & ~before
    thinner = (
        known & before & ~one_sided & ~short & np.isnan(values[f"ofi_{settings.levels[-1]}"])
    )  # the state before had too few
    codes = [(Reason.BEYOND_BOOK, short | thinner), (Reason.BOOK_ONE_SIDED, one_sided), (Reason.WARMING_UP, fresh)]
    texts = [pl.when(pl.Series(flags)).then(pl.lit(str(code))) for code, flags in codes]
    joined = pl.concat_str(*texts, separator=",", ignore_nulls=True)
    return states.select(pl.coalesce("reasons", pl.when(joined.str.len_chars() > 0).then(joined)).alias("reasons"))["reasons"]
