"""A user's file: loaded, checked, and refused with the bar named where it raises, gives no target or looks ahead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fieldcast.ground import InvalidInput, MissingData, StrategyError
from fieldcast.strategy import load_strategy, refuse_look_ahead, strategy

DAY = 86_400_000_000
ROWS = 300
CROSS = """
import numpy as np

def targets(bars, window=5):
    close = bars["close"]
    out = np.zeros(close.size)
    for t in range(window, close.size):
        out[t] = close[t] > close[t - window]
    return out
"""


def arrays(rows: int = ROWS) -> dict[str, Any]:
    close = np.round(100 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.01, rows))), 2)
    ts = np.arange(rows, dtype=np.int64) * DAY + 16 * 3_600_000_000 + 946_684_800_000_000      # from 2000-01-01 16:00 on
    return {"ts": ts, "open": close, "high": close + 1, "low": close - 1, "close": close, "volume": np.full(rows, 1e6)}


def write(folder: Path, text: str) -> Path:
    file = folder / "my_strategy.py"
    file.write_text(text, encoding="utf-8")
    return file


# loading --------------------------------------------------------------------------------------------------------------


def test_a_function_is_found_and_takes_its_settings(tmp_path: Path) -> None:
    file = write(tmp_path, CROSS)
    mine = load_strategy(file, {"window": 3})
    assert (mine.kind, mine.name, mine.id) == ("targets", "targets", "my_strategy")
    expected = strategy("momentum", period=3).targets(arrays())
    assert (mine.targets(arrays()) == expected).all()
    assert not (load_strategy(file).targets(arrays()) == expected).all()


def test_a_class_with_on_bar_is_found_and_made_anew_for_each_run(tmp_path: Path) -> None:
    text = "class Mine:\n    def __init__(self, n=1):\n        self.n = n\n    def on_bar(self, now): ...\n"
    mine = load_strategy(write(tmp_path, text), {"n": 4})
    assert mine.kind == "events"
    one, other = mine.make(), mine.make()
    assert one.n == other.n == 4
    assert one is not other
    with pytest.raises(StrategyError, match="found the class Mine"):
        mine.targets(arrays())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "found nothing of the kind"),
        ("def signal(bars): ...\n", "found signal"),
        ("class A:\n    def on_bar(self, now): ...\nclass B:\n    def on_bar(self, now): ...\n", "found A, B; say which one"),
        ("def targets(): ...\n", "takes nothing"),
        ("import nothing_of_this_name\n", "No module named 'nothing_of_this_name'"),
        ("def targets(bars:\n", "SyntaxError"),
        ("raise SystemExit(3)\n", "SystemExit"),
    ],
)
def test_a_file_without_one_strategy_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=said):
        load_strategy(write(tmp_path, text))


def test_one_of_several_can_be_named(tmp_path: Path) -> None:
    file = write(tmp_path, CROSS + "\ndef other(bars):\n    return bars['close'] * 0\n")
    assert not load_strategy(file, name="other").targets(arrays()).any()
    with pytest.raises(StrategyError, match="called third"):
        load_strategy(file, name="third")


def test_no_file_and_wrong_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"none\.py"):
        load_strategy(tmp_path / "none.py")
    with pytest.raises(InvalidInput, match=r"out of window, found windows"):
        load_strategy(write(tmp_path, CROSS), {"windows": 3})
    with pytest.raises(InvalidInput, match="depth"):
        load_strategy(write(tmp_path, "def targets(bars, depth): ...\n"))


@pytest.mark.parametrize("table", ["polars", "pandas"])
def test_a_function_that_declares_a_table_gets_one(table: str, tmp_path: Path) -> None:
    short = {"polars": "pl", "pandas": "pd"}[table]
    text = {
        "polars": "    return (bars['close'].diff().fill_null(0) > 0).cast(float)\n",
        "pandas": "    return bars['close'].diff().fillna(0).gt(0) * 1.0\n",
    }[table]
    head = f"import {table} as {short}\ndef targets(bars: {short}.DataFrame):\n"
    mine = load_strategy(write(tmp_path, head + text))
    assert (mine.targets(arrays()) == strategy("momentum", period=1).targets(arrays())).all()


def test_the_market_cannot_be_written_to(tmp_path: Path) -> None:
    mine = load_strategy(write(tmp_path, "def targets(bars):\n    bars['close'][0] = 1.0\n    return bars['close']\n"))
    with pytest.raises(StrategyError, match="read-only"):
        mine.targets(arrays())


# what it returns ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return None", "found None"),
        ("return bars['close'][1:]", r"shape \(300,\).*found \(299,\)"),
        ("return 1.0", r"found \(\)"),
        ("return ['buy'] * bars['close'].size", "expected numbers"),
    ],
)
def test_what_is_no_target_for_every_bar_is_refused(body: str, said: str, tmp_path: Path) -> None:
    mine = load_strategy(write(tmp_path, f"def targets(bars):\n    {body}\n"))
    with pytest.raises(StrategyError, match=said):
        mine.targets(arrays())


def test_a_target_that_is_none_is_refused_with_its_bar(tmp_path: Path) -> None:
    text = "def targets(bars):\n    t = bars['close'] * 0\n    t[7] = t[9] = float('nan')\n    return t\n"
    mine = load_strategy(write(tmp_path, text))
    with pytest.raises(StrategyError, match=r"found nan at bar 7 \(2000-01-08\), 2 in all") as refused:
        mine.targets(arrays())
    assert refused.value.bar == 7


def test_what_raises_is_refused_with_the_bar_that_brings_it(tmp_path: Path) -> None:
    text = """
def targets(bars):
    for t, close in enumerate(bars["close"]):
        if t == 41:
            1 / 0
    return bars["close"] * 0
"""
    mine = load_strategy(write(tmp_path, text))
    said = r"ZeroDivisionError.*line 5 of my_strategy.py: 1 / 0.*bar 41 \(2000-02-11\)"
    with pytest.raises(StrategyError, match=said) as refused:
        mine.targets(arrays())
    assert refused.value.bar == 41


# look-ahead -----------------------------------------------------------------------------------------------------------

LEAKS = {
    "tomorrow's close": "np.append((c[1:] > c[:-1]) * 1.0, 0.0)",
    "a mean of everything": "(c > c.mean()) * 1.0",
    "the highest of all": "(c == c.max()) * 1.0",
    "a centred average": "np.where(np.convolve(c, np.ones(5) / 5, 'same') > c, 1.0, 0.0)",
    "a series rolled round": "(np.roll(c, -3) > c) * 1.0",
    "a rank over all rows": "(np.argsort(np.argsort(c)) / c.size > 0.7) * 1.0",
}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS.keys())
def test_a_strategy_that_looks_ahead_is_refused_with_the_bar(leak: str, tmp_path: Path) -> None:
    mine = load_strategy(write(tmp_path, f"import numpy as np\ndef targets(bars):\n    c = bars['close']\n    return {leak}\n"))
    mine.targets(arrays())
    with pytest.raises(StrategyError, match=r"my_strategy.py looks ahead: its target of bar \d+ \(2000-\d\d-\d\d\)") as refused:
        refuse_look_ahead(mine, arrays())
    assert refused.value.bar is not None


@pytest.mark.parametrize("name", ["sma_cross", "rsi", "bollinger", "macd", "momentum", "mean_reversion", "buy_and_hold"])
def test_the_catalogue_does_not(name: str) -> None:
    looked = refuse_look_ahead(strategy(name), arrays())
    assert looked.bars == ROWS
    assert len(looked.cuts) >= 8
    assert not looked.failed


def test_random_targets_are_refused(tmp_path: Path) -> None:
    text = "import numpy as np\ndef targets(bars):\n    return np.random.random(bars['close'].size)\n"
    mine = load_strategy(write(tmp_path, text))
    with pytest.raises(StrategyError, match="seed its random numbers"):
        refuse_look_ahead(mine, arrays())


def test_cuts_at_which_it_fails_are_counted_and_all_of_them_refused(tmp_path: Path) -> None:
    text = """
def targets(bars, least=1):
    if bars["close"].size < least:
        raise ValueError("too few")
    return bars["close"] * 0
"""
    file = write(tmp_path, text)
    some = refuse_look_ahead(load_strategy(file, {"least": 150}), arrays())
    assert some.cuts
    assert some.failed
    assert max(some.failed) < 149 <= min(some.cuts)
    with pytest.raises(StrategyError, match="fails on each of"):
        refuse_look_ahead(load_strategy(file, {"least": ROWS}), arrays())


def test_all_instruments_at_once(tmp_path: Path) -> None:
    """Momentum across two instruments: the better one of the last ten bars is held, causally; then with tomorrow's winner."""
    text = """
import numpy as np

def portfolio_targets(bars, ahead=0):
    close = bars["close"]
    assert bars["instruments"] == ["A:A", "B:B"]
    past = np.roll(close, 10 - ahead, axis=1)
    grown = close / past
    best = (grown == grown.max(axis=0)) * 1.0
    best[:, :10] = 0
    return best
"""
    one = arrays()
    wide = {key: np.stack([value, value[::-1]]) if key != "ts" else value for key, value in one.items()}
    wide["instruments"] = ["A:A", "B:B"]
    mine = load_strategy(write(tmp_path, text))
    assert mine.kind == "portfolio_targets"
    assert mine.targets(wide).shape == (2, ROWS)
    refuse_look_ahead(mine, wide)
    with pytest.raises(StrategyError, match="looks ahead"):
        refuse_look_ahead(load_strategy(write(tmp_path, text), {"ahead": 12}), wide)


def test_a_target_beyond_the_account_is_refused_with_its_bar_and_one_by_rounding_is_not(tmp_path: Path) -> None:
    body = "    out = np.zeros(bars['close'].size)\n    out[7:] = top\n    return out\n"
    text = f"import numpy as np\ndef targets(bars, top=3.0):\n{body}"
    with pytest.raises(StrategyError, match=r"from -1 to 1.*found 3 at bar 7 \(2000-01-08\), 293 in all") as caught:
        load_strategy(write(tmp_path, text)).targets(arrays())
    assert caught.value.bar == 7
    with pytest.raises(StrategyError, match=r"found -1\.5 at bar 7"):
        load_strategy(write(tmp_path, text), {"top": -1.5}).targets(arrays())
    assert load_strategy(write(tmp_path, text), {"top": 1.0 + 1e-12}).targets(arrays())[-1] > 1.0
