"""What a fast run is made of: the venue's settings, how a target becomes a quantity, and exits.

    weight       lots = target * weight * equity / price at the deciding close, towards zero
    units        a fixed quantity times the target
    volatility   weight = min(cap, volatility / sigma), sigma the standard deviation of the last `window` returns a year
    risk         lots = risk * equity / (stop * price): a stop that is hit costs that share of the equity; at most `cap` of equity

The fast engine knows one account in one currency with market orders at the next open and exits inside the bar. What a venue's
settings ask beyond that (volume shares, latency, finer bars, several currencies) is refused by name: the venue runs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, Literal

from fieldcast.ground import ConfigError
from fieldcast.simulation.settings import FillConvention, Intrabar, Shortfall, TargetUnit, VenueSettings

SizeKind = Literal["weight", "units", "volatility", "risk"]
LARGEST_TARGET = 1e9  # weight; the venue's own bound
KINDS: tuple[SizeKind, ...] = ("weight", "units", "volatility", "risk")


@dataclass(frozen=True, slots=True)
class Size:
    """How a target becomes a quantity.

    Parameters
    ----------
    kind : see above; of `volatility` and `risk` only the sign of the target counts
    value : weight, quantity, volatility a year, or share of equity at risk; above 0
    cap : largest weight, of `volatility` and `risk`
    window : returns of sigma, of `volatility`
    """

    kind: SizeKind = "weight"
    value: Decimal = Decimal(1)
    cap: Decimal = Decimal(1)
    window: int = 20

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"expected a size out of {', '.join(KINDS)}, found {self.kind!r}")
        if not self.value.is_finite() or self.value <= 0 or not self.cap.is_finite() or self.cap <= 0 or self.window < 2:
            raise ConfigError(f"expected a size and a cap above 0 and a window of at least 2, found {self}")


def cut_to_cash() -> VenueSettings:
    """The venue's defaults, with orders cut to what the account can carry: a target of 1 is then everything that cash buys."""
    return VenueSettings(shortfall=Shortfall.CUT)


@dataclass(frozen=True)
class FastSettings:
    """Settings of a fast run.

    Parameters
    ----------
    venue : cash, costs, margin and rules; by default those of `VenueSettings` with orders cut to the account
    size : how a target becomes a quantity; `venue.size` says the same of plain runs and has to agree
    stop, target, trail : exits, as fractions of the price; None = none
    periods_per_year : bars a year, for Sharpe and Sortino ratios and for the volatility of `Size`

    Raises
    ------
    ConfigError : the fast engine does not know what is asked for; it is named
    """

    venue: VenueSettings = field(default_factory=cut_to_cash)
    size: Size = Size()
    stop: Decimal | None = None
    target: Decimal | None = None
    trail: Decimal | None = None
    periods_per_year: float = 252.0

    def __post_init__(self) -> None:
        for name in ("stop", "target", "trail"):
            value = getattr(self, name)
            if value is not None and not (value.is_finite() and 0 < value < 1):
                raise ConfigError(f"expected {name} between 0 and 1, or none, found {value}")
        if self.size.kind == "risk" and self.stop is None:
            raise ConfigError("expected a stop for the size `risk`, found none: without it nobody knows what is at risk")
        if not self.periods_per_year > 0:
            raise ConfigError(f"expected periods_per_year above 0, found {self.periods_per_year}")
        if self.trail is not None and self.venue.intrabar is Intrabar.OHLC:
            raise ConfigError("expected intrabar `worst` with a trailing stop, found ohlc: the venue moves stops inside a bar")
        self._check_venue()

    def _check_venue(self) -> None:
        venue = self.venue
        beyond = {
            "fill=same_close": venue.fill is not FillConvention.NEXT_OPEN,
            "intrabar=finer": venue.intrabar is Intrabar.FINER,
            "volume_share": venue.volume_share is not None,
            "latency_us": venue.latency_us > 0,
            "pattern_day_trader": venue.pattern_day_trader,
            "margined": bool(venue.margined),
            "cash in several currencies": len(venue.cash) != 1,
        }
        asked = [name for name, found in beyond.items() if found]
        if asked:
            raise ConfigError(f"expected what the fast engine knows, found {', '.join(asked)}: use the venue (`run_targets`)")
        if venue.size is TargetUnit.UNITS and self.size.kind != "units":
            raise ConfigError(f"expected size `units` where the venue's targets are units, found {self.size.kind}")

    @property
    def cash(self) -> Decimal:
        """Paid in before the first bar."""
        return next(iter(self.venue.cash.values()))

    @property
    def exits(self) -> bool:
        """True where a position may end inside a bar."""
        return self.stop is not None or self.target is not None or self.trail is not None

    def canonical(self) -> dict[str, Any]:
        """The settings as plain values, for hashes and records."""
        plain: dict[str, Any] = {"venue": self.venue.canonical(), "periods_per_year": self.periods_per_year}
        plain["size"] = {one.name: _plain(getattr(self.size, one.name)) for one in fields(self.size)}
        for name in ("stop", "target", "trail"):
            plain[name] = _plain(getattr(self, name))
        return plain


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value
