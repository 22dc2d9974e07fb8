"""Each result as text that a person can read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fieldcast.cli._text_agents import agents_text
from fieldcast.cli._text_backtest import backtest_text, comparison_text, sweep_text, walk_forward_text
from fieldcast.cli._text_costs import costs_text, recalibrated_text
from fieldcast.cli._text_fields import fields_text
from fieldcast.cli._text_idea import idea_text
from fieldcast.cli._text_leaks import leaks_text
from fieldcast.cli._text_models import drift_text, model_text, models_text, runs_text, triggers_text
from fieldcast.cli._text_promotion import promotion_text
from fieldcast.cli._text_regime import regime_text
from fieldcast.cli._text_research import ablated_text, research_text, upgrade_text
from fieldcast.cli._text_scores import scored_text, trained_text
from fieldcast.cli._text_seal import registered_text, sealed_text, seals_text
from fieldcast.cli._text_tiers import tiers_text
from fieldcast.cli._text_trained import trained_odds_text, tuned_text
from fieldcast.cli._text_watch import watch_run_text, watch_text

_MOST_FILES = 10  # of an import, in full
_MOST_ROWS = 60  # of the list of what is stored
GATE_STYLE = {"PASS": "bold green", "FAIL": "bold red", "CANNOT_JUDGE": "bold yellow", "NOT_ASKED": "bold yellow"}


def text_of(result: Any) -> RenderableType:
    """The text of a result; every result type of the workflows has one."""
    return _TEXTS[type(result).__name__](result)


def _table(title: str, *columns: str, right: tuple[int, ...] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False, pad_edge=False,
                  padding=(0, 1, 0, 0))
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place in right else "left")
    return table


def _label(instrument: Any) -> str:
    return f"{instrument.id} [SIMULATED]" if instrument.simulated else instrument.id


def _diagnosis(result: Any) -> RenderableType:
    table = _table("This machine", "check", "", "found", "what to do")
    for check in result.checks:
        mark = Text("ok", "green") if check.ok else Text("missing", "red")
        table.add_row(check.name, mark, check.found, check.remedy)
    return table


def _imported(result: Any) -> RenderableType:
    report = result.report
    lines: list[str] = []
    for file in report.files[:_MOST_FILES]:
        lines += _imported_file(file)
    if len(report.files) > _MOST_FILES:
        lines.append(f"… and {len(report.files) - _MOST_FILES} more files; --json lists them all")
    for name, count in report.tables.items():
        would = "would be " if report.dry_run else ""
        lines.append(f"{name}: {would}{count.added:,} added, {count.restated:,} restated, {count.unchanged:,} unchanged")
    if report.dry_run:
        lines.append("dry run: nothing was written")
    if result.passed_over:
        lines.append(f"{len(result.passed_over)} file(s) passed over: imported before (--again imports them anew)")
    if result.unknown:
        lines.append(f"{len(result.unknown)} file(s) of no known format left alone, the first {result.unknown[0]}")
    lines += [f"REFUSED {failure.path}: {failure.message}" for failure in report.failures]
    return Text("\n".join(lines))


def _imported_file(file: Any) -> list[str]:
    names = ", ".join(instrument.id for instrument in file.instruments[:3])
    more = f" and {len(file.instruments) - 3:,} more" if len(file.instruments) > 3 else ""
    lines = [f"{file.path.name} ({file.format}): {names}{more}; {file.rows_read:,} rows read, {file.rows_kept:,} kept"]
    lines += [f"  removed {n:,}: {code} ({code.meaning})" for code, n in file.removed.items() if n]
    lines += [f"  flagged {n:,}: {code} ({code.meaning})" for code, n in file.flagged.items() if n]
    lines += [f"  {note}" for note in file.notes]
    if file.quality is not None and file.gaps is not None:
        lines.append(f"  quality {file.quality.score:.2f}, {file.gaps.completeness:.2f} % of sessions present")
    return lines


def _formats(result: Any) -> RenderableType:
    table = _table("Formats", "format", "what it is", "tables", "proved on")
    for item in result.formats:
        table.add_row(item.name, item.title, ", ".join(item.tables), item.proof)
    return table


def _data_shown(result: Any) -> RenderableType:
    label = f"{result.instrument} [SIMULATED]" if result.simulated else result.instrument
    known = [name for name in result.rows.columns if result.rows[name].null_count() < result.rows.height]
    late = not result.rows["available_at"].equals(result.rows["ts"])
    columns = [name for name in known if name != "instrument" and (late or name != "available_at")]
    what = ", ".join(part for part in (label, result.table, result.prices) if part)
    title = f"{what}: the newest {result.rows.height} of {result.height:,} rows"
    table = _table(title, *columns)
    for row in result.rows.select(columns).iter_rows():
        table.add_row(*(_cell(value) for value in row))
    notes = [] if late else ["available at ts"]
    notes += [f"chart: {result.plot}"] if result.plot else []
    return Group(table, Text("\n".join(notes), "dim"))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e6 else f"{value:,.8g}"
    return f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "hour") else str(value)


def _compacted(result: Any) -> RenderableType:
    return Text(f"{result.report.segments} day segments merged into {result.report.files} files")


def _data_list(result: Any) -> RenderableType:
    if result.datasets.height > _MOST_ROWS:
        return _data_summary(result.datasets)
    table = _table("In the store", "instrument", "table", "dataset", "rows", "first", "last", "prices", right=(3,))
    table.columns[0].overflow = "fold"      # an id, and the label of simulated data, are never cut
    for row in result.datasets.iter_rows(named=True):
        name = f"{row['instrument']} [SIMULATED]" if row["simulated"] else row["instrument"]
        table.add_row(name, row["table"], row["dataset"], f"{row['rows']:,}", str(row["first_ts"].date()),
                      str(row["last_ts"].date()), row["adjustment"])
    return table if result.datasets.height else Text("The store is empty; fieldcast data import FILE --instrument ID")


def _data_summary(datasets: pl.DataFrame) -> RenderableType:
    """A line for each dataset and table, where the store holds too many instruments to list."""
    table = _table(f"In the store ({datasets.height:,} series; --json lists them all)", "dataset", "table", "instruments", "rows",
                   "first", "last", right=(2, 3))
    found = datasets.group_by("dataset", "table").agg(
        pl.len().alias("instruments"), pl.col("rows").sum(), pl.col("first_ts").min(), pl.col("last_ts").max(),
        pl.col("simulated").any(),
    )
    for row in found.sort("dataset", "table").iter_rows(named=True):
        name = f"{row['dataset']} [SIMULATED]" if row["simulated"] else row["dataset"]
        table.add_row(name, row["table"], f"{row['instruments']:,}", f"{row['rows']:,}", str(row["first_ts"].date()),
                      str(row["last_ts"].date()))
    return table


def _data_check(result: Any) -> RenderableType:
    score, gaps = result.quality, result.gaps
    judged = "" if score is None else f"quality {score.score:.2f} over the last {score.rows} rows, "
    units = "sessions" if gaps.timeframe == "1d" else f"{gaps.timeframe} bars"
    lines = [f"{_label(result.instrument)}: {judged}{gaps.completeness:.2f} % of {gaps.expected} {units} present"]
    if score is not None:
        lines += [f"  {code}: {n} ({code.meaning}), costs {score.costs.get(code, 0.0):.2f}" for code, n in score.reasons.items()]
    else:
        lines += [f"  {code}: {n}" for code, n in result.flags.items()]
    if result.state is not None:
        lines.append(f"  state: {result.state}")
    lines += [f"  fault: {row['reason']}, {row['evidence']}" for row in result.faults.faults.head(10).iter_rows(named=True)]
    if result.faults.faults.height > 10:
        lines.append(f"  … and {result.faults.faults.height - 10} more faults; fieldcast data repair {result.instrument.id}")
    lines += [f"  missing {row['bars']:,} from {row['first']:%Y-%m-%d %H:%M} to {row['last']:%Y-%m-%d %H:%M}"
              for row in gaps.gaps.sort("bars", descending=True).head(10).iter_rows(named=True)]
    if gaps.gaps.height > 10:
        lines.append(f"  … and {gaps.gaps.height - 10:,} more gaps")
    return Text("\n".join(lines))


def _repair(result: Any) -> RenderableType:
    faults, proposal = result.faults.faults, result.proposal
    if faults.is_empty():
        return Text(f"{proposal.instrument}: no vendor's error of a known kind was found")
    table = _table(f"{proposal.instrument}: vendor's errors", "reason", "from", "to", "rows", "columns", "factor", "evidence",
                   right=(3, 5))
    for row in faults.head(_MOST_ROWS).iter_rows(named=True):
        factor = "" if row["factor"] is None else f"{row['factor']:g}"
        table.add_row(row["reason"], str(row["first"].date()), str(row["last"].date()), str(row["rows"]), row["columns"], factor,
                      row["evidence"])
    notes = [f"{n:,} values can be repaired with certainty: {code}" for code, n in proposal.counts.items()]
    notes += [f"{n:,} faults are left: {code}; their right values do not follow from the data alone"
              for code, n in proposal.left.items()]
    if result.applied is not None:
        notes.append(f"{result.applied.rows_restated} rows restated; the vendor's stay readable as of earlier moments")
    elif proposal.counts:
        notes.append("nothing was changed; --apply --by NAME stores the repaired values")
    return Group(table, Text("\n".join(notes)))


def _universe(result: Any) -> RenderableType:
    report = result.report
    groups = report.checked.group_by("group", maintain_order=True).agg(
        pl.len().alias("instruments"), pl.col("ok").sum(), pl.col("missing").sum(), pl.col("late").max(),
    )
    table = _table(f"{report.universe} at {report.as_of:%Y-%m-%d %H:%M} UTC: {report.passed} of {report.checked.height} pass",
                   "group", "instruments", "pass", "sessions missing", "late (sessions)", right=(1, 2, 3, 4))
    for row in groups.iter_rows(named=True):
        table.add_row(row["group"], *(str(row[name]) for name in ("instruments", "ok", "missing", "late")))
    if result.plan is None:
        return table
    plan = _table(f"To fetch and import: {result.plan.height:,} ranges", "instrument", "first", "last", "sessions", "why",
                  right=(3,))
    for row in result.plan.head(_MOST_ROWS).iter_rows(named=True):
        plan.add_row(row["instrument"], str(row["first"]), str(row["last"]), str(row["sessions"]), row["why"])
    left = result.plan.height - _MOST_ROWS
    return Group(table, Text(), plan, Text(f"… and {left:,} more; --json lists them all" if left > 0 else ""))


def _simulated_data(result: Any) -> RenderableType:
    made = f"rows of {result.table} stored, seed {result.seed}"
    return Text("\n".join(f"{name} [SIMULATED]: {rows:,} {made}" for name, rows in result.rows.items()))


def _reference(result: Any) -> RenderableType:
    return Text(f"{result.what}: " + ", ".join(f"{n:,} {name}" for name, n in result.counts.items()))


def _verified(result: Any) -> RenderableType:
    lines = [f"{result.report.files_checked} files hashed, {len(result.report.problems)} problems"]
    return Text("\n".join(lines + [f"  {problem.path}: {problem.message}" for problem in result.report.problems]))


def _audit(result: Any) -> RenderableType:
    lines = [f"{result.entries} audit entries, anchored at {result.anchor}: {'whole' if result.ok else 'DAMAGED'}"]
    for problem in result.problems:
        where = "" if problem.sequence is None else f" {problem.sequence}"
        lines.append(f"  {problem.place}{where}: {problem.message}")
    return Text("\n".join(lines))


def _packet(result: Any) -> RenderableType:
    table = _table(f"{result.instrument} as of {result.as_of:%Y-%m-%d %H:%M} UTC, log return in bps"
                   + (" [SIMULATED]" if result.provenance.simulated else ""),
                   "ahead", "up", "flat", "down", "50 % band", "90 % band", "σ/year", "sure", "reliable",
                   right=(1, 2, 3, 4, 5, 6, 7, 8))
    notes = []
    for horizon in result.horizons:
        if not horizon.known:
            table.add_row(horizon.horizon, *[""] * 3, f"missing: {horizon.reason}")
            continue
        d = horizon.direction
        bands = (f"{low:+.0f}..{high:+.0f}" for low, high in (horizon.band(0.5), horizon.band(0.9)))
        table.add_row(horizon.horizon, f"{d.up:.1%}", f"{d.flat:.1%}", f"{d.down:.1%}", *bands,
                      f"{horizon.sigma_annual:.1%}", f"{horizon.conviction:.1%}", f"{horizon.reliability.value:.2f}")
        notes += [f"{horizon.horizon}: P({name}) = {p:.1%}" for name, p in horizon.events.items()]
        notes += [f"{horizon.horizon}: {code} ({code.meaning})" for code in horizon.warnings]
    return Group(table, Text("\n".join(notes), "dim"))


def _cycle(result: Any) -> RenderableType:
    table = _table(result.text, "instrument", "action", "now", "target", "why", right=(2, 3))
    for decision in result.decisions:
        table.add_row(decision.instrument, str(decision.action), f"{decision.current_position:,}",
                      f"{decision.target_position:,}", ", ".join(decision.reasons))
    return table


def _score(part: Any, label: str, horizon: int, model: str, metric: str, digits: int = 3) -> str:
    """Estimate ± half of its 95 % interval."""
    found = part.scores.filter(
        (pl.col("label") == label) & (pl.col("horizon") == horizon) & (pl.col("model") == model) & (pl.col("metric") == metric)
    )
    if found.is_empty():
        return "-"
    row = found.row(0, named=True)
    return f"{row['estimate']:.{digits}f} ± {(row['high'] - row['low']) / 2:.{digits}f}"


def _validation(result: Any) -> RenderableType:
    nominated, labels = result.experiment.nominated, result.experiment.labels
    gates = _table("Gate to paper (V04): does the sign of tomorrow's return follow the odds?", "instrument", "gate",
                   "AUC (± 95 %)", "bound", "n", "out of sample", right=(3, 4))
    for part in result.parts:
        bound, n = ("-", "-") if part.gate is None else (f"{part.gate.lower_bound:.3f}", f"{part.gate.n:,}")
        gates.add_row(_label(part.instrument), Text(part.verdict, GATE_STYLE[part.verdict]),
                      _score(part, nominated.label, nominated.horizon, nominated.model, "auc"), bound, n,
                      f"{part.out_of_sample_from[:7]} .. {part.last_session[:7]}")
    models = [name for name in ("logistic", "boosted_trees", "anchor") if name in set(result.parts[0].scores["model"])]
    scores = _table("AUC out of sample (0.5 = no skill), all models on the same rows", "instrument", "label", *models)
    for part in result.parts:
        for label, horizon in labels.pairs:
            shown = f"sign {horizon}d" if label == "sign" else f"high ≥ +{labels.event_threshold:.0%} {horizon}d *"
            scores.add_row(_label(part.instrument), shown,
                           *(_score(part, label, horizon, model, "auc") for model in models))
    cones = _table("Cones: share of outcomes inside; interval score against GARCH(1,1)-normal (below 0 is better)", "instrument",
                   "days", "50 %", "75 %", "90 %", "p (75 %)", "against GARCH", right=(1, 2, 3, 4, 5))
    for part in result.parts:
        for row in part.cone_difference.iter_rows(named=True):
            own = part.cones.filter((pl.col("horizon") == row["horizon"]) & (pl.col("model") == "fieldcast")).sort("level")
            cones.add_row(_label(part.instrument), str(row["horizon"]), *(f"{value:.1%}" for value in own["coverage"]),
                          f"{own['kupiec_p'][1]:.2f}", f"{row['relative']:+.1%} ± {(row['high'] - row['low']) / 2:.1%}")
    notes = [
        "* Volatility skill: even a martingale with stochastic volatility is predictable there. Such labels open no gate.",
        "; ".join(f"{family.n} trials on record in {family.name} (effective {family.n_effective:.1f})"
                  for family in result.families) + "; running again adds none.",
    ]
    notes += [f"{_label(part.instrument)}: {part.gate_text}" for part in result.parts if part.gate is None]
    notes += [f"{part.instrument.id} [SIMULATED]: AUC of the true odds on its whole path {part.bayes_auc:.3f}"
              for part in result.parts if part.bayes_auc is not None]
    return Group(gates, Text(), scores, Text(), cones, Text("\n".join(notes), "dim"))


def _checks(checks: Any) -> RenderableType:
    """Quality and gaps of the demo's data."""
    table = _table("Data, checked", "instrument", "rows", "quality", "sessions present", "flagged rows", right=(1, 2, 3))
    for check in checks:
        flags = ", ".join(f"{n:,} {code}" for code, n in check.flags.items() if code != "simulated")
        table.add_row(_label(check.instrument), f"{check.gaps.present:,}", f"{check.quality.score:.2f}",
                      f"{check.gaps.completeness:.2f} %", flags or "none")
    return table


def _demo(result: Any) -> RenderableType:
    parts: list[RenderableType] = [_data_list(result.data), Text(), _checks(result.data.checks), Text(),
                                   _validation(result.validation), Text()]
    for part in result.validation.parts:
        parts += [_packet(part.packet), Text()]
    latest = {cycle.portfolio: cycle for cycle in result.cycles}
    for portfolio, cycle in latest.items():
        title = "simulated portfolio [SIMULATED]" if portfolio == "simulated" else "paper portfolio (notional index units)"
        parts += [Panel(_cycle(cycle), title=f"Last of {len(result.cycles) // len(latest)} cycles: {title}")]
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in result.timings.items())
    parts += [_audit(result.audit), Text(f"Report: {result.report}", "bold"), Text(seconds, "dim")]
    return Group(*parts)


_TEXTS: dict[str, Callable[[Any], RenderableType]] = {
    "Ablation": upgrade_text,
    "AgentsRead": agents_text,
    "AuditReport": _audit,
    "Backtest": backtest_text,
    "Comparison": comparison_text,
    "Compacted": _compacted,
    "CostsRecalibrated": recalibrated_text,
    "CostsShown": costs_text,
    "CycleResult": _cycle,
    "IdeaMade": idea_text,
    "DataCheck": _data_check,
    "DataList": _data_list,
    "DataShown": _data_shown,
    "Demo": _demo,
    "Diagnosis": _diagnosis,
    "ExperimentRegistered": registered_text,
    "EngineAblations": ablated_text,
    "FieldsRead": fields_text,
    "FormatList": _formats,
    "HeadlineTrained": trained_text,
    "Imported": _imported,
    "OddsTrained": trained_odds_text,
    "ModelDrift": drift_text,
    "ModelShown": model_text,
    "ModelTriggers": triggers_text,
    "ModelsListed": models_text,
    "LeakReport": leaks_text,
    "ProjectionPacket": _packet,
    "PromotionCheck": promotion_text,
    "ReferenceImported": _reference,
    "RegimeTrained": regime_text,
    "Repair": _repair,
    "RunsReported": runs_text,
    "SealsListed": seals_text,
    "Research": research_text,
    "SimulatedData": _simulated_data,
    "SpanSealed": sealed_text,
    "Sweep": sweep_text,
    "TextsScored": scored_text,
    "TiersRead": tiers_text,
    "Tuned": tuned_text,
    "UniverseCheck": _universe,
    "Validation": _validation,
    "Verified": _verified,
    "WalkForwardOptimised": walk_forward_text,
    "WatchRun": watch_run_text,
    "WatchShown": watch_text,
}
