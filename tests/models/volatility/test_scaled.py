"""The factor between realised variance and the variance of returns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fieldcast.features.panel import Panel
from fieldcast.ground import InvalidInput
from fieldcast.models.volatility import Har, ReturnScaled


def test_the_factor_is_the_mean_over_outcomes_that_had_ended(simulated: Panel) -> None:
    inner = Har("log")
    raw, found = inner.path(simulated, 5), ReturnScaled(inner, window=300).path(simulated, 5, 1000)
    r = simulated.log_return(5)
    for t, i in ((1000, 0), (1200, 2), (1399, 1)):
        ratio = r[: t - 5 + 1, i] ** 2 / raw[: t - 5 + 1, i] ** 2
        k = ratio[np.isfinite(ratio)][-300:].mean()
        assert found[t, i] == pytest.approx(raw[t, i] * np.sqrt(k), rel=1e-9)


def test_ranges_that_miss_half_are_put_right(simulated: Panel) -> None:
    """Highs and lows pulled in: the realised variance falls, the return's does not."""
    body_high, body_low = np.maximum(simulated.open, simulated.close), np.minimum(simulated.open, simulated.close)
    narrow = replace(
        simulated,
        high=body_high * (simulated.high / body_high) ** 0.3,
        low=body_low * (simulated.low / body_low) ** 0.3,
    )
    r = narrow.log_return(1)
    wide = [path.path(narrow, 1, 1000) for path in (Har("log"), ReturnScaled(Har("log")))]
    before, after = (np.nanmean((r / sigma)[1000:] ** 2) for sigma in wide)
    assert before > 1.15
    assert after == pytest.approx(1.0, abs=0.12)


def test_without_a_year_of_outcomes_nothing_is_said(simulated: Panel) -> None:
    found = ReturnScaled(Har("log")).path(simulated, 1)
    first = int(np.flatnonzero(np.isfinite(found[:, 0]))[0])
    raw = int(np.flatnonzero(np.isfinite(Har("log").path(simulated, 1)[:, 0]))[0])
    assert first == raw + 250
    with pytest.raises(InvalidInput, match="at least 250"):
        ReturnScaled(Har("log"), window=20)
