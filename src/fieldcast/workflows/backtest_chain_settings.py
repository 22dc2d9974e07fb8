"""Options in a plan: which contracts of a chain are held beside the shares, by rule.

[options]
days = [20, 45]                  # to expiry when it is opened: the first expiry in there in which every leg is quoted
roll_days = 5                    # closed so many days before expiry, and the next one opened; 0 = held to expiry
covered = true                   # as many contracts as the shares cover; or contracts = 2; or notional = 0.5 of the equity
preset = "schwab_options"        # fees a contract; none = those of [costs]
[[options.legs]]
right = "call"
side = "short"
delta = 0.30                     # or moneyness = 1.05 of the spot; or offset = 10 from it; or width = -5 from the first leg
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fieldcast.workflows.backtest_money import Part

RULES = ("delta", "moneyness", "offset", "width")


class LegPart(Part):
    """One leg: a contract and how many of it. Exactly one rule finds the strike: the listed one that is nearest.

    Parameters
    ----------
    right, side : call or put, long or short
    ratio : contracts of it for each one of the structure
    delta : size of its delta: the chain's own, else the one of Black and Scholes at the volatility of its middle price
    moneyness : strike as a share of the spot
    offset : strike less the spot
    width : strike less the first leg's; never the first leg's own, and on the side that it says
    """

    right: Literal["call", "put"]
    side: Literal["long", "short"] = "short"
    ratio: int = Field(default=1, ge=1, le=20)
    delta: float | None = Field(default=None, gt=0, lt=1)
    moneyness: float | None = Field(default=None, gt=0.1, lt=10)
    offset: float | None = None
    width: float | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> LegPart:
        given = [name for name in RULES if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"expected one of {', '.join(RULES)}, found {', '.join(given) or 'none'}")
        if self.width == 0:
            raise ValueError("width: expected a distance from the first leg's strike, found 0")
        return self

    @property
    def sign(self) -> int:
        """1 long, -1 short."""
        return 1 if self.side == "long" else -1


class OptionsPart(Part):
    """What is held of the chain.

    Parameters
    ----------
    legs : all of one expiry
    underlying : one of `data.instruments`; none = the one there is
    dataset : of the table `chains`, where the underlying stands in several
    days : calendar days to expiry when it is opened, both included
    roll_days : it is closed at the first quote so many calendar days before expiry, and the next one opened; 0 = held to expiry
    contracts, notional, covered : how many: a number; what the strikes' underlying is worth, as a share of the equity; as many as
        the shares cover
    shares : the underlying is held by the strategies' targets; false = options alone
    quote_minutes : a quote counts at the first bar that ends after it was known; one that is older than this by then is none
    rate : a year: what a strike earns where a put is exercised early, and what volatilities are taken at; none = 0, and puts are
        exercised at expiry alone
    exercise : a long option at expiry alone, or `early` where the rule says so (`simulation.derivatives`)
    preset : fees a contract
    """

    legs: tuple[LegPart, ...] = Field(min_length=1, max_length=4)
    underlying: str | None = None
    dataset: str | None = None
    days: tuple[int, int] = (20, 45)
    roll_days: int = Field(default=0, ge=0, le=365)
    contracts: int | None = Field(default=None, ge=1, le=100_000)
    notional: float | None = Field(default=None, gt=0, le=10)
    covered: bool = False
    shares: bool = True
    quote_minutes: int = Field(default=5, ge=0, le=24 * 60)
    rate: float | None = Field(default=None, ge=0, lt=1)
    exercise: Literal["expiry", "early"] = "expiry"
    preset: str | None = None

    @model_validator(mode="after")
    def _sound(self) -> OptionsPart:
        first, last = self.days
        if not 0 <= first <= last <= 3_660:
            raise ValueError(f"days: expected two numbers of days in order, such as [20, 45], found [{first}, {last}]")
        if self.roll_days and self.roll_days >= first:
            raise ValueError(f"roll_days: expected fewer than the {first} days at which it is opened, found {self.roll_days}")
        given = [name for name in ("contracts", "notional", "covered") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"expected one of contracts, notional and covered = true, found {', '.join(given) or 'none'}")
        if self.legs[0].width is not None:
            raise ValueError("legs: expected delta, moneyness or offset of the first leg, found width, which is from its strike")
        if self.covered and not self.shares:
            raise ValueError("covered: expected shares, which cover, found shares = false")
        if self.covered and not any(leg.right == "call" and leg.side == "short" for leg in self.legs):
            raise ValueError("covered: expected a short call, which shares cover, found none")
        return self
