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

Every other table and key has the default that its class states: bars and strategies in `backtest_inputs`, account, costs and
fills in `backtest_trading`, money in `backtest_money`, sizes in `backtest_sizing`, rolls of futures in `backtest_futures`, and
options in `backtest_chain_settings`. With `[combine]` the strategies vote and run as one; without it each runs by itself.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from fieldcast.ground import ConfigError, InvalidInput, digest
from fieldcast.market.tables import INTERVALS
from fieldcast.strategy import CATALOGUE
from fieldcast.workflows.backtest_chain_settings import OptionsPart
from fieldcast.workflows.backtest_futures import FuturesPart
from fieldcast.workflows.backtest_inputs import CombinePart, DataPart, ProjectionsPart, Setting, StrategyPart
from fieldcast.workflows.backtest_money import FinancingPart, FxPart, InstrumentPart, Part
from fieldcast.workflows.backtest_sizing import SizingPart
from fieldcast.workflows.backtest_trading import AccountPart, CostsPart, ExitsPart, FillsPart

__all__ = [
    "FAMILY",
    "AccountPart",
    "BacktestPlan",
    "CombinePart",
    "CostsPart",
    "DataPart",
    "ExitsPart",
    "FillsPart",
    "ProjectionsPart",
    "Setting",
    "StrategyPart",
    "known_strategies",
    "load_backtest_plan",
    "plan_of",
]
FAMILY = "backtests"


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
        found = [(tuple(map(str, item["loc"])), item["type"], _plain(item["msg"])) for item in error.errors()]
        holders = {place[:depth] for place, _, _ in found for depth in range(len(place))}  # of something that is wrong itself
        told = [(place, said) for place, kind, said in found if kind != "too_short" or place not in holders]
        problems = "; ".join(f"{'.'.join(place) or 'plan'}: {said}" for place, said in told)
        raise ConfigError(f"expected a valid plan of a backtest {where}, found {problems}".replace("  ", " ")) from None
    except InvalidInput as error:
        raise ConfigError(f"expected a valid plan of a backtest {where}: {error}".replace("  ", " ")) from None


def _plain(message: str) -> str:
    plain = message.removeprefix("Value error, ")
    return "no key of a plan; `fc.BacktestPlan` lists them" if plain == "Extra inputs are not permitted" else plain


def known_strategies() -> tuple[str, ...]:
    """Names of the catalogue."""
    return tuple(CATALOGUE)
