"""The parts of a backtest's plan that speak of money: currencies and their rates, what holding costs, margin, single instruments.

[account]
cash = { EUR = 60000, USD = 10000 }
currency = "EUR"                              # equity is reckoned in it
[fx]
pairs = ["OANDA:EURUSD"]                      # none = the pairs of the store that join the run's currencies
stated = { "USDT/USD" = 1 }                   # taken to hold all the time, and said on the report
[financing]
borrow = 0.01                                 # of shares sold short, a year
interest = { USD = "FRED:DFF", EUR = 0.02 }   # benchmark rate a year: a number, or a series of the table `macro`
funding = "stored"                            # of perpetual futures
[instruments."BINANCE:BTCUSDT-PERP"]
lot = 0.001
margin = { initial = 0.1, maintenance = 0.05 }

A rate that neither the plan states nor the store holds is no rate: the run is refused, or played without it and says so.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from fieldcast.market import DAILY, table_of
from fieldcast.simulation.settings import Margin

_CURRENCY = re.compile(r"[A-Z]{3,5}")
Rate = Annotated[float, Field(gt=-1.0, lt=10.0)]


def one_spelling(value: Decimal) -> Decimal:
    """1.0, 1.00 and 1 are one amount, so they name one run."""
    short = value.normalize()
    exponent = short.as_tuple().exponent
    return short.quantize(Decimal(1)) if isinstance(exponent, int) and exponent > 0 else short


def _currency(value: str) -> str:
    if not _CURRENCY.fullmatch(value):
        raise ValueError(f"expected a currency such as USD, found {value!r}")
    return value


Amount = Annotated[Decimal, AfterValidator(one_spelling)]
Currency = Annotated[str, AfterValidator(_currency)]
Positive = Annotated[Amount, Field(gt=0)]
AtLeastNone = Annotated[Amount, Field(ge=0)]
RateOrSeries = Rate | str
Withheld = Annotated[Amount, Field(ge=0, le=1)]


class Part(BaseModel):
    """A table of the file: frozen, and a key that it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MarginPart(Part):
    """Equity that a position needs to be opened, and to be kept: shares of its value, and money for each contract on top.

    The money for a contract is in the currency of its instrument.

    Shares that are not given are 0 where money a contract is, else those of an account that borrows nothing (1 and 0).
    """

    initial: Amount | None = Field(default=None, ge=0, le=1)
    maintenance: Amount | None = Field(default=None, ge=0, le=1)
    initial_per_contract: AtLeastNone = Decimal(0)
    maintenance_per_contract: AtLeastNone = Decimal(0)

    @model_validator(mode="after")
    def _sound(self) -> MarginPart:
        self.terms()
        return self

    def terms(self) -> Margin:
        """As the venue takes it.

        Raises
        ------
        ConfigError : a maintenance margin above its initial one, or none at all
        """
        by_contract = self.initial_per_contract > 0
        initial = self.initial if self.initial is not None else Decimal(0 if by_contract else 1)
        maintenance = self.maintenance if self.maintenance is not None else Decimal(0)
        return Margin(initial, maintenance, self.initial_per_contract, self.maintenance_per_contract)


class ConversionPart(Part):
    """Cash that changes its currency at a moment (a date is its midnight, UTC); no amount = all of it."""

    at: datetime | date
    sold: Currency
    bought: Currency
    amount: Positive | None = None

    @property
    def moment(self) -> datetime:
        found = self.at if isinstance(self.at, datetime) else datetime.combine(self.at, time())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)

    @model_validator(mode="after")
    def _two_currencies(self) -> ConversionPart:
        if self.sold == self.bought:
            raise ValueError(f"expected two currencies, found {self.sold} twice")
        return self


class FxPart(Part):
    """Rates of currencies through time, and what a conversion costs.

    Parameters
    ----------
    pairs : ids of currency pairs in the store; none = those that join the run's currencies
    table, dataset : where their bars or quotes stand; of quotes the middle of bid and offer counts
    stated : rates that hold all the time, such as { "USDT/USD" = 1 }: units of the second currency for one of the first
    pivot : currency through which two are joined that no pair joins
    longest_age_hours : a rate that is older, counted from the end of its bar, is none, and the run is refused
    at_start : `convert` changes the instruments' share of the base currency's cash into each of their currencies in which the
        account has none, at the first open; `keep` leaves the cash as it is
    half_spread_bps, commission_bps : of every conversion
    minimum_commission : of every conversion, units of the currency that it buys: 2 is two dollars or two yen
    conversions : further ones
    """

    pairs: tuple[str, ...] = ()
    table: str = DAILY
    dataset: str | None = None
    stated: dict[str, Positive] = Field(default_factory=dict)
    pivot: Currency = "USD"
    longest_age_hours: float = Field(default=96.0, gt=0, le=24 * 366)
    at_start: Literal["convert", "keep"] = "convert"
    half_spread_bps: AtLeastNone = Decimal("0.5")
    commission_bps: AtLeastNone = Decimal("0.2")
    minimum_commission: AtLeastNone = Decimal(0)
    conversions: tuple[ConversionPart, ...] = ()

    @field_validator("table")
    @classmethod
    def _bars_or_quotes(cls, value: str) -> str:
        if table_of(value).kind not in ("bars", "quote_bars"):
            raise ValueError(f"expected a table of bars or quotes such as bars/1d or quote_bars/1h, found {value}")
        return value

    @field_validator("stated")
    @classmethod
    def _named(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            parts = name.split("/")
            if len(parts) != 2 or parts[0] == parts[1] or not all(_CURRENCY.fullmatch(part) for part in parts):
                raise ValueError(f"expected two currencies such as USDT/USD, found {name!r}")
        return value


class FinancingPart(Part):
    """What holding costs and brings; a rate is a number a year (0.03 = 3 %) or the id of a series of the table `macro`.

    A balance is of one currency, and an amount too: `free_of_credit` as a number is so many units of each currency of `interest`.

    Parameters
    ----------
    borrow : of shares sold short; none = they are lent for nothing, and the result says so
    interest : benchmark rate by currency; a currency that is left out bears no interest
    debit_spread, credit_spread : added to the benchmark on a debit, taken off it on a credit (never below 0)
    free_of_credit : balance that bears no credit, in units of its currency: a table such as { USD = 10000, JPY = 1500000 }, in
        which a currency that is left out has none; or one number, which stands for each currency of `interest`
    short_proceeds : `segregated` earn nothing, as brokers keep them; `earn` counts them to the balance
    funding : of perpetual futures: `stored` pays what the table `funding` holds; a number is paid every `funding_hours`; `none`
    withholding : share of each dividend that is held back as tax from who is long
    """

    borrow: RateOrSeries | None = None
    interest: dict[Currency, RateOrSeries] = Field(default_factory=dict)
    debit_spread: Amount = Field(default=Decimal("0.015"), ge=0, lt=1)
    credit_spread: Amount = Field(default=Decimal("0.005"), ge=0, lt=1)
    free_of_credit: AtLeastNone | dict[Currency, AtLeastNone] = Decimal(0)
    short_proceeds: Literal["segregated", "earn"] = "segregated"
    funding: Rate | Literal["stored", "none"] = "stored"
    funding_hours: int = Field(default=8, ge=1, le=24)
    withholding: Withheld = Decimal(0)

    @model_validator(mode="after")
    def _borrow_is_paid(self) -> FinancingPart:
        if isinstance(self.borrow, float) and self.borrow < 0:
            raise ValueError(f"borrow: expected a rate of at least 0, found {self.borrow}")
        if 24 % self.funding_hours:
            raise ValueError(f"funding_hours: expected a part of a day such as 8 or 4, found {self.funding_hours}")
        return self

    @model_validator(mode="after")
    def _interest_is_there(self) -> FinancingPart:
        names = ("debit_spread", "credit_spread", "free_of_credit", "short_proceeds")
        idle = [name for name in names if getattr(self, name) != FinancingPart.model_fields[name].default]
        if idle and not self.interest:
            raise ValueError(f"{', '.join(idle)}: expected a benchmark too, such as interest = {{ USD = 0.03 }}, found none")
        strange = sorted(set(self.free_of_credit) - set(self.interest)) if isinstance(self.free_of_credit, dict) else []
        if strange:
            raise ValueError(
                f"free_of_credit: expected currencies of interest ({', '.join(self.interest)}), found {', '.join(strange)}"
            )
        return self

    def free_of(self, currency: str) -> Decimal:
        """The balance of a currency that bears no credit, in units of it."""
        if isinstance(self.free_of_credit, dict):
            return self.free_of_credit.get(currency, Decimal(0))
        return self.free_of_credit


class InstrumentPart(Part):
    """What is special to one instrument; what is not given is as the store has it, or as the run has it for all.

    Parameters
    ----------
    tick, lot, multiplier : of its contract
    margin : in place of the account's
    borrow : a rate a year in place of the run's
    funding : a rate that is paid every `financing.funding_hours`, in place of what is stored
    withholding : in place of the run's
    perpetual : of a future, whether it has no last day and so pays funding; none = as its symbol says
    """

    tick: Positive | None = None
    lot: Positive | None = None
    multiplier: Positive | None = None
    margin: MarginPart | None = None
    borrow: RateOrSeries | None = None
    funding: Rate | None = None
    withholding: Withheld | None = None
    perpetual: bool | None = None

    @model_validator(mode="after")
    def _borrow_is_paid(self) -> InstrumentPart:
        if isinstance(self.borrow, float) and self.borrow < 0:
            raise ValueError(f"borrow: expected a rate of at least 0, found {self.borrow}")
        return self

    @property
    def terms(self) -> dict[str, Any]:
        """Tick, lot and multiplier, those that are given."""
        return {name: value for name in ("tick", "lot", "multiplier") if (value := getattr(self, name)) is not None}
