"""Bars of a simulated market, instrument by instrument, so that memory holds one of them at a time.

Random numbers: every purpose has a PCG64 stream of its own, seeded by the market's seed and the SHA-256 of the purpose's name
(`factor 0`, `SIM:AAA own`, ...), so that no stream depends on how many others there are. The common factors are Brownian motions
on one grid of UTC time (minutes; 5 minutes for daily bars): what a factor does while one market sleeps enters its next opening
gap and another market's bars.

Bars are equal across processes and, given numpy's guarantee for its generators, across platforms up to the last digit of exp and
sqrt, which the rounding to the tick hides in all but a few bars.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data.lineage import Lineage
from fieldcast.data.simulated.grid import Grid, grid_of
from fieldcast.data.simulated.parameters import BarMarket, SimulatedInstrument
from fieldcast.ground import InvalidInput, Reason, digest
from fieldcast.market import BARS, DAILY, DECISION_DELAY, Instrument, sessions_per_year

DATASET = "simulated"
_CHUNK = 1 << 16
_LEAD = 10 * 86_400     # seconds of factors before the first date: sessions of some calendars begin on the evening before
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SimulatedBars:
    """One instrument's simulated history.

    Parameters
    ----------
    instrument : as the catalogue holds it, labelled
    bars : schema `market.BARS`, every row with the reason `simulated`
    lineage : names the seed and the hash of every parameter
    table : of the store, such as `bars/1m`
    log_volatility : (n, 2) the truth behind each bar: slow and fast part of log volatility at its end
    """

    instrument: Instrument
    bars: pl.DataFrame
    lineage: Lineage
    table: str
    log_volatility: Floats
    _session: NDArray[np.int64]

    def daily(self) -> SimulatedBars:
        """The daily bars of an intraday history: first open, highest, lowest, last close and all volume of each session."""
        if self.table == DAILY:
            return self
        spoken = pl.col("volume").sum() if self.bars["volume"].null_count() == 0 else pl.lit(None, dtype=pl.Float64)
        bars = (
            self.bars.with_columns(session=pl.Series(self._session))
            .group_by("session", maintain_order=True)
            .agg(
                pl.col("instrument", "reasons").first(), pl.col("ts", "available_at", "close").last(), pl.col("open").first(),
                pl.col("high").max(), pl.col("low").min(), volume=spoken,
            )
            .select(pl.col(name).cast(dtype) for name, dtype in BARS.items())
        )  # fmt: skip
        source = f"daily bars of {self.lineage.source}"
        last = np.append(np.flatnonzero(np.diff(self._session)), self._session.size - 1)
        return SimulatedBars(
            self.instrument, bars, replace(self.lineage, source=source), DAILY, self.log_volatility[last],
            np.unique(self._session).astype(np.int64),
        )


def simulate_bars(market: BarMarket) -> Iterator[SimulatedBars]:
    """The histories of a market's instruments, in their order.

    Raises
    ------
    InvalidInput : a calendar without a session in the span, or a gap share on one that never closes
    """
    factors = _Factors(market)
    for item in market.instruments:
        yield _simulate(market, item, factors)


def source_of(market: BarMarket, item: SimulatedInstrument) -> str:
    """What the lineage of an instrument's bars says: equal where, and only where, everything that they depend on is equal.

    The last date is no part of it: a later one only appends.
    """
    return f"BarMarket seed {market.seed}, {market.interval}, parameters {digest(_identity(market, item))}"


def stream(seed: int, purpose: str) -> np.random.Generator:
    """The random numbers of one purpose."""
    words = np.frombuffer(hashlib.sha256(purpose.encode()).digest()[:16], dtype="<u4")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=tuple(int(word) for word in words))))


class _Factors:
    """The common factors and the common mix of variances, on the grid of UTC time."""

    def __init__(self, market: BarMarket) -> None:
        self._step = 300 if market.interval == "1d" else 60
        self._start = int(datetime(market.first.year, market.first.month, market.first.day, tzinfo=UTC).timestamp()) - _LEAD
        end = int(datetime(market.last.year, market.last.month, market.last.day, tzinfo=UTC).timestamp()) + 3 * 86_400
        count = (end - self._start) // self._step
        self._sums = [
            np.concatenate([[0.0], np.cumsum(stream(market.seed, f"factor {k}").standard_normal(count))])
            for k in range(market.factors)
        ]
        self._mix: Floats | None = None
        if market.degrees_of_freedom is not None:
            freedom = market.degrees_of_freedom
            self._mix = (freedom - 2) / stream(market.seed, "mix").chisquare(freedom, count)

    def _place(self, seconds: NDArray[np.int64]) -> NDArray[np.int64]:
        return (seconds - self._start) // self._step

    def shocks(self, k: int, start: NDArray[np.int64], end: NDArray[np.int64]) -> Floats:
        """(n,) what factor k did between two times, with variance 1."""
        first, last = self._place(start), self._place(end)
        found: Floats = (self._sums[k][last] - self._sums[k][first]) / np.sqrt(last - first)
        return found

    def mix(self, end: NDArray[np.int64]) -> Floats:
        """(n,) variance of the innovation that ends at a time, 1 on average; (0,) for normal innovations."""
        return np.empty(0) if self._mix is None else self._mix[self._place(end) - 1]


def _combined(
    item: SimulatedInstrument, factors: _Factors, start: NDArray[np.int64], end: NDArray[np.int64], own: Floats
) -> Floats:
    """(n,) price shocks: the common factors' part and the instrument's own."""
    total = own * math.sqrt(max(0.0, 1.0 - sum(loading * loading for loading in item.loadings)))
    for k, loading in enumerate(item.loadings):
        if loading:
            total += loading * factors.shocks(k, start, end)
    return total


def _simulate(market: BarMarket, item: SimulatedInstrument, factors: _Factors) -> SimulatedBars:
    from fieldcast.data.simulated import _kernels

    instrument = item.described(market.seed)
    grid = grid_of(instrument.calendar, market.interval, market.first, market.last)
    process = item.process
    session_variance = process.annual_volatility**2 / sessions_per_year(instrument.calendar)
    time, gap_time = grid.business_time(process), grid.gap_time(process)
    gap, gap_shock = _gaps(market, item, factors, grid, gap_time)
    variance = grid.variance(process, item.season, market.interval)
    steps = market.steps or (16 if market.interval == "1d" else 2)
    jumps = _jumps(market, item, grid, time, gap_time, steps, math.sqrt(session_variance))
    values = np.array([
        session_variance * (1 - process.jump_share),
        process.annual_drift / sessions_per_year(instrument.calendar),
        process.jumps_per_session,
        process.slow_volatility_sd, math.log(2) / process.slow_half_life,
        process.fast_volatility_sd, math.log(2) / process.fast_half_life,
        process.leverage, process.jump_size * math.sqrt(session_variance),
    ])  # fmt: skip
    first = stream(market.seed, f"{item.id} start").standard_normal(2)
    state = np.array([
        math.log(item.first_price), process.slow_volatility_sd * first[0], process.fast_volatility_sd * first[1], 0.0
    ])  # fmt: skip
    own, bridges, extremes, noise = (stream(market.seed, f"{item.id} {part}") for part in ("own", "bridge", "extremes", "volume"))
    shape, log_volume = _volume(item, grid, market.interval)
    tick = float(instrument.tick)
    per_unit = 1 / instrument.tick
    on_grid = np.array([float(per_unit) if per_unit == per_unit.to_integral_value() else 0.0, tick])
    prices, volumes = np.empty((grid.bars, 4)), np.empty(grid.bars if item.volume else 0)
    latent = np.empty((grid.bars, 2))
    for begin in range(0, grid.bars, _CHUNK):
        part = slice(begin, min(begin + _CHUNK, grid.bars))
        n = part.stop - part.start
        draws = own.standard_normal((n, 3))
        _kernels.walk(
            state, values, on_grid, time[part], variance[part], gap[part], gap_shock,
            _combined(item, factors, grid.start[part], grid.end[part], draws[:, 0].copy()), draws[:, 1:].copy(),
            bridges.standard_normal((n, steps)), extremes.standard_exponential((n, 2 * steps)), factors.mix(grid.end[part]),
            *jumps, begin, log_volume[part], shape,
            noise.standard_normal(n) if item.volume else np.empty(0), prices[part], volumes[part], latent[part],
        )  # fmt: skip
    bars = _frame(instrument, grid, prices, volumes if item.volume else None)
    lineage = Lineage(
        provider="simulated",
        dataset=DATASET,
        fetched_at=bars["ts"][-1] + DECISION_DELAY,
        simulated=True,
        source=source_of(market, item),
    )
    return SimulatedBars(instrument, bars, lineage, market.table, latent, grid.session)


def _identity(market: BarMarket, item: SimulatedInstrument) -> dict[str, Any]:
    """Everything that an instrument's bars depend on; `last` only says how many there are."""
    of_market = {name: getattr(market, name) for name in ("seed", "first", "interval", "degrees_of_freedom", "steps")}
    return {"market": of_market, "instrument": asdict(item)}


def _gaps(
    market: BarMarket, item: SimulatedInstrument, factors: _Factors, grid: Grid, gap_time: float
) -> tuple[NDArray[np.int64], Floats]:
    """Row of each bar's gap (-1 for none), and (m, 5) business time, price shock, own shocks of volatility, mix of each gap."""
    gap = np.full(grid.bars, -1, dtype=np.int64)
    if gap_time == 0.0:
        return gap, np.empty((0, 5))
    at = np.flatnonzero(grid.opens)
    gap[at] = np.arange(at.size)
    draws = stream(market.seed, f"{item.id} gaps").standard_normal((at.size, 3))
    shocks = np.empty((at.size, 5))
    shocks[:, 0] = gap_time
    shocks[:, 1] = _combined(item, factors, grid.end[at - 1], grid.start[at], draws[:, 0].copy())
    shocks[:, 2:4] = draws[:, 1:]
    mix = factors.mix(grid.start[at])
    shocks[:, 4] = mix if mix.size else 1.0
    return gap, shocks


def _jumps(
    market: BarMarket, item: SimulatedInstrument, grid: Grid, time: Floats, gap_time: float, steps: int, session_sd: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Bar, sub-step (-1 = in the gap before the bar) and size of each jump, ascending in time."""
    none = np.empty(0, dtype=np.int64)
    rate = item.process.jumps_per_session
    if rate == 0 or item.process.jump_size == 0:
        return none, none, np.empty(0)
    before_gap = np.where(grid.opens, gap_time, 0.0)
    ends = np.cumsum(time + before_gap)
    random = stream(market.seed, f"{item.id} jumps")
    horizon = float(ends[-1]) * rate
    waited = np.empty(0)        # arrivals at rate 1
    while not waited.size or waited[-1] < horizon:        # in blocks, so that a longer history only appends
        block = np.cumsum(random.standard_exponential(256))
        waited = np.concatenate([waited, block + (waited[-1] if waited.size else 0.0)])
    sizes = stream(market.seed, f"{item.id} jump sizes").standard_normal(waited.size) * item.process.jump_size * session_sd
    kept = waited < horizon
    sizes = sizes[kept]
    at = np.minimum(waited[kept] / rate, np.nextafter(ends[-1], 0.0))
    bar = np.searchsorted(ends, at, side="right")
    into = at - (ends[bar] - time[bar])
    step = np.where(into < 0, -1, np.minimum(steps - 1, (into / time[bar] * steps).astype(np.int64)))
    return bar.astype(np.int64), step.astype(np.int64), sizes


def _volume(item: SimulatedInstrument, grid: Grid, interval: str) -> tuple[Floats, Floats]:
    """Elasticities and noise (3,), and the log mean volume of each bar less the normaliser; both empty without volume."""
    if item.volume is None:
        return np.zeros(3), np.empty(0)
    shape = np.array([item.volume.volatility_elasticity, item.volume.move_elasticity, item.volume.noise_sd])
    means = item.volume.per_session * grid.volume(item.season, interval)
    return shape, np.log(means) - item.volume.log_normaliser(item.process.log_volatility_variance)


def _frame(instrument: Instrument, grid: Grid, prices: Floats, volumes: Floats | None) -> pl.DataFrame:
    """The arrays as bars of the store."""
    codes = [str(Reason.SIMULATED)] if volumes is not None else [str(Reason.SIMULATED), str(Reason.VOLUME_NOT_REPORTED)]
    if not np.isfinite(prices).all():
        raise InvalidInput(f"expected finite prices of {instrument.id}, found others; lower its volatility or its drift")
    lot = float(instrument.lot)
    ts = grid.stamps(grid.end)
    return pl.DataFrame(
        {"ts": ts, "available_at": ts}
        | {name: prices[:, place].copy() for place, name in enumerate(("open", "high", "low", "close"))}
        | {"volume": pl.Series([None] * 0, dtype=pl.Float64).extend_constant(None, grid.bars) if volumes is None
           else (np.rint(volumes) if lot >= 1 else np.round(volumes, 8))}
    ).select(
        instrument=pl.lit(instrument.id), ts="ts", available_at="available_at", open="open", high="high", low="low",
        close="close", volume="volume", reasons=pl.lit(",".join(sorted(codes))),
    )  # fmt: skip
