"""From rows of the table `chains` to contracts that can be re-priced, with the count of every row that could not be used.

The steps, for the newest snapshot known at `as_of`:

1. quotes are judged (`pricing.quotes`), each expiry's forward and discount factor found by put-call parity (`pricing.forwards`;
   American quotes are de-Americanised), and quotes judged again with the forward;
2. each strike has one volatility σ(K): that of its out-of-the-money quote, for the call and the put alike. Contracts of the same
   strike and expiry then have the same gamma, as parity demands, and a wide quote deep in the money does no harm;
3. a strike without a usable quote takes total variance σ²T, linear in k = ln(K/F) between quoted strikes and flat beyond the last
   ones, if the rules allow it (`filled` counts them). A strike whose quotes contradict its neighbours is another contract (listed
   before a split, say) and is never filled;
4. open interest enters only once published (`oi_available_at ≤ as_of`). Unknown is dropped and counted; a known 0 stays.

Volatilities belong to the moment of the quotes, times to expiry to `as_of`. Nothing falls back silently: a rate, a vendor's
volatility or a spot out of parity is used only where `ChainRules` says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.fields._chain_volatilities import GAP, WING, Source, has_fault, strike_volatilities
from fieldcast.fields.priced_chain import Flags, Floats, Integers, PricedChain
from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.pricing.forwards import Forward, ForwardRules, Forwards, Refused, implied_forwards
from fieldcast.pricing.quotes import FAULTS, ChainQuotes, Judged, QuoteRules, chain_quotes, judge, years_between

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DECLARED = "declared rate and dividend yield"
NEEDED = ("instrument", "ts", "available_at", "contract_id", "root", "expiry_ts", "strike", "right", "multiplier", "bid", "ask")
NEAR_YEARS = 0.25  # expiries up to it say what the spot was


@dataclass(frozen=True)
class ChainRules:
    """What may be used, and what may stand in for what is missing.

    Parameters
    ----------
    quotes, forwards : rules of `pricing.quotes` and `pricing.forwards`
    volatility : `quotes` (solved from mids), `vendor` (the column iv), or `quotes, then vendor`
    fill_gaps, fill_wings : strikes without a quote, between quoted ones and beyond them
    rate, dividend_yield : a year, continuous; where a rate is given, expiries without parity are priced with these two
    spot : `stated` in the rows (or given), or `parity`: where the forwards of the expiries within three months point at time 0.
        A stated spot is often older than the quotes; the difference then shows as carry of the nearest expiries
    oldest : age of a snapshot up to which it is used; None for any
    """

    quotes: QuoteRules = field(default_factory=QuoteRules)
    forwards: ForwardRules = field(default_factory=ForwardRules)
    volatility: Source = "quotes"
    fill_gaps: bool = True
    fill_wings: bool = True
    rate: float | None = None
    dividend_yield: float = 0.0
    spot: Literal["stated", "parity"] = "stated"
    oldest: timedelta | None = timedelta(days=5)

    def __post_init__(self) -> None:
        if self.volatility not in ("quotes", "vendor", "quotes, then vendor"):
            raise InvalidInput(f"expected volatility from quotes, vendor or 'quotes, then vendor', found {self.volatility!r}")
        if self.spot not in ("stated", "parity"):
            raise InvalidInput(f"expected the spot stated or by parity, found {self.spot!r}")
        if (self.rate is not None and not abs(self.rate) < 1) or not abs(self.dividend_yield) < 1:
            raise InvalidInput("expected rate and dividend yield as fractions a year, found one of 100 % or more")

    @property
    def iv_source(self) -> str:
        """How volatilities came about, in words."""
        ways = {"quotes": "mids of out-of-the-money quotes", "vendor": "the vendor's, of the out-of-the-money contract"}
        way = ways.get(self.volatility, "mids of out-of-the-money quotes, else the vendor's")
        filled = {(True, True): "gaps linear in total variance, wings flat", (True, False): "gaps linear in total variance",
                  (False, True): "wings flat", (False, False): "no strike filled"}  # fmt: skip
        return f"{way}; {filled[self.fill_gaps, self.fill_wings]}"


def price_chain(
    chain: pl.DataFrame, as_of: datetime, *, spot: float | None = None, rules: ChainRules | None = None
) -> PricedChain:
    """The contracts of one underlying that can be priced at `as_of`.

    Parameters
    ----------
    chain : rows of the table `chains`: one underlying, one snapshot or several; the newest known at `as_of` is taken
    as_of : moment of the decision, with a time zone
    spot : price of the underlying at the snapshot, in place of the one in the rows
    rules : what may be used, and what may stand in for what is missing

    Raises
    ------
    InvalidInput : `as_of` without a time zone, a column missing, or rows of several underlyings
    MissingData : no snapshot is known, it is too old, the underlying's price is unknown, or no contract is left
    """
    rules = rules or ChainRules()
    rows, dropped = _snapshot(chain, as_of, rules)
    quotes = chain_quotes(rows)
    if spot is not None:
        if not 0 < spot < float("inf"):
            raise InvalidInput(f"expected a spot above zero, found {spot}")
        quotes = replace(quotes, spot=float(spot))
    if not quotes.spot > 0 and (rules.spot == "stated" or quotes.american.any()):
        raise MissingData(
            f"expected the price of {rows['instrument'][0]} at {rows['ts'][0]}, found none in the chain: give spot=, "
            "or let ChainRules take it from the parity of European options"
        )
    judged, forwards = _forwards(quotes, rules)
    if rules.spot == "parity":
        quotes = replace(quotes, spot=_spot_by_parity(forwards, quotes.spot))
        forwards = replace(forwards, known=tuple(_with_spot(one, quotes.spot) for one in forwards.known))
    sigma, kind = strike_volatilities(quotes, judged, forwards, rules.volatility, rules.fill_gaps, rules.fill_wings)
    moment = _micros(as_of)
    counts = _open_interest(rows, moment)
    against = _why_not(quotes, judged, forwards.refused, sigma, counts, moment, rules.forwards.day_count)
    dropped.update({reason: int(hit.sum()) for reason, hit in against.items()})
    kept = np.flatnonzero(~np.any([*against.values(), np.zeros(len(quotes), bool)], axis=0))
    if kept.size == 0:
        raise MissingData(_nothing_left(rows, dropped, forwards.refused))
    return _collected(rows, quotes, forwards, rules, as_of, kept, sigma[kept], kind[kept], counts[0][kept], dropped)


# the snapshot -------------------------------------------------------------------------------------------------------


def _snapshot(chain: pl.DataFrame, as_of: datetime, rules: ChainRules) -> tuple[pl.DataFrame, Counter[Reason]]:
    """Rows of the newest snapshot known, one for each contract, and what was left out."""
    if as_of.tzinfo is None:
        raise InvalidInput(f"expected as_of with a time zone, found {as_of}")
    if absent := [name for name in NEEDED if name not in chain.columns]:
        raise InvalidInput(f"expected the columns of the table chains, missing {', '.join(absent)}")
    known = chain.filter(pl.col("available_at") <= as_of)
    if known.is_empty():
        raise MissingData(f"expected a chain known at {as_of}, found none: {chain.height} rows came out later")
    rows = known.filter(pl.col("ts") == pl.col("ts").max())
    if rules.oldest is not None and as_of - rows["ts"][0] > rules.oldest:
        raise MissingData(
            f"expected a chain not older than {rules.oldest} at {as_of}, found the newest of {rows['ts'][0]}: "
            "get a newer one, or allow it in ChainRules(oldest=…)"
        )
    if rows["instrument"].n_unique() != 1:
        raise InvalidInput(f"expected options of one underlying, found {rows['instrument'].n_unique()}: filter first")
    dropped: Counter[Reason] = Counter()
    usable = pl.all_horizontal(
        pl.col("strike").is_between(0, float("inf"), closed="none"),
        pl.col("multiplier").is_between(0, float("inf"), closed="none"),
        pl.col("right").is_in(["call", "put"]),
        pl.col("expiry_ts").is_not_null(),
    ).fill_null(value=False)
    sound = rows.filter(usable)
    dropped[Reason.ROW_UNREADABLE] += rows.height - sound.height
    if sound["contract_id"].n_unique() < sound.height:
        newest = sound.sort("available_at").unique("contract_id", keep="last", maintain_order=True)
        dropped[Reason.DUPLICATE_STAMP] += sound.height - newest.height
        sound = newest
    dropped += Counter()  # without zeros
    if sound.is_empty():
        raise MissingData(_nothing_left(rows, dropped, ()))
    if "exercise_style" not in sound.columns:
        raise InvalidInput("expected the column exercise_style: American quotes are not priced as European ones")
    return sound.sort("expiry_ts", "strike", "root", pl.col("right") == "call", "contract_id"), dropped


def _micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _forwards(quotes: ChainQuotes, rules: ChainRules) -> tuple[Judged, Forwards]:
    """Faults of all quotes, and the expiries' forwards out of those without."""
    first = judge(quotes, rules.quotes)
    found = implied_forwards(quotes.take(first.kept), rules.forwards)
    seen = {one.series for one in found.known} | {one.series for one in found.refused}
    refused = list(found.refused)
    for series in sorted(set(quotes.series.tolist()) - seen):
        row = int(np.argmax(quotes.series == series))
        expired = quotes.expiry[row] <= quotes.as_of
        reason, text = (Reason.EXPIRED, "expired before the quotes") if expired else (Reason.FEW_ROWS, "no usable quote at all")
        refused.append(Refused(series, quotes.roots[series], int(quotes.expiry[row]), reason, text))
    found = Forwards(found.known, tuple(sorted(refused, key=lambda one: one.series)))
    if rules.rate is not None:
        found = _with_declared_rate(quotes, found, rules)
    forward, discount, _ = found.of_rows(quotes)
    return judge(quotes, rules.quotes, forward, discount), found


def _with_declared_rate(quotes: ChainQuotes, found: Forwards, rules: ChainRules) -> Forwards:
    """Expiries that parity refused, at the rate and dividend yield of the rules."""
    assert rules.rate is not None
    if not quotes.spot > 0:
        return found
    nan = float("nan")
    added, left = [], []
    for one in found.refused:
        years = float(years_between(quotes.as_of, np.array([one.expiry]), rules.forwards.day_count)[0])
        if years <= 0:
            left.append(one)
            continue
        carry = rules.rate - rules.dividend_yield
        forward, discount = quotes.spot * float(np.exp(carry * years)), float(np.exp(-rules.rate * years))
        added.append(
            Forward(
                one.series, one.root, one.expiry, quotes.as_of, quotes.spot, years, rules.forwards.day_count, DECLARED,
                forward, nan, nan, nan, nan, discount, nan, nan, "given", rules.rate, nan, nan, carry,
                rules.forwards.confidence, 0, 0, nan, 0,
            )
        )  # fmt: skip
    return Forwards(tuple(sorted((*found.known, *added), key=lambda one: one.series)), tuple(left))


def _spot_by_parity(forwards: Forwards, stated: float) -> float:
    """Where ln F points at time 0: median slope between the near expiries (Theil and Sen), then the median level."""
    near = [one for one in forwards.known if one.years <= NEAR_YEARS and one.pairs > 0]
    if len(near) < 3:
        if stated > 0:
            return stated
        raise MissingData(f"expected three expiries in three months to find the spot by parity, found {len(near)}: give spot=")
    years, level = np.array([one.years for one in near]), np.log([one.forward for one in near])
    i, j = np.triu_indices(len(near), 1)
    apart = years[j] - years[i] > 0.5 / 365
    slope = float(np.median((level[j] - level[i])[apart] / (years[j] - years[i])[apart])) if apart.any() else 0.0
    return float(np.exp(np.median(level - slope * years)))


def _with_spot(one: Forward, spot: float) -> Forward:
    return replace(one, spot=spot, carry=float(np.log(one.forward / spot)) / one.years)


# open interest, and why a row cannot be used ----------------------------------------------------------------------


def _open_interest(rows: pl.DataFrame, as_of: int) -> tuple[Floats, Flags]:
    """(n,) open interest, NaN where unknown; rows whose count came out after `as_of`."""
    if "open_interest" not in rows.columns:
        return np.full(rows.height, np.nan), np.zeros(rows.height, bool)
    count = rows["open_interest"].cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()
    count[~(np.isfinite(count) & (count >= 0))] = np.nan
    known = rows["available_at"]
    if "oi_available_at" in rows.columns:
        known = rows.select(pl.coalesce("oi_available_at", "available_at")).to_series()
    late = known.dt.epoch("us").to_numpy() > as_of
    return count, np.asarray(late & np.isfinite(count))


def _why_not(
    quotes: ChainQuotes,
    judged: Judged,
    refused: Iterable[Refused],
    sigma: Floats,
    counts: tuple[Floats, Flags],
    as_of: int,
    day_count: str,
) -> dict[Reason, Flags]:
    """Rows under the first reason against each."""
    found: dict[Reason, Flags] = {}
    left = np.ones(len(quotes), bool)

    def book(reason: Reason, rows: Flags) -> None:
        hit = rows & left
        if hit.any():
            found[reason] = found[reason] | hit if reason in found else hit
            left[hit] = False

    book(Reason.EXPIRED, years_between(as_of, quotes.expiry, day_count) <= 0)
    for one in refused:
        book(one.reason, quotes.series == one.series)
    open_interest, late = counts
    book(Reason.OPEN_INTEREST_UNPUBLISHED, late)
    book(Reason.OPEN_INTEREST_UNKNOWN, np.isnan(open_interest))
    without = np.isnan(sigma)
    if without.any():
        for reason in FAULTS:
            book(reason, without & has_fault(judged, reason))
        book(Reason.VOLATILITY_MISSING, without)
    return found


def _nothing_left(rows: pl.DataFrame, dropped: Counter[Reason], refused: Iterable[Refused]) -> str:
    why = ", ".join(f"{reason} {count}" for reason, count in sorted(dropped.items()))
    detail = "; ".join(f"{one.root} {_moment(one.expiry):%Y-%m-%d}: {one.detail}" for one in list(refused)[:3])
    return (
        f"expected contracts of {rows['instrument'][0]} at {rows['ts'][0]} with open interest and a volatility, found none of "
        f"{rows.height} rows ({why}{'; ' + detail if detail else ''}): mend the source, or allow a fallback in ChainRules"
    )


def _moment(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def _collected(
    rows: pl.DataFrame,
    quotes: ChainQuotes,
    forwards: Forwards,
    rules: ChainRules,
    as_of: datetime,
    kept: NDArray[np.intp],
    sigma: Floats,
    kind: Integers,
    open_interest: Floats,
    dropped: Counter[Reason],
) -> PricedChain:
    table = np.full((2, quotes.n_series), np.nan)
    for one in forwards.known:
        table[:, one.series] = one.rate, one.carry
    series = quotes.series[kept]
    expiry_ts, expiry = np.unique(quotes.expiry[kept], return_inverse=True)
    at = rows[kept] if kept.size < rows.height else rows
    volume = at["volume"].cast(pl.Float64).fill_null(float("nan")).to_numpy() if "volume" in at.columns else None
    filled = {name: n for name, code in (("gap", GAP), ("wing", WING)) if (n := int((kind == code).sum()))}
    refused = tuple(f"{one.root} {_moment(one.expiry):%Y-%m-%d %H:%M}: {one.reason}, {one.detail}" for one in forwards.refused)
    return PricedChain(
        underlying=str(rows["instrument"][0]),
        as_of=as_of.astimezone(UTC),
        ts=rows["ts"][0],
        spot=quotes.spot,
        contract_id=at["contract_id"].to_numpy().astype(np.str_),
        strike=quotes.strike[kept],
        is_call=quotes.is_call[kept],
        american=quotes.american[kept],
        expiry=expiry.astype(np.int64),
        expiry_ts=expiry_ts,
        years=years_between(_micros(as_of), quotes.expiry[kept], rules.forwards.day_count),
        rate=table[0][series],
        carry=table[1][series],
        sigma=sigma,
        open_interest=open_interest,
        multiplier=at["multiplier"].cast(pl.Float64).to_numpy(),
        volume=np.full(kept.size, np.nan) if volume is None else volume,
        day_count=rules.forwards.day_count,
        dropped={reason: dropped[reason] for reason in sorted(dropped)},
        simulated=bool("reasons" in at.columns and at["reasons"].str.contains(str(Reason.SIMULATED), literal=True).any()),
        available_at=_moment(int(at["available_at"].dt.epoch("us").max())),  # type: ignore[arg-type]
        iv_source=rules.iv_source,
        filled=filled,
        refused=refused,
    )
