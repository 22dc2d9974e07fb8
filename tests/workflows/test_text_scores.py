"""Stored texts are scored once, count from the moment of scoring, and reach the field; the headline scorer is fitted and used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import Lineage, save_instrument
from fieldcast.ground import Halted, InvalidInput, ManualClock, MissingData, Reason, load_settings
from fieldcast.market import Kind, add_reason, default_instrument, table_of
from fieldcast.models.text import Lexicon, scorer_id
from fieldcast.workflows import Workspace, open_workspace, read_fields, score_texts, train_headline
from fieldcast.workflows import text_scores as module

NOW = datetime(2026, 3, 21, 12, tzinfo=UTC)
SOURCE = "NEWS:TEST"
TEXTS = [
    ("Profit rose sharply", "AAPL", "en"),
    ("Bankruptcy feared", "MSFT", "en"),
    ("Strong demand, record orders", "AAPL", None),
    ("苹果利润上升", "AAPL", "zh"),
]


def news(*rows: tuple[str, str | None, str | None], instrument: str = SOURCE, age: float = 20.0) -> pl.DataFrame:
    schema = dict(table_of("news").schema)
    made = [
        {"instrument": instrument, "ts": NOW - timedelta(hours=age - n), "item": str(n), "text": text, "subject": subject,
         "language": language}
        for n, (text, subject, language) in enumerate(rows)
    ]  # fmt: skip
    frame = pl.DataFrame([dict.fromkeys(schema) | row for row in made], schema=schema)
    return frame.with_columns(available_at=pl.col("ts") + timedelta(minutes=3))


def bring(workspace: Workspace, rows: pl.DataFrame, fetched_at: datetime = NOW) -> None:
    workspace.store.append(rows, Lineage("test", "test", fetched_at, available_at="reported"), table="news")


def scores(workspace: Workspace, about: str, as_of: datetime | None = None) -> pl.DataFrame:
    return workspace.store.read(about, table="text_scores", as_of=as_of)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def workspace(tmp_path: Path, clock: ManualClock) -> Iterator[Workspace]:
    with open_workspace(settings=load_settings(home=tmp_path, workers=1), clock=clock) as opened:
        bring(opened, news(*TEXTS))
        save_instrument(opened.ledger, default_instrument("XNAS:AAPL", Kind.EQUITY))
        yield opened


def test_texts_about_an_instrument_are_scored_under_its_id(workspace: Workspace) -> None:
    done = score_texts(workspace, "XNAS:AAPL", source=SOURCE)
    assert (done.texts, done.language, done.added, done.already) == (3, 1, 2, 0)
    rows = scores(workspace, "XNAS:AAPL")
    assert rows["item"].to_list() == ["NEWS:TEST#0", "NEWS:TEST#2"]
    assert rows["score"].to_list() == Lexicon().score([TEXTS[0][0], TEXTS[2][0]]).score.tolist()
    assert rows["scorer"].unique().to_list() == [scorer_id(Lexicon())]
    assert rows["source"].unique().to_list() == ["news"]
    assert done.said.startswith("offline")


def test_a_live_score_is_known_from_the_moment_at_which_it_was_made(workspace: Workspace) -> None:
    score_texts(workspace, source=SOURCE)
    rows = scores(workspace, SOURCE)
    assert rows["available_at"].unique().to_list() == [NOW]
    assert (rows["ts"] < NOW).all()
    assert rows["reasons"].null_count() == rows.height == 3
    assert scores(workspace, SOURCE, NOW - timedelta(seconds=1)).is_empty()


def test_a_score_of_history_is_known_with_its_text_and_says_that_this_is_assumed(workspace: Workspace) -> None:
    score_texts(workspace, source=SOURCE, history=True)
    rows = scores(workspace, SOURCE)
    assert (rows["available_at"] - rows["ts"]).unique().to_list() == [timedelta(minutes=3)]
    assert rows["reasons"].unique().to_list() == [str(Reason.AVAILABILITY_ASSUMED)]


def test_scoring_again_adds_nothing_and_asks_no_scorer(workspace: Workspace, clock: ManualClock, monkeypatch) -> None:
    score_texts(workspace, source=SOURCE)
    before = scores(workspace, SOURCE)
    clock.advance_to(NOW + timedelta(days=1))
    monkeypatch.setattr(Lexicon, "score", lambda *_: pytest.fail("asked again"))
    again = score_texts(workspace, source=SOURCE, history=True)
    assert (again.added, again.already, again.mean) == (0, 3, None)
    assert scores(workspace, SOURCE).equals(before)


def test_a_restated_text_and_a_new_one_are_scored_and_the_old_score_stays_readable(
    workspace: Workspace, clock: ManualClock
) -> None:
    score_texts(workspace, source=SOURCE)
    clock.advance_to(NOW + timedelta(hours=2))
    restated = news(("Profit fell sharply", "AAPL", "en")).with_columns(available_at=NOW + timedelta(hours=1))
    bring(workspace, restated, clock.now())
    bring(workspace, news(("New", None, None), age=-1.0).with_columns(item=pl.lit("new")), clock.now())
    assert score_texts(workspace, source=SOURCE).added == 2
    (now,) = scores(workspace, SOURCE).filter(pl.col("item") == "0")["score"]
    (then,) = scores(workspace, SOURCE, NOW).filter(pl.col("item") == "0")["score"]
    assert now < 0 < then


def test_another_scorer_adds_its_own_scores(workspace: Workspace, monkeypatch) -> None:
    score_texts(workspace, source=SOURCE)
    monkeypatch.setattr(Lexicon, "version", "f" * 64)
    assert score_texts(workspace, source=SOURCE).added == 3
    assert scores(workspace, SOURCE).height == 6


def test_what_was_scored_before_a_service_fails_stays(workspace: Workspace, monkeypatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 1)
    real, asked = Lexicon.score, []

    def failing(self, texts):
        asked.append(texts)
        if len(asked) == 2:
            raise Halted("expected an answer, found none")
        return real(self, texts)

    monkeypatch.setattr(Lexicon, "score", failing)
    with pytest.raises(Halted):
        score_texts(workspace, source=SOURCE)
    assert scores(workspace, SOURCE).height == 1
    done = score_texts(workspace, source=SOURCE)
    assert (done.already, done.added) == (1, 2)


@pytest.mark.parametrize(("source", "kind"), [("REDDIT:WSB", "reddit"), ("TWITTER:FIN", "x"), ("OTHER:FEED", "news")])
def test_the_kind_of_source_follows_from_its_id(workspace: Workspace, source: str, kind: str) -> None:
    bring(workspace, news(*TEXTS[:1], instrument=source))
    assert score_texts(workspace, source=source).kind == kind
    assert score_texts(workspace, "XNAS:AAPL", source=source, kind="earnings").kind == "earnings"
    assert scores(workspace, "XNAS:AAPL")["source"].to_list() == ["earnings"]


def test_simulated_texts_have_simulated_scores(workspace: Workspace) -> None:
    rows = news(*TEXTS[:1], instrument="NEWS:SIM").with_columns(add_reason(Reason.SIMULATED, pl.lit(value=True)))
    workspace.store.append(rows, Lineage("test", "sim", NOW, available_at="reported", simulated=True), table="news")
    score_texts(workspace, source="NEWS:SIM")
    assert scores(workspace, "NEWS:SIM")["reasons"].to_list() == ["simulated"]


def test_what_cannot_be_scored_is_refused(workspace: Workspace) -> None:
    with pytest.raises(InvalidInput, match="neither"):
        score_texts(workspace)
    with pytest.raises(InvalidInput, match="radio"):
        score_texts(workspace, source=SOURCE, kind="radio")
    with pytest.raises(MissingData, match="XNAS:AAPL"):
        score_texts(workspace, "XNAS:AAPL")
    with pytest.raises(MissingData, match="about TSLA"):
        score_texts(workspace, "XNAS:TSLA", source=SOURCE)


def test_the_field_of_the_instrument_reads_its_scores_as_far_as_they_were_known(workspace: Workspace) -> None:
    score_texts(workspace, "XNAS:AAPL", source=SOURCE)
    days = pl.datetime_range(NOW - timedelta(days=40), NOW - timedelta(days=1), "1d", eager=True, time_unit="us")
    days = days.dt.replace_time_zone("UTC") if days.dtype.time_zone is None else days
    price = 100 + np.sin(np.arange(days.len()))
    bars = pl.DataFrame({"ts": days, "open": price, "high": price + 1, "low": price - 1, "close": price}).with_columns(
        instrument=pl.lit("XNAS:AAPL"), available_at="ts", volume=pl.lit(1e6), reasons=pl.lit(None, dtype=pl.String)
    )
    workspace.store.append(bars.select(*table_of("bars/1d").schema), Lineage("test", "test", NOW))
    found = read_fields(workspace, "XNAS:AAPL", as_of=NOW)
    assert found.map.sentiment["text_score"] > 0
    assert found.map.sentiment["coverage"] == pytest.approx(0.2)
    assert found.sentiment is not None
    assert found.sentiment.flows["news"].texts == 2
    early = read_fields(workspace, "XNAS:AAPL", as_of=NOW - timedelta(seconds=1))
    assert early.map.sentiment["coverage"] == 0.0
    assert early.map.reasons["sentiment.text_score"] is Reason.NO_DATA


# training -----------------------------------------------------------------------------------------------------------


def labelled(path: Path) -> Path:
    """Sixty invented sentences in fifteen templates."""
    forms = {
        "positive": (
            "profit rose in quarter {n}",
            "won {n} large orders",
            "beat all its {n} targets",
            "has {n} happy new owners",
        ),
        "negative": ("profit fell in quarter {n}", "cut jobs at {n} plants", "faces {n} lawsuits", "warned for the time {n}"),
        "neutral": ("has {n} offices", "reports on day {n}", "moved to street {n}", "makes {n} kinds of paper"),
    }
    lines = [
        f"{firm} {form.format(n=n)} .@{label}"
        for n, firm in enumerate(("Alder Corp", "Birch and Sons", "Cedar Mills Ltd", "Dogwood Holding", "Elm Tree Foods"))
        for label, group in forms.items()
        for form in group
    ]
    path.write_text("\n".join(lines))
    return path


def test_a_fitted_model_is_measured_saved_and_scores(workspace: Workspace, tmp_path: Path) -> None:
    done = train_headline(workspace, labelled(tmp_path / "phrases.txt"), folds=3)
    assert done.texts == 60
    assert done.folder == tmp_path / "models" / "headline"
    assert done.groups <= 60
    assert done.out_of_fold.n == done.lexicon.n == 60
    assert "no weights are shipped" in done.note
    scored = score_texts(workspace, source=SOURCE, scorer="headline")
    assert scored.scorer == f"headline@{done.version[:16]}"
    assert train_headline(workspace, tmp_path / "phrases.txt", folds=3).version == done.version


def test_transfer_is_measured_on_numbers(workspace: Workspace, tmp_path: Path) -> None:
    rated = [("Profit rose", "0.5"), ("Profit fell", "-0.4"), ("Sued", "-0.9")]
    info = [{"sentence": text, "info": [{"target": "Firm", "sentiment_score": score}]} for text, score in rated]
    entries = {str(n): entry for n, entry in enumerate(info)}
    (tmp_path / "fiqa.json").write_text(json.dumps(entries))
    done = train_headline(workspace, labelled(tmp_path / "phrases.txt"), transfer=[tmp_path / "fiqa.json"], folds=3)
    assert done.transfer["fiqa.json"]["lexicon"].sign == 1.0
    assert set(done.as_dict()["transfer"]["fiqa.json"]) == {"headline", "lexicon"}


def test_files_that_teach_nothing_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    path = labelled(tmp_path / "phrases.txt")
    with pytest.raises(MissingData, match=r"absent\.txt"):
        train_headline(workspace, tmp_path / "absent.txt")
    with pytest.raises(InvalidInput, match="folds"):
        train_headline(workspace, path, folds=1)
    with pytest.raises(MissingData, match="with a score"):
        train_headline(workspace, path, transfer=[path], folds=3)
    with pytest.raises(MissingData, match="groups"):
        train_headline(workspace, path, folds=50)
