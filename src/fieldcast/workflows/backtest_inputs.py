"""The parts of a backtest's plan that say what is played: bars, strategies, their vote, and where projections come from."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from fieldcast.ground import MissingData
from fieldcast.market import DAILY, sessions, table_of
from fieldcast.strategy import Combination, strategy
from fieldcast.workflows.backtest_money import Part

Setting = bool | int | float | str


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


class ProjectionsPart(Part):
    """Where the strategy `projection` takes its packets from: an experiment file (none = the demo's), and a VIX series."""

    experiment: Path | None = None
    vix: str | None = None
