"""Option chains of a simulated underlying: listed, traded, quoted and counted, with the truth beside them.

The underlying's bars come from `simulate_bars`, and the surface (`surface`) follows their own latent volatility. Contracts are
listed by rules (`listings`) that look at the session before; customers trade and open interest is counted (`flows`); quotes
stand around true prices (`option_quotes`). Work goes session by session: memory holds one session's contracts.

What is known when: a snapshot's quotes at its own time; its open interest is the count after the session before, known since
the open of its session. All draws of a session or a snapshot have a stream of their own, so that a later `last` only appends.

Time to expiry is counted twice, as on real markets: prices discount calendar time (ACT/365, `years`), variance accrues in
business time: sessions and the gaps between them, each session the same whatever its length.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data.chains import CALENDAR, expiry_moments
from fieldcast.data.lineage import Lineage
from fieldcast.data.simulated._board import Board, ListedExpiries
from fieldcast.data.simulated.bars import DATASET, SimulatedBars, simulate_bars, stream
from fieldcast.data.simulated.flows import FlowProcess, Traded, seasoned, trade
from fieldcast.data.simulated.grid import Grid, grid_of
from fieldcast.data.simulated.listings import Expiry, ListingRules, expiries, ladder
from fieldcast.data.simulated.option_quotes import QuoteProcess, priced, quoted
from fieldcast.data.simulated.parameters import BarMarket, SimulatedInstrument
from fieldcast.data.simulated.surface import Surface, SurfaceProcess, expected_variance, tilts
from fieldcast.ground import InvalidInput, Reason, digest
from fieldcast.market import DECISION_DELAY, Instrument, sessions, sessions_per_year, table_of
from fieldcast.pricing.quotes import years_between

Floats = NDArray[np.float64]
Style = Literal["european", "american"]
Moments = Literal["close", "bars"]
MULTIPLIER = 100.0
_YEAR = 365.25


@dataclass(frozen=True)
class ChainMarket:
    """A simulated underlying and its options: the same seed gives the same rows in every process.

    Parameters
    ----------
    instrument : on the calendar XNYS; its name, up to five capitals (six with american style), is the root of the contracts
    first, last : the sessions that have one of these dates or one between them
    interval, snapshots : of the bars, and at which a chain is seen: at each session's `close`, or at the end of all `bars`
    style : european or american exercise
    """

    seed: int
    instrument: SimulatedInstrument
    first: date
    last: date
    interval: str = "1d"
    snapshots: Moments = "close"
    style: Style = "european"
    surface: SurfaceProcess = field(default_factory=SurfaceProcess)
    listings: ListingRules = field(default_factory=ListingRules)
    flow: FlowProcess = field(default_factory=FlowProcess)
    quotes: QuoteProcess = field(default_factory=QuoteProcess)

    def __post_init__(self) -> None:
        if self.style not in get_args(Style) or self.snapshots not in get_args(Moments):
            raise InvalidInput(f"expected european or american, and close or bars; found {self.style!r} and {self.snapshots!r}")
        longest = 5 if self.splits_roots else 6
        if not re.fullmatch(rf"[A-Z]{{1,{longest}}}", self.instrument.name):
            raise InvalidInput(f"expected a name of up to {longest} capitals, a root, found {self.instrument.name!r}")
        if self.described.calendar != CALENDAR:
            raise InvalidInput(f"expected an underlying on {CALENDAR}, as options are, found {self.described.calendar}")

    @property
    def splits_roots(self) -> bool:
        """Contracts that settle at the close have a root of their own: the name and W."""
        return self.style == "european" and self.listings.morning_settled

    @property
    def described(self) -> Instrument:
        """The underlying as the catalogue holds it."""
        return self.instrument.described(self.seed)

    @property
    def bars(self) -> BarMarket:
        """The market of the underlying's bars."""
        return BarMarket(self.seed, (self.instrument,), self.first, self.last, self.interval)

    @property
    def source(self) -> str:
        """What the lineage of the chain says: equal where, and only where, everything that it depends on is equal.

        `last` is no part of it: a later one only appends.
        """
        identity = {name: value for name, value in asdict(self).items() if name != "last"}
        return f"BarMarket seed {self.seed}, {self.interval}, chain, parameters {digest(identity)}"


@dataclass(frozen=True)
class ChainTruth:
    """What stands behind a snapshot.

    Parameters
    ----------
    surface : the true surface
    expiries : one row a listed expiry: `expiry_ts`, `root`, `ahead` (sessions of business time), `years`, `theta` (total
        variance at the money), `forward`, `discount`
    contracts : one row for each of the snapshot's, in its order: `contract_id`, `price`, `sigma` (a year), `dealer` (contracts
        that dealers hold, below zero where they are short; of the count that the snapshot shows), `bought`, `sold` (by
        customers in the whole session)
    """

    surface: Surface
    expiries: pl.DataFrame
    contracts: pl.DataFrame


@dataclass(frozen=True)
class ChainSnapshot:
    """Rows of the table `chains` at one moment, every one with the reason `simulated`, and the truth behind them."""

    ts: datetime
    rows: pl.DataFrame
    truth: ChainTruth


@dataclass(frozen=True)
class ChainSession:
    """One session: its snapshots, and rows of the table `open_interest` counted after it, known at the next open."""

    session: date
    snapshots: tuple[ChainSnapshot, ...]
    open_interest: pl.DataFrame


@dataclass(frozen=True)
class SimulatedChain:
    """A simulated underlying with its chain.

    Parameters
    ----------
    bars : of the underlying, with its instrument and their own lineage
    lineage : of the tables `chains` and `open_interest`
    """

    market: ChainMarket
    bars: SimulatedBars
    lineage: Lineage

    @property
    def instrument(self) -> Instrument:
        return self.bars.instrument

    def sessions(self) -> Iterator[ChainSession]:
        """Session by session; each call begins anew and gives the same."""
        return _Run(self.market, self.bars).sessions()

    def snapshots(self) -> Iterator[ChainSnapshot]:
        """The snapshots of all sessions."""
        for one in self.sessions():
            yield from one.snapshots


def simulate_chain(market: ChainMarket) -> SimulatedChain:
    """A simulated underlying and its options.

    Raises
    ------
    InvalidInput : the calendar has no session in the span, or none after it
    """
    (bars,) = simulate_bars(market.bars)
    newest = bars.bars["ts"][-1]
    after = sessions(CALENDAR).filter(pl.col("open") > newest)
    if after.is_empty():
        raise InvalidInput(f"expected a session of {CALENDAR} after {market.last}, found none; choose an earlier last date")
    lineage = Lineage(
        provider="simulated", dataset=DATASET, fetched_at=after["open"][0] + DECISION_DELAY, simulated=True, source=market.source
    )
    return SimulatedChain(market, bars, lineage)


class _Run:
    """One pass over the sessions."""

    def __init__(self, market: ChainMarket, bars: SimulatedBars) -> None:
        self.market, self.bars, self.id = market, bars, bars.instrument.id
        self.process = market.instrument.process
        self.session_variance = self.process.annual_volatility**2 / sessions_per_year(CALENDAR)
        grid = grid_of(CALENDAR, market.interval, market.first, market.last)
        self.session = grid.session
        self.close = bars.bars["close"].to_numpy()
        self.ts = bars.bars["ts"].dt.epoch("us").to_numpy()
        self.clock = _clock(grid, self.process.gap_share)
        self.volume_share = _running_share(grid.volume(market.instrument.season, market.interval), grid.session)
        self.days = sessions(CALENDAR).filter(pl.col("session").is_between(market.first, market.last))
        self.later = sessions(CALENDAR).filter(pl.col("session") > market.last)["open"]
        self.listed = self._listed()
        self.rho, self.eta = self._tilts()

    def sessions(self) -> Iterator[ChainSession]:
        board = Board(self.listed)
        spot, slow, fast = self.market.instrument.first_price, 0.0, 0.0  # at the mean of log volatility before the history
        opens = [*self.days["open"].to_list(), self.later[0] if self.later.len() else None]
        for number, (day, close) in enumerate(zip(self.days["session"], self.days["close"], strict=True)):
            rows = np.flatnonzero(self.session == number)
            board.drop(opens[number])  # what settled against the opening
            done = self._trade(board, number, day, spot, slow, fast)
            before = np.maximum(board.long, board.short), board.short - board.long
            shown = rows if self.market.snapshots == "bars" else rows[-1:]
            snapshots = tuple(self._snapshot(board, int(row), opens[number], before, done) for row in shown)
            board.settle(done.long, done.short)
            board.drop(close)
            counted = self._counted(board, close, opens[number + 1])
            yield ChainSession(day, snapshots, counted)
            spot, (slow, fast) = float(self.close[rows[-1]]), self.bars.log_volatility[rows[-1]]

    def _listed(self) -> ListedExpiries:
        """Every expiry of the history, with its root, last moment and place on the clock of variance."""
        market, days = self.market, sessions(CALENDAR)["session"].to_list()
        found = expiries(market.listings, days, self.days["session"][0], self.days["session"][-1])
        name = market.instrument.name
        roots = [name + ("W" if market.splits_roots and item.settlement == "PM" else "") for item in found]
        settled = pl.Series([item.settlement for item in found], dtype=pl.String)
        moments = expiry_moments(pl.Series([item.day for item in found], dtype=pl.Date), settled).dt.epoch("us").to_numpy()
        place = _places(days, found, self.days["session"][0])
        morning = (settled == "AM").to_numpy()
        clock = place + np.where(morning, self.process.gap_share, 1.0)
        return ListedExpiries(tuple(found), tuple(roots), moments, clock, np.where(morning, place - 1, place))

    def _tilts(self) -> tuple[Floats, Floats]:
        """rho and eta at the end of each bar."""
        elapsed = np.diff(self.clock, prepend=0.0)
        h = self.bars.log_volatility.sum(axis=1)
        sd = np.sqrt(self.session_variance * np.exp(2 * h - 2 * self.process.log_volatility_variance))
        moves = np.zeros(self.close.size)
        moves[1:] = np.diff(np.log(self.close)) / (sd[:-1] * np.sqrt(elapsed[1:]))
        start = stream(self.market.seed, f"{self.id} smile start").standard_normal(2)
        draws = stream(self.market.seed, f"{self.id} smile").standard_normal((self.close.size, 2))
        return tilts(self.market.surface, moves, elapsed, start, draws)

    def _summed(self, slow: float, fast: float) -> Floats:
        return expected_variance(self.process, self.market.surface, self.session_variance, slow, fast)

    def _trade(self, board: Board, number: int, day: date, spot: float, slow: float, fast: float) -> Traded:
        """List what the rules ask for at the close before, then let customers trade the whole session."""
        market, listed = self.market, self.listed
        level = Surface(0.0, 0.0, market.surface.gamma, self._summed(slow, fast))
        alive = listed.alive(day)
        deviation = np.zeros(listed.clock.size)
        deviation[alive] = np.sqrt(level.theta(listed.clock[alive] - number))
        fresh = board.add(alive, [ladder(market.listings, spot, float(deviation[place])) for place in alive])
        of = board.expiry
        ahead = listed.clock[of] - number
        years = ahead / sessions_per_year(CALENDAR)
        place = np.log(board.strike / market.surface.forward(spot, years)) / deviation[of]
        means = market.flow.means(place, ahead, board.is_call)
        random = stream(market.seed, f"{self.id} flow {day}")
        if number == 0:
            age = np.array([max(0, (day - item.listed).days) * 5 / 7 for item in listed.items])[of]
            long, short = seasoned(market.flow, means, board.is_call, age, random)
            board.settle(np.where(fresh, long, board.long), np.where(fresh, short, board.short))
        last = listed.last_session[of] == number
        return trade(market.flow, means, board.is_call, last, board.long, board.short, random)

    def _snapshot(
        self, board: Board, row: int, known: datetime, before: tuple[NDArray[np.int64], NDArray[np.int64]], done: Traded
    ) -> ChainSnapshot:
        """The chain at the end of a bar."""
        market, ts = self.market, int(self.ts[row])
        slow, fast = self.bars.log_volatility[row]
        surface = Surface(float(self.rho[row]), float(self.eta[row]), market.surface.gamma, self._summed(slow, fast))
        spot = float(self.close[row])
        kept = np.flatnonzero(self.listed.moment[board.expiry] > ts)
        places, of = np.unique(board.expiry[kept], return_inverse=True)
        terms = self._terms(surface, places, row, spot)
        forward, discount, years, theta = (terms[name].to_numpy()[of] for name in ("forward", "discount", "years", "theta"))
        strike, is_call = board.strike[kept], board.is_call[kept]
        k = np.log(strike / forward)
        sigma = np.sqrt(surface.total_variance(k, theta) / years)
        contracts = priced(
            spot, strike, forward, discount, years, sigma, is_call, k / np.sqrt(theta), american=market.style == "american"
        )
        quotes = quoted(market.quotes, contracts, stream(market.seed, f"{self.id} quotes {ts}"))
        traded = np.floor(done.volume[kept] * self.volume_share[row] + 1e-9)
        board.print(kept, traded, np.where((done.bought >= done.sold)[kept] | (quotes.bid <= 0), quotes.ask, quotes.bid), ts)
        frame = board.frame(kept).with_columns(
            instrument=pl.lit(self.id), ts=pl.lit(ts), available_at=pl.lit(ts), exercise_style=pl.lit(market.style),
            multiplier=pl.lit(MULTIPLIER), bid=quotes.bid, ask=quotes.ask, bid_size=quotes.bid_size, ask_size=quotes.ask_size,
            open_interest=before[0][kept].astype(np.float64), volume=traded, underlying_price=pl.lit(spot),
            underlying_ts=pl.lit(ts), quote_ts=pl.lit(ts), oi_available_at=pl.lit(known), reasons=pl.lit(str(Reason.SIMULATED)),
        )  # fmt: skip
        truth = pl.DataFrame({
            "contract_id": frame["contract_id"], "price": contracts.price, "sigma": sigma, "dealer": before[1][kept],
            "bought": done.bought[kept], "sold": done.sold[kept],
        })  # fmt: skip
        moment = datetime.fromtimestamp(ts // 1_000_000, UTC)  # bars end on whole seconds
        return ChainSnapshot(moment, _conformed(frame, "chains"), ChainTruth(surface, terms, truth))

    def _terms(self, surface: Surface, places: NDArray[np.int64], row: int, spot: float) -> pl.DataFrame:
        """One row an expiry that is still alive at the end of a bar."""
        listed = self.listed
        ahead = listed.clock[places] - self.clock[row]
        years = np.maximum(years_between(int(self.ts[row]), listed.moment[places]), 0.5 / (1440 * 365))
        return pl.DataFrame({
            "expiry_ts": pl.Series(listed.moment[places]).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            "root": [listed.roots[place] for place in places], "ahead": ahead, "years": years, "theta": surface.theta(ahead),
            "forward": self.market.surface.forward(spot, years), "discount": self.market.surface.discount(years),
        })  # fmt: skip

    def _counted(self, board: Board, close: datetime, known: datetime | None) -> pl.DataFrame:
        """Open interest after a session."""
        frame = pl.DataFrame({
            "contract_id": board.id, "open_interest": np.maximum(board.long, board.short).astype(np.float64)
        })  # fmt: skip
        return _conformed(
            frame.with_columns(
                instrument=pl.lit(self.id), ts=pl.lit(close), available_at=pl.lit(known), reasons=pl.lit(str(Reason.SIMULATED))
            ),
            "open_interest",
        )


def _conformed(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """The table's columns in its order; those that the simulation has no value for (vendors' Greeks) are null."""
    schema = table_of(table).schema
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name) for name, dtype in schema.items()
    )


def _clock(grid: Grid, gap_share: float) -> Floats:
    """(n,) sessions of business time from the close before the history to each bar's end: k + 1 at the close of session k."""
    within = _running_share(grid.seconds.astype(np.float64), grid.session)
    return np.asarray(grid.session + gap_share + (1 - gap_share) * within)


def _running_share(values: Floats, session: NDArray[np.int64]) -> Floats:
    """(n,) what of its session's sum has come by the end of each bar; 1 at the close."""
    sums = np.cumsum(values)
    last = np.append(np.flatnonzero(np.diff(session)), session.size - 1)
    before = np.concatenate([[0.0], sums[last][:-1]])[session]
    total = sums[last][session] - before
    found = (sums - before) / total
    found[last] = 1.0
    return np.asarray(found)


def _places(days: list[date], found: list[Expiry], first: date) -> Floats:
    """(m,) number of each expiry's session, 0 for the first of the history; beyond the calendar by the usual sessions a year."""
    held = np.array(days, dtype="datetime64[D]")
    at = np.array([item.day for item in found], dtype="datetime64[D]")
    beyond = np.maximum((at - held[-1]).astype(np.int64), 0) * (sessions_per_year(CALENDAR) / _YEAR)
    base = math.floor(float(np.searchsorted(held, np.datetime64(first))))
    return np.asarray(np.minimum(np.searchsorted(held, at), held.size - 1) - base + beyond)
