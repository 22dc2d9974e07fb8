"""The report: whole or not at all, offline, escaped, and honest about what is simulated and what is missing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import SimulatedMarket, save_instrument, simulate
from fieldcast.ground import load_settings
from fieldcast.workflows import (
    Experiment,
    ReportInput,
    field_map,
    load_experiment,
    open_workspace,
    run_cycle,
    validate,
    verify_audit,
    write_html,
)
from fieldcast.workflows import _report_markup as markup
from fieldcast.workflows import _report_tables as tables
from fieldcast.workflows.reports import render

NAMES = ("SIM:PLANTED", "SIM:MARTINGALE")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReportInput]:
    """Everything that a report can show, from a short run on the simulated market."""
    plain = load_experiment().model_dump(mode="json")
    plain["features"]["blocks"] = ["volatility"]
    plain["walk_forward"].update(initial=150, embargo=2, calibration_share=0.4)
    plain["models"]["boosted_trees"] = None
    plain["labels"]["sign"] = [1]
    plain["intervals"]["draws"] = 200
    small = Experiment.model_validate(plain)
    home = tmp_path_factory.mktemp("report")
    with open_workspace(settings=load_settings(home=home, workers=1)) as workspace:
        bayes = {}
        for kind in ("planted", "martingale"):
            made = simulate(SimulatedMarket(seed=5, kind=kind, n_sessions=800, last=date(2018, 12, 31)))  # type: ignore[arg-type]
            save_instrument(workspace.ledger, made.instrument)
            workspace.store.append(made.bars, made.lineage)
            if kind == "planted":
                bayes[made.instrument.id] = made.bayes_auc
        validation = validate(workspace, NAMES, small, bayes_auc=bayes)
        moments = validation.parts[0].projections["as_of"].unique(maintain_order=True).tail(3)
        cycles = tuple(run_cycle(workspace, NAMES, small, as_of=moment, portfolio="simulated") for moment in moments)
        maps = {name: field_map(workspace, name) for name in NAMES}
        yield ReportInput(validation, cycles, maps, workspace.store.datasets(), verify_audit(workspace))


class _Reader(HTMLParser):
    """Tags, their attributes, visible text, and whether every tag was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "path"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text.append(data)


def _read(text: str) -> _Reader:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader


def test_the_page_is_whole_and_holds_every_section(inputs: ReportInput) -> None:
    page = _read(render(inputs))
    assert page.open == []
    sections = [attributes.get("id") for tag, attributes in page.tags if tag == "section" and "id" in attributes]
    assert sections == ["verdicts", "projections", "cones", "reliability", "coverage", "scores", "planted", "fields",
                        "decisions", "data", "trials", "limits"]  # fmt: skip
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == [f"#{name}" for name in sections]


def test_the_page_asks_for_nothing_outside_itself(inputs: ReportInput) -> None:
    text = render(inputs)
    page = _read(text)
    assert not [tag for tag, attributes in page.tags if tag in {"link", "img", "iframe"} or "src" in attributes]
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert len(text.encode()) < 8e6


def test_verdict_cards_carry_the_gate_s_figures(inputs: ReportInput) -> None:
    text = "".join(_read(render(inputs)).text)
    for part in inputs.validation.parts:
        assert str(part.gate.outcome).replace("_", " ") in text
        assert f"{part.gate.estimate:.3f}" in text
        assert f"{part.gate.n:,}" in text
        assert part.gate.text.replace(" %", "\u00a0%") in text


def test_everything_simulated_says_so(inputs: ReportInput) -> None:
    text = render(inputs)
    figures = json.loads(re.search(r"^const FIGURES = (.*);$", text, re.MULTILINE).group(1))  # type: ignore[union-attr]
    places = [attributes["id"] for _, attributes in _read(text).tags if attributes.get("class") == "figure"]
    assert [name for name, _ in figures] == places
    titles = [figure["layout"]["title"]["text"] for _, figure in figures]
    assert len(titles) > 10
    assert all(title.startswith("SIMULATED") for title in titles)     # both instruments of this run are
    assert text.count('class="badge simulated"') > 10


def test_pending_orders_and_reasons_are_said_plainly(inputs: ReportInput) -> None:
    text = "".join(_read(render(inputs)).text).replace("\u00a0", " ")
    last = inputs.cycles[-1]
    if last.pending:
        assert "pending: " in text
        assert f"{last.pending[0].side} " in text
    else:
        assert "No order is pending." in text
    for decision in last.decisions:
        assert any(code.meaning in text or code.meaning[0].upper() + code.meaning[1:] in text for code in decision.reasons)
    assert "The audit chain is whole" in text


def test_a_validation_alone_makes_a_report_without_the_empty_sections(inputs: ReportInput, tmp_path: Path) -> None:
    path = write_html(ReportInput(inputs.validation), tmp_path / "new" / "report.html")
    page = _read(path.read_text(encoding="utf-8"))
    sections = {attributes.get("id") for tag, attributes in page.tags if tag == "section"}
    assert not {"fields", "decisions"} & sections
    assert {"verdicts", "scores", "limits"} <= sections


def test_without_known_truth_no_market_is_called_planted_or_martingale(inputs: ReportInput) -> None:
    parts = tuple(replace(part, bayes_auc=None) for part in inputs.validation.parts)
    page = _read(render(ReportInput(replace(inputs.validation, parts=parts))))
    assert "planted" not in {attributes.get("id") for _, attributes in page.tags}


def test_names_cannot_inject_markup(inputs: ReportInput) -> None:
    first = inputs.validation.parts[0]
    evil = "<script>alert(1)</script>\"'&"
    named = replace(first, instrument=replace(first.instrument, name=evil))
    text = render(replace(inputs, validation=replace(inputs.validation, parts=(named, *inputs.validation.parts[1:]))))
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert _read(text).open == []


def test_a_figure_cannot_end_its_script() -> None:
    assert markup.for_script('{"a":"</script>\u2028"}') == '{"a":"\\u003c/script\\u003e\\u2028"}'


def test_the_file_is_replaced_whole_or_not_at_all(
    inputs: ReportInput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def broken(self: Path, target: Path) -> Path:
        raise OSError("no room")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OSError, match="no room"):
        write_html(ReportInput(inputs.validation), path)
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text() == "old"


def test_the_same_run_gives_the_same_page(inputs: ReportInput) -> None:
    assert render(inputs) == render(inputs)


# the tables behind the figures -------------------------------------------------------------------------------------


def test_running_coverage_counts_what_lay_inside(inputs: ReportInput) -> None:
    rows = tables.said_and_came(inputs.validation.parts[0], "1d").filter(pl.col("realised").is_not_null())
    table = tables.running_coverage(rows, window=50)
    last = rows.tail(50)
    inside = [low <= value <= high for low, value, high in last.select("q_05", "realised", "q_95").iter_rows()]
    assert table["covered_90"][-1] == pytest.approx(sum(inside) / 50)
    assert table["date"][-1] == rows["target"][-1]
    assert tables.running_coverage(rows.head(49), window=50).is_empty()


def test_binomial_range_holds_its_share() -> None:
    from scipy.stats import binom

    for n, p in ((250, 0.5), (250, 0.9), (40, 0.75)):
        low, high = tables.binomial_range(n, p)
        assert (low * n, high * n) == pytest.approx((binom.ppf(0.025, n, p), binom.ppf(0.975, n, p)))


def test_saved_loss_equals_a_plain_loop(inputs: ReportInput) -> None:
    part = inputs.validation.parts[1]
    known = part.outcomes.filter((pl.col("horizon") == "1d") & pl.col("ret").is_not_null()).sort("as_of")
    total = 0.0
    for row in part.projections.filter(pl.col("horizon") == "1d").sort("as_of").iter_rows(named=True):
        came = known.filter(pl.col("as_of") == row["as_of"])
        before = known.filter((pl.col("label_end_ts") <= row["as_of"]) & (pl.col("ret") != 0))
        if came.is_empty() or came["ret"][0] == 0:
            continue
        rose = came["ret"][0] > 0
        share = (before["ret"] > 0).mean()
        p = row["p_up"] / (row["p_up"] + row["p_down"])
        assert isinstance(share, float)
        total += math.log(p if rose else 1 - p) - math.log(share if rose else 1 - share)
    assert tables.loss_saved(part)["saved"][-1] == pytest.approx(total)


def test_the_rule_itself_is_drawn_only_where_it_is_the_market_s(inputs: ReportInput) -> None:
    planted = inputs.validation.parts[0]
    bayes = tables.bayes_saved(planted)
    assert bayes is not None
    assert bayes["saved"][-1] > tables.loss_saved(planted)["saved"][-1]
    assert tables.bayes_saved(replace(planted, bayes_auc=0.71)) is None
    assert tables.bayes_saved(inputs.validation.parts[1]) is None


def test_thinning_keeps_the_last_row() -> None:
    assert tables.thin(pl.DataFrame({"a": np.arange(12)}), 5)["a"].to_list() == [1, 6, 11]


def test_numbers_are_written_for_people() -> None:
    assert markup.number(-1234.5, 1) == "−1,234.5"
    assert markup.number(-0.0004, 2, sign=True) == "0.00"
    assert markup.percent(0.0123, sign=True) == "+1.2 %"
    assert markup.p_value(1e-7) == "< 0.001"
    assert markup.number(None) == "–"
    assert markup.tag("p", "5 % <b>") == "<p>5\u00a0% &lt;b&gt;</p>"
