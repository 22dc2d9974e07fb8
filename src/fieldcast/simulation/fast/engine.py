"""One target array through one fixed, cached kernel: equity, fills, round trips and figures, equal to the venue's.

A strategy of any kind is a function from arrays to targets: it may be plain numpy or polars, or compiled by whoever wrote it. The
kernel that trades the targets never changes, so no process ever compiles it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput, StrategyError
from fieldcast.market.schemas import STAMP
from fieldcast.simulation.fast import _layout as layout
from fieldcast.simulation.fast.figures import FIGURES, figures_row
from fieldcast.simulation.fast.jobs import Backend, spread
from fieldcast.simulation.fast.settings import LARGEST_TARGET, FastSettings
from fieldcast.simulation.fast.sweeps import RULES, ParameterSets, refuse_unpriced
from fieldcast.simulation.fast.tape import LARGEST, Tape
from fieldcast.simulation.market import Market

Strategy = Callable[..., NDArray[Any]]
KINDS = ("target", "stop", "limit")
FILLS: dict[str, pl.DataType] = {
    "ts": STAMP,
    "decided_ts": STAMP,
    "source_bar_ts": STAMP,
    "bar": pl.Int64(),
    "side": pl.String(),
    "lots": pl.Int64(),
    "quantity": pl.Float64(),
    "price": pl.Float64(),
    "reference_price": pl.Float64(),
    "fee": pl.Float64(),
    "kind": pl.String(),
    "price_units": pl.Int64(),
    "fee_minor": pl.Int64(),
    "cash_minor": pl.Int64(),
    "position_lots": pl.Int64(),
}
TRADES: dict[str, pl.DataType] = {
    "direction": pl.String(),
    "entry_ts": STAMP,
    "exit_ts": STAMP,
    "entry_bar": pl.Int64(),
    "exit_bar": pl.Int64(),
    "lots": pl.Int64(),
    "quantity": pl.Float64(),
    "entry_price": pl.Float64(),
    "exit_price": pl.Float64(),
    "gross": pl.Float64(),
    "costs": pl.Float64(),
    "net": pl.Float64(),
}


@dataclass(frozen=True, eq=False)
class FastResult:
    """One run on one tape. Numbers of bars are those of the market's clock.

    Parameters
    ----------
    fill_rows : (n, FILL_COLUMNS) int64 of `_layout`
    whole, real : what the kernel leaves, see `_layout`
    begin, stop : the account lived from bar `begin` of the tape to bar `stop` - 1, T bars
    """

    tape: Tape
    settings: FastSettings
    fill_rows: NDArray[np.int64]
    whole: NDArray[np.int64]
    real: NDArray[np.float64]
    begin: int
    stop: int

    @property
    def fill_convention(self) -> str:
        return "next_open"

    @property
    def simulated(self) -> bool:
        return self.tape.market.simulated

    @property
    def data_hash(self) -> str:
        return self.tape.market.data_hash

    @cached_property
    def equity_minor(self) -> NDArray[np.int64]:
        """(T,) exact minimal units at each close."""
        from fieldcast.simulation.fast._kernels_marks import equity_curve

        units, n = self.tape.units, self.tape.row
        curve = np.empty(self.stop - self.begin, dtype=np.int64)
        cash = units.minor(self.settings.cash)
        equity_curve(self.tape.close[self.begin : self.stop], units.factor[n], cash, self.fill_rows, self.begin, curve)
        return curve

    def equity_curve(self) -> NDArray[np.float64]:
        """(T,) equity at each close in the account's currency."""
        curve: NDArray[np.float64] = self.equity_minor / 10.0**self.tape.units.cash_decimals
        return curve

    @cached_property
    def figures(self) -> dict[str, Any]:
        """FIGURES of the run by name; None where a figure does not exist."""
        units = self.tape.units
        return figures_row(
            self.whole, self.real, bars=self.stop - self.begin, cash_minor=units.minor(self.settings.cash),
            minor=10.0**-units.cash_decimals, periods_per_year=self.settings.periods_per_year,
        )  # fmt: skip

    @property
    def _at_open(self) -> NDArray[np.bool_]:
        """Which fills happen at an open: orders for targets, and exits passed by the open of a later bar than the entry's."""
        rows = self.fill_rows
        bar = rows[:, layout.X_BAR]
        entered_before = np.concatenate((np.zeros(min(len(rows), 1), dtype=np.bool_), bar[1:] > bar[:-1]))
        passed = rows[:, layout.X_PRINT] == self.tape.open[bar]
        found: NDArray[np.bool_] = (rows[:, layout.X_KIND] == layout.BY_TARGET) | (passed & entered_before)
        return found

    @cached_property
    def fills(self) -> pl.DataFrame:
        """Every fill in order; schema FILLS."""
        rows, tape = self.fill_rows, self.tape
        bar = tape.bars[rows[:, layout.X_BAR]]
        market, scale = tape.market, float(tape.units.price_scale[tape.row])
        kind = rows[:, layout.X_KIND]
        at_open = self._at_open
        minor = 10.0**tape.units.cash_decimals
        return pl.DataFrame(
            {
                "ts": _stamps(np.where(at_open, market.open_ts[bar], market.ts[bar])),
                "decided_ts": _stamps(market.ts[tape.bars[rows[:, layout.X_DECIDED]]]),
                "source_bar_ts": _stamps(market.ts[bar]),
                "bar": bar,
                "side": np.where(rows[:, layout.X_SIDE] > 0, "BUY", "SELL"),
                "lots": rows[:, layout.X_LOTS],
                "quantity": rows[:, layout.X_LOTS] * float(tape.units.lot[tape.row]),
                "price": rows[:, layout.X_PRICE] / scale,
                "reference_price": rows[:, layout.X_PRINT] / scale,
                "fee": rows[:, layout.X_FEE] / minor,
                "kind": np.array(KINDS)[kind],
                "price_units": rows[:, layout.X_PRICE],
                "fee_minor": rows[:, layout.X_FEE],
                "cash_minor": rows[:, layout.X_CASH],
                "position_lots": rows[:, layout.X_POSITION],
            },
            schema=FILLS,
        )

    @cached_property
    def trades(self) -> pl.DataFrame:
        """Round trips, first in first out, in order of exit; schema TRADES. A position still open is none."""
        from fieldcast.simulation._round_trips import _share
        from fieldcast.simulation.fast._kernels_marks import first_in_first_out

        rows, tape = self.fill_rows, self.tape
        pairs = np.empty((2 * len(rows), 5), dtype=np.int64)
        count = first_in_first_out(rows, pairs)
        entry, leave, lots, opened, closed = pairs[:count].T
        side = rows[entry, layout.X_SIDE]
        bars, market, n = tape.bars, tape.market, tape.row
        minor = 10.0**tape.units.cash_decimals
        bought, sold = rows[entry, layout.X_PRICE], rows[leave, layout.X_PRICE]
        gross = side * (sold - bought) * lots * tape.units.factor[n]
        fee, whole = rows[:, layout.X_FEE], rows[:, layout.X_LOTS]
        costs = _share(fee[entry], lots, opened, whole[entry]) + _share(fee[leave], lots, closed, whole[leave])
        first, last = bars[rows[entry, layout.X_BAR]], bars[rows[leave, layout.X_BAR]]
        at_open = self._at_open[leave]
        scale = float(tape.units.price_scale[n])
        return pl.DataFrame(
            {
                "direction": np.where(side > 0, "long", "short"),
                "entry_ts": _stamps(market.open_ts[first]),
                "exit_ts": _stamps(np.where(at_open, market.open_ts[last], market.ts[last])),
                "entry_bar": first,
                "exit_bar": last,
                "lots": lots,
                "quantity": lots * float(tape.units.lot[n]),
                "entry_price": bought / scale,
                "exit_price": sold / scale,
                "gross": gross / minor,
                "costs": costs / minor,
                "net": (gross - costs) / minor,
            },
            schema=TRADES,
        )


def run_fast(
    targets: NDArray[Any],
    market: Market | Tape,
    settings: FastSettings,
    *,
    instrument: str | None = None,
    rebalance: NDArray[np.bool_] | None = None,
    span: tuple[int, int] | None = None,
) -> FastResult:
    """Trade a target array on one instrument.

    Parameters
    ----------
    targets : (T,) one for each bar of the tape: weights of equity for the size `weight` (multiplied by its value), whole
        multiples of the quantity for `units`; of the other sizes the sign counts
    market : bars; of several instruments `instrument` says which (several at once: `run_portfolio`)
    rebalance : (T,) bars, and the only ones, in which to trade to the target; None: wherever the target changes
    span : first bar and end of the account on the tape; None: all of it

    Raises
    ------
    StrategyError : a target that is not finite, such as NaN, or too large; the bar is named
    InvalidInput : shapes do not fit, or an exit had no price
    """
    tape = market if isinstance(market, Tape) else _tape(market, instrument)
    wanted = np.ascontiguousarray(targets, dtype=np.float64)
    if wanted.shape != (tape.length,):
        raise InvalidInput(f"expected {tape.length} targets, one a bar of {tape.instrument}, found shape {wanted.shape}")
    again = np.empty(0, dtype=np.bool_) if rebalance is None else np.ascontiguousarray(rebalance, dtype=np.bool_)
    if again.size and again.shape != wanted.shape:
        raise InvalidInput(f"expected {tape.length} flags of rebalancing, found {again.size}")
    begin, stop = (0, tape.length) if span is None else span
    if not 0 <= begin < stop <= tape.length:
        raise InvalidInput(f"expected a span within 0..{tape.length}, found {begin}..{stop}")
    at, codes = _decisions(wanted[begin:stop], again[begin:stop] if again.size else again, tape, settings)
    return _play(at + begin, codes, tape, settings, begin, stop)


def run_rule(sets: ParameterSets, tape: Tape, settings: FastSettings, number: int = 0) -> FastResult:
    """One parameter set of a rule of the catalogue on a tape: what `run_fast` gives for its targets, without making them."""
    from fieldcast.simulation.fast._kernels_sweep import rule_decisions

    at, codes = np.empty(tape.length, dtype=np.int64), np.empty(tape.length, dtype=np.int64)
    count = _crossings(sets, tape, number, at, codes) if sets.rule == "sma_cross" else -1
    if count < 0:
        squares = tape.squares if sets.rule == "bollinger" else np.empty(0, dtype=np.int64)
        shared = (tape.closes, tape.sums, tape.exact_sums(sets.longest), squares)
        count = rule_decisions(RULES[sets.rule][0], sets.values[number], *shared, at, codes)
    codes = codes[:count] * tape.terms(settings)[layout.T_UNIT]
    return _play(at[:count], codes, tape, settings, 0, tape.length)


def _crossings(sets: ParameterSets, tape: Tape, number: int, at: NDArray[np.int64], codes: NDArray[np.int64]) -> int:
    """How many bars change the target of a cross, into `at` and `codes`; -1 where floats cannot carry its sums."""
    from fieldcast.simulation.fast._kernels_signals import PART, cross_decisions

    fast, slow, _, short = sets.values[number]
    closes, prices = tape.close_to_fill()
    sums = np.empty(int(slow) + PART)
    marks = np.empty(sums.size, dtype=np.int8)
    return int(cross_decisions(prices, tape.scale, closes, int(fast), int(slow), bool(short), sums, marks, at, codes))


def sweep_targets(
    strategy: Strategy,
    parameters: Sequence[Mapping[str, Any]],
    tapes: Tape | Sequence[Tape],
    settings: FastSettings,
    *,
    workers: int | None = 1,
    backend: Backend = "processes",
) -> pl.DataFrame:
    """Figures of a strategy of one's own for every parameter set on every tape.

    Parameters
    ----------
    strategy : `strategy(arrays, **parameters)` -> (T,) targets; `arrays` maps open, high, low, close, volume, ts to (T,) arrays
    workers, backend : see `jobs.spread`; processes want a function of a module

    Returns
    -------
    `tape`, the parameters, and FIGURES; one row a tape and set, in that order

    Raises
    ------
    StrategyError : the strategy raised, or gave targets that cannot be traded; its parameters are named
    """
    tapes = (tapes,) if isinstance(tapes, Tape) else tuple(tapes)
    pieces = [(strategy, dict(one), tape, settings) for tape in tapes for one in parameters]
    if not pieces:
        raise InvalidInput("expected at least one tape and one parameter set, found none")
    rows = spread(_figures, pieces, workers=workers, backend=backend)
    found = pl.DataFrame(rows, schema=FIGURES, orient="row")
    label = pl.Series("tape", [tape.instrument for tape in tapes for _ in parameters], dtype=pl.String)
    return pl.concat([pl.DataFrame([label]), pl.DataFrame([piece[1] for piece in pieces]), found], how="horizontal")


def arrays_of(tape: Tape) -> dict[str, NDArray[Any]]:
    """What a strategy sees of a tape: (T,) arrays that cannot be written to."""
    arrays = {name: tape.values(name) for name in ("open", "high", "low", "close", "volume")}
    arrays["ts"] = tape.market.ts[tape.first : tape.stop] if tape.present is None else tape.market.ts[tape.bars]
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def targets_of(strategy: Strategy, parameters: Mapping[str, Any], tape: Tape) -> NDArray[np.float64]:
    """The targets of a strategy; what it raises is a StrategyError that names its parameters."""
    try:
        found = np.asarray(strategy(arrays_of(tape), **parameters), dtype=np.float64)
    except Exception as error:
        raise StrategyError(f"the strategy failed on {tape.instrument} with {dict(parameters)}: {error!r}") from error
    return found


def _figures(piece: tuple[Strategy, Mapping[str, Any], Tape, FastSettings]) -> tuple[Any, ...]:
    strategy, parameters, tape, settings = piece
    return tuple(run_fast(targets_of(strategy, parameters, tape), tape, settings).figures.values())


def _tape(market: Market, instrument: str | None) -> Tape:
    if instrument is None and len(market.instruments) != 1:
        raise InvalidInput(f"expected the instrument to be named in a market of {len(market.instruments)}, found none")
    return Tape.of(market, 0 if instrument is None else market.row(instrument))


def _decisions(
    wanted: NDArray[np.float64], again: NDArray[np.bool_], tape: Tape, settings: FastSettings
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bars that decide something, and the targets there as the kernel's codes."""
    from fieldcast.simulation.fast._kernels_sweep import decisions

    at = np.empty(wanted.size, dtype=np.int64)
    count = decisions(wanted, again, at)
    if count < 0:
        bar = -1 - count
        raise StrategyError(f"expected a finite target at every bar, found {wanted[bar]} at bar {bar} of {tape.instrument}")
    at = at[:count]
    chosen = wanted[at]
    kind = settings.size.kind
    value = float(settings.size.value) if kind == "weight" else 1.0
    large = np.abs(chosen) * value > LARGEST_TARGET
    if large.any():
        i = int(np.flatnonzero(large)[0])
        raise StrategyError(
            f"expected targets of at most {LARGEST_TARGET:.0e}, found {chosen[i]} at bar {at[i]} of {tape.instrument}",
            bar=int(at[i]),
        )
    if kind == "weight":
        return at, np.rint(chosen * value * 1e8).astype(np.int64)
    unit = int(tape.terms(settings)[layout.T_UNIT])
    if kind == "units":
        other = (np.abs(chosen) % 1.0 != 0.0) | (np.abs(chosen) * unit > LARGEST)
        if other.any():
            raise StrategyError(f"expected whole multiples of a fixed size that fit in 63 bits, found {chosen[other][0]}")
        return at, chosen.astype(np.int64) * unit
    return at, np.sign(chosen).astype(np.int64) * unit


def _play(
    at: NDArray[np.int64], codes: NDArray[np.int64], tape: Tape, settings: FastSettings, begin: int, stop: int
) -> FastResult:
    from fieldcast.simulation.fast._kernels_account import play

    opened = tape.open if settings.exits else tape.close      # without exits no open is read but those of the decisions
    prints = tape.opens_after(at)
    whole = np.empty(layout.WHOLES, dtype=np.int64)
    real = np.empty(layout.REALS)
    fills = np.empty((2 * len(at), layout.FILL_COLUMNS), dtype=np.int64)
    count = play(
        opened, *tape.extremes(settings), tape.close, tape.volume(settings), tape.costs(settings), tape.shares(settings),
        tape.lots_of_unit,
        tape.terms(settings), begin, stop, at, codes, prints, len(at), whole, real, fills, np.zeros(3, dtype=np.int64),
    )  # fmt: skip
    refuse_unpriced(whole[None], tape)
    return FastResult(tape, settings, fills[:count], whole, real, begin, stop)


def _stamps(ts: NDArray[np.int64]) -> pl.Series:
    return pl.Series(ts, dtype=pl.Int64).cast(STAMP)
