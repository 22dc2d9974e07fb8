"""Random markets, settings and orders for tests of the venue: everything that it can be asked, in short runs with rough bars."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from fieldcast.market import Instrument, Kind
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import Margin, VenueSettings
from fieldcast.trading import CostModel, Side
from fieldcast.trading.order_kinds import Bracket, OrderKind, Ticket, TimeInForce

LISTED = (
    Instrument("XNAS:AAA", Kind.EQUITY),
    Instrument("XNAS:BBB", Kind.EQUITY, lot=Decimal("0.1"), tick=Decimal("0.05")),
    Instrument("XCME:CCC", Kind.EQUITY, multiplier=Decimal(5), tick=Decimal("0.25")),
)
MINUTE = 60_000_000


def random_market(rng: np.random.Generator, bars: int = 40, count: int = 2) -> Market:
    """Rough bars on a 2-decimal grid: gaps, missing bars, missing and untrusted opens, unknown and zero volume."""
    shape = (count, bars)
    close = np.round(50 * np.exp(np.cumsum(rng.normal(0, 0.03, shape), axis=1)), 2)
    opened = np.round(np.concatenate((close[:, :1], close[:, :-1]), axis=1) * np.exp(rng.normal(0, 0.02, shape)), 2)
    high = np.round(np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, 0.015, shape))), 2)
    low = np.round(np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, 0.015, shape))), 2)
    volume = np.round(rng.lognormal(5, 1.5, shape))
    volume[rng.random(shape) < 0.05] = 0.0
    volume[rng.random(shape) < 0.05] = np.nan
    trusted = rng.random(shape) > 0.05
    opened[rng.random(shape) < 0.04] = np.nan
    for array in (high, low):
        array[rng.random(shape) < 0.02] = np.nan
    missing = rng.random(shape) < 0.06
    for array in (opened, high, low, close, volume):
        array[missing] = np.nan
    gap = int(rng.integers(0, 2)) * 1_000_000
    ts = np.arange(1, bars + 1) * MINUTE
    return Market(
        LISTED[:count], ts, ts - MINUTE + gap, opened, high, low, close, volume, trusted & ~np.isnan(opened),
        session=np.arange(bars) // int(rng.integers(2, 9)),
    )  # fmt: skip


def random_settings(rng: np.random.Generator) -> VenueSettings:
    """Every switch of the venue, at random."""
    pick = lambda *values: values[int(rng.integers(len(values)))]  # noqa: E731
    share = pick(None, None, Decimal("0.1"), Decimal("0.25"))
    return VenueSettings(
        cash={"USD": Decimal(int(rng.integers(2_000, 60_000)))},
        costs=CostModel(
            pick(Decimal(0), Decimal(1), Decimal("2.5")), pick(Decimal(0), Decimal("1.3")), pick(Decimal(0), Decimal("0.5")),
            pick(Decimal(0), Decimal("0.35")), pick(Decimal(0), Decimal(0), Decimal(30)),
        ),
        intrabar=pick("worst", "ohlc"),
        shortfall=pick("reject", "cut"),
        untrusted_open=pick("wait", "reject"),
        limit_touch=bool(rng.integers(2)),
        volume_share=share,
        latency_us=int(pick(0, 0, 500_000, 2_000_000, 90_000_000)),
        shorts=bool(rng.random() < 0.8),
        margin=pick(Margin(), Margin(Decimal("0.5"), Decimal("0.25")), Margin(Decimal("0.2"), Decimal("0.18"))),
        pattern_day_trader=bool(rng.random() < 0.3),
    )  # fmt: skip


def random_ticket(rng: np.random.Generator, market: Market, t: int) -> Ticket:
    """A ticket near the last price of one instrument."""
    n = int(rng.integers(len(market.instruments)))
    instrument = market.instruments[n]
    known = market.close[n, : max(t, 0) + 1]
    last = float(known[known > 0][-1]) if (known > 0).any() else 50.0
    near = lambda spread: Decimal(repr(round(last * float(np.exp(rng.normal(0, spread))), 3)))  # noqa: E731
    kind = list(OrderKind)[int(rng.choice(7, p=(0.3, 0.2, 0.15, 0.1, 0.1, 0.07, 0.08)))]
    tif = list(TimeInForce)[int(rng.choice(4, p=(0.6, 0.2, 0.1, 0.1)))]
    if kind not in (OrderKind.MARKET, OrderKind.LIMIT) and tif in (TimeInForce.IOC, TimeInForce.FOK):
        tif = TimeInForce.GTC
    lots = int(rng.integers(1, 400))
    quantity = instrument.lot * lots
    odd = rng.random()
    if odd < 0.04:
        quantity = (Decimal(-3), Decimal(0), Decimal(10) ** 30, instrument.lot / 3)[int(odd * 100)]
    terms: dict[str, Any] = {}
    if kind in (OrderKind.LIMIT, OrderKind.STOP_LIMIT):
        terms["limit"] = near(0.02)
    if kind in (OrderKind.STOP, OrderKind.STOP_LIMIT):
        terms["stop"] = near(0.02)
    if kind is OrderKind.TRAILING_STOP:
        terms |= {"trail": Decimal("1.25")} if rng.random() < 0.5 else {"trail_share": Decimal("0.013")}
    return Ticket(
        instrument.id, Side.BUY if rng.random() < 0.5 else Side.SELL, quantity, kind, time_in_force=tif,
        reduce_only=bool(rng.random() < 0.1), **terms,
    )  # fmt: skip


def random_bracket(rng: np.random.Generator, market: Market, t: int) -> Bracket:
    """A bracket around a ticket, stops and targets some per cent away."""
    while True:
        entry = random_ticket(rng, market, t)
        if entry.quantity > 0 and entry.kind is not OrderKind.TRAILING_STOP:
            break
    n = market.row(entry.instrument)
    known = market.close[n, : max(t, 0) + 1]
    last = float(known[known > 0][-1]) if (known > 0).any() else 50.0
    sign = entry.side.sign
    target = Decimal(repr(round(last * (1 + sign * float(rng.uniform(0.002, 0.06))), 2)))
    stop = Decimal(repr(round(last * (1 - sign * float(rng.uniform(0.002, 0.06))), 2)))
    kind = rng.random()
    if kind < 0.6:
        return Bracket(entry, target=target, stop=stop)
    if kind < 0.8:
        return Bracket(entry, target=target, trail=Decimal("0.8"))
    return Bracket(entry, stop=stop) if kind < 0.9 else Bracket(entry, target=target)
