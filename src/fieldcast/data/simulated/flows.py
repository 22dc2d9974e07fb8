"""Who trades a simulated option chain: customers who open and close, and dealers who take the other side of what is left.

Each session, for every contract i with customers' long and short positions L and S:

    openings   N ~ Poisson(G lambda_i), G ~ Gamma with mean 1;   bought ~ Binomial(N, p), the rest is sold;   p is (1 +
    put_buying) / 2
               for puts and (1 - overwriting) / 2 for calls
    closings   Binomial(L, q) sold and Binomial(S, q) bought back;   q = `closing`, and `closing_last` in the last session

lambda_i shares `contracts_per_session` out by time and by strike. Dealers net to D = S - L (they hold what customers are short
of), and open interest, the sum of all long positions, is max(L, S). A share of customers' trades meets another customer's; so

    volume = bought + sold - met,    met <= min(bought, sold),    volume >= |change of open interest|

What is counted after a session is published the next morning. L, S and D are the truth that a sign policy can be tested against.
Sources of the signs: Garleanu, Pedersen and Poteshman (2009), RFS 22 (end users are net long index puts); Lakonishok, Lee,
Pearson and Poteshman (2007), RFS 20 (they write calls). The figures are declared, not fitted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class FlowProcess:
    """Parameters of customers' trading.

    Parameters
    ----------
    contracts_per_session : mean number opened a session, all contracts together
    put_buying : surplus of bought over sold among the puts opened, -1 to 1
    overwriting : surplus of sold over bought among the calls opened, -1 to 1
    put_place, call_place, width : where interest peaks and how wide it is, in standard deviations to expiry from the forward
    time_power : interest falls as (sessions ahead + 1)^-time_power
    dispersion : standard deviation of G
    closing, closing_last : share of a position closed in a session, and in the contract's last one
    met : share of the smaller side of customers' trades that meets another customer
    """

    contracts_per_session: float = 100_000.0
    put_buying: float = 0.4
    overwriting: float = 0.4
    put_place: float = -0.8
    call_place: float = 0.6
    width: float = 0.9
    time_power: float = 0.8
    dispersion: float = 0.8
    closing: float = 0.05
    closing_last: float = 0.40
    met: float = 0.3

    def __post_init__(self) -> None:
        for name in ("put_buying", "overwriting"):
            if not -1 <= getattr(self, name) <= 1:
                raise InvalidInput(f"expected {name} from -1 to 1, found {getattr(self, name)}")
        for name in ("closing", "closing_last", "met"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInput(f"expected {name} from 0 to 1, found {getattr(self, name)}")
        for name in ("contracts_per_session", "width", "dispersion"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InvalidInput(f"expected {name} above zero, found {getattr(self, name)}")

    def buying(self, is_call: Flags) -> Floats:
        """(n,) p, the share of openings that is bought."""
        return np.where(is_call, (1 - self.overwriting) / 2, (1 + self.put_buying) / 2)

    def means(self, place: Floats, ahead: Floats, is_call: Flags) -> Floats:
        """(n,) lambda, openings a session.

        Parameters
        ----------
        place : (n,) log(K / forward) in standard deviations to expiry
        ahead : (n,) sessions to expiry
        """
        peak = np.where(is_call, self.call_place, self.put_place)
        weight = np.exp(-0.5 * ((place - peak) / self.width) ** 2) * (ahead + 1) ** -self.time_power
        return np.asarray(self.contracts_per_session * weight / weight.sum())


@dataclass(frozen=True)
class Traded:
    """What one session did; arrays (n,) of whole contracts: volume, and customers' positions after it."""

    volume: Integers
    long: Integers
    short: Integers
    bought: Integers
    sold: Integers


def seasoned(
    flow: FlowProcess, means: Floats, is_call: Flags, age: Floats, random: np.random.Generator
) -> tuple[Integers, Integers]:
    """Customers' long and short positions in contracts that were listed `age` sessions before the history begins."""
    kept = (1 - (1 - flow.closing) ** age) / flow.closing if flow.closing > 0 else age
    share = flow.buying(is_call)
    return random.poisson(means * share * kept), random.poisson(means * (1 - share) * kept)


def trade(
    flow: FlowProcess, means: Floats, is_call: Flags, last: Flags, long: Integers, short: Integers, random: np.random.Generator
) -> Traded:
    """One session of customers' trading; `last`: the contract's last session."""
    shape = flow.dispersion**-2
    opened = random.poisson(means * random.gamma(shape, 1 / shape, means.size))
    bought_open = random.binomial(opened, flow.buying(is_call))
    closing = np.where(last, flow.closing_last, flow.closing)
    sold_close, bought_close = random.binomial(long, closing), random.binomial(short, closing)
    bought, sold = bought_open + bought_close, opened - bought_open + sold_close
    met = (flow.met * np.minimum(bought, sold)).astype(np.int64)
    return Traded(bought + sold - met, long + bought_open - sold_close, short + opened - bought_open - bought_close, bought, sold)
