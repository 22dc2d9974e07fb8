"""Texts: labels and scores as the corpora give them, times where there are any."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.formats import Options
from fieldcast.data.importing import import_source
from fieldcast.ground import InvalidInput, Reason

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SENTENCES = [
    "Sales rose to EUR 5 mn .@positive",
    "Profit fell , the firm said .@negative",
    "See info@firm.com for more .@neutral",
]


@pytest.fixture
def bring(tmp_path: Path):
    def run(content: bytes, name: str):
        path = tmp_path / name
        path.write_bytes(content)
        store = MemoryStore()
        return import_source(path, Options(now=NOW), store=store), store

    return run


@pytest.mark.parametrize(
    "data",
    [
        "\r\n".join(SENTENCES).encode(),
        ("\ufeff" + "\n".join(SENTENCES)).encode(),
        ("\u00ef\u00bb\u00bf" + "\n".join(SENTENCES)).encode(),
        b"\xef\xbb\xbf" + "\n".join(SENTENCES).encode("latin-1"),
    ],
    ids=["plain", "byte order mark", "byte order mark read as Latin-1", "byte order mark before Latin-1"],
)
def test_a_sentence_ends_at_its_last_at_sign_whatever_the_file_begins_with(bring, data):
    report, store = bring(data, "Sentences.txt")
    rows = store.read("NEWS:PHRASEBANK", table="news")
    assert report.format == "phrasebank"
    assert rows["text"].to_list() == ["Sales rose to EUR 5 mn .", "Profit fell , the firm said .", "See info@firm.com for more ."]
    assert rows["label"].to_list() == ["positive", "negative", "neutral"]
    assert rows["score"].null_count() == 3  # a label is no number


def test_latin_letters_survive_and_lines_without_a_label_do_not(bring):
    report, store = bring(
        "\n".join([*SENTENCES, "Säästöpankki grew .@positive", "no label", "odd .@great"]).encode("latin-1"), "s.txt"
    )
    assert report.removed == {Reason.ROW_UNREADABLE: 2}
    assert store.read("NEWS:PHRASEBANK", table="news")["text"][3] == "Säästöpankki grew ."


def fiqa(**scores: object) -> bytes:
    return json.dumps(
        {
            id: {"sentence": f"News {id}", "info": [{"target": "Firm", "sentiment_score": score, "aspects": "[]"}]}
            for id, score in scores.items()
        }
    ).encode()


def test_scores_are_numbers_though_the_file_has_them_as_text(bring):
    report, store = bring(fiqa(a="-0.161", b="0.446", c="nan", d="1.5", e=None, f="0"), "fiqa.json")
    rows = store.read("NEWS:FIQA", table="news")
    assert rows.select("item", "score", "subject").rows() == [
        ("a/0", -0.161, "Firm"),
        ("b/0", 0.446, "Firm"),
        ("f/0", 0.0, "Firm"),
    ]
    assert report.removed == {Reason.ROW_UNREADABLE: 3}
    with pytest.raises(InvalidInput, match="JSON"):
        bring(fiqa(a="0.1")[:-3], "fiqa.json")


def test_half_a_surrogate_pair_in_an_id_costs_its_entry_only(bring):
    report, store = bring(fiqa(a="0.1", **{"b\ud800": "0.2"}), "fiqa.json")
    assert store.read("NEWS:FIQA", table="news")["item"].to_list() == ["a/0"]
    assert report.removed == {Reason.ROW_UNREADABLE: 1}


HEADLINES = """# \u7b80\u62a5 (2024-01-05)

## \U0001f30d \u5b8f\u89c2 (SPY \u6807\u666e500)

### \u6807\u9898
> **\u53d1\u5e03\u65f6\u95f4:** 2024-01-05T21:00:43Z | **\u6765\u6e90:** Wire
>
> **\u539f\u6587\u6807\u9898:** Stocks Rise

\u80a1\u7968\u4e0a\u6da8\u3002

[link](https://example.com)

---

## \U0001f4c8 \u4e2a\u80a1\u65b0\u95fb: AAPL

### \u65e0\u65f6\u95f4
> **\u539f\u6587\u6807\u9898:** No Time

### \u6807\u9898
> **\u53d1\u5e03\u65f6\u95f4:** 2024-01-05T20:00:00Z | **\u6765\u6e90:** Wire
>
> **\u539f\u6587\u6807\u9898:** Stocks Rise

\u80a1\u7968\u4e0a\u6da8\u3002
"""


def test_a_headline_is_its_english_title_and_its_chinese_summary(bring):
    report, store = bring(HEADLINES.encode(), "2024-01-05.md")
    rows = store.read("NEWS:YAHOO", table="news")
    assert report.removed == {Reason.ROW_UNREADABLE: 1}
    assert rows.filter(pl.col("language") == "en").select("ts", "subject", "text").rows() == [
        (datetime(2024, 1, 5, 20, tzinfo=UTC), "AAPL", "Stocks Rise"),
        (datetime(2024, 1, 5, 21, 0, 43, tzinfo=UTC), "SPY", "Stocks Rise"),
    ]
    assert rows.filter(pl.col("language") == "zh")["text"].unique().to_list() == ["\u80a1\u7968\u4e0a\u6da8\u3002"]
    assert rows["label"].null_count() == rows["score"].null_count() == 4


# real files ---------------------------------------------------------------------------------------------------------


def real(realdata: Path, name: str):
    store = MemoryStore()
    return import_source(realdata / "news" / name, Options(now=NOW), store=store), store


def test_the_phrasebank_s_classes_are_as_unbalanced_as_published(realdata):
    report, store = real(realdata, "financial_phrasebank_Sentences_50Agree.txt.gz")
    rows = store.read("NEWS:PHRASEBANK", table="news")
    assert (report.format, report.rows_kept, report.removed) == ("phrasebank", 4846, {})
    assert dict(rows["label"].value_counts().iter_rows()) == {"neutral": 2879, "positive": 1363, "negative": 604}
    assert rows["text"][0].startswith("According to Gran")
    assert not rows["text"].str.contains("\ufeff|\u00ef\u00bb\u00bf|\ufffd").any()


def test_fiqa_s_scores_lie_between_minus_one_and_one(realdata):
    for name, sentences, targets in (("headline", 100, 119), ("post", 100, 100)):
        report, store = real(realdata, f"fiqa_task1_{name}_ABSA_test.json.gz")
        rows = store.read("NEWS:FIQA", table="news")
        assert (report.rows_kept, report.removed) == (targets, {})
        assert rows["item"].str.split("/").list.first().n_unique() == sentences
        assert rows["score"].is_between(-1, 1).all()
        assert rows["score"].n_unique() > 50


def test_headlines_of_march_2026_have_two_languages_and_their_times(realdata):
    report, store = real(realdata, "yahoo_headlines_unlabelled_2026-03-20.md.gz")
    rows = store.read("NEWS:YAHOO", table="news")
    assert report.removed == {}
    assert dict(rows["language"].value_counts().iter_rows()) == {"en": 60, "zh": 60}
    assert {"SPY", "QQQ", "AAPL", "NVDA"} <= set(rows["subject"])
    first = rows.filter(pl.col("text") == "March Madness Sees The S&P 500 Master The Art Of 'The Head Fake'").row(0, named=True)
    assert (first["ts"], first["subject"]) == (datetime(2026, 3, 20, 21, 0, 43, tzinfo=UTC), "SPY")
