"""Compare: two stored runs side by side, what was set differently, and where their money parts and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fieldcast.ground import InvalidInput, MissingData, Shown
from fieldcast.simulation.difference_report import DifferenceReport
from fieldcast.simulation.differences import compare_runs
from fieldcast.workflows.backtest_records import StoredRun, load_run, read_record
from fieldcast.workflows.workspace import Workspace

# section of the report → figures that are put side by side
FIGURES: dict[str, tuple[str, ...]] = {
    "performance": ("total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown", "expected_shortfall"),
    "deflation": ("psr", "dsr"),
    "activity": ("mean_exposure", "turnover", "fills", "rejected"),
    "trades": ("closed", "win_rate", "profit_factor", "expectancy", "bars_held"),
    "costs": ("spread", "slippage", "impact", "commissions"),
}


@dataclass(frozen=True)
class Beside:
    """One figure of both runs; None where a run has none."""

    section: str
    name: str
    first: float | None
    second: float | None

    @property
    def difference(self) -> float | None:
        return None if self.first is None or self.second is None else self.second - self.first


@dataclass(frozen=True, eq=False)
class Comparison(Shown):
    """Two runs beside each other.

    Parameters
    ----------
    settings : key → what the first and the second run had, where they differ
    differences : order by order, each with its cause; None where `why_none` says why
    simulated : True where either ran on a simulated market
    """

    first: StoredRun
    second: StoredRun
    simulated: bool
    settings: Mapping[str, tuple[Any, Any]]
    same_data: bool
    figures: tuple[Beside, ...]
    differences: DifferenceReport | None
    why_none: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "first": _named(self.first),
            "second": _named(self.second),
            "simulated": self.simulated,
            "same_data": self.same_data,
            "settings": {key: list(values) for key, values in self.settings.items()},
            "figures": [vars(one) | {"difference": one.difference} for one in self.figures],
            "differences": {"missing": self.why_none} if self.differences is None else dict(self.differences.as_dict()),
        }


def compare(workspace: Workspace, first: str, second: str) -> Comparison:
    """Put two runs side by side.

    Parameters
    ----------
    first, second : ids, their first digits, or folders

    Raises
    ------
    MissingData : no such run
    InvalidInput : several runs begin like that, one is a sweep or a walk-forward optimisation, or the two share no moment
    """
    one, other = load_run(workspace, first), load_run(workspace, second)
    for run in (one, other):
        if run.about["kind"] != "backtest":
            raise InvalidInput(
                f"expected two backtests, found the {run.about['kind'].replace('_', ' ')} {run.id}; run fieldcast backtest with "
                "a set of its parameters and compare that"
            )
    simulated = bool(one.about["simulated"] or other.about["simulated"])
    found: DifferenceReport | None = None
    why = ""
    if set(one.about["instruments"]).isdisjoint(other.about["instruments"]):
        why = "the runs trade different instruments"
    else:
        try:
            found = compare_runs(read_record(workspace, one), read_record(workspace, other), simulated=simulated)
        except MissingData as error:
            why = str(error)
    return Comparison(
        first=one,
        second=other,
        simulated=simulated,
        settings=_settings(one.about["configuration"], other.about["configuration"]),
        same_data=one.about["data_hash"] == other.about["data_hash"],
        figures=tuple(_figures(one.about["report"], other.about["report"])),
        differences=found,
        why_none=why,
    )


def _named(run: StoredRun) -> dict[str, Any]:
    return {name: run.about[name] for name in ("id", "title", "instruments", "created_at", "fill_convention")} | {
        "folder": str(run.folder)
    }


def _settings(first: Any, second: Any, key: str = "") -> dict[str, tuple[Any, Any]]:
    """Where two plain values differ, by the path to it."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        found: dict[str, tuple[Any, Any]] = {}
        for name in dict.fromkeys((*first, *second)):
            found |= _settings(first.get(name), second.get(name), f"{key}.{name}" if key else str(name))
        return found
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        found = {}
        for place, pair in enumerate(zip(first, second, strict=True)):
            found |= _settings(*pair, f"{key}[{place}]")
        return found
    return {} if first == second else {key: (first, second)}


def _figures(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Beside]:
    return [
        Beside(section, name, _value(first, section, name), _value(second, section, name))
        for section, names in FIGURES.items()
        for name in names
    ]


def _value(report: Mapping[str, Any], section: str, name: str) -> float | None:
    value = report.get(section, {}).get(name)
    if isinstance(value, Mapping):
        value = value.get("value")
    return None if value is None else float(value)
