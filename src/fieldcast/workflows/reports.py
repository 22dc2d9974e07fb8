"""The report: one HTML file that shows everything a run found, offline and by itself.

The page holds its style, its script and Plotly's library; a content security policy within it forbids every request.
Sections without data are left out. Nothing is computed here: figures and tables come from `plots` and the run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from string import Template

import polars as pl

from fieldcast.cycle import CycleResult
from fieldcast.fields import FieldMap
from fieldcast.ground import write_whole
from fieldcast.ledger import AuditReport
from fieldcast.workflows import _report_evidence as evidence
from fieldcast.workflows import _report_record as record
from fieldcast.workflows import _report_verdicts as verdicts
from fieldcast.workflows._report_markup import Figures, Html, day, join, table, tag
from fieldcast.workflows.results import Validation

TEMPLATE = "report_template"


@dataclass(frozen=True)
class ReportInput:
    """What a report may show; only the validation is needed.

    Parameters
    ----------
    cycles : in the order they were run; several portfolios may be mixed
    field_maps : by instrument id
    datasets : `Store.datasets()`
    """

    validation: Validation
    cycles: tuple[CycleResult, ...] = ()
    field_maps: dict[str, FieldMap] = field(default_factory=dict)
    datasets: pl.DataFrame | None = None
    audit: AuditReport | None = None


def write_html(inputs: ReportInput, path: Path | str) -> Path:
    """Write the report to `path`; a reader sees the old file or the whole new one, never half of it.

    Raises
    ------
    OSError : the folder cannot be made or written
    """
    return write_whole(Path(path), render(inputs).encode())


def render(inputs: ReportInput) -> str:
    """The whole page as text."""
    from plotly.offline import get_plotlyjs

    figures = Figures()
    sections = _sections(inputs, figures)
    validation = inputs.validation
    newest = max(part.packet.as_of for part in validation.parts)
    names = ", ".join(part.instrument.id for part in validation.parts)
    code = validation.parts[0].packet.provenance.code_version
    return Template(_template("page.html")).substitute(
        title=f"Fieldcast report, {day(newest)}",
        style=_template("report.css"),
        library=get_plotlyjs(),
        figures=figures.script(),
        script=_template("report.js"),
        headline="What was said beforehand, and what came of it",
        what=tag(
            "p",
            "Fieldcast reads markets as fields, turns them into calibrated projections, and lets money follow only those that "
            f"have earned it. This page shows one whole run up to {day(newest)}: every forecast below was made without sight of "
            "what it forecasts.",
            class_="what",
        ),
        lead=_lead(validation),
        glance=verdicts.glance(validation, None if inputs.audit is None else inputs.audit.entries),
        navigation=join(tag("a", section.title, href=f"#{section.id}") for section in sections),
        sections=join(section.markup for section in sections),
        colophon=join([
            tag("p", f"Fieldcast {code}. Experiment ", tag("code", validation.experiment.hash[:16]), f" on {names}."),
            tag("p", record.audit_text(inputs.audit)) if inputs.audit is not None else None,
        ]),
    )


@dataclass(frozen=True)
class _Section:
    id: str
    title: str
    intro: str
    body: Html

    @property
    def markup(self) -> Html:
        intro = tag("p", self.intro, class_="intro") if self.intro else None
        return tag("section", tag("h2", self.title), intro, self.body, id=self.id)


def _sections(inputs: ReportInput, figures: Figures) -> list[_Section]:
    validation = inputs.validation
    instruments = {part.instrument.id: part.instrument for part in validation.parts}
    planted = evidence.planted
    found: list[tuple[str, str, str, Html | None]] = [
        ("verdicts", "Verdicts",
         "May money follow this projection? Each instrument's nominated odds stand before one gate: the AUC of the next "
         "session's sign, over the whole out-of-sample span, has to be above 0.52 with its lower bound above 0.50.",
         verdicts.verdicts(validation)),
        ("projections", "Newest projections",
         "What is said about the sessions after the newest row: a cone of log returns around the last close and the odds of up, "
         "flat and down. Reliability is the weakest of three: how much of the data is there, how many outcomes "
         "have been scored, and how well the odds have kept their word.",
         verdicts.projections(validation, figures)),
        ("cones", "Cones against what happened",
         "Each band was fixed at the close before. About one outcome in ten should lie outside the widest one; the bands "
         "breathe with volatility.",
         evidence.cones(validation, figures)),
        ("reliability", "Do the odds mean what they say?",
         "Sessions sorted by the odds given and cut into ten equal bins. A point on the diagonal kept its word; the grey bars "
         "are what luck alone does to perfect odds, so a point within its bar is no news.",
         evidence.reliability(validation, figures)),
        ("coverage", "Coverage over time",
         "Share of the last 250 outcomes inside each band. The grey ribbons hold an honest cone 95 % of the time.",
         evidence.coverage(validation, figures)),
        ("scores", "Scores",
         "Every model on identical rows, out of sample, with 95 % intervals from the stationary bootstrap.",
         evidence.scores(validation, figures)),
        ("planted", "A planted edge beside a martingale",
         "The same machinery on two markets of our own making. In the planted one, the sign of the last five sessions' return "
         "tilts the odds of the next; in the other, nothing can be known. A line that climbs is knowledge of use; one that "
         "stays flat is none; one that sinks has taken noise for signal, and pays for it.",
         planted(validation, figures)),
        ("fields", "Field maps",
         "How each market lies at the newest close: where volume sits, where price last turned, which regime it reads as. "
         "Distances are in average true ranges (ATR), the instrument's own strides; the date says since when it has been known.",
         record.field_maps(inputs.field_maps, instruments) if inputs.field_maps else None),
        ("decisions", "Decisions and why",
         "One governed cycle a session. Each portfolio is by itself; they are never summed.",
         record.decisions(inputs.cycles, instruments, figures) if inputs.cycles else None),
        ("data", "Data", "Where the rows came from and how good they are.", record.data(validation, inputs.datasets)),
        ("trials", "Trials on record", "", evidence.trials(validation)),
        ("looked", "Looked at before",
         "The outcomes of these sessions had been seen before this run: figures on them are no fresh test.",
         _looked(validation)),
        ("limits", "Limits", "", record.limits(validation, inputs.datasets, traded=bool(inputs.cycles))),
    ]  # fmt: skip
    return [_Section(id, title, intro, body) for id, title, intro, body in found if body is not None]


def _lead(validation: Validation) -> Html:
    """What came out, real markets and simulated ones apart."""
    words = {"PASS": "passed the gate", "FAIL": "failed the gate", "CANNOT_JUDGE": "could not be judged",
             "NOT_ASKED": "had too short a history for the gate"}
    sentences = []
    for simulated in (False, True):
        outcomes: dict[str, list[str]] = {}
        for part in validation.parts:
            if part.instrument.simulated is simulated:
                outcomes.setdefault(part.verdict, []).append(verdicts.name_of(part))
        told = [f"{_and(outcomes[key])} {text}" for key, text in words.items() if key in outcomes]
        if told:
            sentences.append(f"{'Of the simulated markets, ' if simulated else ''}{_and(told)}.")
    return tag("p", " ".join(sentences), class_="lead")


def _looked(validation: Validation) -> Html | None:
    """What had been seen of the test span; None where nothing had."""
    rows = [(", ".join(one.instruments).replace("*", "every instrument"), day(one.first), day(one.last), one.label)
            for one in validation.looked]
    return table(("instruments", "first", "last", "how"), rows) if rows else None


def _and(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _template(name: str) -> str:
    return files("fieldcast.workflows").joinpath(TEMPLATE, name).read_text(encoding="utf-8")
