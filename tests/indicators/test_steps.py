"""Batch = steps = batch truncated, for every recursive indicator; and the kernels equal their plain Python twins."""

from __future__ import annotations

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


@pytest.mark.parametrize("kernel", ["exponential_lines", "wilder_lines", "flow_lines"])
def test_a_kernel_equals_its_plain_python_twin(kernel: str) -> None:
    data = rows(3, 120)
    price = (data["high"], data["low"], data["close"])
    compiled = getattr(_kernels, kernel)
    results = []
    for function in (compiled, compiled.py_func):
        match kernel:
            case "exponential_lines":
                state, out = np.zeros((2, _kernels.EMA_STATE)), np.empty((4, 120))
                function(data["close"], np.array([5, 12]), np.array([3, 0]), state, out[:2], out[2:])
            case "wilder_lines":
                state, out = np.zeros(_kernels.WILDER_STATE), np.empty((5, 120))
                function(*price, 14, state, out)
            case _:
                state, out = np.zeros(_kernels.FLOW_STATE), np.empty((2, 120))
                function(*price, data["volume"], 3, 10, state, out)
        results.append((state, out))
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-12, atol=1e-9, equal_nan=True)
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-12, atol=1e-9)


def test_a_step_refuses_a_row_of_the_wrong_length_or_with_nan() -> None:
    with pytest.raises(InvalidInput, match="expected 4 values"):
        FlowStep().update(1.0, 2.0)
    with pytest.raises(InvalidInput, match="finite"):
        StochRsiStep().update(float("nan"))
