"""The leak test of a user's own code: what it tells beside the leak itself, and each way in which code can be unfit."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fieldcast.data import read_bundled
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.validation.leaks import (
    CallRunner,
    Cause,
    CodeDied,
    CodeFault,
    CodeNotFound,
    CodeRaised,
    FileRunner,
    Kind,
    NothingKnown,
    Outcome,
    TookTooLong,
    WrongRows,
    check_leaks,
)
from fieldcast.workflows import leaks

BARS = read_bundled("sp500")[1].tail(260)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def momentum(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.select("ts", momentum=pl.col("close") / pl.col("close").shift(20) - 1)


# what is told -----------------------------------------------------------------------------------------------------------


def test_each_column_is_judged_by_itself_and_the_report_says_when_and_how_far() -> None:
    def mixed(bars: pl.DataFrame) -> pl.DataFrame:
        return bars.with_columns(sound=pl.col("close").pct_change(), label=pl.col("close").shift(-3) / pl.col("close"))

    report = leaks(mixed, BARS)
    assert report.leaking == ("label",)
    assert {column.name: column.verdict for column in report.columns} == {"sound": Outcome.CLEAN, "label": Outcome.LEAK}
    found = report.finding("label")
    assert found is not None
    assert (found.cause, found.reach, found.whole_sample) == (Cause.SHIFT, 3, False)
    assert set(found.moved) >= {"cut", "replace", "up", "down", "shuffle"}
    assert all(example.rows_before < 3 for example in found.examples)  # no row further back than it reaches
    plain = report.as_dict()
    assert plain["outcome"] == "leak"
    assert plain["findings"][0]["cause"] == "shift"
    assert "shift" in report._repr_html_()


def test_the_decision_at_the_open_may_not_use_its_own_close() -> None:
    def gap(bars: pl.DataFrame) -> pl.DataFrame:
        before = pl.col("close").shift(1)
        late = (pl.col("high") / before).shift(1)
        return bars.select("ts", gap=pl.col("open") / before, day=pl.col("close") / before, late=late)

    assert leaks(gap, BARS).ok
    report = leaks(gap, BARS, decision="open")
    assert report.leaking == ("day",)
    found = report.finding("day", Kind.SAME_BAR)
    assert found is not None
    assert found.cause is Cause.OWN_BAR
    assert [column.reads_own_bar for column in report.columns] == [False, True, False]


def test_a_join_to_a_later_record_and_a_line_to_one_are_told_from_windows() -> None:
    def joined(bars: pd.DataFrame) -> dict[str, np.ndarray]:
        plain = bars.reset_index(drop=True)
        sparse = plain["close"].where(np.arange(len(plain)) % 10 == 0)
        record = plain.iloc[::20][["ts", "close"]]
        found = {how: pd.merge_asof(plain[["ts"]], record, on="ts", direction=how) for how in ("forward", "nearest", "backward")}
        out = {how: table["close"].to_numpy() for how, table in found.items()}
        named = pd.Series(plain["ts"]).dt.dayofweek.to_numpy()
        return out | {
            "filled": sparse.bfill().to_numpy(),
            "line": sparse.interpolate().to_numpy(),
            "mean_of_day": plain["volume"].groupby(named).transform("mean").to_numpy(),
        }

    report = leaks(joined, read_bundled("nasdaq")[1].tail(500))
    causes = {item.column: item.cause for item in report.findings if item.kind is Kind.LOOK_AHEAD}
    assert causes.pop("mean_of_day") in (Cause.WHOLE_SAMPLE_FIT, Cause.GLOBAL_RANK)
    assert causes == {
        "forward": Cause.BACK_FILL, "nearest": Cause.BACK_FILL, "filled": Cause.BACK_FILL, "line": Cause.INTERPOLATION
    }  # fmt: skip


def test_a_period_of_the_clock_is_named_and_the_only_day_of_a_sample_is_no_period() -> None:
    rng = np.random.default_rng(4)
    minutes = [datetime(2024, 1, 2 + day, 14, 30, tzinfo=UTC) + timedelta(minutes=i) for day in range(2) for i in range(300)]
    bars = pl.DataFrame({"ts": minutes, "close": 100 * np.exp(np.cumsum(1e-3 * rng.standard_normal(600)))})

    def spans(table: pl.DataFrame) -> pl.DataFrame:
        close, quarter = pl.col("close"), pl.col("ts").dt.truncate("15m")
        hour = pl.col("ts").dt.truncate("1h")
        return table.select(
            "ts",
            last=close.last().over(quarter),
            rank=close.rank().over(hour),
            so_far=close.cum_max().over(hour),
            z=close - close.mean(),
        )

    report = leaks(spans, bars)
    assert set(report.leaking) == {"last", "rank", "z"}
    last, rank = report.finding("last"), report.finding("rank")
    assert last is not None
    assert rank is not None
    assert last.cause is rank.cause is Cause.PERIOD_JOIN
    assert "15-minute" in last.text
    assert "hour" in rank.text
    one_day = leaks(spans, bars.head(300)).finding("z")
    assert one_day is not None
    assert one_day.cause is Cause.FULL_SAMPLE_NORMALISATION


def test_randomness_is_told_apart_from_a_leak() -> None:
    def noise(bars: pl.DataFrame) -> pl.DataFrame:
        return bars.select("ts", noise=pl.Series(np.random.default_rng().random(bars.height)), sound=pl.col("close").pct_change())

    report = leaks(noise, BARS)
    assert report.outcome is Outcome.CANNOT_JUDGE
    assert report.finding("noise", Kind.NONDETERMINISTIC) is not None
    assert report.finding("noise") is None
    assert not report.leaking


def test_code_that_remembers_earlier_calls_is_not_taken_for_sound() -> None:
    seen: list[float] = []

    def remembers(bars: dict) -> dict:
        seen.append(1.0)
        return {"x": bars["close"] + (len(seen) > 5)}

    report = leaks(remembers, BARS)
    assert report.finding("x", Kind.NONDETERMINISTIC) is not None


def test_a_stated_warm_up_is_held_to_and_memory_is_measured() -> None:
    def slow(bars: pd.DataFrame) -> pd.DataFrame:
        close = bars["close"]
        return pd.DataFrame({"window": close / close.rolling(30).mean(), "since": close / close.iloc[0]})

    report = leaks(slow, BARS)
    assert report.ok
    assert {column.name: column.memory for column in report.columns} == {"window": 29, "since": None}
    held = leaks(slow, BARS, warmup=29)
    assert held.outcome is Outcome.FAULT
    assert held.finding("since", Kind.HISTORY) is not None
    assert held.finding("window", Kind.HISTORY) is None
    assert leaks(slow, BARS, warmup=10).finding("window", Kind.HISTORY) is not None


def test_price_levels_are_noted_and_under_strict_refused() -> None:
    def level(bars: pl.DataFrame) -> pl.DataFrame:
        close = pl.col("close")
        return bars.select("ts", mean=close.rolling_mean(5), log=close.log(), ret=close.pct_change())

    report = leaks(level, BARS)
    assert report.ok
    assert [column.scale for column in report.columns] == ["level", "mixed", "free"]
    strict = leaks(level, BARS, strict=True)
    assert strict.outcome is Outcome.FAULT
    assert {item.column for item in strict.findings if item.fails} == {"mean", "log"}


def test_several_instruments_are_cut_at_one_time() -> None:
    rng = np.random.default_rng(0)
    start = datetime(2020, 1, 1, tzinfo=UTC)
    panel = pl.concat(
        pl.DataFrame(
            {"instrument": [name] * 200, "ts": [start + timedelta(days=i) for i in range(200)],
             "close": 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(200)))}
        )
        for name in ("A", "B", "C")
    )  # fmt: skip

    def across(bars: pl.DataFrame) -> pl.DataFrame:
        ret = pl.col("close").pct_change()
        return bars.select(
            rank=ret.over("instrument").rank().over("ts"),
            spilled=ret,  # from the last row of one instrument to the first of the next
            ever=pl.col("close").rank().over("instrument"),
        )

    report = leaks(across, panel)
    assert report.instruments == 3
    assert set(report.leaking) == {"spilled", "ever"}


@pytest.mark.parametrize("decision", ["close", "open"])
def test_the_answer_does_not_hang_on_the_seed(decision: str) -> None:
    def peeks(bars: pl.DataFrame) -> pl.DataFrame:
        return bars.select("ts", x=pl.col("close") / pl.col("high").rolling_max(5).shift(-4))

    for seed in range(3):
        assert leaks(peeks, BARS, decision=decision, seed=seed).leaking == ("x",)


def test_polars_pandas_and_arrays_are_told_apart_by_their_annotation_or_by_trying() -> None:
    def arrays(bars):
        return np.r_[np.nan, np.diff(bars["close"])] * bars["close"].dtype.itemsize

    def frame(bars):
        return bars["close"].ewm(span=5).mean()

    assert leaks(momentum, BARS).form == "polars"
    assert leaks(arrays, BARS).form in ("arrays", "polars", "pandas")
    assert leaks(frame, BARS).form == "pandas"
    with pytest.raises(CodeRaised, match="ewm"):
        leaks(frame, BARS, form="arrays")
    with pytest.raises(InvalidInput, match="polars, pandas, arrays"):
        leaks(frame, BARS, form="excel")


# code that is unfit -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault", "words"),
    [
        ("def f(bars):\n    raise ValueError('no such column')\n", CodeRaised, "no such column"),
        ("def f(bars: dict):\n    return bars['close'][:-3]\n", WrongRows, "one value for each of 260 bars, found 257"),
        ("def f(bars):\n    return 3.0\n", WrongRows, "one value a bar"),
        ("def f(bars: dict):\n    return {'x': bars['close'] * float('nan')}\n", NothingKnown, "found none in any column"),
        ("def f(bars: dict):\n    return {'close': bars['close']}\n", WrongRows, "only the bars"),
        ("import os\ndef f(bars):\n    os._exit(7)\n", CodeDied, "ended with 7"),
        ("import sys\nsys.exit(3)\n", CodeRaised, "ends the program"),
        ("raise RuntimeError('broken')\n", CodeRaised, "broken"),
        ("def f(:\n", CodeRaised, r"SyntaxError: invalid syntax \(mine.py, line 1\): def f\(:$"),
        ("def _g(x):\n    return x['a']\ndef f(b):\n    return _g(b)\n", CodeRaised, r"\(line 2 of mine.py: return x\['a'\]\)"),
        ("import sys\ndef f(bars):\n    sys.exit('no')\n", CodeRaised, r"SystemExit: no \(line 3 of mine.py"),
        ("def f(bars):\n    return bars\ndef g(bars):\n    return bars\n", CodeNotFound, "f, g"),
        ("x = 1\n", CodeNotFound, "found none"),
    ],
)
def test_unfit_code_is_refused_by_kind(tmp_path: Path, text: str, fault: type[CodeFault], words: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(fault, match=words):
        leaks(tmp_path / "mine.py", BARS)


def test_code_that_hangs_is_stopped_in_its_process_and_in_ours(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import time\ndef f(bars: dict):\n    time.sleep(60)\n")
    with pytest.raises(TookTooLong, match="within 3 s"):
        leaks(tmp_path / "mine.py", BARS, limit=3.0)

    def hangs(bars: dict) -> Any:
        while True:
            try:
                sum(range(1000))
            except Exception:  # noqa: BLE001, S112  what a user may write
                continue

    with pytest.raises(TookTooLong, match=r"within 0\.2 s"):
        leaks(hangs, BARS, limit=0.2)


def test_what_hanging_code_started_ends_with_it_and_code_that_closes_its_side_does_not_hang(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import subprocess, sys, time\nfrom pathlib import Path\n"
        "def f(bars: dict):\n"
        "    other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "    Path(__file__).with_name('pid').write_text(str(other.pid))\n    time.sleep(60)\n"
    )
    with pytest.raises(TookTooLong):
        leaks(tmp_path / "mine.py", BARS, limit=2.0)
    status = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    if Path("/proc").is_dir():
        deadline = time.monotonic() + 5.0
        while status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    (tmp_path / "mine.py").write_text("import os, time\ndef f(bars: dict):\n    os.closerange(3, 64)\n    time.sleep(60)\n")
    began = time.monotonic()
    with pytest.raises(CodeDied):
        leaks(tmp_path / "mine.py", BARS, limit=20.0)
    assert time.monotonic() - began < 20.0


def test_a_file_is_run_apart_with_what_it_prints_and_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("K = -1\n")
    (tmp_path / "mine.py").write_text(
        "import polars as pl\nfrom helper import K\nprint('loading')\n"
        "def other(bars: pl.DataFrame):\n    print('x' * 100000)\n    return bars.select('ts', r=pl.col('close').pct_change())\n"
        "def peek(bars: pl.DataFrame):\n    return bars.select('ts', r=pl.col('close').shift(K))\n"
    )
    before = set(sys.modules)
    assert leaks(tmp_path / "mine.py", BARS, function="other").ok
    report = leaks(tmp_path / "mine.py", BARS, function="peek", page=tmp_path / "page.html")
    assert report.leaking == ("r",)
    assert "helper" not in set(sys.modules) - before
    page = (tmp_path / "page.html").read_text()
    assert "look ahead" in page
    assert "shift by a positive number" in page.lower()
    with pytest.raises(CodeNotFound, match="a function none"):
        leaks(tmp_path / "mine.py", BARS, function="none")
    with FileRunner(tmp_path / "mine.py", name="other") as runner:
        process = runner._process
    assert process.poll() is not None


def test_where_altered_bars_make_it_raise_that_is_counted_and_told() -> None:
    def picky(bars: pl.DataFrame) -> pl.DataFrame:
        assert bars["close"].null_count() == 0, "no gaps, please"
        return bars.select("ts", r=pl.col("close").pct_change())

    report = leaks(picky, BARS)
    assert report.ok
    assert report.alterations["missing"][0] == 0
    assert report.alterations["missing"][1] > 5
    assert any(note.startswith("missing: not judged") and "no gaps" in note for note in report.notes)


def test_bars_of_ones_own_come_as_a_table_or_a_file(tmp_path: Path) -> None:
    BARS.select(Date=pl.col("ts").dt.date(), Close="close", Volume="volume").write_csv(tmp_path / "bars.csv")
    assert leaks(momentum, file=tmp_path / "bars.csv").rows == 260
    frame = pd.DataFrame({"Close": BARS["close"].to_numpy()}, index=pd.date_range("2018-01-01", periods=260))
    assert leaks(momentum, frame).rows == 260
    assert leaks(momentum, rows=150).data.startswith("XNAS:COMP")
    for wrong, error in (
        ({"bars": BARS, "data": "nasdaq"}, InvalidInput),
        ({"file": tmp_path / "none.csv"}, MissingData),
        ({"bars": BARS.head(50)}, MissingData),
        ({"bars": BARS.reverse()}, InvalidInput),
        ({"bars": BARS.drop("close")}, InvalidInput),
        ({"decision": "noon", "bars": BARS}, InvalidInput),
    ):
        with pytest.raises(error):
            leaks(momentum, **wrong)
    with pytest.raises(CodeNotFound, match="none at"):
        leaks(tmp_path / "none.py", BARS)


def test_check_leaks_takes_any_runner() -> None:
    assert check_leaks(CallRunner(momentum), BARS, data="x").data == "x"
