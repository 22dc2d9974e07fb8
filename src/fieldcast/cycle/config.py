"""What decides the outcome of a cycle besides the data; its hash is recorded with every cycle."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from fieldcast.ground import ConfigError, digest
from fieldcast.market import Instrument
from fieldcast.projection import HORIZONS
from fieldcast.risk import Limits
from fieldcast.strategy import DEFAULT_TARGET


@dataclass(frozen=True)
class CycleConfig:
    """One portfolio and how it is run.

    Parameters
    ----------
    account, portfolio : whose money; portfolios are never summed
    instruments : the universe: each gets exactly one decision in every cycle
    starting_cash : paid in before the first cycle, in the instruments' currency
    name : of the cycle; with the session date it makes the slot
    calendar : whose sessions the slots are
    horizon : which horizon of a packet is used
    target_volatility : fraction a year
    dead_band : fraction of NAV below which a change is not worth its cost; 0 = off
    limits : what risk holds to
    experiment : hash of the experiment that makes the projections, where there is one

    Raises
    ------
    ConfigError : no instrument, one twice, different currencies (there are no FX rates here), or a bad figure
    """

    account: str
    portfolio: str
    instruments: tuple[Instrument, ...]
    starting_cash: Decimal
    name: str = "daily"
    calendar: str = "XNYS"
    horizon: str = "1d"
    target_volatility: Decimal = DEFAULT_TARGET
    dead_band: Decimal = Decimal(0)
    limits: Limits = field(default_factory=Limits)
    experiment: str = ""

    def __post_init__(self) -> None:
        for label in ("account", "portfolio", "name", "calendar"):
            if not getattr(self, label):
                raise ConfigError(f"expected a {label} for the cycle, found an empty one")
        ids = [instrument.id for instrument in self.instruments]
        if not ids or len(set(ids)) != len(ids):
            raise ConfigError(f"expected each instrument once and at least one, found {', '.join(ids) or 'none'}")
        currencies = sorted({instrument.currency for instrument in self.instruments})
        if len(currencies) != 1:
            raise ConfigError(f"expected one currency, found {', '.join(currencies)}; make a portfolio for each")
        if not self.starting_cash.is_finite() or self.starting_cash <= 0:
            raise ConfigError(f"expected starting_cash above 0, found {self.starting_cash}")
        if self.horizon not in HORIZONS:
            raise ConfigError(f"expected a horizon out of {', '.join(HORIZONS)}, found {self.horizon!r}")
        if self.target_volatility <= 0 or self.dead_band < 0:
            raise ConfigError(
                f"expected target_volatility > 0 and dead_band >= 0, found {self.target_volatility}, {self.dead_band}"
            )

    @property
    def currency(self) -> str:
        return self.instruments[0].currency

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything here; the order of the instruments does not matter."""
        return digest(
            {
                "account": self.account,
                "portfolio": self.portfolio,
                "starting_cash": self.starting_cash,
                "name": self.name,
                "calendar": self.calendar,
                "horizon": self.horizon,
                "target_volatility": self.target_volatility,
                "dead_band": self.dead_band,
                "max_exposure": self.limits.max_exposure,
                "minimum_quality": self.limits.minimum_quality,
                "experiment": self.experiment,
                "instruments": [
                    [
                        instrument.id,
                        instrument.calendar,
                        instrument.currency,
                        instrument.tick,
                        instrument.lot,
                        instrument.multiplier,
                        instrument.tradable,
                        instrument.notional,
                        instrument.simulated,
                    ]
                    for instrument in sorted(self.instruments, key=lambda instrument: instrument.id)
                ],
            }
        )
