"""What happens to a run's account by itself, read as the plan says: rates of currencies, financing, dividends and splits.

What the plan states counts as stated; what it names is read from the store, as far as nothing is sealed; what neither has is not
made up. A run in several currencies without a rate is refused, and one without borrow or funding rates says that none are paid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.data import load_instrument
from fieldcast.data.catalogue import known_instruments
from fieldcast.data.fx_rates import pair_of
from fieldcast.ground import ConfigError, ConflictError, InvalidInput, MissingData
from fieldcast.market import STAMP, Instrument
from fieldcast.market.instrument import Kind
from fieldcast.market.tables import FUNDING, MACRO, table_of
from fieldcast.simulation.currencies import Conversion, ConversionCosts, DatedRates
from fieldcast.simulation.event_table import EventTable
from fieldcast.simulation.events import events_of
from fieldcast.simulation.financing import BORROW_RATES, CASH_RATES, InterestTerms
from fieldcast.simulation.market import Market
from fieldcast.workflows.backtest_futures import Rolled
from fieldcast.workflows.backtest_money import FxPart, RateOrSeries
from fieldcast.workflows.backtest_settings import BacktestPlan
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.workspace import Workspace

SHARES = (Kind.EQUITY, Kind.ETF)
_CENT = Decimal("0.01")
_BEFORE = timedelta(days=14)      # rates and benchmarks that a run begins with are looked for so long before it
_UNITS = {"percent": 0.01, "fraction": 1.0, "fraction a year": 1.0}


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
                f'currency = "{found[0]}", say, under [account]'
            )
        base = named[0]
    if paid is None:
        assert isinstance(account.cash, Decimal)
        paid = {base: account.cash}
    return Purse(base, paid, tuple(dict.fromkeys((base, *found, *paid))))


@dataclass(frozen=True)
class Happenings:
    """The events of a run, and what a reader has to know of them; `fx` where there are several currencies."""

    events: EventTable | None
    fx: DatedRates | None
    warnings: tuple[str, ...]


def happenings(
    workspace: Workspace,
    plan: BacktestPlan,
    market: Market,
    actions: pl.DataFrame,
    roots: Sequence[Rolled] = (),
    *,
    until: datetime | None,
) -> Happenings:
    """Everything that happens to the account by itself.

    Parameters
    ----------
    actions : splits and dividends to book
    roots : of futures, whose contracts settle, roll and expire
    until : nothing that became known later is read

    Raises
    ------
    MissingData : a rate that is needed is not there, or was not known in time; the message says which
    ConflictError : two stored pairs for the same currencies, and the plan names none
    ConfigError : cash or rates of a currency that is none of the run's
    """
    purse = purse_of(plan, market.instruments)
    said: list[str] = []
    several = len(purse.currencies) > 1
    fx = _rates(workspace, plan, purse, market, until) if several else None
    if fx is not None:
        said += [f"1 {name.replace('/', f' is taken for {rate} ')} throughout, as the plan states"
                 for name, rate in plan.fx.stated.items()]  # fmt: skip
    conversions = _conversions(plan.fx, purse, market, said) if several else ()
    own = [part.margin for part in plan.instruments.values() if part.margin is not None]
    if several and plan.account.margin == "none" and len(own) < len(plan.data.instruments):
        said.append("without margin an order is cut to the cash in its own currency; fx.conversions moves more")
    borrow = _borrow(workspace, plan, market, until, said)
    cash_rates, terms = _interest(workspace, plan, purse, market, until)
    funding = _funding(workspace, plan, market, until, said)
    costs = ConversionCosts(plan.fx.half_spread_bps, plan.fx.commission_bps, plan.fx.minimum_commission)
    made = events_of(
        market,
        purse.base,
        currencies=tuple(purse.cash),
        actions=actions if actions.height else None,
        withholding=_withholding(plan, market),
        regulatory=plan.costs.regulatory == "by_date",
        borrow=borrow,
        rates=cash_rates,
        interest_terms=terms,
        funding=funding,
        contracts=[term for root in roots for term in root.terms],
        rolls=[change for root in roots for change in root.changes],
        fx=fx,
        conversions=conversions,
        conversion_costs=costs,
    )
    return Happenings(made if len(made) else None, fx, tuple(said))


def _withholding(plan: BacktestPlan, market: Market) -> dict[str, Decimal]:
    own = {name: part.withholding for name, part in plan.instruments.items() if part.withholding is not None}
    shares = [one.id for one in market.instruments if one.kind in SHARES]
    return {name: share for name in shares if (share := own.get(name, plan.financing.withholding))}


# currencies -----------------------------------------------------------------------------------------------------------


def _rates(workspace: Workspace, plan: BacktestPlan, purse: Purse, market: Market, until: datetime | None) -> DatedRates:
    part = plan.fx
    first, last = _moment(int(market.open_ts[0])), _moment(int(market.ts[-1]))
    wanted = [load_instrument(workspace.ledger, name) for name in part.pairs] or _pairs(workspace, part, purse)
    until = known_until(workspace, [pair.id for pair in wanted], plan.hash, until)     # found pairs may be sealed by themselves
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


def _conversions(part: FxPart, purse: Purse, market: Market, said: list[str]) -> tuple[Conversion, ...]:
    made = []
    begin = _moment(int(market.open_ts[0]))
    held = [one.currency for one in market.instruments]
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


# financing ------------------------------------------------------------------------------------------------------------


def _borrow(
    workspace: Workspace, plan: BacktestPlan, market: Market, until: datetime | None, said: list[str]
) -> pl.DataFrame | None:
    frames, free = [], []
    for one in market.instruments:
        if one.kind not in SHARES:
            continue
        own = plan.instruments.get(one.id)
        rate = plan.financing.borrow if own is None or own.borrow is None else own.borrow
        if rate is None:
            free.append(one.id)
            continue
        rows = _yearly(workspace, rate, market, until, f"borrow of {one.id}")
        frames.append(rows.select(instrument=pl.lit(one.id), ts="ts", available_at="available_at", rate="rate"))
    if free and shorts_allowed(plan):
        said.append(f"shares sold short are lent for nothing ({', '.join(free[:3])}{' …' if len(free) > 3 else ''}): no "
                    "financing.borrow is stated")  # fmt: skip
    return pl.concat(frames).cast(dict(BORROW_RATES)) if frames else None  # type: ignore[arg-type]


def shorts_allowed(plan: BacktestPlan) -> bool:
    """Whether the account may hold less than nothing."""
    account = plan.account
    if account.shorts is not None:
        return account.shorts
    return account.margin != "none" or any(part.margin is not None for part in plan.instruments.values())


def _interest(
    workspace: Workspace, plan: BacktestPlan, purse: Purse, market: Market, until: datetime | None
) -> tuple[pl.DataFrame | None, InterestTerms | dict[str, InterestTerms] | None]:
    part = plan.financing
    if not part.interest:
        return None, None
    strange = sorted(set(part.interest) - set(purse.currencies))
    if strange:
        raise ConfigError(
            f"financing.interest: expected currencies of the run ({', '.join(purse.currencies)}), found {', '.join(strange)}"
        )
    frames = [
        _yearly(workspace, rate, market, until, f"interest of {currency}").select(
            currency=pl.lit(currency), ts="ts", available_at="available_at", rate="rate"
        )
        for currency, rate in part.interest.items()
    ]
    terms = {
        currency: InterestTerms(part.debit_spread, part.credit_spread, part.free_of_credit, _days(currency), part.short_proceeds)
        for currency in part.interest
    }
    return pl.concat(frames).cast(dict(CASH_RATES)), terms  # type: ignore[arg-type]


def _days(currency: str) -> int:
    """Days that the year of a money market has."""
    return 365 if currency in ("GBP", "CAD", "AUD", "NZD", "HKD", "SGD", "ZAR") else 360


def _funding(
    workspace: Workspace, plan: BacktestPlan, market: Market, until: datetime | None, said: list[str]
) -> pl.DataFrame | None:
    frames = []
    part = plan.financing
    for one in market.instruments:
        if not is_perpetual(one):
            continue
        own = plan.instruments.get(one.id)
        rate = part.funding if own is None or own.funding is None else own.funding
        if rate == "none":
            said.append(f"{one.id}: no funding is paid, as the plan states")
        elif rate == "stored":
            frames.append(_stored_funding(workspace, one, market, until, said))
        else:
            frames.append(_stated_funding(one, float(rate), part.funding_hours, market))
            said.append(f"{one.id}: {float(rate):.4%} is paid every {part.funding_hours} hours, as the plan states")
    kept = [frame for frame in frames if frame.height]
    return pl.concat(kept) if kept else None


def is_perpetual(instrument: Instrument) -> bool:
    """A future without a last day; its symbol ends in PERP or SWAP."""
    return instrument.kind is Kind.FUTURE and instrument.symbol.upper().endswith(("PERP", "SWAP"))


def _stored_funding(
    workspace: Workspace, one: Instrument, market: Market, until: datetime | None, said: list[str]
) -> pl.DataFrame:
    try:
        rows = workspace.store.read(one.id, table=FUNDING.name, as_of=until)
    except MissingData:
        rows = FUNDING.empty()
    begin, end = _moment(int(market.open_ts[0])), _moment(int(market.ts[-1]))
    within = rows.filter(pl.col("ts").is_between(begin, end))
    if within.is_empty():
        said.append(f"{one.id}: no funding of this span is stored, so that none is paid; import it, or state financing.funding")
        return within
    steps = within["ts"].diff().drop_nulls()
    usual = steps.median() if steps.len() else timedelta(hours=8)
    assert isinstance(usual, timedelta)
    stamps = [begin, *within["ts"], end]
    longest = max(later - earlier for earlier, later in pairwise(stamps))
    if longest > 2 * usual + timedelta(minutes=1):
        hours = longest.total_seconds() / 3600
        said.append(f"{one.id}: the stored funding has a gap of {hours:,.0f} hours, in which none is paid")
    return within


def _stated_funding(one: Instrument, rate: float, hours: int, market: Market) -> pl.DataFrame:
    step = hours * 3_600_000_000
    begin, end = int(market.open_ts[0]), int(market.ts[-1])
    ts = pl.Series(np.arange(-(-begin // step) * step, end + 1, step, dtype=np.int64)).cast(STAMP)
    columns = {"instrument": [one.id] * len(ts), "ts": ts, "available_at": ts, "rate": [rate] * len(ts)}
    return pl.DataFrame(columns).with_columns(mark=pl.lit(None, dtype=pl.Float64), reasons=pl.lit(None, dtype=pl.String)).select(
        pl.col(name).cast(dtype) for name, dtype in FUNDING.schema.items()
    )


# series ---------------------------------------------------------------------------------------------------------------


def _yearly(workspace: Workspace, rate: RateOrSeries, market: Market, until: datetime | None, what: str) -> pl.DataFrame:
    """ts, available_at, rate (a share a year): one row of a stated rate, or a series of the store."""
    if not isinstance(rate, str):
        begin = _moment(int(market.open_ts[0])) - timedelta(days=1)
        return pl.DataFrame({"ts": [begin], "available_at": [begin], "rate": [float(rate)]}).with_columns(
            pl.col("ts", "available_at").cast(STAMP)
        )
    rows = series_of(workspace, rate, until=until)
    units = rows["unit"].drop_nulls().unique().to_list()
    if len(units) != 1 or units[0] not in _UNITS:
        raise ConfigError(
            f"expected a series in percent or as a fraction a year for the {what}, found {rate} in "
            f"{', '.join(units) or 'no unit'}"
        )
    return rows.select("ts", "available_at", rate=pl.col("value") * _UNITS[units[0]])


def series_of(workspace: Workspace, series: str, *, until: datetime | None) -> pl.DataFrame:
    """A series of the table `macro`; a value that was revised counts from its revision on.

    Raises
    ------
    MissingData : the store has none of this id
    """
    try:
        return workspace.store.read(series, table=MACRO.name, as_of=until)
    except MissingData as error:
        raise MissingData(
            f"expected the series {series} in the table macro, found none; import it, or state a number: {error}"
        ) from None


class KnownSeries:
    """The newest value of a series that was known at a moment (microseconds); None where there was none."""

    def __init__(self, rows: pl.DataFrame) -> None:
        held = rows.sort("available_at", "ts")
        periods = held["ts"].dt.epoch("us").to_numpy()
        newest = np.maximum.accumulate(periods) == periods      # a late revision of an older period is not the newest value
        self._known: npt.NDArray[np.int64] = held["available_at"].dt.epoch("us").to_numpy()[newest]
        self._values: npt.NDArray[np.float64] = held["value"].to_numpy()[newest]

    @property
    def plain(self) -> list[list[float]]:
        """Everything in it as plain values, for a hash."""
        return [self._known.tolist(), self._values.tolist()]

    def __call__(self, moment: int) -> float | None:
        place = int(np.searchsorted(self._known, moment, side="right")) - 1
        return float(self._values[place]) if place >= 0 else None


def _moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


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
