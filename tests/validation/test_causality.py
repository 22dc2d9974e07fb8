"""The causality loop: silent on clean columns, and every planted leak is caught and named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import polars.selectors as cs
import pytest

from fieldcast import features
from fieldcast.ground import InvalidInput, MissingData
from fieldcast.indicators import RECURSIVE, EmaStep
from fieldcast.market import BARS, DECISION_DELAY, STAMP, conform
from fieldcast.validation.causality import check_causality
from fieldcast.validation.causality_report import CausalityReport, Kind
from fieldcast.validation.steps import check_steps


@dataclass(frozen=True)
class Column:
    name: str
    warmup: int
    level: bool = False
    inputs: tuple[str, ...] = ("close",)


def make_bars(n: int, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    step = 0.012 * random.standard_normal(n)
    close = 100 * np.exp(np.cumsum(step))
    opened = close * np.exp(-0.7 * step)
    ts = [datetime(2001, 1, 1, 21, tzinfo=UTC) + timedelta(days=day) for day in range(n)]
    frame = pl.DataFrame(
        {
            "instrument": ["XTST:SIM"] * n,
            "ts": pl.Series(ts, dtype=STAMP),
            "open": opened,
            "high": np.maximum(opened, close) * (1 + 0.006 * random.random(n)),
            "low": np.minimum(opened, close) * (1 - 0.006 * random.random(n)),
            "close": close,
            "volume": 1e6 * np.exp(0.4 * random.standard_normal(n)),
            "reasons": pl.Series([None] * n, dtype=pl.String),
        }
    ).with_columns(available_at="ts")
    return conform(frame, BARS)


BARS_600 = make_bars(600)
VIX = BARS_600.select(
    "ts",
    available_at=pl.col("ts") + timedelta(minutes=15),
    close=pl.Series(15 + 5 * np.sin(np.arange(600) / 9) + np.random.default_rng(1).random(600)),
)


def table_of(**expressions: pl.Expr) -> Callable[[pl.DataFrame, Mapping[str, pl.DataFrame]], pl.DataFrame]:
    def compute(bars: pl.DataFrame, covariates: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        return bars.select("ts", **expressions).with_columns(cs.float().fill_nan(None))

    return compute


def check(column: Column, expression: pl.Expr, times: int = 25) -> CausalityReport:
    return check_causality([column], table_of(**{column.name: expression}), BARS_600, times=times)


RETURN = (pl.col("close") / pl.col("close").shift(1)).log()
MEAN_20 = pl.col("close").log() - pl.col("close").log().rolling_mean(20)


def test_clean_columns_pass_and_the_report_says_how_much_was_looked_at() -> None:
    report = check(Column("mean", 19), MEAN_20)
    assert report.ok
    assert report.times == {Kind.TRUNCATION: 25, Kind.PREFIX: 25, Kind.SCALE: 1}
    assert report.least_times[Kind.PREFIX] == 25
    assert report.comparisons[Kind.TRUNCATION] > 2000
    assert "1 columns causal" in str(report)


LEAKS: dict[str, tuple[Column, pl.Expr, Kind]] = {
    "centred window": (Column("x", 4), RETURN.rolling_mean(9, center=True), Kind.TRUNCATION),
    "shift by minus one": (Column("x", 1), RETURN.shift(-1).shift(0), Kind.TRUNCATION),
    "scaler over the whole frame": (
        Column("x", 1),
        (RETURN - RETURN.mean()) / RETURN.std(),
        Kind.TRUNCATION,
    ),
    "rank over the whole frame": (Column("x", 1), RETURN.rank() / pl.len(), Kind.TRUNCATION),
    "filled backward": (
        Column("x", 1),
        pl.when(RETURN > 0).then(RETURN).fill_null(strategy="backward"),
        Kind.TRUNCATION,
    ),
    "interpolated": (Column("x", 1), pl.when(RETURN > 0.01).then(RETURN).interpolate(), Kind.TRUNCATION),
    "understated window": (
        Column("x", 10),
        pl.when(pl.int_range(pl.len()) >= 10).then(RETURN.rolling_mean(20, min_samples=5)),
        Kind.PREFIX,
    ),
    "understated recursion": (
        Column("x", 60),
        pl.when(pl.int_range(pl.len()) >= 60).then(pl.col("close").ewm_mean(span=50) / pl.col("close")),
        Kind.PREFIX,
    ),
    "dependence on where history starts": (
        Column("x", 1),
        pl.when(pl.int_range(pl.len()) >= 1).then((pl.col("close") / pl.col("close").first()).log()),
        Kind.PREFIX,
    ),
    "cumulative sum": (
        Column("x", 1),
        pl.when(pl.int_range(pl.len()) >= 1).then(RETURN.fill_null(0).sign().cum_sum()),
        Kind.PREFIX,
    ),
    "undeclared price level": (Column("x", 1), pl.col("close").shift(1), Kind.SCALE),
    "undeclared volume level": (Column("x", 1, inputs=("volume",)), pl.col("volume").shift(1), Kind.SCALE),
    "value within the warm-up": (Column("x", 30), MEAN_20, Kind.EARLY),
    "never a value": (Column("x", 1), pl.lit(None, dtype=pl.Float64), Kind.NEVER_KNOWN),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_caught(leak: str) -> None:
    column, expression, kind = LEAKS[leak]
    report = check(column, expression)
    assert not report.ok
    assert report.of(kind) == {"x"}
    assert "x" in str(report)


def test_a_violation_names_column_time_kind_and_both_values() -> None:
    column, expression, _ = LEAKS["shift by minus one"]
    found = next(v for v in check(column, expression).violations if v.kind is Kind.TRUNCATION)
    row = BARS_600["ts"].index_of(found.ts)
    assert row is not None
    assert found.full == pytest.approx(np.log(BARS_600["close"][row + 1] / BARS_600["close"][row]))
    assert found.altered is None
    assert str(found).startswith("x truncation at 200")


def test_a_declared_level_may_move_and_an_honest_window_may_be_long() -> None:
    assert check(Column("x", 1, level=True), pl.col("close").shift(1)).ok
    assert check(Column("x", 20), RETURN.rolling_mean(20)).ok
    warm = pl.when(pl.int_range(pl.len()) >= 400).then(pl.col("close").ewm_mean(span=50) / pl.col("close"))
    assert check(Column("x", 400), warm).ok


def test_a_leak_in_one_column_is_not_laid_at_the_door_of_another() -> None:
    compute = table_of(good=MEAN_20, bad=RETURN.shift(-1))
    report = check_causality([Column("good", 19), Column("bad", 1)], compute, BARS_600, times=10)
    assert report.of(Kind.TRUNCATION) == {"bad"}
    assert {violation.column for violation in report.violations} == {"bad"}


def test_what_is_registered_must_be_computed_and_the_other_way_round() -> None:
    report = check_causality([Column("a", 1), Column("b", 1)], table_of(a=RETURN, c=RETURN), BARS_600, times=5)
    assert report.of(Kind.NOT_COMPUTED) == {"b"}
    assert report.of(Kind.NOT_REGISTERED) == {"c"}


def test_nan_and_infinity_in_a_table_are_violations() -> None:
    def compute(bars: pl.DataFrame, covariates: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        return bars.select("ts", x=pl.when(pl.int_range(pl.len()) == 300).then(float("inf")).otherwise(RETURN))

    assert check_causality([Column("x", 1)], compute, BARS_600, times=5).of(Kind.NOT_FINITE) == {"x"}


def test_text_truth_values_and_times_are_checked_like_numbers() -> None:
    direction = pl.when(RETURN > 0).then(pl.lit("up")).when(RETURN <= 0).then(pl.lit("down"))
    clean = table_of(text=direction, flag=RETURN > 0, when=pl.col("ts").shift(1))
    columns = [Column("text", 1), Column("flag", 1), Column("when", 1)]
    assert check_causality(columns, clean, BARS_600, times=10).ok
    leaky = table_of(text=direction.shift(-1), flag=(RETURN > 0).shift(-1), when=pl.col("ts").shift(-1))
    report = check_causality(columns, leaky, BARS_600, times=10)
    assert report.of(Kind.TRUNCATION) == {"text", "flag", "when"}


# covariates -----------------------------------------------------------------------------------------------------------

VIX_COLUMNS = {name: features.REGISTRY[name] for name in features.columns(["vix"])}


def joined(*, by: str) -> Callable[[pl.DataFrame, Mapping[str, pl.DataFrame]], pl.DataFrame]:
    """VIX joined to the bars by when it was available (right) or by its date (wrong)."""

    def compute(bars: pl.DataFrame, covariates: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        vix = covariates["vix"].select(pl.col(by).alias("key"), x="close").sort("key")
        left = bars.select("ts", key=pl.col("ts") + DECISION_DELAY)
        found = left.join_asof(vix, on="key", tolerance=timedelta(hours=23))
        return found.select("ts", x=pl.when(pl.int_range(pl.len()) >= 1).then("x"))

    return compute


def test_the_vix_block_uses_nothing_that_was_published_later() -> None:
    def compute(bars: pl.DataFrame, covariates: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        return features.compute(bars, ["vix"], covariates["vix"])

    report = check_causality(VIX_COLUMNS, compute, BARS_600, covariates={"vix": VIX}, times=25)
    assert report.ok, str(report)
    assert report.times[Kind.VINTAGE] == 40
    gappy = VIX.filter(pl.int_range(pl.len()) % 37 != 5).with_columns(
        pl.when(pl.int_range(pl.len()) % 53 == 7)
        .then(pl.col("available_at") + timedelta(days=2))
        .otherwise(pl.col("available_at"))
        .alias("available_at")
    )
    report = check_causality(VIX_COLUMNS, compute, BARS_600, covariates={"vix": gappy}, times=25)
    assert report.ok, str(report)


def test_a_join_by_date_is_caught_by_its_vintage() -> None:
    column = Column("x", 1, inputs=("vix",))
    assert check_causality([column], joined(by="available_at"), BARS_600, covariates={"vix": VIX}, times=25).ok
    report = check_causality([column], joined(by="ts"), BARS_600, covariates={"vix": VIX}, times=25)
    assert report.of(Kind.VINTAGE) == {"x"}


def test_a_covariate_that_is_always_published_late_is_caught_by_truncation() -> None:
    late = VIX.with_columns(available_at=pl.col("ts") + timedelta(minutes=45))
    column = Column("x", 1, inputs=("vix",))
    report = check_causality([column], joined(by="ts"), BARS_600, covariates={"vix": late}, times=25)
    assert report.of(Kind.TRUNCATION) == {"x"}


def test_a_table_that_ignores_when_a_bar_was_known_is_caught_where_bars_are_restated() -> None:
    columns = {name: features.REGISTRY[name] for name in features.columns(["volatility"])}
    honest = check_causality(
        columns,
        lambda bars, _: features.compute(bars, ["volatility"]),
        BARS_600,
        times=25,
        restated_bars=True,
    )
    assert honest.ok, str(honest)
    assert honest.times[Kind.VINTAGE] == 40
    report = check_causality([Column("x", 19)], table_of(x=MEAN_20), BARS_600, times=25, restated_bars=True)
    assert report.of(Kind.VINTAGE) == {"x"}


# the loop itself ------------------------------------------------------------------------------------------------------


def test_too_few_bars_no_columns_and_other_rows_are_refused() -> None:
    with pytest.raises(MissingData, match="longest warm-up of 700"):
        check(Column("x", 700), MEAN_20)
    with pytest.raises(InvalidInput, match="at least one registered column"):
        check_causality([], table_of(), BARS_600)
    with pytest.raises(InvalidInput, match="one row for each"):
        check_causality([Column("x", 1)], lambda bars, _: bars.select("ts", x="close").head(5), BARS_600)
    with pytest.raises(InvalidInput, match="scale other than 1"):
        check_causality([Column("x", 1)], table_of(x=RETURN), BARS_600, times=1, scale=1.0)


def test_the_same_seed_looks_at_the_same_times() -> None:
    column, expression, _ = LEAKS["scaler over the whole frame"]
    assert check(column, expression).violations == check(column, expression).violations


def test_every_registered_feature_passes_on_a_small_random_market() -> None:
    bars = make_bars(1300, 4)
    level = pl.Series(12 + 9 * np.random.default_rng(2).random(1300))
    vix = bars.select("ts", available_at=pl.col("ts") + timedelta(minutes=15), close=level)
    report = check_causality(
        features.REGISTRY,
        lambda bars, covariates: features.compute(bars, features.blocks(), covariates["vix"]),
        bars,
        covariates={"vix": vix},
        times=12,
        late_rows=12,
    )
    assert report.ok, str(report)
    assert report.columns == tuple(features.REGISTRY)


# batch = steps --------------------------------------------------------------------------------------------------------


def test_every_recursive_indicator_fed_row_by_row_equals_its_batch() -> None:
    report = check_steps(RECURSIVE.values(), BARS_600.head(300))
    assert report.ok, str(report)
    assert set(report.columns) == set(RECURSIVE)


def test_a_step_form_that_differs_from_its_batch_is_caught() -> None:
    planted = replace(RECURSIVE["ema_20"], step=lambda: EmaStep(21))
    report = check_steps([planted, RECURSIVE["rsi_14"]], BARS_600.head(100))
    assert report.of(Kind.STEPS) == {"ema_20"}
    assert check_steps([RECURSIVE["dema_90"]], BARS_600.head(50)).of(Kind.NEVER_KNOWN) == {"dema_90"}
    with pytest.raises(InvalidInput, match="at least one"):
        check_steps([], BARS_600)
