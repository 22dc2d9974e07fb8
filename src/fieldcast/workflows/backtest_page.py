"""The tear sheet: one HTML file that shows what a backtest found, offline and by itself.

Nothing is computed here: figures and tables come from `simulation.report` and `plots`. What is unknown stands as a dash with its
reason; simulated data and fills at the close that was decided on are named at the top and on every figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from fieldcast.ground import write_whole
from fieldcast.simulation.report import BacktestReport
from fieldcast.simulation.result import SimulationResult
from fieldcast.workflows._backtest_sections import convention, sections_of
from fieldcast.workflows._report_markup import Figures, Html, badge, day, join, number, percent, simulated_badge, tag
from fieldcast.workflows.backtest_gate import RunGate


def write_tear_sheet(
    result: SimulationResult,
    report: BacktestReport,
    path: Path | str,
    *,
    gate: RunGate | None = None,
    asked: Mapping[str, Any] | None = None,
) -> Path:
    """Write the page; a reader sees the old file or the whole new one, never half of it.

    Parameters
    ----------
    gate : what the economic gate said, where it was asked
    asked : parts of the plan beside the venue's settings: rates, sizes, exits

    Raises
    ------
    OSError : the folder cannot be made or written
    """
    return write_whole(Path(path), render_tear_sheet(result, report, gate=gate, asked=asked).encode())


def render_tear_sheet(
    result: SimulationResult,
    report: BacktestReport,
    *,
    gate: RunGate | None = None,
    asked: Mapping[str, Any] | None = None,
) -> str:
    """The whole page as text; parameters as in `write_tear_sheet`."""
    from plotly.offline import get_plotlyjs

    figures = Figures()
    sections = [
        (name, title, tag("section", tag("h2", title), tag("p", intro, class_="intro") if intro else None, body, id=name))
        for name, title, intro, body in sections_of(result, report, figures, gate, asked or {})
    ]
    span = f"{day(report.start)} to {day(report.end)}"
    return Template(_template("page.html")).substitute(
        title=join([f"{report.name}, backtest {span}"]),
        style=_template("report.css"),
        library=get_plotlyjs(),
        figures=figures.script(),
        script=_template("report.js"),
        headline=join([f"{report.name} ", simulated_badge(report.simulated)]),
        lead=_lead(report),
        what=tag("p", f"{report.bars:,} bars, {span}. {convention(report)}", class_="what"),
        glance=_glance(report),
        navigation=join(tag("a", title, href=f"#{name}") for name, title, _ in sections),
        sections=join(section for _, _, section in sections),
        colophon=join([
            tag("p", "Settings ", tag("code", report.settings_hash[:16]), ", data ", tag("code", report.data_hash[:16]), "."),
            tag("p", "A backtest is history played back: no forecast, no promise."),
        ]),
    )  # fmt: skip


# -- the top -------------------------------------------------------------------------------------------------------------


def _lead(report: BacktestReport) -> Html:
    gained = report.end_equity - report.start_equity
    word = "grew" if gained >= 0 else "shrank"
    money = f"{number(report.start_equity, 0)} {word} to {number(report.end_equity, 0)} {report.currency}"
    sentences = [f"{money}."]
    sharpe = report.performance.sharpe
    if sharpe.low is not None and sharpe.high is not None:
        sure = sharpe.low > 0.0 or sharpe.high < 0.0
        sentences.append(
            "The interval of its Sharpe ratio does not hold zero."
            if sure
            else "Its Sharpe ratio cannot be told from zero on this span."
        )
    excess = None if report.benchmark is None else report.benchmark.excess_at_equal_volatility.value
    if report.benchmark is not None and excess is not None:
        side = "more" if excess > 0 else "less"
        sentences.append(f"It earned {percent(abs(excess))} a year {side} than {report.benchmark.name} at the same volatility.")
    return tag("p", " ".join(sentences), class_="lead")


def _glance(report: BacktestReport) -> Html:
    performance, trades = report.performance, report.trades
    items = [
        ("return", percent(performance.total_return.value, sign=True)),
        ("by the year", percent(performance.cagr.value, sign=True)),
        ("Sharpe ratio", number(performance.sharpe.value)),
        ("deepest drawdown", percent(performance.max_drawdown.value)),
        ("trades", f"{trades.closed:,}"),
        ("won", percent(trades.win_rate.value, 0)),
    ]
    glance = tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in items), class_="glance")
    marks = []
    if report.fill_convention != "next_open":
        marks.append(
            tag("p", badge("SAME CLOSE", "fail"), " These fills are at prices that the decisions were made on. Nobody could have "
                "traded at them: this run is no evidence, and the economic gate refuses it.", class_="callout")
        )  # fmt: skip
    if report.warnings:
        told = ". ".join(text[:1].upper() + text[1:] for text in report.warnings)
        marks.append(tag("p", f"{told}.", class_="callout"))
    return join([glance, *marks])


def _template(name: str) -> str:
    return files("fieldcast.workflows").joinpath("report_template", name).read_text(encoding="utf-8")
