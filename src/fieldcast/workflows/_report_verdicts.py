"""The top of the report: what it is, what the gate said of each instrument, and the newest projections."""

from __future__ import annotations

import polars as pl

from fieldcast import plots
from fieldcast.ground import Reason
from fieldcast.projection import HorizonProjection
from fieldcast.projection.table import QUANTILE_COLUMNS
from fieldcast.validation import GateOutcome
from fieldcast.validation.gate import CHANCE, POINT
from fieldcast.workflows._report_markup import (
    Figures,
    Html,
    badge,
    day,
    details,
    interval,
    join,
    number,
    percent,
    simulated_badge,
    tag,
)
from fieldcast.workflows._report_tables import closes
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.results import InstrumentValidation, Validation

HEADLINES = {
    GateOutcome.PASS: "An edge shows. It may be followed on paper.",
    GateOutcome.FAIL: "The sample could have shown an edge, and it is not there.",
    GateOutcome.CANNOT_JUDGE: "Not enough evidence either way, so no money follows it.",
}


def name_of(part: InstrumentValidation) -> str:
    """The instrument's name without the label that stands beside it anyway."""
    name = part.instrument.name.removeprefix("SIMULATED ") or part.instrument.id
    return name[0].upper() + name[1:]


def task(label: str, horizon: int, threshold: float) -> str:
    """What was forecast, in words."""
    days = f"{horizon} session{'s' if horizon > 1 else ''}"
    return f"direction over {days}" if label == "sign" else f"a high of +{100 * threshold:g} % within {days}"


def glance(validation: Validation, audit_entries: int | None) -> Html:
    """The size of the run in a handful of figures."""
    forecasts = sum(part.projections["as_of"].n_unique() for part in validation.parts)
    figures = [
        (f"{len(validation.parts)}", "instruments"),
        (f"{forecasts:,}", "sessions forecast out of sample"),
        (f"{sum(sum(part.fits.values()) for part in validation.parts):,}", "models fitted, walking forward"),
        (f"{validation.trials:,}", "trials on record"),
    ]
    if audit_entries is not None:
        figures.append((f"{audit_entries:,}", "audit entries, chain checked"))
    return tag("dl", *(tag("div", tag("dt", words), tag("dd", figure)) for figure, words in figures), class_="glance")


def verdicts(validation: Validation) -> Html:
    """One card an instrument."""
    spans = {part.instrument.id: nominated_interval(part, validation.experiment) for part in validation.parts}
    ends = [edge for low, high in spans.values() for edge in (low, high) if edge is not None]
    ends += [edge for part in validation.parts for edge in (part.bayes_auc, _estimate(part)) if edge is not None]
    scale = (min([0.47, *ends]) - 0.008, max([0.55, *ends]) + 0.012)
    return tag("div", *(_card(part, spans[part.instrument.id], scale) for part in validation.parts), class_="cards")


def _estimate(part: InstrumentValidation) -> float | None:
    return None if part.gate is None else part.gate.estimate


def nominated_interval(part: InstrumentValidation, experiment: Experiment) -> tuple[float | None, float | None]:
    """Two-sided 95 % interval of the nominated configuration's AUC from the score table."""
    chosen = experiment.nominated
    row = part.scores.filter(
        (pl.col("label") == chosen.label) & (pl.col("horizon") == chosen.horizon)
        & (pl.col("model") == chosen.model) & (pl.col("metric") == "auc")
    )  # fmt: skip
    return (None, None) if row.is_empty() else (row["low"][0], row["high"][0])


def heading(part: InstrumentValidation) -> Html:
    """Name, id, and the label of simulated data."""
    label = tag("p", tag("span", part.instrument.id, class_="id"), simulated_badge(part.instrument.simulated))
    return tag("header", tag("h3", name_of(part)), label)


def _card(part: InstrumentValidation, span: tuple[float | None, float | None], scale: tuple[float, float]) -> Html:
    gate = part.gate
    if gate is None:
        return tag(
            "article",
            heading(part),
            tag("p", badge(part.verdict.replace("_", " "), "cannot-judge"), class_="verdict"),
            tag("p", "Too short a history to ask the gate, so no money follows it.", class_="headline"),
            details("Why, in full", tag("p", part.gate_text)),
            class_="card cannot-judge",
        )
    kind = str(gate.outcome).lower().replace("_", "-")
    bayes = None
    if part.bayes_auc is not None:
        bayes = tag("p", f"Knowing the planted rule itself would give {number(part.bayes_auc, 3)} on this path.", class_="aside")
    facts = [
        ("95 % interval", interval(*span)),
        ("one-sided bound", number(gate.lower_bound, 3)),
        ("standard error", number(gate.standard_error, 4)),
        ("sessions judged", f"{gate.n:,}"),
    ]
    return tag(
        "article",
        heading(part),
        tag("p", badge(str(gate.outcome).replace("_", " "), kind), class_="verdict"),
        tag("p", HEADLINES[gate.outcome], class_="headline"),
        tag("p", tag("span", number(gate.estimate, 3), class_="figure-large"), tag("span", "AUC of the sign"), class_="score"),
        _strip(gate.estimate, span, scale, part.bayes_auc),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts), class_="facts"),
        bayes,
        details("Why, in full", tag("p", gate.text)),
        class_=f"card {kind}",
    )  # fmt: skip


def _strip(
    estimate: float, span: tuple[float | None, float | None], scale: tuple[float, float], bayes: float | None
) -> Html:
    """The estimate with its interval on a scale that all cards share, chance and the gate's point marked."""

    def at(value: float) -> str:
        return f"{100 * (value - scale[0]) / (scale[1] - scale[0]):.2f}%"

    low, high = span
    bar = None
    if low is not None and high is not None:
        bar = tag("i", class_="bar", style=f"left:{at(low)};right:calc(100% - {at(high)})")
    known = None if bayes is None else tag("i", class_="mark bayes", style=f"left:{at(bayes)}", title="Bayes")
    marks = [
        tag("i", class_="mark", style=f"left:{at(CHANCE)}"),
        tag("i", class_="mark gate", style=f"left:{at(POINT)}"),
    ]
    labels = [
        tag("b", f"{CHANCE:.2f}", class_="left", style=f"left:{at(CHANCE)}"),
        tag("b", f"{POINT:.2f}", style=f"left:{at(POINT)}"),
        None if bayes is None else tag("b", "Bayes", class_="middle", style=f"left:{at(bayes)}"),
    ]
    dot = tag("i", class_="dot", style=f"left:{at(estimate)}")
    return tag("div", *marks, known, bar, dot, *labels, class_="strip", aria_hidden="true")


def projections(validation: Validation, figures: Figures) -> Html:
    """The newest packet of each instrument: its cone, its odds, and how far it may be relied upon."""
    return tag("div", *(_packet(part, figures) for part in validation.parts), class_="pairs")


def _packet(part: InstrumentValidation, figures: Figures) -> Html:
    packet = part.packet
    known = [horizon for horizon in packet.horizons if horizon.known]
    title = f"{part.instrument.id}, {day(packet.as_of)}"
    cone = None
    if known:
        rows = pl.DataFrame(
            [{"target_ts": h.target_ts, "reference_price": h.reference_price,
              **dict(zip(QUANTILE_COLUMNS, h.quantiles_bps or (), strict=True))} for h in known]
        ).sort("target_ts")  # fmt: skip
        figure = plots.projection_cone(closes(part, known[0].horizon), rows, title=title,
                                       currency=unit_of(part), simulated=packet.provenance.simulated)  # fmt: skip
        cone = figures.place(figure, f"Last closes of {part.instrument.id} and the cone of the newest projection")
    said = [*packet.warnings, *(code for horizon in known for code in horizon.warnings)]
    warnings = [code for code in said if code is not Reason.SIMULATED]
    return tag(
        "article",
        heading(part),
        cone,
        *(_horizon(horizon) for horizon in packet.horizons),
        tag("p", f"Heed: {'; '.join(dict.fromkeys(code.meaning for code in warnings))}.", class_="aside") if warnings else None,
        class_="card packet",
    )  # fmt: skip


def unit_of(part: InstrumentValidation) -> str:
    """What a price of the instrument is in."""
    return "index points" if part.instrument.kind == "index" else part.instrument.currency


def _horizon(horizon: HorizonProjection) -> Html:
    if not horizon.known or horizon.direction is None or horizon.reference_price is None or horizon.reliability is None:
        why = "" if horizon.reason is None else f": {horizon.reason.meaning}"
        return tag("section", tag("h4", f"{_days(horizon.horizon)}"), tag("p", f"No projection{why}."), class_="horizon")
    odds = horizon.direction
    shares = (("up", odds.up), ("flat", odds.flat), ("down", odds.down))
    widths = (tag("i", class_=name, style=f"flex-grow:{p:.4f}") for name, p in shares)
    words = (tag("span", tag("i", class_=name), tag("b", name), f" {percent(p, 0)}") for name, p in shares)
    price = horizon.reference_price

    def between(share: float) -> str:
        low, high = plots.levels([price, price], horizon.band(share))
        return f"{number(low)} to {number(high)}"

    reliability = horizon.reliability
    parts = f"data {reliability.data:.2f}, sample {reliability.sample:.2f}, calibration {reliability.calibration:.2f}"
    facts: list[tuple[str, object]] = [
        ("50 % band", between(0.5)),
        ("90 % band", between(0.9)),
        ("volatility", f"{percent(horizon.sigma_annual)} a year"),
        ("conviction", f"{odds.called}, {percent(horizon.conviction)}"),
        ("reliability", join([f"{reliability.value:.2f} ", tag("span", f"({parts})", class_="interval")])),
    ]
    facts += [(name.replace(">=", "≥"), percent(p)) for name, p in horizon.events.items()]
    flat = percent((horizon.flat_band_bps or 0.0) / 1e4, 2)
    until = None if horizon.target_ts is None else f"to the close of {day(horizon.target_ts)}; flat is within ±{flat}"
    return tag(
        "section",
        tag("h4", _days(horizon.horizon), tag("span", until, class_="interval")),
        tag("div", *widths, class_="odds", aria_hidden="true"),
        tag("p", *words, class_="key"),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts), class_="facts"),
        class_="horizon",
    )


def _days(name: str) -> str:
    count = name.removesuffix("d")
    return f"Next {count} sessions" if count != "1" else "Next session"
