"""The interpreter of the dealer engine: a priced chain and a sign policy become a field with tables, flips and landmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from fieldcast.fields.dealer.at_the_money import live_contracts
from fieldcast.fields.dealer.book import Book, dealer_sign
from fieldcast.fields.dealer.clock import Clock
from fieldcast.fields.dealer.conventions import CALENDAR, Stamped
from fieldcast.fields.dealer.decay import ZERO_DTE, CharmDecay, charm_decay
from fieldcast.fields.dealer.gamma import GammaField, gamma_field
from fieldcast.fields.dealer.moves import ExpectedMove, Move, expected_move
from fieldcast.fields.dealer.open_interest import OIDistribution, OpenInterestRules, oi_distribution
from fieldcast.fields.dealer.sign import NAIVE, SignPolicy
from fieldcast.fields.dealer.vanna import SpotVolBeta, VannaField, vanna_field
from fieldcast.fields.priced_chain import PricedChain
from fieldcast.fields.readings import Landmark, Reading
from fieldcast.ground import Reason

WALLS = ("call_wall", "put_wall", "call_wall_oi", "put_wall_oi", "absolute_gamma_strike", "max_pain")


@dataclass(frozen=True, kw_only=True, eq=False)
class DealerField(Stamped):
    """What dealers hold and where it matters, at one moment.

    Parameters
    ----------
    book : positions and lines behind it
    gex, dex, vex, chex : net exposures at the spot, dollars of delta (`conventions.unit`)
    by_strike : strike, call_oi, put_oi, call_gex, put_gex, gex, dex, vex, chex
    by_expiry : expiry_ts, days, call_oi, put_oi, gex, dex, vex, chex, gross_gex, share, left, max_pain, volatility, sd,
        straddle …
    by_line : expiry_ts, strike, gex, dex, vex, chex
    gamma, vanna, open_interest, decay, moves : what the processors found
    dropped : reason → contracts of the snapshot that are in no figure
    reasons : quantity → why it is unknown
    """

    book: Book
    gex: float
    dex: float
    vex: float
    chex: float
    by_strike: pl.DataFrame
    by_expiry: pl.DataFrame
    gamma: GammaField
    vanna: VannaField
    open_interest: OIDistribution
    decay: CharmDecay
    moves: ExpectedMove
    dropped: Mapping[Reason, int]
    reasons: Mapping[str, Reason] = field(default_factory=dict)

    @property
    def flips(self) -> tuple[float, ...]:
        """Prices at which re-priced net gamma changes sign, ascending; none, one or several."""
        return self.gamma.flips

    @property
    def coverage(self) -> float:
        """Share of the snapshot's live contracts that are in the figures: priced, with a holder whom the policy knows."""
        return (len(self.book.chain) - sum(self.book.unknown.values())) / live_contracts(self.book.chain)

    @property
    def by_line(self) -> pl.DataFrame:
        """Exposures by expiry and strike."""
        lines, here = self.book.lines, self.book.exposures
        moments = pl.Series(self.book.chain.expiry_ts[lines.expiry]).cast(pl.Datetime("us", "UTC"))
        columns = {"gex": here.gex, "dex": here.dex, "vex": here.vex, "chex": here.chex}
        return pl.DataFrame({"expiry_ts": moments, "strike": lines.strike, **columns})

    def reading(self) -> Reading:
        """The short form: figures, landmarks, and why a figure is not there."""
        chain, found = self.book.chain, self.open_interest
        known_since = chain.available_at or chain.as_of
        flip = self.gamma.nearest_flip(chain.spot)
        prices = {name: getattr(found, name) for name in WALLS} | {"flip": flip}
        move = self.moves.nearest(Move.SD)
        values = {
            "gex": self.gex, "dex": self.dex, "vex": self.vex, "chex": self.chex,
            "gex_gross": self.gamma.gross, "gex_calls": self.gamma.calls, "gex_puts": self.gamma.puts,
            "flips": float(len(self.flips)),
            "flip_distance": None if flip is None else flip / chain.spot - 1.0,
            "vanna_absorber": self.vanna.absorber,
            "charm_to_close": self.decay.to_close, "charm_overnight": self.decay.overnight,
            "zero_dte_share": self._zero_dte_share(),
            "put_call_oi": found.put_call, "oi_hhi": found.hhi, "oi_entropy": found.entropy, "epp": found.epp,
            "expected_move_sd": move, "expected_move_straddle": self.moves.nearest(Move.STRADDLE),
            "dealer_long_share": self.book.long_share if np.abs(self.book.positions).sum() > 0 else None,
            "contracts": float(len(chain)), "contracts_dropped": float(sum(self.dropped.values())),
            "coverage": self.coverage,
        }  # fmt: skip
        unknown = [name for name, value in {**values, **prices}.items() if value is None]
        return Reading(
            namespace="dealer",
            as_of=chain.as_of,
            values={name: float(value) for name, value in values.items() if value is not None},
            landmarks={name: Landmark(price, known_since) for name, price in prices.items() if price is not None},
            reasons={name: self._why(name) for name in unknown},
            conventions=self.conventions.as_mapping(),
            simulated=chain.simulated,
        )

    def _zero_dte_share(self) -> float | None:
        """Share of gross gamma that ends on the session that is on, 0 while closed.

        Unknown where contracts were dropped and none is left that does.
        """
        today = self.decay.by_bucket.filter(pl.col("bucket") == ZERO_DTE)["gross_gex"]
        lost = sum(count for reason, count in self.dropped.items() if reason is not Reason.EXPIRED)
        if self.gamma.gross == 0 or (self.decay.session_on and today.is_empty() and lost > 0):
            return None
        return float(today.sum()) / self.gamma.gross

    def _why(self, name: str) -> Reason:
        """Why a figure is not there."""
        if name == "zero_dte_share" and self.gamma.gross > 0:
            return Reason.UNRESOLVED
        return self.reasons.get(name, Reason.UNDEFINED)


def dealer_field(
    priced: PricedChain,
    *,
    sign: SignPolicy = NAIVE,
    spots: ArrayLike | None = None,
    beta: SpotVolBeta | None = None,
    rules: OpenInterestRules | None = None,
    clock: Clock = Clock.CALENDAR,
    calendar: str = CALENDAR,
) -> DealerField:
    """The dealer field of a chain.

    Parameters
    ----------
    priced : contracts that can be priced, of `price_chain`
    sign : who holds them
    spots : (k,) prices of the gamma profile, ascending; by default 201 from −20 % to +20 %
    beta : how volatility answers the spot, for the vanna shock; without it the absorber is unknown
    rules : of walls, pin zones and the EPP scalar
    clock : how time passes for charm's drift
    calendar : the exchange's calendar of sessions, for the close, the open and what ends on the same day; `24/7` has the UTC day

    Raises
    ------
    InvalidInput : a chain whose values cannot be priced, spots not ascending
    MissingData : no contract, or none with a sign
    """
    book = dealer_sign(priced, sign, calendar)
    gamma = gamma_field(book, spots)
    vanna = vanna_field(book, beta)
    distribution = oi_distribution(book, rules)
    moves = expected_move(book)
    here = book.exposures
    dropped = dict(priced.dropped)
    for reason, count in book.unknown.items():
        dropped[reason] = dropped.get(reason, 0) + count
    reasons = {**vanna.reasons, **distribution.reasons}
    if "absorber" in reasons:
        reasons["vanna_absorber"] = reasons.pop("absorber")
    return DealerField(
        conventions=book.conventions,
        book=book,
        gex=float(here.gex.sum()),
        dex=float(here.dex.sum()),
        vex=float(here.vex.sum()),
        chex=float(here.chex.sum()),
        by_strike=_by_strike(book),
        by_expiry=_by_expiry(book, moves, distribution),
        gamma=gamma,
        vanna=vanna,
        open_interest=distribution,
        decay=charm_decay(book, clock),
        moves=moves,
        dropped=dropped,
        reasons=reasons,
    )


def _by_strike(book: Book) -> pl.DataFrame:
    here, chain = book.exposures, book.chain
    strike, place = book.by_strike
    contract = place[book.line]
    call = chain.is_call
    names = ("call_gex", "put_gex", "gex", "dex", "vex", "chex")
    return pl.DataFrame(
        {
            "strike": strike,
            "call_oi": np.bincount(contract[call], chain.open_interest[call], strike.size),
            "put_oi": np.bincount(contract[~call], chain.open_interest[~call], strike.size),
            **{name: np.bincount(place, getattr(here, name), strike.size) for name in names},
        }
    )


def _by_expiry(book: Book, moves: ExpectedMove, distribution: OIDistribution) -> pl.DataFrame:
    """A row for each expiry: what the processors found about it, and its exposures."""
    here, lines = book.exposures, book.lines
    first = np.flatnonzero(np.diff(lines.expiry, prepend=-1))
    sums = {name: np.add.reduceat(getattr(here, name), first) for name in ("dex", "vex", "chex")}
    missing = first.size - distribution.by_expiry.height  # expiries beyond the rules' reach come last
    found = [distribution.by_expiry[name].extend_constant(None, missing) for name in ("call_oi", "put_oi", "max_pain")]
    return moves.by_expiry.hstack([pl.Series(name, values) for name, values in sums.items()] + found)
