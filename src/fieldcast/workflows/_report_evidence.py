"""The middle of the report: cones, reliability, coverage, scores, the planted edge, trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from fieldcast import plots
from fieldcast.validation.gate import CHANCE, POINT
from fieldcast.workflows._report_markup import (
    Figures,
    Html,
    details,
    heading_row,
    interval,
    join,
    number,
    p_value,
    percent,
    simulated_badge,
    table,
    tag,
)
from fieldcast.workflows._report_tables import (
    SHOWN_SESSIONS,
    WINDOW,
    bayes_saved,
    loss_saved,
    running_coverage,
    said_and_came,
)
from fieldcast.workflows._report_verdicts import name_of, task, unit_of
from fieldcast.workflows.results import InstrumentValidation, Validation

LEVELS = (50, 75, 90)
MODELS = {"base_rate": "base rate", "anchor": "volatility anchor", "anchor_vix": "anchor with VIX",
          "logistic": "logistic", "boosted_trees": "boosted trees",
          "fieldcast": "Fieldcast", "garch_normal": "GARCH(1,1), normal"}  # fmt: skip
METRICS = (
    ("AUC", "the chance that a session that rose had been given higher odds than one that fell; 0.50 is a coin"),
    ("log loss", "the price of the odds given, in nats a session; lower is better, a coin pays 0.693"),
    ("Brier", "mean squared distance of the odds from what came; lower is better, a coin pays 0.250"),
    ("skill", "share of the log loss that is saved against a simpler forecast; above 0 is better than it"),
    ("open to close", "AUC against the move from the next open, which a trade could earn; empty where opens are no real prints"),
)


def cones(validation: Validation, figures: Figures) -> Html:
    """The last sessions' bands and outcomes of each instrument, and how the whole span was covered."""
    drawn = []
    for part in validation.parts:
        rows = said_and_came(part, "1d").tail(SHOWN_SESSIONS)
        if rows.is_empty():
            continue
        figure = plots.cone_history(rows, title=f"{part.instrument.id}, 1 session ahead", unit="bps", currency=unit_of(part),
                                    simulated=part.instrument.simulated)  # fmt: skip
        drawn.append(figures.place(figure, f"Bands and outcomes of {part.instrument.id}, last {rows.height} sessions"))
    return tag("div", *drawn, class_="pairs")


def coverage(validation: Validation, figures: Figures) -> Html:
    """Running coverage of each instrument, and the tests over the whole span beside the benchmark's."""
    drawn = []
    for part in validation.parts:
        rows = running_coverage(said_and_came(part, "1d"))
        if rows.is_empty():
            continue
        figure = plots.coverage_over_time(rows, levels=LEVELS, window=WINDOW, title=f"{part.instrument.id}, 1 session ahead",
                                          simulated=part.instrument.simulated)  # fmt: skip
        drawn.append(figures.place(figure, f"Running coverage of {part.instrument.id}'s 50, 75 and 90 % bands"))
    head = ("horizon", "cones", *(f"inside {level} %" for level in LEVELS), "Kupiec p (75 %)", "misses cluster? p (75 %)",
            "interval score, bps", "n")  # fmt: skip
    rows_shown: list[Sequence[object] | Html] = []
    for part in validation.parts:
        rows_shown.append(heading_row(_label(part), len(head)))
        for (horizon, model), group in part.cones.group_by("horizon", "model", maintain_order=True):
            rows_shown.append((f"{horizon!s} d", MODELS.get(str(model), str(model)), *_cone_cells(group)))
        for row in part.cone_difference.iter_rows(named=True):
            bounds = f"{percent(row['low'], 2, sign=True)} to {percent(row['high'], 2, sign=True)}"
            text = (f"{row['horizon']} d: Fieldcast's interval score against GARCH's: {percent(row['relative'], 2, sign=True)} "
                    f"(95 %: {bounds}; below 0 is better)")  # fmt: skip
            rows_shown.append(tag("tr", tag("td", text, colspan=len(head), class_="note")))
    notes = ("The interval score is width plus a penalty for each miss, averaged over the three bands; lower is better. "
             "Kupiec asks whether the rate of misses is as promised, Christoffersen whether misses come alone: a p below "
             "0.05 speaks against it. GARCH(1,1) with normal innovations, refitted every "
             f"{validation.experiment.cones.benchmark_refit} sessions, is the benchmark on the same rows.")  # fmt: skip
    figures_shown = tag("div", *drawn, class_="pairs")
    return join([figures_shown, table(head, rows_shown, numeric=range(2, 9)), tag("p", notes, class_="aside")])


def _rows(group: pl.DataFrame) -> str:
    """How many rows stand behind a group of figures."""
    return f"{max(group['n'].to_list()):,}"


def _cone_cells(group: pl.DataFrame) -> tuple[object, ...]:
    by_level = {round(100 * row["level"]): row for row in group.iter_rows(named=True)}
    middle: dict[str, Any] = by_level.get(75, {})
    return (
        *(percent(by_level[level]["coverage"]) if level in by_level else percent(None) for level in LEVELS),
        p_value(middle.get("kupiec_p")),
        p_value(middle.get("christoffersen_p")),
        number(group["interval_score_bps"].mean(), 1),  # type: ignore[arg-type]
        _rows(group),
    )


def reliability(validation: Validation, figures: Figures) -> Html:
    """Reliability of the nominated odds, and of the threshold odds, one figure an instrument."""
    chosen, threshold = validation.experiment.nominated, validation.experiment.labels.event_threshold
    blocks = []
    kinds = (
        ("sign", chosen.horizon, "a rise", "Direction", None),
        ("event", 1, f"a high of +{100 * threshold:g} %", "Volatility skill",
         f"Odds of {task('event', 1, threshold)} follow from volatility alone: they are volatility skill and open no gate."),
    )  # fmt: skip
    for label, horizon, event, title, note in kinds:
        drawn = []
        for part in validation.parts:
            bins = part.reliability
            if bins.is_empty():
                continue
            key = (pl.col("label") == label) & (pl.col("horizon") == horizon) & (pl.col("model") == chosen.model)
            bins = bins.filter(key)
            if bins.is_empty():
                continue
            figure = plots.reliability_diagram(bins, title=f"{part.instrument.id}, {title.lower()}", event=event,
                                               simulated=part.instrument.simulated)  # fmt: skip
            drawn.append(figures.place(figure, f"Reliability of the odds of {event} for {part.instrument.id}"))
        if drawn:
            words = task(label, horizon, threshold)
            heading = f"{words[0].upper()}{words[1:]}" if label == "sign" else f"{title}: {words}"
            heading += f", {MODELS[chosen.model]} model"
            blocks += [tag("h3", heading), tag("p", note, class_="aside") if note else None, tag("div", *drawn, class_="pairs")]
    return join(blocks)


def scores(validation: Validation, figures: Figures) -> Html:
    """Forests over all instruments, then every score with its interval."""
    experiment = validation.experiment
    threshold = experiment.labels.event_threshold
    drawn = []
    gate = [(CHANCE, f"chance {CHANCE:.2f}"), (POINT, f"gate {POINT:.2f}")]
    for label, horizon in experiment.labels.pairs:
        rows = _forest_rows(validation, label, horizon, "auc")
        if rows.is_empty():
            continue
        words = task(label, horizon, threshold)
        opens = (label, horizon) == (experiment.nominated.label, experiment.nominated.horizon)
        title = words[0].upper() + words[1:] if label == "sign" else f"Volatility skill: {words}"
        lines = gate if opens else gate[:1]
        figure = plots.forest(rows, title=title, quantity="AUC, 95 % interval", lines=lines, simulated=_all_simulated(validation))
        drawn.append(figures.place(figure, f"AUC of {words} by instrument and model"))
    rows = _forest_rows(validation, experiment.nominated.label, experiment.nominated.horizon, "skill_vs_base_rate")
    if not rows.is_empty():
        title = f"Log loss saved, {task(experiment.nominated.label, experiment.nominated.horizon, threshold)}"
        figure = plots.forest(rows, title=title, quantity="skill against base rate, % of log loss",
                              lines=[(0.0, "no skill")], simulated=_all_simulated(validation), percent=True)  # fmt: skip
        drawn.append(figures.place(figure, "Log loss saved against the base rate by instrument and model"))
    glossary = tag("dl", *(tag("div", tag("dt", name), tag("dd", words)) for name, words in METRICS), class_="glossary")
    return join([tag("div", *drawn, class_="pairs"), glossary, *(_score_table(part, validation) for part in validation.parts)])


def _all_simulated(validation: Validation) -> bool:
    return all(part.instrument.simulated for part in validation.parts)


def _forest_rows(validation: Validation, label: str, horizon: int, metric: str) -> pl.DataFrame:
    """group, model, estimate, low, high, n of every contender but the base rate, which has nothing to rank by."""
    found = []
    for part in validation.parts:
        name = f"{part.instrument.id}<br>SIMULATED" if part.instrument.simulated else part.instrument.id
        rows = part.scores.filter(
            (pl.col("label") == label) & (pl.col("horizon") == horizon) & (pl.col("metric") == metric)
            & (pl.col("model") != "base_rate")
        )  # fmt: skip
        found.append(rows.select(pl.lit(name).alias("group"), "model", "estimate", "low", "high", "n"))
    return pl.concat(found)


SCORE_COLUMNS = ("auc", "log_loss", "brier", "skill_vs_base_rate", "skill_vs_anchor", "auc_open_to_close")


def _score_table(part: InstrumentValidation, validation: Validation) -> Html:
    chosen, threshold = validation.experiment.nominated, validation.experiment.labels.event_threshold
    head = ("model", "AUC", "log loss", "Brier", "skill against base rate", "skill against anchor", "AUC open to close", "n")
    rows: list[Sequence[object] | Html] = []
    for (label, horizon), group in part.scores.group_by("label", "horizon", maintain_order=True):
        words = task(str(label), int(str(horizon)), threshold)
        words = f"Volatility skill, opens no gate: {words}" if label == "event" else words[0].upper() + words[1:]
        rows.append(heading_row(words, len(head)))
        for (model,), own in group.group_by("model", maintain_order=True):
            nominated = (label, horizon, model) == (chosen.label, chosen.horizon, chosen.model)
            rows.append(_score_row(str(model), own, nominated=nominated))
    blocks = [table(head, rows, numeric=range(1, 8))]
    if not part.vix_anchor.is_empty():
        lines = [_score_row(str(model), own) for (model,), own in part.vix_anchor.group_by("model", maintain_order=True)]
        blocks += [tag("p", "Does VIX help the volatility anchor? Both on the rows where VIX is known (volatility skill).",
                       class_="aside"), table(head, lines, numeric=range(1, 8))]  # fmt: skip
    summary = join([tag("b", name_of(part)), f" {part.instrument.id}, out of sample {part.out_of_sample_from} to "
                    f"{part.last_session} ", simulated_badge(part.instrument.simulated)])  # fmt: skip
    return details(summary, *blocks, open_=part is validation.parts[0])


def _score_row(model: str, own: pl.DataFrame, *, nominated: bool = False) -> list[object]:
    by_metric = {row["metric"]: row for row in own.iter_rows(named=True)}
    name = MODELS.get(model, model)
    cells: list[object] = [join([tag("b", name), tag("span", "nominated", class_="interval")]) if nominated else name]
    for metric in SCORE_COLUMNS:
        row = by_metric.get(metric)
        if row is None:
            cells.append(number(None))
        elif metric.startswith("skill"):
            bounds = interval(row["low"], row["high"], 1, share=True)
            cells.append(join([percent(row["estimate"], sign=True), bounds]))
        else:
            cells.append(join([number(row["estimate"], 3), interval(row["low"], row["high"])]))
    return [*cells, _rows(own)]


def planted(validation: Validation, figures: Figures) -> Html | None:
    """What the same machinery does with an edge that is there and with none; None where no edge is known to be planted."""
    parts = [part for part in validation.parts if part.instrument.simulated]
    if all(part.bayes_auc is None for part in parts):
        return None
    lines: list[tuple[str, pl.DataFrame, str]] = []
    unknown = []
    for part in parts:
        lines.append((f"{name_of(part)}: odds given", loss_saved(part), "none" if part.bayes_auc is None else "edge"))
        if part.bayes_auc is not None:
            bayes = bayes_saved(part)
            if bayes is None:
                unknown.append(part.instrument.id)
            else:
                lines.append((f"{name_of(part)}: the rule itself (Bayes)", bayes, "bayes"))
    figure = plots.loss_saved(lines, title="Log loss saved against the running share of rises", simulated=True)
    words = "; ".join(_beside_the_best(part) for part in parts)
    ends = "; ".join(f"{name} {number(rows['saved'][-1], 1, sign=True)}" for name, rows, _ in lines if not rows.is_empty())
    missing = f" The Bayes line is left out for {', '.join(unknown)}: the rule is not known on these rows." if unknown else ""
    return join([
        figures.place(figure, "Cumulative log loss saved on the planted and the martingale market"),
        tag("p", f"AUC of the sign: {words}. Nats saved in all: {ends}.{missing}", class_="aside"),
    ])  # fmt: skip


def _beside_the_best(part: InstrumentValidation) -> str:
    best = f" of the {number(part.bayes_auc, 3)} that knowing the rule gives"
    possible = " where none was planted" if part.bayes_auc is None else best
    outcome = part.verdict.replace("_", " ")
    if part.gate is None:
        return f"{part.instrument.id} has too short a history{possible} ({outcome})"
    return f"{part.instrument.id} scored {number(part.gate.estimate, 3)}{possible} ({outcome})"


def trials(validation: Validation) -> Html:
    """How many configurations were tried, and what that leaves of the best of them."""
    chosen, threshold = validation.experiment.nominated, validation.experiment.labels.event_threshold
    head = ("instrument", "forecast", "model", "Sharpe a year", "PSR", "DSR", "DSR, effective N", "n")

    def lines(part: InstrumentValidation, *, only_nominated: bool) -> list[list[object]]:
        found = []
        for row in part.sharpe.iter_rows(named=True):
            if only_nominated and (row["label"], row["horizon"], row["model"]) != (chosen.label, chosen.horizon, chosen.model):
                continue
            words = task(row["label"], row["horizon"], threshold)
            words = f"volatility skill: {words}" if row["label"] == "event" else words
            figures = (number(row["sharpe_annual"], sign=True), *(number(row[k], 3) for k in ("psr", "dsr", "dsr_effective")))
            found.append([_label(part), words, MODELS.get(row["model"], row["model"]), *figures, f"{row['n']:,}"])
        return found

    nominated = [line for part in validation.parts for line in lines(part, only_nominated=True)]
    every = [line for part in validation.parts for line in lines(part, only_nominated=False)]
    counts = " and ".join(f"{family.n:,} in the family “{family.name}”, which move together so much that they count as "
                          f"{number(family.n_effective, 1)}" for family in validation.families)
    return join([
        tag("p", f"Configurations on record: {counts or 'none'}. Simulated markets are a family of their own. "
                 "Running again adds none. The deflated Sharpe ratio (DSR) is the probability that a Sharpe ratio is above what "
                 "the best of that many useless trials would show; PSR is the same for a single trial. These are figures of "
                 "following the called side each session before costs: a diagnostic, and no trading result."),
        table(head, nominated, numeric=range(3, 8)),
        details(f"All {len(every)} trials of this run", table(head, every, numeric=range(3, 8))),
    ])  # fmt: skip


def _label(part: InstrumentValidation) -> Html:
    return join([part.instrument.id, " ", simulated_badge(part.instrument.simulated)])
