"""DealerSign: a priced chain and a sign policy become the dealers' book of option lines, and what it is worth in Greeks here.

A line is what contracts of one strike, expiry, volatility, rate and carry share. With c and p the signed units of its calls and
puts, and put-call parity δ_put = δ_call − e^(−qT):

    delta  (c + p) δ_call − p e^(−qT)          gamma  (c + p) γ
    vanna  (c + p) vanna                       charm  (c + p) charm_call − p q e^(−qT)

so a chain of n contracts has about n/2 lines, and each is computed once. The model is Black, Scholes and Merton for all
contracts; volatilities of American ones are those of their de-Americanised prices, and what early exercise adds to their
Greeks is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from fieldcast.fields.dealer.conventions import CALENDAR, DEAMERICANISED, EUROPEAN, Conventions, Stamped
from fieldcast.fields.dealer.sign import NAIVE, SignPolicy
from fieldcast.fields.dealer.units import charm_exposure, delta_exposure, gamma_exposure, vanna_exposure
from fieldcast.fields.priced_chain import Floats, Integers, PricedChain
from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.pricing.quotes import DAY_COUNTS


@dataclass(frozen=True, kw_only=True, eq=False)
class Lines:
    """(lines,) arrays of what contracts share; `years` and `sigma` above 0, ordered by expiry and strike."""

    strike: Floats
    years: Floats
    rate: Floats
    carry: Floats
    sigma: Floats
    expiry: Integers

    def __len__(self) -> int:
        return self.strike.size


@dataclass(frozen=True, eq=False)
class Exposures:
    """(lines,) dollars of delta, calls and puts together, in the units of `conventions.UNIT`."""

    gex: Floats
    dex: Floats
    vex: Floats
    chex: Floats
    call_gex: Floats
    put_gex: Floats
    gamma_dollars: Floats
    """Of one unit of the underlying: γ S² · 0.01."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Book(Stamped):
    """What dealers hold, by option line.

    Parameters
    ----------
    chain : where it came from
    lines : what contracts share
    calls, puts : (lines,) signed units of the underlying that dealers hold (contracts × multiplier)
    line : (n,) line of each contract
    positions : (n,) signed contracts, 0 where the sign is unknown (`unknown` counts them)
    unknown : reason → contracts whose sign the policy does not know; they are in no exposure
    """

    chain: PricedChain
    lines: Lines
    calls: Floats
    puts: Floats
    line: Integers
    positions: Floats
    unknown: Mapping[Reason, int] = field(default_factory=dict)

    @property
    def spot(self) -> float:
        """Price of the underlying at the quotes."""
        return self.chain.spot

    @property
    def days_a_year(self) -> float:
        """Calendar days, by the chain's day count."""
        return DAY_COUNTS[self.chain.day_count]

    @property
    def weight(self) -> Floats:
        """(lines,) signed units, calls and puts together."""
        return self.calls + self.puts

    @property
    def long_share(self) -> float:
        """Share of contracts with a known sign that dealers are long: 0 to 1."""
        total = float(np.abs(self.positions).sum())
        return float(self.positions[self.positions > 0].sum()) / total if total > 0 else 0.0

    @cached_property
    def by_strike(self) -> tuple[Floats, Integers]:
        """Distinct strikes, ascending, and the place of each line among them."""
        strike, place = np.unique(self.lines.strike, return_inverse=True)
        return strike, place.astype(np.int64, copy=False)

    @cached_property
    def exposures(self) -> Exposures:
        """Exposure of each line at the chain's spot, by `pricing.bsm_greeks`."""
        from fieldcast.pricing import bsm_greeks

        lines, spot = self.lines, self.spot
        income = lines.rate - lines.carry
        call = bsm_greeks(spot, lines.strike, lines.years, lines.rate, income, lines.sigma, True)
        growth = np.exp(-income * lines.years)
        weight = self.weight
        return Exposures(
            gex=gamma_exposure(call.gamma, weight, spot),
            dex=delta_exposure(1.0, weight * call.delta - self.puts * growth, spot),
            vex=vanna_exposure(call.vanna, weight, spot),
            chex=charm_exposure(1.0, weight * call.charm - self.puts * income * growth, spot, self.days_a_year),
            call_gex=gamma_exposure(call.gamma, self.calls, spot),
            put_gex=gamma_exposure(call.gamma, self.puts, spot),
            gamma_dollars=gamma_exposure(call.gamma, 1.0, spot),
        )


def dealer_sign(chain: PricedChain, policy: SignPolicy = NAIVE, calendar: str = CALENDAR) -> Book:
    """The dealers' book under a policy.

    Parameters
    ----------
    chain : n contracts
    policy : who holds them; its name is stamped on everything that follows
    calendar : the exchange's calendar of sessions (`market.sessions`), stamped too; `24/7` has one from midnight to midnight UTC.
        One that nobody knows is refused where it is first asked for an hour

    Raises
    ------
    InvalidInput : positions of another shape, or a chain with values that cannot be priced
    MissingData : the policy knows the sign of no contract
    """
    _check(chain)
    positions = np.asarray(policy.positions(chain), np.float64)
    if positions.shape != (len(chain),):
        raise InvalidInput(f"expected a position for each of {len(chain)} contracts, found {positions.shape}")
    known = np.isfinite(positions)
    if not known.any():
        raise MissingData(f"expected a sign for some of {len(chain)} contracts, found none: {policy.name}")
    positions = np.where(known, positions, 0.0)
    lines, line = _lines(chain)
    units = positions * chain.multiplier
    call = chain.is_call
    return Book(
        conventions=conventions_of(chain, policy, calendar),
        chain=chain,
        lines=lines,
        calls=sums(line[call], units[call], len(lines)),
        puts=sums(line[~call], units[~call], len(lines)),
        line=line,
        positions=positions,
        unknown={Reason.SIGN_UNKNOWN: int((~known).sum())} if not known.all() else {},
    )


def sums(place: Integers, values: Floats, size: int) -> Floats:
    """(size,) sum of the values at each place."""
    return np.bincount(place, values, size).astype(np.float64, copy=False)


def table_of(columns: Mapping[str, Floats | pl.Series]) -> pl.DataFrame:
    """Columns as a table, unknown (NaN) as null."""
    series = [one if isinstance(one, pl.Series) else pl.Series(one, nan_to_null=True) for one in columns.values()]
    return pl.DataFrame([one.alias(name) for name, one in zip(columns, series, strict=True)])


def conventions_of(chain: PricedChain, policy: SignPolicy, calendar: str = CALENDAR) -> Conventions:
    """The stamp of everything that follows from a chain and a policy."""
    model = DEAMERICANISED if chain.american.any() else EUROPEAN
    return Conventions(
        sign_policy=policy.name,
        day_count=f"{chain.day_count}, calendar days to the minute; charm over one calendar day",
        iv_source=chain.iv_source,
        greeks_model=model,
        calendar=calendar,
    )


def _check(chain: PricedChain) -> None:
    if chain.day_count not in DAY_COUNTS:
        raise InvalidInput(f"expected a day count of {', '.join(DAY_COUNTS)}, found {chain.day_count!r}")
    if len(chain) == 0:
        raise MissingData(f"expected contracts of {chain.underlying} at {chain.as_of}, found none")
    if not 0 < chain.spot < np.inf:
        raise InvalidInput(f"expected a spot above zero, found {chain.spot}")
    for name in ("strike", "years", "sigma", "multiplier"):
        values = getattr(chain, name)
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise InvalidInput(f"expected finite values above zero for {name}, found others; drop them with a reason")
    for name in ("rate", "carry", "open_interest"):
        if not np.isfinite(getattr(chain, name)).all():
            raise InvalidInput(f"expected finite values for {name}, found others; drop them with a reason")
    if (chain.open_interest < 0).any():
        raise InvalidInput("expected an open interest at or above zero, found one below")


def _lines(chain: PricedChain) -> tuple[Lines, Integers]:
    """What contracts share, by expiry and strike, and the line of each."""
    columns = (chain.sigma, chain.carry, chain.rate, chain.years, chain.strike, chain.expiry)
    n = len(chain)
    order = np.arange(n)
    if not _is_sorted(chain):
        order = np.lexsort(columns)
    new = np.zeros(n, bool)
    new[0] = True
    for column in columns:
        at = column[order]
        new[1:] |= at[1:] != at[:-1]
    line = np.empty(n, np.int64)
    line[order] = np.cumsum(new) - 1
    first = order[new]
    lines = Lines(
        strike=chain.strike[first],
        years=chain.years[first],
        rate=chain.rate[first],
        carry=chain.carry[first],
        sigma=chain.sigma[first],
        expiry=chain.expiry[first],
    )
    return lines, line


def _is_sorted(chain: PricedChain) -> bool:
    step, gap = np.diff(chain.expiry), np.diff(chain.strike)
    return bool(((step > 0) | ((step == 0) & (gap >= 0))).all())
