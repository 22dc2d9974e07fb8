"""Trained odds and searches as text: what was fitted, what it is worth, and what may not be done with it."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_MOST_TRIALS = 30  # of a search, in full


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name in ("forecast", "settings") else "right")
    return table


def trained_odds_text(result: Any) -> RenderableType:
    """The text of `OddsTrained`."""
    parts: list[RenderableType] = []
    for folder, bundle in zip(result.folders, result.bundles, strict=True):
        mark = " [SIMULATED]" if bundle["simulated"] else ""
        span, report = bundle["span"], bundle["report"]
        held = f", {span['held_out']} of them held out for the early stop" if span["held_out"] else ""
        parts.append(Text(f"{bundle['instrument']}{mark} {bundle['task_name']}: {bundle['architecture']['kind']}", "bold"))
        parts.append(Text(f"fitted on {span['rows']:,} rows, {span['first']} to {span['last']}{held}"))
        parts += [Text(f"  {name}: {rounds} rounds kept") for name, rounds in bundle["kept_rounds"].items()]
        for name, found in report.get("classes", {"": report}).items():
            parts.append(_scores(found, name))
        parts.append(Text(f"bundle {bundle['hash'][:16]} in {folder}\n", "dim"))
    return Group(*parts)


def _scores(report: Any, name: str) -> RenderableType:
    if "pinball" in report:
        return Text(
            f"out of sample, n = {report['n']:,}: mean pinball loss {report['pinball']:.5f}, that of the training rows' own "
            f"quantiles {report['pinball_of_training_quantiles']:.5f}"
        )
    table = _table(f"Out of sample, n = {report['n']:,} {name}".rstrip(), "forecast", "log loss", "Brier", "AUC")
    for score in report["scores"]:
        area = "" if score["auc"] is None else f"{score['auc']:.4f}"
        table.add_row(score["name"], f"{score['log_loss']:.4f}", f"{score['brier']:.4f}", area)
    lines = []
    if "auc" in report:
        area = report["auc"]
        lines.append(f"AUC {area['estimate']:.4f} [{area['low']:.4f}, {area['high']:.4f}], n = {area['n']:,}")
    if report["missing"]:
        lines.append(f"cannot be promoted: without {', '.join(report['missing'])}")
    elif not report["promotable"]:
        lines.append("cannot be promoted: no row on which every forecast is known")
    elif report["scores"][0] is not (best := min(report["scores"], key=lambda score: score["log_loss"])):
        lines.append(f"every baseline is there, and {best['name']} has the lowest log loss: the model has not beaten it")
    return Group(table, *(Text(line) for line in lines))


def tuned_text(result: Any) -> RenderableType:
    """The text of `Tuned`."""
    mark = " [SIMULATED]" if result.simulated else ""
    table = _table(f"{result.study}, {result.instrument}{mark}", "trial", *result.objectives, "settings")
    best = set(result.best)
    for tried in result.trials:
        if tried.number not in best and tried.number < len(result.trials) - _MOST_TRIALS:
            continue
        figures = ["none" if tried.values[name] is None else f"{tried.values[name]:.5g}" for name in result.objectives]
        settings = ", ".join(f"{name} = {_short(value)}" for name, value in tried.settings.items())
        number = f"{tried.number}*" if tried.number in best else str(tried.number)
        table.add_row(number, *figures, settings + (" (corner)" if tried.corner else ""))
    lines = [
        f"{len(result.trials)} different trials, {result.resumed} of them from before",
        f"{result.n_family} on record in {result.family}",
        "* the best" if len(result.objectives) == 1 else "* the Pareto front: none is better in every objective",
        "the best of many trials on one span looks better than it is: judge it on rows that the search has not seen",
    ]
    return Group(table, *(Text(line) for line in lines))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
