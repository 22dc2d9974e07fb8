"""Registered models as text: versions, scores beside baselines, drift, triggers."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def models_text(result: Any) -> RenderableType:
    """The text of `ModelsListed`."""
    table = _table("Registered models", "name", "version", "", "kind", "forecasts", "fitted until", "SHA-256")
    for one in result.versions:
        mark = " [SIMULATED]" if one.simulated else ""
        table.add_row(one.name, one.version, "active" if one.active else "", one.kind,
                      f"{one.label} {one.horizon}d of {one.instrument}{mark}", f"{one.trained_until:%Y-%m-%d}",
                      one.sha256[:16])  # fmt: skip
    return table


def model_text(result: Any) -> RenderableType:
    """The text of `ModelShown`."""
    one = result.version
    mark = " [SIMULATED]" if one.simulated else ""
    active = " (active)" if one.active else ""
    head = f"{one.name} {one.version}{active}: {one.kind}, {one.label} {one.horizon}d of {one.instrument}{mark}"
    scores = _table("Beside its baselines", "forecast", "log loss", "Brier", "AUC", "n")
    for score in one.baselines.get("scores", ()):
        area = "" if score["auc"] is None else f"{score['auc']:.4f}"
        scores.add_row(score["name"], f"{score['log_loss']:.5f}", f"{score['brier']:.5f}", area, f"{score['n']:,}")
    changes = _table("Changes", "", "action", "version", "SHA-256", "at")
    for change in result.history:
        changes.add_row(
            str(change.sequence), change.action, change.version, change.sha256[:16], f"{change.at:%Y-%m-%d %H:%M} UTC"
        )
    lines = [f"odds of {version}: {odds:.4f}" for version, odds in result.predicted.items()]
    lines += [f"{s.role} {s.version}: log loss {s.log_loss:.5f}, Brier {s.brier:.5f} (n={s.n})" for s in result.shadows]
    return Group(Text(f"{head}\nSHA-256 {one.sha256}"), scores, changes, Text("\n".join(lines)))


def drift_text(result: Any) -> RenderableType:
    """The text of `ModelDrift`."""
    report = result.report
    table = _table(
        f"{result.name} {result.version}: drift (PSI above {report.psi_threshold:g} and its null, KS above "
        f"{report.ks_threshold:g} with p below {report.alpha:g} over all features)",
        *("feature", "PSI", "null", "KS", "p", "n", "n recent", ""),
    )
    for one in report.features:
        figures = (_figure(value) for value in (one.psi, one.psi_null, one.ks, one.ks_p))
        table.add_row(one.name, *figures, str(one.n_training), str(one.n_recent), "DRIFTED" if one.drifted else "")
    return table


def triggers_text(result: Any) -> RenderableType:
    """The text of `ModelTriggers`."""
    table = _table(f"{result.name} {result.version}: {'fit it again' if result.due else 'no trigger has fired'}",
                   "trigger", "", "figure", "threshold", "n", "what was found")  # fmt: skip
    for one in result.triggers:
        table.add_row(one.name, "FIRED" if one.fired else "", _figure(one.figure), f"{one.threshold:g}", str(one.n), one.text)
    return table


def runs_text(result: Any) -> RenderableType:
    """The text of `RunsReported`."""
    report = result.report
    table = _table(f"{len(report.runs)} runs", "began", "kind", "name", "configuration", "data", "figures", "seconds")
    for run in report.runs:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in run["metrics"].items() if value is not None)
        name = f"{run['name']}{' [SIMULATED]' if run['simulated'] else ''}"
        table.add_row(run["started_at"][:16], run["kind"], name, run["configuration_hash"][:12], run["data_hash"][:12], figures,
                      f"{run['seconds']:.1f}")  # fmt: skip
    lines = [f"tracker {one['tracker']} was given up: {one['problem']}" for one in report.warnings]
    lines += [f"{report.torn} line(s) were cut off by a crash"] if report.torn else []
    return Group(table, Text("\n".join(lines)))


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False)
    for name in columns:
        table.add_column(name)
    return table
