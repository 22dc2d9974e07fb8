"""Texts about companies: Financial PhraseBank, FiQA, and headlines collected as Markdown.

PhraseBank and FiQA are labelled corpora without dates. Their rows carry the day on which the corpus was published (nobody could
have used the label before) with reason `availability_assumed`; they are for fitting and testing a scorer, not for history.

- PhraseBank: `sentence@label`, label positive, neutral or negative; UTF-8 or Latin-1, sometimes with a byte order mark, or with
  the three letters that a byte order mark becomes when UTF-8 is read as Latin-1. Malo et al., "Good debt or bad debt",
  arXiv 1307.5336.
- FiQA 2018 task 1: id → sentence and targets; `sentiment_score` is a string with a number in [-1, 1]. Open Challenge at WWW'18.
- Headlines: Markdown with a section an index or ticker, a Chinese title, the original English one, source and UTC time; no label.
  The English title and the Chinese summary are two rows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl

from fieldcast.data.formats.contract import Format, Options, Parsed
from fieldcast.data.formats.frames import rejects, rows_of
from fieldcast.data.formats.source import Sample, Source
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market.tables import NEWS

LABELS = ("negative", "neutral", "positive")
PHRASEBANK_PUBLISHED = datetime(2013, 7, 19, tzinfo=UTC)
FIQA_PUBLISHED = datetime(2018, 4, 23, tzinfo=UTC)
_MARK, _MOJIBAKE = "\ufeff", "\u00ef\u00bb\u00bf"
_SECTION = re.compile(r"^## .*?(?:\(([A-Z^.]{1,8})\b.*\)|[:\uff1a] *([A-Z^.]{1,8})) *$")
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})Z")
_ORIGINAL = re.compile(r"^> \*\*\u539f\u6587\u6807\u9898:\*\* *(.+)$")  # "original title"
_MARKDOWN = re.compile(r"^\[.*\]\(.*\)$|^-{3,}$|^> *$|^> ")


def read_phrasebank(source: Source, options: Options) -> Iterator[Parsed]:
    """Sentences and their labels.

    Raises
    ------
    InvalidInput : the file is empty
    """
    lines = [_text(line) for line in source.data().splitlines()]
    if lines:
        lines[0] = lines[0].removeprefix(_MARK).removeprefix(_MOJIBAKE)
    table = pl.DataFrame({"row": range(len(lines)), "line": lines}, {"row": pl.Int64(), "line": pl.String()})
    table = table.filter(pl.col("line").str.strip_chars() != "")
    if table.is_empty():
        raise InvalidInput(f"expected lines of sentence@label in {source.name}, found none")
    parts = pl.col("line").str.extract_groups(r"^(.*\S)\s*@([a-z]+)\s*$")
    table = table.with_columns(text=parts.struct.field("1"), label=parts.struct.field("2"))
    sound = pl.col("label").is_in(LABELS).fill_null(value=False) & (pl.col("text").str.strip_chars() != "")
    broken = table.filter(~sound)
    rows = table.filter(sound).select(
        instrument=pl.lit("NEWS:PHRASEBANK"),
        ts=pl.lit(PHRASEBANK_PUBLISHED).dt.cast_time_unit("us"),
        item=pl.col("row").cast(pl.String).str.zfill(6),
        text=pl.col("text").str.strip_chars(),
        label="label",
        language=pl.lit("en"),
        reasons=pl.lit(str(Reason.AVAILABILITY_ASSUMED)),
    )
    yield _part(rows, rejects(broken["row"], broken["line"]), "no dates: rows carry the day on which the corpus was published")


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def read_fiqa(source: Source, options: Options) -> Iterator[Parsed]:
    """Sentences, each with its targets and their scores.

    Raises
    ------
    InvalidInput : the file is no JSON object of FiQA's entries
    """
    try:
        content = json.loads(source.data())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"expected {source.name} to be JSON, found: {str(error)[:200]}; fetch it again") from None
    if not isinstance(content, dict) or not content:
        raise InvalidInput(f"expected an object of entries in {source.name}, found {type(content).__name__}")
    rows: list[dict[str, Any]] = []
    broken: list[tuple[int, str]] = []
    for place, (id, entry) in enumerate(content.items()):
        found = _fiqa_rows(id, entry)
        rows += found
        if not found:
            broken.append((place, f"{id.encode('utf-8', 'backslashreplace').decode()}: {json.dumps(entry)[:200]}"))
    schema = {"item": pl.String(), "text": pl.String(), "subject": pl.String(), "score": pl.Float64()}
    frame = pl.DataFrame(rows, schema=schema).with_columns(
        instrument=pl.lit("NEWS:FIQA"),
        ts=pl.lit(FIQA_PUBLISHED).dt.cast_time_unit("us"),
        language=pl.lit("en"),
        reasons=pl.lit(str(Reason.AVAILABILITY_ASSUMED)),
    )
    unread = rejects([place for place, _ in broken], [text for _, text in broken])
    yield _part(frame, unread, "no dates: rows carry the day on which the challenge was held")


def _fiqa_rows(id: str, entry: object) -> list[dict[str, Any]]:
    """The targets of an entry; none where it cannot be read as a whole."""
    if not isinstance(entry, dict) or not isinstance(entry.get("sentence"), str) or not isinstance(entry.get("info"), list):
        return []
    rows = []
    for place, info in enumerate(entry["info"]):
        target, score = (info.get("target"), _score(info.get("sentiment_score"))) if isinstance(info, dict) else (None, None)
        if not isinstance(target, str) or score is None:
            return []
        if not all(_sayable(text) for text in (id, entry["sentence"], target)):
            return []
        rows.append({"item": f"{id}/{place}", "text": entry["sentence"], "subject": target, "score": score})
    return rows


def _sayable(text: str) -> bool:
    """False for the half of a surrogate pair, which JSON can hold and UTF-8 cannot."""
    return text != "" and not any("\ud800" <= letter <= "\udfff" for letter in text)


def _score(value: object) -> float | None:
    """The number that a score's text holds, where it lies in [-1, 1]."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    try:
        score = float(value)
    except (ValueError, OverflowError):
        return None
    return score if -1 <= score <= 1 else None


def read_headlines(source: Source, options: Options) -> Iterator[Parsed]:
    """Headlines by section.

    Raises
    ------
    InvalidInput : no headline with its time
    """
    rows: list[dict[str, Any]] = []
    broken: list[tuple[int, str]] = []
    for place, subject, lines in _articles(source.data().decode("utf-8", "replace").splitlines()):
        found = _article(subject, lines)
        rows += found
        if not found:
            broken.append((place, lines[0]))
    if not rows:
        raise InvalidInput(f"expected headlines with their times in {source.name}, found none that can be read")
    schema = {"ts": pl.String(), **dict.fromkeys(("item", "text", "subject", "language"), pl.String())}
    ts = pl.col("ts").str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False, time_unit="us").dt.replace_time_zone("UTC")
    frame = pl.DataFrame(rows, schema=schema).with_columns(ts, instrument=pl.lit("NEWS:YAHOO")).unique(maintain_order=True)
    unread = rejects([place for place, _ in broken], [text for _, text in broken])
    yield _part(frame, unread, "titles in English, summaries in Chinese")


def _articles(lines: list[str]) -> Iterator[tuple[int, str | None, list[str]]]:
    """Place, section and lines of each article."""
    subject: str | None = None
    article: list[str] = []
    start = 0
    for place, line in enumerate(lines):
        if line.startswith(("## ", "### ")):
            if article:
                yield start, subject, article
            article = []
            if line.startswith("### "):
                article, start = [line], place
            else:
                found = _SECTION.match(line.rstrip())
                subject = (found[1] or found[2]) if found else None
        elif article:
            article.append(line)
    if article:
        yield start, subject, article


def _article(subject: str | None, lines: list[str]) -> list[dict[str, Any]]:
    time = next((found[1] for line in lines if (found := _TIME.search(line))), None)
    title = next((found[1].strip() for line in lines if (found := _ORIGINAL.match(line))), None)
    if time is None or not title:
        return []
    item = f"{hashlib.sha256(title.encode()).hexdigest()[:16]}/{subject or 'market'}"
    rows = [{"ts": time, "item": f"{item}/title", "text": title, "subject": subject, "language": "en"}]
    summary = " ".join(line.strip() for line in lines[1:] if line.strip() and not _MARKDOWN.match(line)).strip()
    if summary:
        rows.append({"ts": time, "item": f"{item}/summary", "text": summary, "subject": subject, "language": "zh"})
    return rows


def _part(rows: pl.DataFrame, unread: pl.DataFrame, note: str) -> Parsed:
    return Parsed(NEWS.name, rows_of(NEWS, rows), rejects=unread, notes=(note,))


def _is_phrasebank(sample: Sample) -> bool:
    lines = sample.head.decode("utf-8", "replace").splitlines()[:-1] or [sample.first_line]
    return not sample.members and sum(bool(re.search(rf"@({'|'.join(LABELS)})\s*$", line)) for line in lines) > len(lines) / 2


def _is_fiqa(sample: Sample) -> bool:
    return not sample.members and sample.head.lstrip().startswith(b"{") and b'"sentiment_score"' in sample.head


def _is_headlines(sample: Sample) -> bool:
    head = sample.head.decode("utf-8", "replace")
    return sample.name.endswith(".md") and not sample.members and "\u539f\u6587\u6807\u9898" in head


PHRASEBANK = Format(
    "phrasebank", "Financial PhraseBank: sentence@label", (NEWS.name,), "A: Sentences_50Agree, 4,846 sentences",
    _is_phrasebank, read_phrasebank,
)
FIQA = Format(
    "fiqa", "FiQA 2018 task 1: sentences with targets and scores", (NEWS.name,), "A: test files of headlines and posts",
    _is_fiqa, read_fiqa,
)
HEADLINES = Format(
    "headlines-markdown", "Yahoo headlines collected as Markdown, Chinese summary and English title", (NEWS.name,),
    "A: the collection of 2026-03-20", _is_headlines, read_headlines,
)
FORMATS = (PHRASEBANK, FIQA, HEADLINES)
