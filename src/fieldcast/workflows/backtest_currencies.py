"""The currencies of a run: what its account is paid in, the rates between them, and the conversions that its plan asks for.

Rates are those of stored pairs, as they were known, or what the plan states. A run whose currencies nothing joins is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.data import load_instrument
from fieldcast.data.catalogue import known_instruments
from fieldcast.data.fx_rates import pair_of
from fieldcast.ground import ConfigError, ConflictError, InvalidInput, MissingData
from fieldcast.market import STAMP, Instrument
from fieldcast.market.instrument import Kind
from fieldcast.market.tables import table_of
from fieldcast.simulation.currencies import Conversion, DatedRates
from fieldcast.simulation.market import Market
from fieldcast.workflows.backtest_money import FxPart
from fieldcast.workflows.backtest_series import moment_of
from fieldcast.workflows.backtest_settings import BacktestPlan
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.workspace import Workspace

_CENT = Decimal("0.01")
_BEFORE = timedelta(days=14)      # rates that a run begins with are looked for so long before it


@dataclass(frozen=True)
class Purse:
    """The currencies of a run.

    Parameters
    ----------
    base : that equity is reckoned in
    cash : paid in at the start
    currencies : base first, then those of the instruments, then further ones of the cash
    """

    base: str
    cash: Mapping[str, Decimal]
    currencies: tuple[str, ...]


def purse_of(plan: BacktestPlan, instruments: Iterable[Instrument]) -> Purse:
    """What a run is reckoned in.

    Raises
    ------
    ConfigError : the plan does not say which currency equity is reckoned in, and there are several
    """
    account = plan.account
    found = list(dict.fromkeys(one.currency for one in instruments))
    paid = dict(account.cash) if isinstance(account.cash, dict) else None
    base = account.currency
    if base is None:
        named = list(paid) if paid is not None else found
        if len(named) != 1:
            raise ConfigError(
                f"expected one currency, or the one that equity is reckoned in, for instruments in {', '.join(found)}; write "
                f'currency = "{found[0]}", say, under [account], or give --currency {found[0]}'
            )
        base = named[0]
    if paid is None:
        assert isinstance(account.cash, Decimal)
        paid = {base: account.cash}
    return Purse(base, paid, tuple(dict.fromkeys((base, *found, *paid))))


def rates_of(
    workspace: Workspace, plan: BacktestPlan, purse: Purse, market: Market, until: datetime | None, *, asked_by: str | None = None
) -> DatedRates:
    """The rates that join the run's currencies, as they were known; those that the plan states hold all the time.

    Parameters
    ----------
    until : nothing that became known later is read
    asked_by : hash of the plan that seals have to be open for; None = `plan`'s own
    """
    part = plan.fx
    first, last = moment_of(int(market.open_ts[0])), moment_of(int(market.ts[-1]))
    wanted = [load_instrument(workspace.ledger, name) for name in part.pairs] or _pairs(workspace, part, purse)
    # pairs that were found in the store may be sealed by themselves
    until = known_until(workspace, [pair.id for pair in wanted], asked_by or plan.hash, until)
    frames = []
    for pair in wanted:
        rows = workspace.store.read(
            pair.id, table=part.table, dataset=part.dataset, as_of=until,
            first=(first - _BEFORE - timedelta(hours=part.longest_age_hours)).date(), last=last.date(),
        )  # fmt: skip
        if table_of(part.table).kind == "quote_bars":
            rows = rows.with_columns(close=(pl.col("bid_close") + pl.col("ask_close")) / 2.0)
        frames.append(rows.select("instrument", "ts", "available_at", "close").drop_nulls("close"))
    bars = pl.concat(frames) if frames else pl.DataFrame(
        schema={"instrument": pl.String(), "ts": STAMP, "available_at": STAMP, "close": pl.Float64()}
    )
    age = timedelta(hours=part.longest_age_hours)
    rates = DatedRates(bars, wanted, pivot=part.pivot, longest_age=age)
    for name, rate in part.stated.items():
        one, other = name.split("/")
        rates.state(one, other, rate)
    for currency in purse.currencies[1:]:
        _joined(rates, currency, purse.base, part)
    return rates


def _joined(rates: DatedRates, currency: str, base: str, part: FxPart) -> None:
    if not rates.joins(currency, base):
        named = ", ".join(part.pairs) or f"none in {part.table}"
        raise MissingData(
            f"expected a pair of {currency} and {base}, or of both with {part.pivot}, in the store, found {named}; import the "
            f'bars of one, name it in fx.pairs with its table, or state a rate that holds all the time: '
            f'[fx] stated = {{ "{currency}/{base}" = 1.0 }}'
        )


def _pairs(workspace: Workspace, part: FxPart, purse: Purse) -> list[Instrument]:
    """The pairs of the store that join the run's currencies, each two of them once.

    Raises
    ------
    ConflictError : two of the same currencies
    """
    held = workspace.store.datasets().filter(pl.col("table") == part.table)["instrument"].unique().to_list()
    wanted = {*purse.currencies, part.pivot}
    stated = {frozenset(name.split("/")) for name in part.stated}
    found: dict[frozenset[str], Instrument] = {}
    for one in known_instruments(workspace.ledger, held).values():
        if one.kind is not Kind.FX:
            continue
        try:
            key = frozenset(pair_of(one))
        except InvalidInput:
            continue      # a metal, or a symbol that names no two currencies: no pair
        if not key <= wanted or key in stated:
            continue
        if key in found:
            raise ConflictError(
                f"expected one pair of {' and '.join(sorted(key))}, found {found[key].id} and {one.id}; name one in fx.pairs"
            )
        found[key] = one
    return list(found.values())


def conversions_of(
    part: FxPart, purse: Purse, heads: Mapping[str, Instrument], market: Market, said: list[str]
) -> tuple[Conversion, ...]:
    """Conversions at the first open, as `fx.at_start` says, and those that the plan asks for; `heads` share the cash."""
    made = []
    begin = moment_of(int(market.open_ts[0]))
    held = [one.currency for one in heads.values()]
    for currency in dict.fromkeys(held):
        if part.at_start == "keep" or currency == purse.base or purse.cash.get(currency, Decimal(0)) > 0:
            continue
        share = Decimal(held.count(currency)) / Decimal(len(held))
        amount = (purse.cash.get(purse.base, Decimal(0)) * share).quantize(_CENT, ROUND_DOWN)
        if amount > 0:
            made.append(Conversion(begin, purse.base, currency, amount))
            said.append(f"{amount:,} {purse.base} become {currency} at the first open; later gains stay in their currency")
    for one in part.conversions:
        for name in (one.sold, one.bought):
            if name not in purse.currencies:
                raise ConfigError(f"fx.conversions: expected a currency of the run ({', '.join(purse.currencies)}), found {name}")
        made.append(Conversion(one.moment, one.sold, one.bought, one.amount))
    return tuple(made)


def held_in(
    fx: DatedRates | None, currencies: Sequence[str], base: str, moments: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[np.float64]]:
    """Units of the base currency for one of each, at each of (T,) ascending moments.

    Raises
    ------
    MissingData : see `DatedRates.changes`
    """
    found = {}
    for currency in currencies:
        if currency == base or fx is None:
            found[currency] = np.ones(moments.size)
            continue
        known, above, below = fx.changes(currency, base, int(moments[0]), int(moments[-1]))
        place = np.searchsorted(known, moments, side="right") - 1
        found[currency] = (above / below)[place]
    return found
