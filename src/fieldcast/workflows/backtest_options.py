"""Plans of backtests from a few words, as a command line or a notebook gives them, instead of from a file."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from fieldcast.ground import ConfigError, InvalidInput
from fieldcast.workflows.backtest_settings import FAMILY, BacktestPlan, Setting, load_backtest_plan, plan_of

MOST_POINTS = 1_000_000
Number = Decimal | float | int | str
Grid = Mapping[str, tuple[Setting, ...]]


def backtest_plan(
    instruments: Sequence[str] | str | None = None,
    strategies: Sequence[str] | str | None = None,
    *,
    plan: Path | str | None = None,
    combine: str | None = None,
    least: int = 2,
    threshold: float = 0.3,
    table: str = "bars/1d",
    dataset: str | None = None,
    first: date | None = None,
    last: date | None = None,
    cash: Number | Mapping[str, Number] = "100000",
    currency: str | None = None,
    weight: float = 1.0,
    margin: str = "none",
    borrow: Number | None = None,
    costs: str | None = None,
    half_spread_bps: Number = 1,
    slippage_bps: Number = 1,
    impact_bps: Number = 0,
    commission_bps: Number | None = None,
    fill: str = "next_open",
    rebalance: str = "on_change",
    shortfall: str = "cut",
    volume_share: float | None = None,
    intrabar: str | None = None,
    finer: str | None = None,
    latency: Number = 0,
    stop: float | None = None,
    target: float | None = None,
    trailing: float | None = None,
    benchmark: str | None = None,
    family: str = FAMILY,
) -> BacktestPlan:
    """A plan from options, or from its file (`plan`), which then says everything.

    Parameters
    ----------
    strategies : `NAME` or `NAME:key=value,…` of the catalogue, or `FILE.py:key=value,…`; several run beside each other, or vote
        where `combine` says how
    cash : an amount, amounts by currency, or such as `EUR=60000,USD=10000`
    borrow : rate a year of shares sold short, or the id of a series
    costs : preset of a venue's fees; none = `commission_bps` (0.5)
    finer : table of bars inside those played, which then say what happened first inside one
    others : as in `workflows.backtest_settings`

    Raises
    ------
    ConfigError : a value is not what it may be, by name; or a plan's file and options were both given
    """
    given = {name: value for name, value in locals().items() if name != "plan"}
    if plan is not None:
        usual = {name: one.default for name, one in inspect.signature(backtest_plan).parameters.items()}
        beside = [name for name, value in given.items() if value != usual[name] and value not in (None, [], ())]
        if beside:
            raise ConfigError(f"expected a plan's file or options, found both: {', '.join(beside)}; write them into the file")
        return load_backtest_plan(plan)
    names = [instruments] if isinstance(instruments, str) else list(instruments or ())
    texts = [strategies] if isinstance(strategies, str) else list(strategies or ())
    if not names or not texts:
        raise ConfigError(f"expected an instrument and a strategy, or a plan's file, found {names or 'none'}, {texts or 'none'}")
    fees: dict[str, Any] = {"commission_bps": _decimal("commission_bps", commission_bps)} if commission_bps is not None else {}
    if costs is not None:
        fees["preset"] = costs
    values: dict[str, Any] = {
        "family": family,
        "data": {"instruments": names, "table": table, "dataset": dataset, "first": first, "last": last},
        "strategies": [strategy_part(text) for text in texts],
        "account": {"cash": _cash(cash), "currency": currency, "weight": weight, "margin": margin},
        "costs": {
            "half_spread_bps": _decimal("half_spread_bps", half_spread_bps),
            "slippage_bps": _decimal("slippage_bps", slippage_bps),
            "impact_bps": _decimal("impact_bps", impact_bps),
        }
        | fees,
        "fills": {
            "convention": fill,
            "rebalance": rebalance,
            "shortfall": shortfall,
            "volume_share": volume_share,
            "intrabar": intrabar or ("worst" if finer is None else "finer"),
            "finer": finer,
            "latency": _decimal("latency", latency),
        },
        "financing": {} if borrow is None else {"borrow": _rate(borrow)},
        "exits": {"stop": stop, "target": target, "trailing": trailing},
        "benchmark": benchmark,
    }
    if combine is None and (least, threshold) != (2, 0.3):
        raise ConfigError("expected least and threshold together with combine, which they belong to, found no combine")
    if combine is not None:
        values["combine"] = {"rule": combine, "least": least, "threshold": threshold}
    return plan_of(values)


def strategy_part(text: str) -> dict[str, Any]:
    """`sma_cross:fast=10,slow=30` or `my_strategy.py:window=5` as a table of the plan.

    Raises
    ------
    ConfigError : a setting is not `key=value`
    """
    head, _, tail = text.partition(":")
    settings: dict[str, Setting] = {}
    for item in filter(None, tail.split(",")):
        key, equals, value = item.partition("=")
        if not key.strip() or not equals or not value.strip():
            raise ConfigError(f"expected settings as key=value, separated by commas, found {item!r} in {text!r}")
        settings[key.strip()] = _setting(value.strip())
    return ({"file": head} if head.endswith(".py") else {"name": head}) | {"settings": settings}


def parameter_grid(ranges: Sequence[str] | Mapping[str, Sequence[Setting]]) -> Grid:
    """Values of each parameter: `fast=5:50:5` (both ends included), `width=1.5,2,2.5`, or a mapping of lists.

    Raises
    ------
    ConfigError : a text that is none, a parameter given twice, a range without values, or more than a million combinations
    """
    found: dict[str, tuple[Setting, ...]] = {}
    pairs = ranges.items() if isinstance(ranges, Mapping) else [_range(text) for text in ranges]
    for name, values in pairs:
        if name in found:
            raise ConfigError(f"expected each range once, found {name} twice")
        distinct = tuple(dict.fromkeys(values))
        if not distinct:
            raise ConfigError(f"expected values of {name}, found none")
        found[name] = distinct
    points = math.prod(len(values) for values in found.values())
    if not found:
        raise ConfigError("expected at least one range such as fast=5:50:5, found none")
    if points > MOST_POINTS:
        raise ConfigError(f"expected at most {MOST_POINTS:,} combinations, found {points:,}; take larger steps")
    return found


def _range(text: str) -> tuple[str, tuple[Setting, ...]]:
    name, equals, values = text.partition("=")
    if not name.strip() or not equals or not values.strip():
        raise ConfigError(f"expected a range as name=low:high:step or name=a,b,c, found {text!r}")
    if ":" not in values:
        return name.strip(), tuple(_setting(value.strip()) for value in values.split(",") if value.strip())
    parts = [_decimal(name, part) for part in values.split(":")]
    if len(parts) not in (2, 3):
        raise ConfigError(f"expected a range as name=low:high:step, found {text!r}")
    low, high, step = (*parts, Decimal(1))[:3]
    if step <= 0 or low > high:
        raise ConfigError(f"expected low at or below high and a step above 0, found {text!r}")
    count = int((high - low) / step) + 1
    if count > MOST_POINTS:
        raise ConfigError(f"expected at most {MOST_POINTS:,} values of {name}, found {count:,}; take larger steps")
    return name.strip(), tuple(_setting(str(low + place * step)) for place in range(count))


def _setting(text: str) -> Setting:
    """A value as written: true, false, a whole number, a number, or a word."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if isinstance(value, float) and not math.isfinite(value):
            break
        return value
    return text


def _cash(value: Number | Mapping[str, Number]) -> Decimal | dict[str, Decimal]:
    """An amount, or amounts by currency."""
    if isinstance(value, str) and "=" in value:
        pairs = [part.partition("=")[::2] for part in value.split(",")]
        if len(dict(pairs)) != len(pairs) or not all(name.strip() and amount.strip() for name, amount in pairs):
            raise ConfigError(f"expected cash as an amount or as EUR=60000,USD=10000, each currency once, found {value!r}")
        value = {name.strip(): amount for name, amount in pairs}
    if isinstance(value, Mapping):
        return {name: _decimal(f"cash in {name}", amount) for name, amount in value.items()}
    return _decimal("cash", value)


def _rate(value: Number) -> float | str:
    """A rate as a number; anything else is the id of a series."""
    try:
        return float(value)
    except ValueError:
        return str(value)


def _decimal(name: str, value: Number) -> Decimal:
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise InvalidInput(f"expected {name} to be a number, found {value!r}")
    return found
