"""One moment of an order book, read by all processors: `book_field`.

Only rows known at `as_of` enter. The book of that moment gives imbalance, depth, slippage, regime; the messages of the last
`window_seconds` give order flow, resilience and the spread elasticity; trades and quotes of the same stretch, where there are
any, give what trades paid and moved. Whatever is not known is listed with its reason; an unknown book leaves no figure at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fieldcast.fields.books.events import flow_between
from fieldcast.fields.books.imbalance import ImbalanceSettings, order_book_imbalance
from fieldcast.fields.books.impact import KyleLambda, TradeCosts, kyle_lambda, trade_costs
from fieldcast.fields.books.ladders import BPS, SIDES, Ladders, ladders
from fieldcast.fields.books.profile import GRID_BPS, DepthProfile, depth_profile
from fieldcast.fields.books.regime import RegimeThresholds, liquidity_regime, round_trip_bps
from fieldcast.fields.books.resilience import Resilience, ResilienceSettings, resilience, spread_elasticity
from fieldcast.fields.books.slippage import SlippageField, slippage_field
from fieldcast.fields.readings import Landmark, Reading
from fieldcast.fields.vocabulary import LiquidityRegime
from fieldcast.ground import InvalidInput, MissingData, Reason, reason_codes, utc

if TYPE_CHECKING:  # the replay compiles kernels: see `ladders`
    from fieldcast.data.books import BookStretch

CONVENTIONS = {
    "book_imbalance": "(bids − asks) / (bids + asks), 1 = bids alone",
    "book_ofi": "units, positive = buying pressure, over the window",
    "book_depth": "notional in the price's currency within the distance from the mid, each side",
    "book_slippage": "bps of the mid paid by a market order of that notional; a cost is positive",
}


@dataclass(frozen=True)
class BookSettings:
    """How a book is read.

    Parameters
    ----------
    imbalance, resilience, thresholds : parameters of those processors
    distances_bps : grid of the depth
    notionals : orders whose slippage is asked for, in the price's currency
    regime_notional : order by which the regime's cost is measured; None = the quoted spread
    window_seconds : stretch before `as_of` for flow, resilience and costs
    horizons_seconds : of realised spread and impact
    quote_lag_seconds : how much older than a trade its quote must be (see `signed_trades`)
    oldest_seconds : an older last message makes the book unknown (`stale`); None = any age will do
    complete : the feed shows the whole book
    """

    imbalance: ImbalanceSettings = field(default_factory=ImbalanceSettings)
    resilience: ResilienceSettings = field(default_factory=ResilienceSettings)
    thresholds: RegimeThresholds = field(default_factory=RegimeThresholds)
    distances_bps: tuple[float, ...] = GRID_BPS
    notionals: tuple[float, ...] = (1e4, 1e5, 1e6)
    regime_notional: float | None = None
    window_seconds: float = 60.0
    horizons_seconds: tuple[float, ...] = (1.0, 5.0)
    quote_lag_seconds: float = 0.0
    oldest_seconds: float | None = None
    complete: bool = False

    def __post_init__(self) -> None:
        if not self.window_seconds > 0 or (self.oldest_seconds is not None and not self.oldest_seconds >= 0):
            raise InvalidInput(f"expected a window above 0 s and an age of 0 s or more, found {self}")


@dataclass(frozen=True, eq=False)
class BookField:
    """What the processors found; a part is None where nothing could be found.

    Parameters
    ----------
    available_at : of the last message
    figures : quantity without its prefix → value
    regime : None with the reason under `regime`
    reasons : quantity → why it is unknown; disjoint from `figures`
    """

    instrument: str
    as_of: datetime
    available_at: datetime | None
    book: Ladders | None
    profile: DepthProfile | None
    slippage: SlippageField | None
    resilience: Resilience | None
    regime: LiquidityRegime | None
    trade_costs: TradeCosts | None
    kyle: KyleLambda | None
    figures: Mapping[str, float]
    reasons: Mapping[str, Reason]
    simulated: bool
    quote_lag_seconds: float = 0.0

    def reading(self) -> Reading:
        """The figures in the namespace `liquidity`, names with `book_` before them; prices are landmarks, the regime a label."""
        values = {f"book_{name}": value for name, value in self.figures.items() if name not in _PRICES}
        reasons = {f"book_{name}": why for name, why in self.reasons.items() if name not in _PRICES}
        marks = {}
        if self.available_at is not None:
            marks = {f"book_{name}": Landmark(self.figures[name], self.available_at) for name in _PRICES if name in self.figures}
        return Reading(
            "liquidity", self.as_of, values, landmarks=marks, labels={"book_regime": self.regime} if self.regime else {},
            reasons=reasons, conventions=CONVENTIONS | {"book_quote_lag": f"{self.quote_lag_seconds:g} s"},
            simulated=self.simulated,
        )  # fmt: skip


_PRICES = ("bid", "ask", "mid", "microprice")


def book_field(
    depth: pl.DataFrame,
    as_of: datetime,
    *,
    trades: pl.DataFrame | None = None,
    quotes: pl.DataFrame | None = None,
    settings: BookSettings | None = None,
) -> BookField:
    """Everything that the processors say about a book at one moment.

    The book is played through once, and before the window only as far as its state there asks for: a whole session costs little
    more than its last minute.

    Parameters
    ----------
    depth : rows of `depth` of one instrument
    as_of : the moment of the decision
    trades, quotes : rows of those tables of the same instrument; without both, nothing is said about what trades pay

    Raises
    ------
    InvalidInput : rows of several instruments, or none
    """
    from fieldcast.data.books import any_reason

    settings = settings or BookSettings()
    moment = utc(as_of)
    if depth.is_empty() or not depth["instrument"].eq_missing(depth["instrument"][0]).all():
        raise InvalidInput("expected depth rows of one instrument, found none or several; filter them first")
    known = depth.filter(pl.col("available_at") <= moment)
    found = _Found(settings)
    ends = known["available_at"].max()
    at = ends if isinstance(ends, datetime) else None
    stretch = _stretch(found, known, moment, at)
    state = None if stretch is None else _read_book(found, stretch)
    _read_stretch(found, stretch, moment, state)
    costs, kyle = _read_trades(found, trades, quotes, moment)
    simulated = any(any_reason(table, Reason.SIMULATED) for table in (known, trades, quotes) if table is not None)
    return BookField(
        instrument=str(depth["instrument"][0]), as_of=moment, available_at=at, book=state, profile=found.profile,
        slippage=found.slippage, resilience=found.resilience, regime=found.regime, trade_costs=costs, kyle=kyle,
        figures=found.figures, reasons=found.reasons, simulated=simulated, quote_lag_seconds=settings.quote_lag_seconds,
    )  # fmt: skip


class _Found:
    """Figures and reasons as they come in."""

    def __init__(self, settings: BookSettings) -> None:
        self.settings = settings
        self.figures: dict[str, float] = {}
        self.reasons: dict[str, Reason] = {}
        self.profile: DepthProfile | None = None
        self.slippage: SlippageField | None = None
        self.resilience: Resilience | None = None
        self.regime: LiquidityRegime | None = None

    def put(self, name: str, value: float | Reason | None, otherwise: Reason = Reason.UNDEFINED) -> None:
        """A value, or why there is none."""
        if isinstance(value, Reason):
            self.reasons[name] = value
        elif value is None or not np.isfinite(value):
            self.reasons[name] = otherwise
        else:
            self.figures[name] = float(value)

    def lose(self, names: tuple[str, ...], why: Reason) -> None:
        """None of these is known."""
        self.reasons |= dict.fromkeys(names, why)


def _stretch(found: _Found, known: pl.DataFrame, moment: datetime, at: datetime | None) -> BookStretch | None:
    """The replay of the window; None where there is no message, or only old ones."""
    from fieldcast.data.books import replay_since

    settings = found.settings
    if at is None:
        found.lose(_book_names(settings), Reason.BOOK_UNKNOWN)
        return None
    age = (moment - at) / timedelta(seconds=1)
    found.put("age_seconds", age)
    if settings.oldest_seconds is not None and age > settings.oldest_seconds:
        found.lose(_book_names(settings), Reason.STALE)
        return None
    deepest = max(settings.imbalance.levels[-1], settings.resilience.levels)
    return replay_since(known, moment - timedelta(seconds=settings.window_seconds), deepest)


def _read_book(found: _Found, stretch: BookStretch) -> Ladders | None:
    """Everything that the book of the moment says by itself."""
    settings = found.settings
    names = _book_names(settings)
    last = stretch.states.tail(1)
    why = last["reasons"][0]
    if why is not None or stretch.book is None:
        found.lose(names, *reason_codes([why]))
        return None
    book = ladders(stretch.book, settings.complete)
    if book.reason is not None:
        found.lose(names, book.reason)
        return book
    found.put("bid", float(book.bid_price[0]))
    found.put("ask", float(book.ask_price[0]))
    row = order_book_imbalance(last, settings.imbalance).row(0, named=True)
    for name in settings.imbalance.quantities:
        if not name.startswith("ofi_"):
            found.put(name, row[name], Reason.BEYOND_BOOK)
    found.put("microprice_bps", (row["microprice"] - book.mid) / book.mid * BPS)
    _put_depth(found, book)
    _put_slippage(found, book)
    cost = round_trip_bps(book, notional=settings.regime_notional)
    found.put("cost_bps", cost)
    if isinstance(cost, Reason):
        found.reasons["regime"] = cost
    else:
        sides = [row[f"imbalance_{level}"] for level in settings.imbalance.levels if row[f"imbalance_{level}"] is not None]
        if sides:  # the deepest that the feed shows
            found.regime = liquidity_regime(cost, sides[-1], settings.thresholds)
        else:
            found.reasons["regime"] = Reason.BEYOND_BOOK
    return book


def _put_depth(found: _Found, book: Ladders) -> None:
    profile = found.profile = depth_profile(book, found.settings.distances_bps)
    for side, distance, notional in profile.table.select("side", "distance_bps", "notional").iter_rows():
        found.put(f"depth_{side}_{distance:g}bps", notional, Reason.BEYOND_BOOK)
    for name in ("slope", "elasticity", "evenness", "peak_bps"):
        for side in SIDES:
            found.put(f"{name}_{side}", getattr(profile, name).get(side, profile.reasons.get(f"{name}_{side}")))


def _put_slippage(found: _Found, book: Ladders) -> None:
    field = found.slippage = slippage_field(book, notionals=found.settings.notionals)
    for side, notional, bps in zip(
        field.table["side"], [*found.settings.notionals] * 2, field.table["slippage_bps"], strict=True
    ):
        found.put(f"slippage_{side}_{notional:.0f}", bps, Reason.BEYOND_BOOK)


def _read_stretch(found: _Found, replayed: BookStretch | None, moment: datetime, book: Ladders | None) -> None:
    """Order flow, resilience and spread elasticity of the window."""
    settings = found.settings
    flows = tuple(name for name in settings.imbalance.quantities if name.startswith("ofi_"))
    others = ("half_life_seconds", "spread_elasticity", *(f"recovered_{s:g}s" for s in settings.resilience.horizons_seconds))
    if replayed is None or book is None:
        found.lose((*flows, *others), found.reasons["mid"])
        return
    first, states = moment - timedelta(seconds=settings.window_seconds), replayed.states
    table = order_book_imbalance(states, settings.imbalance)
    try:
        for name, value in flow_between(table, first, moment, settings.imbalance).items():
            found.put(name, value)
    except MissingData:
        found.lose(flows, Reason.WARMING_UP)
    stretch = states.filter(pl.col("available_at") > first)
    back = found.resilience = resilience(stretch, settings.resilience)
    found.put("half_life_seconds", back.half_life_seconds, back.reasons.get("half_life_seconds", Reason.UNRESOLVED))
    for name in others[2:]:
        found.put(name, back.recovered.get(name.removeprefix("recovered_")), Reason.FEW_ROWS)
    found.put("spread_elasticity", spread_elasticity(stretch, settings.resilience.levels))


def _read_trades(
    found: _Found, trades: pl.DataFrame | None, quotes: pl.DataFrame | None, moment: datetime
) -> tuple[TradeCosts | None, KyleLambda | None]:
    """What trades of the window paid and moved."""
    settings = found.settings
    parts = tuple(f"{part}_bps_{tau:g}s" for tau in settings.horizons_seconds for part in ("realised", "impact"))
    if trades is None or quotes is None:
        found.lose(("effective_bps", "kyle_lambda", *parts), Reason.NO_DATA)
        return None, None
    first = moment - timedelta(seconds=settings.window_seconds)
    stretch = pl.col("available_at").is_between(first, moment, closed="right")
    trades, quotes = trades.filter(stretch), quotes.filter(stretch)
    lag = timedelta(seconds=settings.quote_lag_seconds)
    costs = trade_costs(trades, quotes, settings.horizons_seconds, lag)
    found.put("effective_bps", costs.effective_bps, Reason.FEW_ROWS)
    for tau in settings.horizons_seconds:
        found.put(f"realised_bps_{tau:g}s", costs.realised_bps.get(tau), Reason.FEW_ROWS)
        found.put(f"impact_bps_{tau:g}s", costs.impact_bps.get(tau), Reason.FEW_ROWS)
    kyle = kyle_lambda(trades, quotes, lag=lag)
    found.put("kyle_lambda", kyle.price_per_unit, kyle.reason or Reason.UNDEFINED)
    return costs, kyle


def _book_names(settings: BookSettings) -> tuple[str, ...]:
    """Every figure that the book of one moment gives."""
    grid = [f"depth_{side}_{distance:g}bps" for side in SIDES for distance in settings.distances_bps]
    shape = [f"{name}_{side}" for name in ("slope", "elasticity", "evenness", "peak_bps") for side in SIDES]
    orders = [f"slippage_{side}_{notional:.0f}" for side in ("buy", "sell") for notional in settings.notionals]
    now = [name for name in settings.imbalance.quantities if not name.startswith("ofi_")]
    return (*_PRICES[:2], *now, "microprice_bps", *grid, *shape, *orders, "cost_bps", "regime")
