"""One expiry's line of calls less puts as a forward, and whose discount factor is clear enough to be used by others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fieldcast.pricing._forward_records import Floats, Forward, ForwardRules
from fieldcast.pricing._parity_line import Pairs, fitted_line


def fitted(
    stamp: Forward, pairs: Pairs, value: Floats, rules: ForwardRules, given: float | None, source: str = "given"
) -> Forward:
    """`stamp` with the line of `value` over the strikes in it; `given` is a rate."""
    from scipy.special import stdtrit

    years = stamp.years
    line = fitted_line(pairs, value, None if given is None else float(np.exp(-given * years)))
    wide = float(stdtrit(line.freedom, 0.5 + rules.confidence / 2))
    low, high = line.discount - wide * line.discount_error, line.discount + wide * line.discount_error
    half = pairs.call_half + pairs.put_half
    return replace(
        stamp,
        forward=line.forward,
        forward_low=line.forward - wide * line.forward_error,
        forward_high=line.forward + wide * line.forward_error,
        tradable_low=float(((value - half) / line.discount + pairs.strike).max()),
        tradable_high=float(((value + half) / line.discount + pairs.strike).min()),
        discount=line.discount,
        discount_low=low,
        discount_high=high,
        discount_source="regression" if given is None else source,
        rate=_rate(line.discount, years),
        rate_low=_rate(high, years),
        rate_high=_rate(low, years),
        carry=float(np.log(line.forward / stamp.spot) / years) if line.forward > 0 and stamp.spot > 0 else float("nan"),
        pairs=len(pairs.strike),
        outliers=line.outliers,
        residual=line.residual,
    )


def _rate(discount: float, years: float) -> float:
    return float(-np.log(discount) / years) if discount > 0 else float("inf")


def unclear(ones: list[Forward], rules: ForwardRules) -> list[bool]:
    """Expiries whose own rate is not to be used: too wide an interval, or far from the median of four or more others near it."""
    half = [(one.rate_high - one.rate_low) / 2 for one in ones]
    doubtful = [one.discount_source != "given" and not w <= rules.max_rate_width for one, w in zip(ones, half, strict=True)]
    sure = [i for i, wrong in enumerate(doubtful) if not wrong]
    for i in sure:
        near = sorted((j for j in sure if j != i), key=lambda j: abs(float(np.log(ones[j].years / ones[i].years))))[:8]
        if len(near) >= 4 and ones[i].discount_source != "given":
            middle = float(np.median([ones[j].rate for j in near]))
            doubtful[i] = abs(ones[i].rate - middle) > 2 * rules.max_rate_width + half[i]
    return doubtful


def near_rate(years: float, sure: list[Forward]) -> float:
    """Mean of the resolved rates, by precision (a tenth of a per cent at best) and nearness in the logarithm of time."""
    apart = np.log(np.array([one.years for one in sure]) / years)
    error = np.array([(one.rate_high - one.rate_low) / 2 for one in sure])
    exponent = -0.5 * (apart / 0.7) ** 2 - np.log(error**2 + 1e-6)
    return float(np.average([one.rate for one in sure], weights=np.exp(exponent - exponent.max())))
