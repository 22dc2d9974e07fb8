"""The TOML file of a backtest: which bars, which strategies, what trading costs, how orders fill. Its hash names the run.

family = "my-idea"               # every run of the family is a trial: the deflated figures count them all
[data]
instruments = ["ARCX:SPY"]
first = 2005-01-03
last = 2018-12-31
[[strategies]]
name = "sma_cross"
settings = { fast = 10, slow = 20 }
[[strategies]]
file = "my_strategy.py"          # beside this file, or a path from the working folder
[account]
cash = 10000
[costs]
half_spread_bps = 1
commission_bps = 0.5

Every other table and key has the default that its class below states; money stands in `backtest_money`, sizes in
`backtest_sizing`, rolls of futures in `backtest_futures`, options in `backtest_chain_settings`. With `[combine]` the strategies
vote and run as one; without it each runs by itself, beside the others.
"""

from __future__ import annotations

import hashlib
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from fieldcast.ground import ConfigError, InvalidInput, MissingData, digest
from fieldcast.market import DAILY, sessions, table_of
from fieldcast.market.tables import INTERVALS
from fieldcast.strategy import CATALOGUE, Combination, strategy
from fieldcast.workflows.backtest_chain_settings import OptionsPart
from fieldcast.workflows.backtest_futures import FuturesPart
from fieldcast.workflows.backtest_money import (
    Amount,
    AtLeastNone,
    Currency,
    FinancingPart,
    FxPart,
    InstrumentPart,
    MarginPart,
    Part,
    Positive,
)
from fieldcast.workflows.backtest_sizing import SizingPart

Setting = bool | int | float | str
Share = float
FAMILY = "backtests"
MARGINS = ("none", "reg_t")


class DataPart(Part):
    """Which bars.

    Parameters
    ----------
    instruments : ids in the store; each gets the same share of the account
    table, dataset : of the store
    first, last : UTC dates of bars, both included; none = all there are
    signals : prices that strategies see: `split` carries splits forward, so that what happens later moves no earlier price; `raw`
    actions : `stored` books the splits and dividends that the store knows; `none` runs on prices as they are
    calendar : whose trading days count for every bar, such as XNYS or 24/7; none = the instruments' own, which have to agree
    """

    instruments: tuple[str, ...] = Field(min_length=1, max_length=2_000)
    table: str = DAILY
    dataset: str | None = None
    first: date | None = None
    last: date | None = None
    signals: Literal["split", "raw"] = "split"
    actions: Literal["stored", "none"] = "stored"
    calendar: str | None = None

    @field_validator("calendar")
    @classmethod
    def _a_known_calendar(cls, value: str | None) -> str | None:
        if value is not None:
            sessions(value)     # refuses one that does not exist, and names those that do
        return value

    @field_validator("instruments")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError(f"expected each instrument once, found {', '.join(value)}")
        return value

    @field_validator("table")
    @classmethod
    def _a_table_of_bars(cls, value: str) -> str:
        if table_of(value).kind != "bars":
            raise ValueError(f"expected a table of bars such as bars/1d or bars/1m, found {value}")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> DataPart:
        if self.first is not None and self.last is not None and self.first > self.last:
            raise ValueError(f"expected first at or before last, found {self.first} and {self.last}")
        return self


class StrategyPart(Part):
    """A strategy of the catalogue by `name`, or a user's `file`.

    Parameters
    ----------
    settings : parameters by name
    code : of the file: the function or class in it, where it has several
    label : how reports call it; none = the name, or the file's
    """

    name: str | None = None
    file: Path | None = None
    settings: dict[str, Setting] = Field(default_factory=dict)
    code: str | None = None
    label: str | None = Field(default=None, min_length=1, max_length=60)

    @model_validator(mode="after")
    def _one_or_the_other(self) -> StrategyPart:
        if (self.name is None) == (self.file is None):
            raise ValueError("expected a name of the catalogue or a file, one of the two")
        if self.name is not None:
            if self.code is not None:
                raise ValueError("code: names a function in a file, and there is no file")
            strategy(self.name, **self.settings)
        return self

    @property
    def title(self) -> str:
        """How reports call it."""
        if self.label is not None:
            return self.label
        base = self.name if self.name is not None else (self.file or Path()).stem
        return base + "".join(f" {key}={value}" for key, value in self.settings.items())

    def identity(self) -> dict[str, Any]:
        """What decides the targets: a file by what stands in it, not by where it is."""
        if self.name is not None:
            return {"name": self.name, "settings": strategy(self.name, **self.settings).settings}
        assert self.file is not None
        try:
            content = self.file.read_bytes()
        except OSError as error:
            raise MissingData(f"expected a Python file with a strategy, found none at {self.file}: {error.strerror}") from None
        return {"file": hashlib.sha256(content).hexdigest(), "code": self.code, "settings": dict(self.settings)}


class CombinePart(Part):
    """How the strategies vote; see `strategy.combination`."""

    rule: Literal["majority", "unanimous", "weighted", "at_least"] = "majority"
    threshold: float = 0.3
    least: int = 2
    weights: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> CombinePart:
        for key, rule in (("threshold", "weighted"), ("least", "at_least")):
            if self.rule != rule and getattr(self, key) != CombinePart.model_fields[key].default:
                raise ValueError(f"{key}: expected the rule {rule}, which it belongs to, found {self.rule}")
        self.combination()
        return self

    def combination(self) -> Combination:
        return Combination(self.rule, self.threshold, self.least, self.weights)


class AccountPart(Part):
    """The account.

    Parameters
    ----------
    cash : paid in at the start, in the account's currency; or amounts by currency, such as { EUR = 60000, USD = 10000 }
    currency : that equity is reckoned in; none = that of the instruments, where they share one, or that of the cash
    weight : share of equity that a target of 1 is worth, over all instruments; above 1 needs margin
    margin : `none` = cash account (no shorts, no debt); `reg_t` = Regulation T; or shares of one's own, such as
        { initial = 0.3, maintenance = 0.2 }; one instrument's own stands in `instruments`
    shorts : positions below zero are allowed; none = where there is margin, of the account or of an instrument
    pdt : the pattern day trader rule: no position is opened after three day trades in five sessions below `pdt_equity`
    """

    cash: Positive | dict[Currency, AtLeastNone] = Decimal(100_000)
    currency: Currency | None = None
    weight: Share = Field(default=1.0, gt=0, le=4)
    margin: Literal["none", "reg_t"] | MarginPart = "none"
    shorts: bool | None = None
    pdt: bool = False
    pdt_equity: AtLeastNone = Decimal(25_000)

    @field_validator("cash", "margin", mode="before")
    @classmethod
    def _one_of_the_forms(cls, value: Any, found: ValidationInfo) -> Any:
        words = {"cash": ("an amount", "{ EUR = 60000, USD = 10000 }"), "margin": ("none or reg_t", "{ initial = 0.3 }")}
        if isinstance(value, list | bool) or (found.field_name == "margin" and isinstance(value, str) and value not in MARGINS):
            one, table = words[str(found.field_name)]
            raise ValueError(f"expected {one}, or a table such as {table}, found {value!r}")
        return value

    @model_validator(mode="after")
    def _some_cash(self) -> AccountPart:
        if isinstance(self.cash, dict):
            if not any(self.cash.values()):
                raise ValueError("cash: expected an amount above 0 in at least one currency, found none")
            if len(self.cash) > 1 and self.currency is None:
                raise ValueError(f"currency: expected the one that equity is reckoned in beside cash in {', '.join(self.cash)}")
        return self

    @model_validator(mode="after")
    def _rule_is_on(self) -> AccountPart:
        if not self.pdt and self.pdt_equity != AccountPart.model_fields["pdt_equity"].default:
            raise ValueError(f"pdt_equity: expected pdt = true beside it, found the rule off and {self.pdt_equity}")
        return self


class CostsPart(Part):
    """What trading costs: spread and slippage in basis points of the print, fees by a venue's preset or in basis points.

    Parameters
    ----------
    impact_bps : what an order as large as the bar's volume would move the price by; 0 = none
    regulatory : section 31 and activity fees of sales of US shares: `preset` charges those that the preset states, through the
        whole run; `by_date` those of each day, and a day whose rate is not on record is refused
    """

    half_spread_bps: Amount = Field(default=Decimal(1), ge=0, lt=5_000)
    slippage_bps: Amount = Field(default=Decimal(1), ge=0, lt=5_000)
    impact_bps: Amount = Field(default=Decimal(0), ge=0, lt=10_000)
    commission_bps: Amount = Field(default=Decimal("0.5"), ge=0, lt=10_000)
    minimum_commission: Amount = Field(default=Decimal(0), ge=0)
    preset: str | None = None
    regulatory: Literal["preset", "by_date"] = "preset"

    @model_validator(mode="after")
    def _fees_once(self) -> CostsPart:
        given = self.model_fields_set & {"commission_bps", "minimum_commission"}
        if self.preset is not None and given:
            raise ValueError(f"expected a preset or {' and '.join(sorted(given))}, found both: the preset states the fees")
        return self


class FillsPart(Part):
    """How orders fill.

    Parameters
    ----------
    convention : `next_open`; `same_close` trades at a price that the decision was made on, and every result says so
    rebalance : `on_change` of the target, or back to the target's weight after `every_bar`
    shortfall : an order that the account cannot pay for is rejected, or cut to what it can
    intrabar : which comes first where stop and target lie in one bar: the `worst`; what the path open, high, low, close meets
        (`ohlc`, the low first where the bar rose); or what the bars of the table `finer` say
    finer : table of bars inside those of `data.table`, such as bars/1h
    latency : seconds from an order to its being at the venue; one that misses an open waits for the next
    limit_touch : a limit fills where the price touches it; else it has to trade through
    untrusted_open : what becomes of an order at an open that is missing or no real print
    volume_share : most of a bar's volume that an order may be; none = no limit
    """

    convention: Literal["next_open", "same_close"] = "next_open"
    rebalance: Literal["on_change", "every_bar"] = "on_change"
    shortfall: Literal["reject", "cut"] = "cut"
    intrabar: Literal["worst", "ohlc", "finer"] = "worst"
    finer: str | None = None
    latency: Amount = Field(default=Decimal(0), ge=0, le=7 * 86_400)
    limit_touch: bool = False
    untrusted_open: Literal["wait", "reject"] = "wait"
    volume_share: Share | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _consistent(self) -> FillsPart:
        if (self.intrabar == "finer") != (self.finer is not None):
            raise ValueError("expected intrabar = finer and the table finer (such as bars/1h) together, found one of the two")
        if self.finer is not None and table_of(self.finer).kind != "bars":
            raise ValueError(f"finer: expected a table of bars such as bars/1h, found {self.finer}")
        if self.latency and self.convention == "same_close":
            raise ValueError(f"latency: expected none with same_close, found {self.latency}: an order cannot be late and at once")
        if self.latency * 1_000_000 % 1:
            raise ValueError(f"latency: expected seconds with at most 6 decimals, found {self.latency}")
        return self


class ExitsPart(Part):
    """Exits of every position; none = the strategy's targets alone decide.

    Parameters
    ----------
    stop, target : shares of the close at which the entry was decided
    trailing : share of the best price since the fill
    """

    stop: Share | None = Field(default=None, gt=0, lt=1)
    target: Share | None = Field(default=None, gt=0, le=10)
    trailing: Share | None = Field(default=None, gt=0, lt=1)

    @property
    def any(self) -> bool:
        return any(value is not None for value in (self.stop, self.target, self.trailing))


class ProjectionsPart(Part):
    """Where the strategy `projection` takes its packets from: an experiment file (none = the demo's), and a VIX series."""

    experiment: Path | None = None
    vix: str | None = None


class BacktestPlan(Part):
    """Everything that decides what a backtest gives, and nothing else.

    Parameters
    ----------
    family : its runs are trials of this family
    benchmark : id of an instrument to be compared with; none = the run's own instruments, bought and held
    futures : when roots of futures among `data.instruments` roll; none = every instrument is played as it is stored
    options : contracts of a stored chain that are held beside the shares, by rule
    sizing : how large a position is; none = the target's share of the account
    instruments : what is special to one of `data.instruments`, by id
    """

    family: str = Field(default=FAMILY, min_length=1, max_length=100)
    data: DataPart
    strategies: tuple[StrategyPart, ...] = Field(min_length=1, max_length=100)
    combine: CombinePart | None = None
    account: AccountPart = AccountPart()
    costs: CostsPart = CostsPart()
    fills: FillsPart = FillsPart()
    exits: ExitsPart = ExitsPart()
    sizing: SizingPart | None = None
    fx: FxPart = FxPart()
    financing: FinancingPart = FinancingPart()
    futures: FuturesPart | None = None
    options: OptionsPart | None = None
    instruments: dict[str, InstrumentPart] = Field(default_factory=dict)
    projections: ProjectionsPart = ProjectionsPart()
    benchmark: str | None = None

    @model_validator(mode="after")
    def _exits_fit(self) -> BacktestPlan:
        if self.exits.any and self.fills.rebalance == "every_bar":
            raise ValueError("exits: expected rebalance on_change, found every_bar, which would buy back what an exit has sold")
        if self.exits.stop is not None and self.exits.trailing is not None:
            raise ValueError("exits: expected a stop or a trailing stop, found both")
        return self

    @model_validator(mode="after")
    def _tables_fit(self) -> BacktestPlan:
        strange = sorted(set(self.instruments) - set(self.data.instruments))
        if strange:
            raise ValueError(f"instruments: expected some of {', '.join(self.data.instruments)}, found {', '.join(strange)}")
        if self.fills.finer is not None and not _finer(self.fills.finer, self.data.table):
            raise ValueError(f"fills.finer: expected bars finer than {self.data.table}, found {self.fills.finer}")
        if self.futures is not None and (self.sizing is not None or self.exits.any or self.fills.finer is not None):
            raise ValueError("futures: expected no [exits], no [sizing] and no finer bars, found some: each is of one contract")
        if self.sizing is not None:
            if self.fills.rebalance == "every_bar":
                raise ValueError("sizing: expected rebalance on_change, found every_bar: sizes follow changes of the target")
            self.sizing.check(self.exits.stop or self.exits.trailing, self.exits.target)
        return self

    @model_validator(mode="after")
    def _options_fit(self) -> BacktestPlan:
        if self.options is None:
            return self
        if self.exits.any or self.sizing is not None or self.fills.finer is not None or self.futures is not None:
            raise ValueError(
                "options: expected no [exits], no [sizing], no [futures] and no finer bars, found some: they are of shares alone"
            )
        under = self.options.underlying
        if under is None and len(self.data.instruments) > 1:
            raise ValueError(f"options.underlying: expected one of {', '.join(self.data.instruments)}, found none")
        if under is not None and under not in self.data.instruments:
            raise ValueError(f"options.underlying: expected one of {', '.join(self.data.instruments)}, found {under}")
        return self

    @model_validator(mode="after")
    def _funding_has_its_hours(self) -> BacktestPlan:
        stated = [self.financing.funding, *(part.funding for part in self.instruments.values())]
        if self.financing.funding_hours != 8 and not any(isinstance(rate, float) for rate in stated):
            raise ValueError(
                "financing.funding_hours: expected a rate that is paid so often (financing.funding = 0.0001), found none: what "
                "is stored has its own times"
            )
        return self

    @model_validator(mode="after")
    def _strategies_differ(self) -> BacktestPlan:
        titles = [one.title for one in self.strategies]
        if len(set(titles)) != len(titles):
            raise ValueError(f"strategies: expected each once, found {', '.join(titles)}; give them labels")
        if self.combine is not None:
            if len(self.strategies) < 2:
                raise ValueError("combine: expected at least two strategies to combine")
            if self.combine.rule == "at_least" and self.combine.least > len(self.strategies):
                raise ValueError(f"combine.least: expected at most {len(self.strategies)}, found {self.combine.least}")
            if self.combine.weights and len(self.combine.weights) != len(self.strategies):
                raise ValueError(f"combine.weights: expected {len(self.strategies)}, found {len(self.combine.weights)}")
        return self

    @property
    def series(self) -> tuple[str, ...]:
        """Ids of everything else that it reads: series of rates and sizes, pairs of currencies."""
        rates = [self.financing.borrow, *self.financing.interest.values(), *(one.borrow for one in self.instruments.values())]
        sized = () if self.sizing is None else self.sizing.series
        return tuple(dict.fromkeys([*(rate for rate in rates if isinstance(rate, str)), *sized, *self.fx.pairs]))

    @property
    def asked(self) -> dict[str, Any]:
        """What it asks for beyond the venue's own settings, as far as it does: exits, sizes, rates, rolls; for a reader.

        A table that is asked for stands with the defaults that act in it.
        """
        names = ("exits", "sizing", "fx", "financing", "futures", "options", "instruments")
        usual = {name: BacktestPlan.model_fields[name].get_default(call_default_factory=True) for name in names}
        given = {name for name in names if getattr(self, name) != usual[name]}
        plain = _filled(self.model_dump(mode="json", include=given, exclude_none=True))
        return {name: plain[name] for name in names if name in plain}

    def settings(self) -> dict[str, Any]:
        """The plan as plain values, strategies by what decides their targets; the hash is over this."""
        plain: dict[str, Any] = self.model_dump(mode="json", exclude={"strategies", "family"})
        if self.data.calendar is None:
            del plain["data"]["calendar"]       # the hashes of runs from before the keys are theirs still
        for part in plain["instruments"].values():
            if part["perpetual"] is None:
                del part["perpetual"]
        plain["strategies"] = [one.identity() for one in self.strategies]
        if self.options is None:
            del plain["options"]  # a plan without is named as it was before there were any
        if all(one.name != "projection" for one in self.strategies):
            del plain["projections"]
        else:
            from fieldcast.workflows.experiment import load_experiment  # with all of the features: only where it is needed

            plain["projections"]["experiment"] = load_experiment(self.projections.experiment).hash
        return plain

    @property
    def hash(self) -> str:
        """SHA-256 that names the run."""
        return digest(self.settings())


def _filled(plain: dict[str, Any]) -> dict[str, Any]:
    """Plain values without empty tables and lists."""
    inner = {name: _filled(value) if isinstance(value, dict) else value for name, value in plain.items()}
    return {name: value for name, value in inner.items() if value not in ({}, [])}


def _finer(table: str, than: str) -> bool:
    order = [f"bars/{interval}" for interval in INTERVALS]      # from the coarsest on
    return order.index(table) > order.index(than)


def load_backtest_plan(path: Path | str) -> BacktestPlan:
    """A plan from its TOML file; a strategy's file is looked for beside it first.

    Raises
    ------
    ConfigError : the file is missing, is no TOML, or a key is unknown or has a bad value (each is named)
    """
    file = Path(path)
    try:
        found = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"expected a plan of a backtest in {file}, found none: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected valid TOML in {file}, found {error}") from None
    for one in found.get("strategies", ()) if isinstance(found.get("strategies"), list) else ():
        beside = file.parent / str(one.get("file", "")) if isinstance(one, dict) else file
        if isinstance(one, dict) and one.get("file") and beside.is_file():
            one["file"] = str(beside)
    return plan_of(found, f"in {file}")


def plan_of(values: Any, where: str = "") -> BacktestPlan:
    """A plan out of plain values.

    Raises
    ------
    ConfigError : a key is unknown or has a bad value; each is named
    """
    try:
        return BacktestPlan.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'plan'}: {_plain(item['msg'])}" for item in error.errors())
        raise ConfigError(f"expected a valid plan of a backtest {where}, found {problems}".replace("  ", " ")) from None
    except InvalidInput as error:
        raise ConfigError(f"expected a valid plan of a backtest {where}: {error}".replace("  ", " ")) from None


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")


def known_strategies() -> tuple[str, ...]:
    """Names of the catalogue."""
    return tuple(CATALOGUE)
