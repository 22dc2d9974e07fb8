"""How the simulated venue behaves in a run: every convention that a number depends on, in one frozen place with a hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from fieldcast.ground import ConfigError
from fieldcast.market import Instrument, Kind
from fieldcast.trading import CostModel
from fieldcast.trading.costs.fees import FeeSchedule

if TYPE_CHECKING:
    from fieldcast.simulation.derivatives import OptionTerms

LONGEST_LATENCY_US = 7 * 86_400_000_000
PATTERN_DAY_TRADER_EQUITY = Decimal(25_000)  # FINRA rule 4210(f)(8)(B)(iv)


class FillConvention(StrEnum):
    """Where a market order fills that was decided at the end of a bar."""

    NEXT_OPEN = "next_open"
    SAME_CLOSE = "same_close"  # at a price that was known when the order was made: marked wherever it is used


class Intrabar(StrEnum):
    """What is assumed of the path inside a bar; see `_kernels_matching`."""

    WORST = "worst"
    OHLC = "ohlc"
    FINER = "finer"


class Shortfall(StrEnum):
    """What becomes of an order that the account cannot carry when it would fill."""

    REJECT = "reject"
    CUT = "cut"


class UntrustedOpen(StrEnum):
    """What becomes of a market order at an open that is missing or no real print."""

    WAIT = "wait"
    REJECT = "reject"


class TargetUnit(StrEnum):
    """What a strategy's targets are."""

    WEIGHT = "weight"  # of the equity at the end of the bar
    UNITS = "units"  # of the instrument


@dataclass(frozen=True)
class Margin:
    """Equity that positions need to be opened, and to be kept: a share of their value, and money for each unit on top.

    `Margin()` is an account that borrows nothing. Regulation T: `Margin(Decimal("0.5"), Decimal("0.25"))`. A future's margin is
    so much a contract: `Margin.per_contract(Decimal(12_000), Decimal(11_000))`, in the instrument's currency.

    Raises
    ------
    ConfigError : a share is not in [0, 1], a maintenance margin is above its initial one, a number is negative, or all are 0
    """

    initial: Decimal = Decimal(1)
    maintenance: Decimal = Decimal(0)
    initial_per_unit: Decimal = Decimal(0)
    maintenance_per_unit: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        shares = self.initial.is_finite() and self.maintenance.is_finite()
        if not shares or not 0 <= self.initial <= 1 or not 0 <= self.maintenance <= self.initial:
            raise ConfigError(
                f"expected an initial margin in [0, 1] and a maintenance margin up to it, found {self.initial} and "
                f"{self.maintenance}"
            )
        each = (self.initial_per_unit, self.maintenance_per_unit)
        if not all(one.is_finite() for one in each) or not 0 <= self.maintenance_per_unit <= self.initial_per_unit:
            raise ConfigError(f"expected a maintenance margin a unit from 0 to the initial one, found {each[1]} and {each[0]}")
        if self.initial == 0 and self.initial_per_unit == 0:
            raise ConfigError("expected an initial margin above 0, found none: a position would need nothing")

    @classmethod
    def per_contract(cls, initial: Decimal, maintenance: Decimal) -> Margin:
        """So much money for each contract, whatever its value."""
        return cls(Decimal(0), Decimal(0), initial, maintenance)

    def canonical(self) -> list[str]:
        """As plain values."""
        return [str(self.initial), str(self.maintenance), str(self.initial_per_unit), str(self.maintenance_per_unit)]


@dataclass(frozen=True)
class VenueSettings:
    """Settings of one run.

    Parameters
    ----------
    cash : starting cash by currency
    base : currency in which equity is reckoned; None: the only one of the run
    costs : spread, slippage, impact and commission or fees
    fill, intrabar, shortfall, untrusted_open : see the enumerations
    limit_touch : a limit fills where the price touches it; else it has to trade through
    volume_share : most of a bar's volume that this account takes, in (0, 1]; None = no bound, which the result is marked with
    latency_us : an order, its replacement and its withdrawal act from this long after they were sent
    shorts : positions below zero are allowed
    margin : for all instruments; margins : for single ones by id
    pattern_day_trader : refuse to open once three day trades fall in five sessions while equity is below `pattern_equity`
    exact_fees : fees are rounded up to the minimal unit of the run instead of the fee step (0.01)
    size : what targets are
    margined : ids of instruments whose value is not paid, only its changes; None: those of kind future (perpetual ones too)
    options : terms of options whose margin is that of their group (`option_margin`), and whose bars' low and high are bid and
        offer at its end: market orders fill there, at the close, and half of what lies between them is paid in place of
        `costs.half_spread_bps`, and no impact
    option_fees : of those options, a contract; None: as of everything else

    Raises
    ------
    ConfigError : a value is out of its range, or two contradict each other; the message names the key
    """

    cash: Mapping[str, Decimal] = field(default_factory=lambda: {"USD": Decimal(100_000)})
    base: str | None = None
    costs: CostModel = field(default_factory=CostModel)
    fill: FillConvention = FillConvention.NEXT_OPEN
    intrabar: Intrabar = Intrabar.WORST
    shortfall: Shortfall = Shortfall.REJECT
    untrusted_open: UntrustedOpen = UntrustedOpen.WAIT
    limit_touch: bool = False
    volume_share: Decimal | None = None
    latency_us: int = 0
    shorts: bool = True
    margin: Margin = field(default_factory=Margin)
    margins: Mapping[str, Margin] = field(default_factory=dict)
    pattern_day_trader: bool = False
    pattern_equity: Decimal = PATTERN_DAY_TRADER_EQUITY
    exact_fees: bool = False
    size: TargetUnit = TargetUnit.WEIGHT
    margined: tuple[str, ...] | None = None
    options: tuple[OptionTerms, ...] = ()
    option_fees: FeeSchedule | None = None

    def __post_init__(self) -> None:
        for name, kind in (
            ("fill", FillConvention), ("intrabar", Intrabar), ("shortfall", Shortfall), ("untrusted_open", UntrustedOpen),
            ("size", TargetUnit),
        ):  # fmt: skip
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, kind(value))
            except ValueError:
                raise ConfigError(f"expected {name} out of {', '.join(kind)}, found {value!r}") from None
        if not self.cash:
            raise ConfigError("expected starting cash in at least one currency, found none")
        for currency, amount in self.cash.items():
            if not isinstance(amount, Decimal) or not amount.is_finite() or amount < 0:
                raise ConfigError(f"expected cash of at least 0 {currency} as a Decimal, found {amount!r}")
        if self.volume_share is not None and not (self.volume_share.is_finite() and 0 < self.volume_share <= 1):
            raise ConfigError(f"expected volume_share in (0, 1], found {self.volume_share}")
        if self.volume_share is not None and self.volume_share != round(self.volume_share, 8):
            raise ConfigError(f"expected volume_share with at most 8 decimals, found {self.volume_share}")
        if not 0 <= self.latency_us <= LONGEST_LATENCY_US:
            raise ConfigError(f"expected latency_us from 0 to {LONGEST_LATENCY_US}, found {self.latency_us}")
        if self.fill is FillConvention.SAME_CLOSE and self.latency_us:
            raise ConfigError(
                f"expected no latency with fill=same_close, found {self.latency_us} us: an order cannot be both late and at once"
            )
        if self.margin.initial == 0:
            raise ConfigError("expected a share of the value as the run's margin, found 0; give margins a contract in `margins`")
        if not self.pattern_equity.is_finite() or self.pattern_equity < 0:
            raise ConfigError(f"expected pattern_equity of at least 0, found {self.pattern_equity}")

    def margin_of(self, instrument: str) -> Margin:
        """The margin of one instrument."""
        return self.margins.get(instrument, self.margin)

    def is_margined(self, instrument: Instrument) -> bool:
        """True where only the change in value of a position is paid."""
        return instrument.kind is Kind.FUTURE if self.margined is None else instrument.id in self.margined

    def canonical(self) -> dict[str, Any]:
        """Everything as plain values, for a hash."""
        costs = self.costs
        known = {} if not self.options else {
            "options": [one.canonical() for one in self.options],
            "option_fees": None if self.option_fees is None else _plain_fees(self.option_fees),
        }  # fmt: skip
        return {
            "cash": {currency: str(amount) for currency, amount in sorted(self.cash.items())},
            "base": self.base,
            "costs": _plain_costs(costs),
            "fill": str(self.fill),
            "intrabar": str(self.intrabar),
            "shortfall": str(self.shortfall),
            "untrusted_open": str(self.untrusted_open),
            "limit_touch": self.limit_touch,
            "volume_share": None if self.volume_share is None else str(self.volume_share),
            "latency_us": self.latency_us,
            "shorts": self.shorts,
            "margin": self.margin.canonical(),
            "margins": {name: one.canonical() for name, one in sorted(self.margins.items())},
            "pattern_day_trader": self.pattern_day_trader,
            "pattern_equity": str(self.pattern_equity),
            "exact_fees": self.exact_fees,
            "size": str(self.size),
            "margined": None if self.margined is None else sorted(self.margined),
            **known,
        }


def _plain_fees(fees: FeeSchedule) -> dict[str, str]:
    from dataclasses import fields

    return {part.name: str(getattr(fees, part.name)) for part in fields(fees)}


def _plain_costs(costs: CostModel) -> dict[str, Any]:
    """A cost model as plain values; what was measured is named by its own date and figures."""
    from dataclasses import fields

    plain: dict[str, Any] = {}
    for one in fields(costs):
        value = getattr(costs, one.name)
        if one.name == "fees":
            plain["fees"] = None if value is None else _plain_fees(value)
        elif one.name == "measured":
            plain["measured"] = None if value is None else repr(value)
        else:
            plain[one.name] = str(value)
    return plain
