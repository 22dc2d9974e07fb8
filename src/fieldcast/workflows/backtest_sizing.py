"""The sizing rules of a plan: how large a position may be, reckoned at the close at which its target changes.

[sizing]
risk = { share = 0.01 }                       # of the account, lost at the stop of [exits]
volatility = { target = 0.15, window = 20 }
cap = 0.25

The target's sign says the side. The size is the smallest that any rule allows (`strategy.sizing_rules`), and never more than the
target's own share of the account; the account is all of it, whatever the number of instruments. A position keeps its size until
its target changes. Which rule bound an entry is the tag of its order.

    volatility   sigma = standard deviation of the last `window` log returns of the closes that strategies see, a year
    risk         distance to the stop = `distance` times the close; none = the stop (or trailing stop) of [exits]
    kelly        gain and loss of a unit of value; none = the target and the stop of [exits]
    energy       the newest value of a series of the table `macro` that was known when it was decided; `quality` too, where it is
                 a series
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from fieldcast.ground import ConfigError, MissingData, Reason
from fieldcast.market import Instrument
from fieldcast.strategy.sizing_rules import (
    Cap,
    EnergyAware,
    FixedSize,
    FractionalKelly,
    Holding,
    QualityHaircut,
    RiskShare,
    RuledSize,
    SizingRule,
    VolatilityTarget,
    smallest_size,
)
from fieldcast.workflows.backtest_money import Amount, AtLeastNone, Part, Positive

if TYPE_CHECKING:
    from fieldcast.workflows.backtest_data import BacktestData

Array = npt.NDArray[np.float64]


class RiskPart(Part):
    """At most `share` of the account is lost at the stop, `distance` of the price away."""

    share: Amount = Field(default=Decimal("0.01"), gt=0, le=1)
    distance: Amount | None = Field(default=None, gt=0, lt=1)


class KellyPart(Part):
    """A fraction of the growth-optimal size, of odds that the user states and `samples` outcomes behind them."""

    p_win: float = Field(ge=0, le=1)
    samples: int = Field(ge=0)
    gain: float | None = Field(default=None, gt=0)
    loss: float | None = Field(default=None, gt=0)
    fraction: float = Field(default=0.25, gt=0, le=1)
    least_edge: float = Field(default=0.05, ge=0)
    least_samples: int = Field(default=20, ge=0)


class VolatilityPart(Part):
    """The position's volatility is at most `target` a year."""

    target: Amount = Field(default=Decimal("0.15"), gt=0, le=10)
    window: int = Field(default=20, ge=2, le=10_000)


class EnergyPart(Part):
    """`share` of the account at the energy `reference_dollars`, less in proportion to a larger one."""

    series: str
    reference_dollars: float = Field(gt=0)
    floor_dollars: float = Field(gt=0)
    share: Amount = Field(default=Decimal("0.10"), gt=0, le=4)


class SizingPart(Part):
    """The rules of a run; at least one.

    Parameters
    ----------
    fixed : an amount in the instrument's currency
    cap : largest share of the account
    quality : share, 0 to 1, of what the others allow: a number, or a series of the table `macro`
    """

    fixed: Positive | None = None
    risk: RiskPart | None = None
    kelly: KellyPart | None = None
    volatility: VolatilityPart | None = None
    energy: EnergyPart | None = None
    cap: Amount | None = Field(default=None, gt=0, le=4)
    quality: AtLeastNone | str | None = None

    @model_validator(mode="after")
    def _some(self) -> SizingPart:
        rules = (self.fixed, self.risk, self.kelly, self.volatility, self.energy, self.cap)
        if all(rule is None for rule in rules):
            raise ValueError("expected a rule out of fixed, risk, kelly, volatility, energy and cap, found none")
        if isinstance(self.quality, Decimal) and self.quality > 1:
            raise ValueError(f"quality: expected a share from 0 to 1, found {self.quality}")
        return self

    def check(self, stop: float | None, target: float | None) -> None:
        """Refuse rules that need an exit that is not there.

        Raises
        ------
        ConfigError : it names the rule and the key
        """
        if self.risk is not None and self.risk.distance is None and stop is None:
            raise ConfigError("sizing.risk: expected a stop in [exits], or a distance, found none: nobody knows what is at risk")
        if self.kelly is not None:
            if self.kelly.gain is None and target is None:
                raise ConfigError("sizing.kelly: expected a gain, or a target in [exits], found none")
            if self.kelly.loss is None and stop is None:
                raise ConfigError("sizing.kelly: expected a loss, or a stop in [exits], found none")

    @property
    def series(self) -> tuple[str, ...]:
        """Ids of the series that it reads."""
        found = [] if self.energy is None else [self.energy.series]
        return tuple([*found, self.quality] if isinstance(self.quality, str) else found)


Known = Callable[[int], float | None]     # the newest value known at a moment, microseconds


@dataclass
class Sizer:
    """Sizes of one run; `bound` counts the rule behind each.

    Parameters
    ----------
    stop, target : of the plan's exits, shares
    bars_per_year : of the clock
    closes : by row, (T,) what strategies see on the market's clock, NaN = no bar
    decided : by row, (T,) moments at which decisions of each bar are made, microseconds
    series : values of the series that the rules read
    """

    part: SizingPart
    stop: float | None
    target: float | None
    bars_per_year: float
    closes: tuple[Array, ...]
    decided: tuple[npt.NDArray[np.int64], ...]
    series: Mapping[str, Known]
    bound: Counter[Reason] = field(default_factory=Counter)

    @classmethod
    def of(cls, part: SizingPart, data: BacktestData, *, stop: float | None, target: float | None, year: float) -> Sizer:
        """For a run on these bars."""
        closes, decided = [], []
        for arrays, places in zip(data.signals, data.places, strict=True):
            row = np.full(data.market.bars, np.nan)
            row[places] = arrays["close"]
            closes.append(row)
            own = np.array(data.market.ts)
            own[places] = arrays["decided_ts"]
            decided.append(own)
        return cls(part, stop, target, year, tuple(closes), tuple(decided), data.series)

    def size(
        self, instrument: Instrument, row: int, bar: int, *, nav: Decimal, price: Decimal, most: Decimal
    ) -> RuledSize | None:
        """The size of a position that is decided on at the end of a bar; None where a window is not full yet.

        Parameters
        ----------
        nav : of the account, in the instrument's currency
        price : last close
        most : share of the account that the target is worth

        The reasons are those of the rule that bound, whatever the quality takes off it.
        """
        holding = Holding(nav, price, instrument.multiplier, instrument.lot)
        rules = self._rules(row, bar, price)
        if rules is None:
            return None
        share = most if self.part.cap is None else min(most, self.part.cap)
        whole = smallest_size(holding, [*rules, Cap(share)])
        cut = self._haircut(row, bar)
        self.bound[whole.reasons[0]] += 1
        if cut is None:
            return whole
        return replace(smallest_size(holding, [*rules, Cap(share)], cut), reasons=whole.reasons)

    def _rules(self, row: int, bar: int, price: Decimal) -> list[SizingRule] | None:
        """The rules of this moment; None where a window is not full yet."""
        part = self.part
        found: list[SizingRule] = []
        if part.fixed is not None:
            found.append(FixedSize(part.fixed))
        if part.risk is not None:
            distance = part.risk.distance if part.risk.distance is not None else Decimal(repr(self.stop))
            found.append(RiskShare(distance * price, part.risk.share))
        if part.kelly is not None:
            odds = part.kelly
            gain, loss = odds.gain or self.target, odds.loss or self.stop
            assert gain is not None
            assert loss is not None
            found.append(
                FractionalKelly(odds.p_win, gain, loss, odds.samples, odds.fraction, odds.least_edge, odds.least_samples)
            )
        if part.volatility is not None:
            sigma = self._sigma(row, bar, part.volatility.window)
            if sigma is None:
                return None
            found.append(VolatilityTarget(sigma, part.volatility.target))
        if part.energy is not None:
            energy = self._known(part.energy.series, row, bar)
            found.append(EnergyAware(energy, part.energy.reference_dollars, part.energy.floor_dollars, part.energy.share))
        return found

    def _sigma(self, row: int, bar: int, window: int) -> float | None:
        seen = self.closes[row][: bar + 1]
        last = seen[np.isfinite(seen)][-window - 1 :]
        if last.size <= window:
            return None
        sigma = float(np.diff(np.log(last)).std(ddof=1)) * math.sqrt(self.bars_per_year)
        return sigma if sigma > 0.0 else None

    def _haircut(self, row: int, bar: int) -> QualityHaircut | None:
        quality = self.part.quality
        if quality is None:
            return None
        return QualityHaircut(self._known(quality, row, bar) if isinstance(quality, str) else float(quality))

    def _known(self, series: str, row: int, bar: int) -> float:
        moment = int(self.decided[row][bar])
        found = self.series[series](moment)
        if found is None:
            raise MissingData(
                f"expected a value of {series} known by {np.datetime64(moment, 'us')}, when a size was asked for, found none; "
                "begin the run later (data.first) or import earlier rows"
            )
        return found

    @property
    def words(self) -> str:
        """Which rules bound how many sizes."""
        parts = [f"{reason.meaning} ({count:,})" for reason, count in self.bound.most_common()]
        return f"what bound the sizes: {'; '.join(parts)}"
