"""Is the feature table right? Four questions to it, each with other means than those it was made with.

    derivation  the value follows from the declared formula: computed again from the last `warmup` rows alone, word by word by its
                definition (`tiers.rederive`), which also proves that the declared look-back is enough
    range       every value lies within the declared bounds
    logic       what must hold between columns holds: the worst 1 % is not above the worst 5 %, no row is above and below an
                average at once, and so on (`RULES`)
    event       on known dates of real markets, columns are extreme in the direction that history says (`EVENTS`): in the named
                share of their own last 1250 values

Derivation covers the columns whose formula is a formula of the tiers' language: those of a20, volatility and every tier.
`VIX_FORMULAS` are over rows of VIX, which are not those of the table; the pinned values of the block are worked out with them.
What an engine registers as a field is derived a second time in that engine's own tests.

Source: the validation harness of the ts-scaling study (formula, range, truncation, logic, sample dates); truncation is
`validation.causality`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcast.features import tiers
from fieldcast.features._inputs import Array, read_bars
from fieldcast.features._registry import registry
from fieldcast.ground import InvalidInput, MissingData

TOLERANCE = 1e-6  # what history older than the warm-up may do to a value
ROUNDING = 1e-9
LOOK_BACK = 1250  # rows of a column's own past that an event is compared with

_A20 = {
    **{f"close_to_dema_{p}": f"log(C / dema(C, {p}))" for p in (9, 10, 20, 25, 90)},
    **{f"close_to_sma_{p}": f"log(C / mean(C, {p}))" for p in (12, 50, 100, 200)},
    "rsi_14": "rsi(C, 14)",
    "rsi_weekly": "block_rsi(C, 50)",
    "stochrsi_14": "place(rsi(C, 14), 5)",
    "stochrsi_weekly": "block_stochrsi(C, 50)",
    "macd_to_close": "(ema(C, 12) - ema(C, 26)) / C",
    "obv_20": "sum(sign(R) * V, 20) / sum(V, 20)",
    # EMA_p of a running sum less the sum itself is - k/(1 - k) EMA_p of what is added, k = (p - 1)/(p + 1)
    "adosc_to_volume": "(4.5 * ema(AD, 10) - ema(AD, 3)) / mean(V, 20)",
    "atr_to_close": "atr(14) / C",
    "adx_14": "adx(14)",
    "percent_b_20": "(C - mean(C, 20) + 2 * std(C, 20)) / (4 * std(C, 20))",
    "close_to_vwap_20": "log(C / (mean(C * V, 20) / mean(V, 20)))",
}
_VOLATILITY = {
    **{f"rv_{w}": f"log(mean(R * R, {w}) + 0.00000001) / 2" for w in (1, 5, 22)},
    **{f"parkinson_{w}": f"log(mean(REACH * REACH, {w}) / (4 * log(2)) + 0.00000001) / 2" for w in (1, 5, 22)},
    **{
        f"garman_klass_{w}": f"log(mean(most(REACH * REACH / 2 - (2 * log(2) - 1) * BODY * BODY, 0), {w}) + 0.00000001) / 2"
        for w in (1, 5, 22)
    },
    "overnight_share_22": "mean(GAP * GAP, 22) / (mean(GAP * GAP, 22) + mean(BODY * BODY, 22))",
    "log_atr_percent": "log(100 * atr(14) / C)",
}
FORMULAS: Mapping[str, str] = MappingProxyType(
    {**_A20, **_VOLATILITY, **{column.name: column.formula for column in tiers.COLUMNS}}
)
"""A formula in the tiers' language for every column that has one, by name."""

VIX_FORMULAS: Mapping[str, str] = MappingProxyType(
    {
        "vix_close": "C",
        "vix_sma_10": "mean(C, 10)",
        "vix_sma_20": "mean(C, 20)",
        "vix_percentile_60": "100 * rank(C, 60)",
        "vix_zscore_20": "known((C - mean(C, 20)) / (std(C, 20) * sqrt(20 / 19)), 0)",
        "vix_change_1": "C / lag(C, 1) - 1",
        "vix_change_5": "C / lag(C, 5) - 1",
    }
)
"""The VIX block over the closes of VIX as C; its regime has cuts in index points and is a rule of its own."""


class Check(StrEnum):
    """Which of the questions."""

    DERIVATION = "derivation"
    RANGE = "range"
    LOGIC = "logic"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Finding:
    """One column (or rule) that answered wrongly, where, and what was expected."""

    check: Check
    subject: str
    ts: datetime | None
    expected: str
    found: float | None

    def __str__(self) -> str:
        when = "" if self.ts is None else f" at {self.ts.isoformat()}"
        return f"{self.subject} {self.check}{when}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was asked, how often, and what was found."""

    asked: Mapping[str, int]  # by subject: a column, or a rule
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return not self.findings


def check_derivation(table: pl.DataFrame, bars: pl.DataFrame, rows: Sequence[int], names: Iterable[str] | None = None) -> Verdict:
    """Every column with a formula (or those named) at these rows of the table, again from the rows behind it alone.

    Parameters
    ----------
    table : of `features.compute` on `bars`, n rows
    rows : places in the table; a column that is null there by its warm-up is not asked

    Raises
    ------
    InvalidInput : a named column has no formula, or table and bars differ in length
    """
    chosen = [name for name in FORMULAS if name in table.columns] if names is None else list(names)
    unknown = [name for name in chosen if name not in FORMULAS]
    if unknown or table.height != bars.height:
        raise InvalidInput(f"expected columns with a formula and as many bars as rows, found {unknown or bars.height}")
    inputs = read_bars(bars)
    leaves = {"O": inputs.open, "H": inputs.high, "L": inputs.low, "C": inputs.close, "V": inputs.volume} | tiers.calendar(inputs)
    asked: dict[str, int] = {}
    found: list[Finding] = []
    for row in rows:
        shared: dict[int, tuple[dict[str, Array], dict[int, Array]]] = {}
        for name in chosen:
            warmup = max(registry()[name].warmup, tiers.read(FORMULAS[name]).warmup)
            if row < warmup:
                continue
            if warmup not in shared:
                shared[warmup] = ({leaf: values[row - warmup : row + 1] for leaf, values in leaves.items()}, {})
            expected = float(tiers.rederive(FORMULAS[name], *shared[warmup])[-1])
            value = table[name][row]
            asked[name] = asked.get(name, 0) + 1
            if not _same(expected, np.nan if value is None else value, TOLERANCE):
                found.append(Finding(Check.DERIVATION, name, bars["ts"][row], f"{expected!r} by its formula", value))
    return Verdict(asked, tuple(found))


def _same(expected: float, value: float, tolerance: float) -> bool:
    if np.isnan(expected) or np.isnan(value):
        return bool(np.isnan(expected) and np.isnan(value))
    return abs(expected - value) <= tolerance * max(1.0, abs(expected))


def check_range(table: pl.DataFrame) -> Verdict:
    """Every registered column of the table against its declared bounds; bounds that are not there are not asked about."""
    asked, found = {}, []
    for name in table.columns:
        column = registry().get(name)
        if column is None:
            continue
        values = table[name].drop_nulls()
        asked[name] = values.len()
        for bound, sign in ((column.low, 1.0), (column.high, -1.0)):
            if bound is None or not values.len():
                continue
            beyond = table[name].to_numpy() * sign < bound * sign - ROUNDING * max(1.0, abs(bound))
            if beyond.any():
                row = int(np.flatnonzero(beyond)[0])
                side = "at least" if sign > 0 else "at most"
                found.append(Finding(Check.RANGE, name, table["ts"][row], f"{side} {bound}", table[name][row]))
    return Verdict(asked, tuple(found))


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold between columns of a row; `slack` (n,) is at least zero where it does."""

    name: str
    columns: tuple[str, ...]
    slack: Callable[..., Array]


def _counted(name: str) -> Rule:
    return Rule(f"days above or below {name}, never both", (f"days_above_{name}", f"days_below_{name}"), lambda a, b: -(a * b))


RULES: tuple[Rule, ...] = (
    Rule("the worst 1 % is not above the worst 5 %", ("value_at_risk_99", "value_at_risk_95"), lambda a, b: b - a),
    Rule(
        "the mean of the tail is not above its edge",
        ("expected_shortfall_95_of_120", "return_quantile_05_of_120"),
        lambda a, b: b - a,
    ),
    Rule(
        "quantiles are in order",
        ("return_quantile_25_of_60", "return_median_60", "return_quantile_75_of_60"),
        lambda a, b, c: np.minimum(b - a, c - b),
    ),
    Rule(
        "the close is between the low and the high of 20 rows",
        ("close_to_high_20", "close_to_low_20"),
        lambda a, b: np.minimum(-a, b),
    ),
    Rule(
        "a longer window reaches as high",
        ("close_to_high_20", "close_to_high_50", "close_to_high_252"),
        lambda a, b, c: np.minimum(a - b, b - c),
    ),
    Rule(
        "a longer channel is as wide",
        ("channel_width_20", "channel_width_55", "channel_width_252"),
        lambda a, b, c: np.minimum(b - a, c - b),
    ),
    Rule(
        "body and wicks are the whole bar", ("body_to_range", "upper_wick", "lower_wick"), lambda a, b, c: -abs(a + b + c - 1.0)
    ),
    Rule("returns add up", ("return_1", "overnight_gap", "open_to_close"), lambda a, b, c: -abs(a - b - c)),
    Rule(
        "the spread of direction is +DI less -DI",
        ("directional_spread_14", "plus_di_14", "minus_di_14"),
        lambda a, b, c: -abs(a - b + c),
    ),
    Rule(
        "the Aroon oscillator is up less down",
        ("aroon_oscillator_25", "aroon_up_25", "aroon_down_25"),
        lambda a, b, c: -abs(a - b + c),
    ),
    Rule("QQE's spread is fast less slow", ("qqe_spread", "qqe_fast", "qqe_slow"), lambda a, b, c: -abs(a - b + c)),
    Rule("no bar engulfs both ways", ("bullish_engulfing", "bearish_engulfing"), lambda a, b: -(a * b)),
    Rule("no bar is inside and outside", ("inside_day", "outside_day"), lambda a, b: -(a * b)),
    Rule("no row is overbought and oversold", ("days_overbought", "days_oversold"), lambda a, b: -(a * b)),
    Rule("up and down streaks exclude each other", ("up_streak", "down_streak"), lambda a, b: -(a * b)),
    Rule("a breakout is a close above the old high", ("breakout_20", "breakout_size_20"), lambda a, b: np.where(a > 0, b, -b)),
    Rule("a squeeze lasts where there is one", ("squeeze", "squeeze_days"), lambda a, b: np.where(a > 0, b - 1.0, -b)),
    Rule("upper band above lower band", ("close_to_lower_band", "close_to_upper_band"), lambda a, b: a - b),
    Rule(
        "the regime of VIX has cuts at 15 and 25", ("vix_close", "vix_regime"), lambda a, b: -abs(b - (a >= 15.0) - (a >= 25.0))
    ),
    *(
        _counted(name)
        for name in ("sma_9", "sma_50", "sma_200", "tema_20", "kama_20", "vwap_20", "ema_9", "ema_50", "sma_21", "sma_63")
    ),
)
"""Everything that must hold between columns of one row."""


def check_logic(table: pl.DataFrame, rules: Sequence[Rule] = RULES) -> Verdict:
    """Every rule whose columns are all in the table, on every row where they are known."""
    asked, found = {}, []
    for rule in rules:
        if not all(name in table.columns for name in rule.columns):
            continue
        columns = [table[name].to_numpy() for name in rule.columns]
        slack = rule.slack(*columns)
        known: npt.NDArray[np.bool_] = np.logical_and.reduce([~np.isnan(column) for column in columns])
        asked[rule.name] = int(known.sum())
        broken = np.flatnonzero(known & (slack < -ROUNDING))
        if broken.size:
            row = int(broken[0])
            found.append(Finding(Check.LOGIC, rule.name, table["ts"][row], "no contradiction", float(slack[row])))
    return Verdict(asked, tuple(found))


@dataclass(frozen=True, slots=True)
class Event:
    """A day of a market and what must be extreme on it: `low` and `high` name columns that are in the lowest and highest `share`
    of their last 1250 values."""

    name: str
    day: date
    low: tuple[str, ...] = ()
    high: tuple[str, ...] = ()
    share: float = 0.01


EVENTS: tuple[Event, ...] = (
    Event(
        "the bail-out bill fails in the House",
        date(2008, 9, 29),
        low=(
            "return_1",
            "return_5",
            "close_to_sma_200",
            "close_to_ema_50",
            "value_at_risk_99",
            "close_to_high_252",
            "open_to_close",
        ),
        high=("rv_5", "parkinson_22", "atr_to_close", "true_range_score_20", "yang_zhang_20", "volatility_10_to_63"),
    ),
    Event(
        "largest rise since 1933, on guarantees for banks",
        date(2008, 10, 13),
        low=("macd_to_close", "sma_50_change_5", "worst_fall_60", "value_at_risk_95", "tema_20_to_sma_50"),
        high=("return_1", "overnight_gap", "open_to_close", "close_to_tema_9", "rv_22", "bollinger_width_20", "channel_width_20"),
    ),
    Event(
        "flash crash",
        date(2010, 5, 6),
        low=("percent_b_20", "cci_14", "directional_spread_14", "breakdown_size_20"),
        high=("parkinson_1", "garman_klass_1", "range_to_mean_20", "true_range_score_20", "range_1_to_10", "minus_di_14"),
    ),
    Event(
        "first session after the downgrade of the United States",
        date(2011, 8, 8),
        low=("rsi_14", "percent_b_20", "overnight_gap", "return_3", "close_to_lower_band", "close_to_low_50", "channel_place_55"),
        high=("volume_ratio_20", "volume_5_to_20", "rsi_14_from_middle", "down_to_up_moves_20", "volume_trend_5"),
    ),
    Event(
        "Black Monday in China, limit-down opening",
        date(2015, 8, 24),
        low=("rsi_14", "overnight_gap", "close_to_sma_12", "keltner_place", "gap_to_volatility", "return_5"),
        high=(
            "parkinson_1",
            "range_to_mean_20",
            "body_to_mean_range_20",
            "days_below_lower_band",
            "true_range_to_close",
            "vix_close",
        ),
    ),
    Event(
        "volatility funds unwind",
        date(2018, 2, 5),
        low=("return_1", "rsi_14_change_5", "qqe_spread", "close_to_low_20", "off_line_20", "close_to_tema_9"),
        high=("vix_change_1", "vix_zscore_20", "parkinson_1", "range_to_mean_20", "range_score_60"),
    ),
    Event(
        "the vote on leaving the European Union",
        date(2016, 6, 24),
        low=("return_1", "overnight_gap", "gap_to_volatility"),
        high=("vix_change_1", "volume_ratio_20", "rv_1"),
    ),
    Event(
        "sell-off of October 2018",
        date(2018, 10, 10),
        low=("return_1", "open_to_close", "percent_b_20"),
        high=("vix_change_1", "rv_1", "true_range_score_20"),
    ),
    Event(
        "Christmas Eve of 2018",
        date(2018, 12, 24),
        low=("close_to_sma_200", "close_to_high_252", "return_63"),
        high=("vix_close", "days_below_sma_50", "atr_to_close"),
    ),
    Event(
        "the rise after Christmas of 2018",
        date(2018, 12, 26),
        low=("sma_50_change_5",),
        high=("return_1", "open_to_close", "atr_to_close"),
    ),
)
"""Days of the NASDAQ Composite (and of VIX, from 2014 on in the bundled files) and what must be extreme on them."""


def check_events(table: pl.DataFrame, events: Sequence[Event] = EVENTS) -> Verdict:
    """Every event: each named column that is in the table is extreme as named.

    Returns
    -------
    the verdict; `asked` counts, by column, the events on which it is known

    Raises
    ------
    MissingData : the table has no row of an event's day
    """
    days = table["ts"].dt.date().to_numpy()
    asked: dict[str, int] = {name: 0 for name in table.columns if name != "ts"}
    found: list[Finding] = []
    for event in events:
        place = np.flatnonzero(days == np.datetime64(event.day))
        if place.size != 1:
            raise MissingData(f"expected one row on {event.day} ({event.name}), found {place.size}; give a table of those years")
        row = int(place[0])
        for name in asked:
            asked[name] += table[name][row] is not None
        for name, sign, side in (*((n, 1.0, "lowest") for n in event.low), *((n, -1.0, "highest") for n in event.high)):
            if name not in table.columns or (table[name][row] is None and name.startswith("vix")):
                continue
            past = table[name][max(0, row - LOOK_BACK + 1) : row + 1].to_numpy() * sign
            past = past[~np.isnan(past)]
            value = table[name][row]
            share = 1.0 if value is None or not past.size else float((past < value * sign).sum() / past.size)
            if share > event.share:
                expected = f"among the {side} {event.share:.0%} of {past.size} ({event.name})"
                found.append(Finding(Check.EVENT, name, table["ts"][row], expected, value))
    return Verdict(asked, tuple(found))
