"""The trading desk of one portfolio: who asks which broker, and keeps which ledger, at what time.

`Desk` only holds together what `lifecycle` and `reconcile` need; it decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from fieldcast.execution.broker import Broker
from fieldcast.ground import Clock, ConfigError, InvalidInput, utc
from fieldcast.ledger import Database
from fieldcast.market import Instrument, sessions
from fieldcast.risk import KillSwitch


@dataclass(frozen=True)
class Desk:
    """Everything that carrying out an intent takes.

    Raises
    ------
    ConfigError : the broker cannot do what the cycle needs, or is another portfolio's
    """

    account: str
    portfolio: str
    instruments: tuple[Instrument, ...]
    broker: Broker
    ledger: Database
    clock: Clock
    kill_switch: KillSwitch

    def __post_init__(self) -> None:
        if not self.broker.capabilities.market_on_open:
            raise ConfigError(f"expected a broker that takes orders for the open, found {self.broker.name}")
        found = self.broker.account()
        if (found.account, found.portfolio) != (self.account, self.portfolio):
            raise ConfigError(
                f"expected the broker of {self.account}/{self.portfolio}, found that of "
                f"{found.account}/{found.portfolio}; each portfolio has its own"
            )

    @property
    def currency(self) -> str:
        return self.instruments[0].currency

    def now(self) -> datetime:
        return utc(self.clock.now())

    def instrument(self, id: str) -> Instrument:
        """The instrument with this id.

        Raises
        ------
        ConfigError : the portfolio does not list it
        """
        for instrument in self.instruments:
            if instrument.id == id:
                return instrument
        raise ConfigError(
            f"expected {id} among the instruments of {self.account}/{self.portfolio}: it is held or ordered there; "
            "put it back into the configuration"
        )


def opening_after(calendar: str, moment: datetime) -> tuple[date, datetime]:
    """The first session of `calendar` that opens after `moment`, and when it opens."""
    later = sessions(calendar).filter(pl.col("open") > moment).head(1)
    if later.is_empty():
        raise InvalidInput(f"expected a session of {calendar} after {moment.isoformat()}, found none")
    return later["session"][0], later["open"][0]
