"""Pieces of formulas that several tiers are written with."""

from __future__ import annotations

from dataclasses import dataclass

YEAR = "sqrt(252)"
LONGEST_RUN, LONGEST_WAIT = 60, 120  # rows that a counter of a run, or of a wait, counts to


@dataclass(frozen=True, slots=True)
class Group:
    """Columns of one kind: formula by name, with the unit and the source they share."""

    unit: str
    source: str
    formulas: dict[str, str]


def ratio(above: str, below: str = "C") -> str:
    """log(above / below)."""
    return f"log({above} / {below})"


def change(of: str, rows: int = 5) -> str:
    """Difference over `rows` rows."""
    return f"{of} - lag({of}, {rows})"


def bend(of: str, rows: int = 5) -> str:
    """Change of the change over `rows` rows."""
    return f"{of} - 2 * lag({of}, {rows}) + lag({of}, {2 * rows})"


def score(of: str, rows: int) -> str:
    """Distance from the mean of `rows` rows in their deviations."""
    return f"({of} - mean({of}, {rows})) / std({of}, {rows})"


def since_cross(one: str, other: str) -> str:
    """Rows since `one` was last on the other side of `other`, negative below it."""
    side = f"sign({one} - {other})"
    return f"where({one} >= {other}, 1, -1) * since(abs({side} - lag({side}, 1)) > 0, {LONGEST_WAIT})"


def streak(condition: str) -> str:
    """Rows in a row that `condition` has held."""
    return f"run({condition}, {LONGEST_RUN})"


def both(*conditions: str) -> str:
    """1 where every condition holds."""
    return " * ".join(f"({condition})" for condition in conditions)


def mean_of_those(value: str, condition: str, rows: int) -> str:
    """Sum of `value` over the rows of the last `rows` where `condition` holds, by their number (at least one)."""
    return f"sum(where({condition}, {value}, 0), {rows}) / most(sum({condition}, {rows}), 1)"


def klinger() -> str:
    """Klinger's oscillator, in volumes: fast less slow average of volume signed by the typical price's change."""
    force = "where(TP >= lag(TP, 1), V, -1 * V)"
    return f"(ema({force}, 34) - ema({force}, 55))"


RSI, ATR, ADX = "rsi(C, 14)", "atr(14)", "adx(14)"
MACD = "(ema(C, 12) - ema(C, 26))"
STC_RAW = "known(place(ema(known(place(xma(C, 23, 300) - xma(C, 50, 300), 10), 0.5), 3), 10), 0.5)"
STC = f"ema({STC_RAW}, 3)"
QQE = f"ema({RSI}, 5)"
WIDTH = "(4 * std(C, 20) / mean(C, 20))"
UPPER, LOWER = "(mean(C, 20) + 2 * std(C, 20))", "(mean(C, 20) - 2 * std(C, 20))"
ATR_SHARE = f"({ATR} / C)"
TR_SHARE = "(TR / C)"
STOCH = "mean(within(C, min(L, 14), max(H, 14)), 3)"
DOWN_SQUARES = "where(R < 0, R * R, 0)"
VWAP = "(mean(C * V, 20) / mean(V, 20))"
VOLUME_RATIO = "(V / mean(V, 20))"
PARKINSON = "sqrt(mean(REACH * REACH, 20) / (4 * log(2)))"
ROGERS = "(log(H / O) * log(H / C) + log(L / O) * log(L / C))"
DOJI = "(abs(C - O) <= 0.1 * (H - L))"
UP_BAR, DOWN_BAR = "(C > O)", "(C < O)"


def sharpe(rows: int) -> str:
    """Mean over deviation of `rows` log returns, a year."""
    return f"(mean(R, {rows}) / std(R, {rows}) * {YEAR})"


def sortino(rows: int) -> str:
    """Mean over root mean square of the losses of `rows` log returns, a year."""
    return f"(mean(R, {rows}) / sqrt(mean({DOWN_SQUARES}, {rows})) * {YEAR})"


def triple(period: int, rows: int) -> str:
    """Triple exponential average whose three averages see `rows` rows each."""
    one = f"xma(C, {period}, {rows})"
    two = f"xma({one}, {period}, {rows})"
    return f"(3 * ({one} - {two}) + xma({two}, {period}, {rows}))"


def hull(period: int, root: int) -> str:
    """Hull's average."""
    return f"wma(2 * wma(C, {period // 2}) - wma(C, {period}), {root})"


def vwma(rows: int) -> str:
    """Volume-weighted average."""
    return f"(mean(C * V, {rows}) / mean(V, {rows}))"
