"""Batch = steps = batch truncated, for every recursive indicator; and the kernels equal their plain Python twins."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcast import indicators
from fieldcast.ground import InvalidInput
from fieldcast.indicators import RECURSIVE, FlowStep, MacdStep, StochRsiStep, WilderStep, _kernels


def rows(seed: int, n: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(0.02 * random.standard_normal(n)))
    return {
        "high": close * (1 + 0.02 * random.random(n)),
        "low": close * (1 - 0.02 * random.random(n)),
        "close": close,
        "volume": random.integers(0, 1000, n).astype(float),
    }


@pytest.mark.parametrize("name", RECURSIVE)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 260))
def test_batch_equals_steps_equals_batch_truncated(name: str, seed: int, n: int) -> None:
    recursive, data = RECURSIVE[name], rows(seed, n)
    inputs = [data[column] for column in recursive.inputs]
    batch, stepper = recursive.batch(*inputs), recursive.step()
    steps = [stepper.update(*row) for row in zip(*inputs, strict=True)]
    np.testing.assert_allclose(steps, batch, rtol=1e-12, atol=1e-9, equal_nan=True)
    cut = n // 2 + 1
    np.testing.assert_array_equal(recursive.batch(*(series[:cut] for series in inputs)), batch[:cut])


def test_every_recursive_indicator_of_the_package_has_a_step_form() -> None:
    assert {name.rstrip("0123456789_") for name in RECURSIVE} == {
        "ema",
        "dema",
        "macd_line",
        "rsi",
        "stochrsi",
        "atr",
        "adx",
        "obv",
        "adosc",
    }


def test_the_macd_step_keeps_the_signal_too() -> None:
    close = rows(1, 80)["close"]
    batch, step = indicators.macd(close), MacdStep()
    signal = []
    for value in close:
        step.update(value)
        signal.append(step.signal)
    np.testing.assert_allclose(signal, batch.signal, rtol=1e-12, equal_nan=True)


def test_one_wilder_step_holds_all_of_wilders_averages() -> None:
    data = rows(2, 90)
    batch, step = indicators.wilder(data["high"], data["low"], data["close"]), WilderStep(of="adx")
    for row in zip(data["high"], data["low"], data["close"], strict=True):
        last = step.update(*row)
    assert last == batch.adx[-1]
    assert (step.values.rsi[0], step.values.atr[0]) == (batch.rsi[-1], batch.atr[-1])


DATA = rows(3, 120)
PRICE = (DATA["high"], DATA["low"], DATA["close"])
LINES = partial(np.empty, (2, 120))
CALLS = {      # arguments of each kernel; the arrays at the end are those that it writes
    "exponential_lines": lambda: (DATA["close"], np.array([5, 12]), np.array([3, 0]), False, np.zeros((2, 6)), LINES()),
    "double_lines": lambda: (DATA["close"], np.array([5, 12]), np.array([3, 0]), True, np.zeros((2, 6)), LINES()),
    "strength_line": lambda: (DATA["close"], 14, np.zeros(12), np.empty(120), np.empty(120)),
    "range_lines": lambda: (*PRICE, 14, np.zeros(12), np.empty(120), np.empty(120)),
    "direction_line": lambda: (*PRICE, 14, np.zeros(12), np.empty(120)),
    "balance_line": lambda: (DATA["close"], DATA["volume"], np.zeros(5), np.empty(120)),
    "chaikin_line": lambda: (*PRICE, DATA["volume"], 3, 10, np.zeros(5), np.empty(120)),
    "window_sums": lambda: (DATA["close"], 7, np.empty(120)),
    "band_place": lambda: (DATA["close"], 20, 2.0, np.empty(120)),
    "range_place": lambda: (DATA["close"], 5, 0.0, 0.0, np.empty(116)),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_kernel_equals_its_plain_python_twin(name: str) -> None:
    kernel = getattr(_kernels, name.replace("double", "exponential"))
    compiled, plain = CALLS[name](), CALLS[name]()
    kernel(*compiled)
    kernel.py_func(*plain)
    for found, expected in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9, equal_nan=True)


def test_every_kernel_has_a_twin_test() -> None:
    kernels = {name for name, value in vars(_kernels).items() if hasattr(value, "py_func")}
    assert {name.replace("double", "exponential") for name in CALLS} == kernels


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 90), window=st.integers(1, 30))
def test_window_sums_are_those_of_each_window_by_itself(seed: int, n: int, window: int) -> None:
    values = np.random.default_rng(seed).normal(0.0, 1.0, n) * 10.0 ** np.random.default_rng(seed).integers(-6, 6)
    out = np.empty(n)
    _kernels.window_sums(values, window, out)
    assert np.isnan(out[: window - 1]).all()
    for row in range(window - 1, n):
        part = values[row - window + 1 : row + 1]
        assert abs(out[row] - math.fsum(part)) <= 4e-16 * window * np.abs(part).sum()


def test_a_step_refuses_a_row_of_the_wrong_length_or_with_nan() -> None:
    with pytest.raises(InvalidInput, match="expected 4 values"):
        FlowStep().update(1.0, 2.0)
    with pytest.raises(InvalidInput, match="finite"):
        StochRsiStep().update(float("nan"))
