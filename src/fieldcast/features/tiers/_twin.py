"""The words of the formulas written a second time, for reading and for checking: each by its definition, window by window.

Nothing here is fast and nothing is shared with the kernels: a window is an array of its own, a recursion a loop over rows, an
entropy a count in a dictionary. `features.validators` computes every tier column with it and compares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from math import factorial, floor

import numpy as np
import numpy.typing as npt

from fieldcast.features.tiers._formula import Node, read

Array = npt.NDArray[np.float64]
NAN = float("nan")


def rederive(formula: str, leaves: Mapping[str, Array], memo: dict[int, Array] | None = None) -> Array:
    """A formula over (n,) leaves, by definition; `memo` keeps parts between formulas over the same leaves."""
    with np.errstate(all="ignore"):
        return _value(read(formula), leaves, {} if memo is None else memo)


def _value(node: Node, leaves: Mapping[str, Array], memo: dict[int, Array]) -> Array:
    if node.word == "constant":
        return np.full(next(iter(leaves.values())).size, node.numbers[0])
    if not node.parts:
        return np.asarray(leaves[node.word])
    if id(node) not in memo:
        parts = [_value(part, leaves, memo) for part in node.parts]
        memo[id(node)] = np.asarray(WORDS[node.word](*parts, *node.numbers), dtype=np.float64)
    return memo[id(node)]


def _each(x: Array, rows: float, of: Callable[[Array], float]) -> Array:
    """`of` every whole window without an unknown value."""
    n, w = x.size, int(rows)
    out = np.full(n, NAN)
    for row in range(w - 1, n):
        part = x[row - w + 1 : row + 1]
        if not np.isnan(part).any():
            out[row] = of(part)
    return out


def _where(condition: Array, x: Array, y: Array) -> Array:
    return np.where(np.isnan(condition), NAN, np.where(condition != 0, x, y))


def _sign(x: Array) -> Array:
    return np.where(np.isnan(x), NAN, np.where(x > 0, 1.0, np.where(x < 0, -1.0, 0.0)))


def _lag(x: Array, k: float) -> Array:
    return np.concatenate([np.full(min(int(k), x.size), NAN), x[: max(x.size - int(k), 0)]])


def _still(part: Array) -> bool:
    return not part.std() > 1e-9 * abs(part.mean())


def _standard(part: Array) -> Array:
    scaled: Array = (part - part.mean()) / part.std()
    return scaled


def _skew(part: Array) -> float:
    return NAN if part.std() == 0 else float((_standard(part) ** 3).mean())


def _kurtosis(part: Array) -> float:
    return NAN if part.std() == 0 else float((_standard(part) ** 4).mean() - 3.0)


def _within(x: Array, low: Array, high: Array) -> Array:
    good = high - low > 1e-9 * np.maximum(np.abs(high), np.abs(low))
    return np.where(good, np.minimum(np.maximum((x - low) / (high - low), 0.0), 1.0), NAN)


def _place(x: Array, rows: float) -> Array:
    return _within(x, _each(x, rows, np.min), _each(x, rows, np.max))


def _tail(part: Array, share: float) -> float:
    return float(np.sort(part)[: floor(share * (part.size - 1)) + 1].mean())


def _fit(part: Array) -> tuple[Array, npt.NDArray[np.floating]]:
    t = np.arange(part.size)
    coefficients = np.polyfit(t, part, 1)
    return coefficients, np.polyval(coefficients, t)


def _r_squared(part: Array) -> float:
    return NAN if np.ptp(part) == 0 else float(np.corrcoef(np.arange(part.size), part)[0, 1] ** 2)


def _corr(x: Array, y: Array, rows: float) -> Array:
    w, out = int(rows), np.full(x.size, NAN)
    for row in range(w - 1, x.size):
        a, b = x[row - w + 1 : row + 1], y[row - w + 1 : row + 1]
        if not (np.isnan(a).any() or np.isnan(b).any()) and a.std() > 0 and b.std() > 0:
            out[row] = np.corrcoef(a, b)[0, 1]
    return out


def _run(x: Array, cap: float) -> Array:
    out = np.full(x.size, NAN)
    for row in range(x.size):
        for back in range(int(cap) + 1):
            if back == int(cap) or (row - back >= 0 and x[row - back] == 0):
                out[row] = back
                break
            if row - back < 0 or np.isnan(x[row - back]):
                break
    return out


def _since(x: Array, cap: float) -> Array:
    out = np.full(x.size, NAN)
    for row in range(x.size):
        for back in range(int(cap) + 1):
            if row - back < 0 or np.isnan(x[row - back]):
                break
            if x[row - back] != 0 or back == int(cap):
                out[row] = back
                break
    return out


def _apart(of: Callable[[Array], float]) -> Callable[[Array, float, float], Array]:
    def word(x: Array, count: float, step: float) -> Array:
        span = (int(count) - 1) * int(step) + 1
        return _each(x, span, lambda part: of(part[:: int(step)]))

    return word


def _average(x: Array, weight: float, seed: int) -> Array:
    """Exponential average by its recursion, seeded with a mean; unknown values are passed over."""
    out, held, value = np.full(x.size, NAN), [], NAN
    for row, here in enumerate(x):
        if np.isnan(here):
            continue
        held.append(here)
        if len(held) == seed:
            value = float(np.mean(held))
        elif len(held) > seed:
            value += weight * (here - value)
        out[row] = value
    return out


def _ema(x: Array, p: float) -> Array:
    return _average(x, 2.0 / (p + 1.0), int(p))


def _xma(x: Array, p: float, rows: float) -> Array:
    weights = ((p - 1.0) / (p + 1.0)) ** np.arange(int(rows))[::-1]
    return _each(x, rows, lambda part: float(part @ weights / weights.sum()))


def _dema(x: Array, p: float) -> Array:
    return 2.0 * _ema(x, p) - _ema(_ema(x, p), p)


def _tema(x: Array, p: float) -> Array:
    one = _ema(x, p)
    two = _ema(one, p)
    return 3.0 * one - 3.0 * two + _ema(two, p)


def _kama(x: Array, p: float, rows: float) -> Array:
    w, out = int(p), np.full(x.size, NAN)
    for last in range(int(rows) + w - 1, x.size):
        value = x[last - int(rows)]
        for row in range(last - int(rows) + 1, last + 1):
            path = np.abs(np.diff(x[row - w : row + 1])).sum()
            ratio = min(abs(x[row] - x[row - w]) / path, 1.0) if path > 0 else 1.0
            value += (ratio * (2.0 / 3.0 - 2.0 / 31.0) + 2.0 / 31.0) ** 2 * (x[row] - value)
        out[last] = value
    return out


def _rsi(x: Array, p: float) -> Array:
    moves = np.diff(x, prepend=NAN)
    gain, loss = (_average(np.maximum(sign * moves, 0.0), 1.0 / p, int(p)) for sign in (1.0, -1.0))
    return np.where(gain + loss > 0, gain / (gain + loss), np.where(np.isnan(gain), NAN, 0.0))


def _block_rsi(place: bool) -> Callable[[Array, float], Array]:
    def word(x: Array, blocks: float) -> Array:
        span, out = 5 * int(blocks), np.full(x.size, NAN)
        for row in range(span - 1, x.size):
            part = x[row - span + 1 : row + 1][4::5]
            strength = _rsi(part, 14.0)[-5:]
            moved = np.abs(np.diff(part)) > 0
            if moved.any():
                reach = np.ptp(strength)
                out[row] = strength[-1] if not place else (strength[-1] - strength.min()) / reach if reach > 1e-6 else NAN
        return out

    return word


def _true_range(h: Array, l: Array, c: Array) -> Array:  # noqa: E741
    before = _lag(c, 1)
    return np.maximum(h, before) - np.minimum(l, before)


def _atr(h: Array, l: Array, c: Array, p: float) -> Array:  # noqa: E741
    return _average(_true_range(h, l, c), 1.0 / p, int(p))


def _moves(h: Array, l: Array) -> tuple[Array, Array]:  # noqa: E741
    up, down = h - _lag(h, 1), _lag(l, 1) - l
    return np.where((up > down) & (up > 0), up, 0.0), np.where((down > up) & (down > 0), down, 0.0)


def _wilder_sum(x: Array, p: float) -> Array:
    """Wilder's sum: the first p - 1 values added up, then less a p-th of itself a row."""
    out, total = np.full(x.size, NAN), 0.0
    for row in range(1, x.size):
        total = total + x[row] if row < p else total * (p - 1.0) / p + x[row]
        if row >= p:
            out[row] = total
    return out


def _di(which: int) -> Callable[[Array, Array, Array, float], Array]:
    def word(h: Array, l: Array, c: Array, p: float) -> Array:  # noqa: E741
        return _wilder_sum(_moves(h, l)[which], p) / _wilder_sum(_true_range(h, l, c), p)

    return word


def _adx(h: Array, l: Array, c: Array, p: float) -> Array:  # noqa: E741
    plus, minus = (_di(which)(h, l, c, p) for which in (0, 1))
    index = np.abs(plus - minus) / (plus + minus)
    return _average(index, 1.0 / p, int(p))


def _supertrend(h: Array, l: Array, c: Array, p: float, width: float, rows: float) -> Array:  # noqa: E741
    reach, out = _atr(h, l, c, p), np.full(c.size, NAN)
    middle = (h + l) / 2.0
    for last in range(int(rows) - 1, c.size):
        first = last - int(rows) + 1
        if np.isnan(reach[first]):
            continue
        lower, upper = middle[first] - width * reach[first], middle[first] + width * reach[first]
        up = bool(c[first] >= middle[first])
        for row in range(first + 1, last + 1):
            low, high = middle[row] - width * reach[row], middle[row] + width * reach[row]
            lower = low if c[row - 1] < lower else max(low, lower)
            upper = high if c[row - 1] > upper else min(high, upper)
            up = not c[row] < lower if up else bool(c[row] > upper)
        out[last] = lower if up else upper
    return out


def _order_entropy(part: Array, order: int) -> float:
    counts = Counter(tuple(np.argsort(part[i : i + order], kind="stable")) for i in range(part.size - order + 1))
    shares = np.array(list(counts.values())) / (part.size - order + 1)
    return float(-(shares * np.log(shares)).sum() / np.log(factorial(order)))


def _near(part: Array, length: int, count: int) -> Array:
    """(count, count) whether pieces of `length` values lie within 0.2 deviations of each other everywhere."""
    pieces = np.array([part[i : i + length] for i in range(count)])
    near: Array = np.abs(pieces[:, None] - pieces[None]).max(axis=2) <= 0.2 * part.std()
    return near


def _sample_entropy(part: Array) -> float:
    if _still(part):
        return NAN
    pieces = part.size - 2
    two, three = (np.triu(_near(part, length, pieces), 1).sum() for length in (2, 3))
    return float(np.log((1.0 + two) / (1.0 + three)))


def _approximate_entropy(part: Array) -> float:
    if _still(part):
        return NAN
    two, three = (np.log(_near(part, length, part.size - length + 1).mean(axis=1)).mean() for length in (2, 3))
    return float(two - three)


def _spectral_entropy(part: Array) -> float:
    if _still(part):
        return NAN
    power = np.abs(np.fft.rfft(part - part.mean())[1:]) ** 2
    shares = power / power.sum()
    shares = shares[shares > 1e-15]
    return float(-(shares * np.log(shares)).sum() / np.log(power.size))


def _rescaled_range(part: Array) -> float:
    path = np.concatenate([[0.0], np.cumsum(part - part.mean())])
    return NAN if _still(part) else float(np.log(np.ptp(path) / part.std()) / np.log(part.size / 2.0))


def _fluctuation(part: Array, q: float) -> float:
    if _still(part):
        return NAN
    path = np.cumsum(_standard(part))
    levels = []
    for size in (4, 8, 16):
        boxes = path[part.size % size :].reshape(-1, size)
        left = np.array([((box - _fit(box)[1]) ** 2).mean() for box in boxes])
        if (left < 1e-12).any():
            return NAN
        levels.append(np.log((left ** (q / 2.0)).mean()) / q)
    return float((levels[2] - levels[0]) / np.log(4.0))


def _katz(part: Array) -> float:
    length, furthest, steps = np.abs(np.diff(part)).sum(), np.abs(part - part[0]).max(), np.log(part.size - 1.0)
    if not (length > 0 and furthest > 0) or steps + np.log(furthest / length) <= 0.05 * steps:
        return NAN
    return float(steps / (steps + np.log(furthest / length)))


def _petrosian(part: Array) -> float:
    moves = np.diff(part)
    turns = int((moves[1:] * moves[:-1] < 0).sum())
    size = np.log10(part.size)
    return float(size / (size + np.log10(part.size / (part.size + 0.4 * turns))))


def _divergence(part: Array) -> float:
    if _still(part):
        return NAN
    least = 1e-6 * part.std()
    pieces = np.array([part[i : i + 3] for i in range(part.size - 3)])
    apart = ((pieces[:, None] - pieces[None]) ** 2).sum(axis=2)
    place = np.arange(len(pieces))
    apart[np.abs(place[:, None] - place[None]) < 3] = np.inf
    who = apart.argmin(axis=1)
    before, after = np.sqrt(apart[place, who]), np.abs(part[place + 3] - part[who + 3])
    return float(np.log(np.maximum(after, least) / np.maximum(before, least)).mean())


def _correlation_slope(part: Array) -> float:
    if _still(part):
        return NAN
    pieces = np.array([part[i : i + 2] for i in range(part.size - 1)])
    apart = np.abs(pieces[:, None] - pieces[None]).max(axis=2)[np.triu_indices(len(pieces), 1)]
    return float(np.log2((1.0 + (apart <= part.std()).sum()) / (1.0 + (apart <= 0.5 * part.std()).sum())))


def _octave_share(part: Array, octave: float) -> float:
    if _still(part):
        return NAN
    size = 2 ** int(octave)
    means = part.reshape(-1, size).mean(axis=1)
    return float(size * (np.diff(means.reshape(-1, 2), axis=1) ** 2).sum() / 2.0 / ((part - part.mean()) ** 2).sum())


def _compare(of: Callable[[Array, Array], npt.NDArray[np.bool_]]) -> Callable[[Array, Array], Array]:
    """A comparison in which what is equal to nine digits is equal."""

    def word(x: Array, y: Array) -> Array:
        equal = np.abs(x - y) <= 1e-9 * np.maximum(np.abs(x), np.abs(y))
        return np.where(np.isnan(x) | np.isnan(y), NAN, of(x, np.where(equal, x, y)))

    return word


def _windowed(of: Callable[..., float]) -> Callable[..., Array]:
    """A word of a series, a window and further numbers."""
    return lambda x, rows, *numbers: _each(x, rows, lambda part: float(of(part, *numbers)))


WORDS: Mapping[str, Callable[..., Array]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: np.where(y == 0, NAN, x / y),
    ">": _compare(lambda x, y: x > y),
    ">=": _compare(lambda x, y: x >= y),
    "<": _compare(lambda x, y: x < y),
    "<=": _compare(lambda x, y: x <= y),
    "log": lambda x: np.where(x > 0, np.log(np.abs(x)), NAN),
    "sqrt": lambda x: np.where(x < 0, 0.0, np.sqrt(np.abs(x))),
    "abs": lambda x: np.where(x < 0, -x, x),
    "sign": _sign,
    "least": lambda x, y: np.where(np.isnan(x) | np.isnan(y), NAN, np.where(x < y, x, y)),
    "most": lambda x, y: np.where(np.isnan(x) | np.isnan(y), NAN, np.where(x > y, x, y)),
    "known": lambda x, y: np.asarray(np.where(np.isnan(x), y, x)),
    "where": _where,
    "within": _within,
    "lag": _lag,
    "mean": _windowed(np.mean),
    "sum": _windowed(np.sum),
    "std": _windowed(np.std),
    "skew": _windowed(_skew),
    "kurtosis": _windowed(_kurtosis),
    "max": _windowed(np.max),
    "min": _windowed(np.min),
    "age_of_max": _windowed(lambda part: part[::-1].argmax()),
    "age_of_min": _windowed(lambda part: part[::-1].argmin()),
    "place": _place,
    "rank": _windowed(lambda part: (part[:-1] < part[-1] - 1e-9 * abs(part[-1])).mean()),
    "quantile": _windowed(lambda part, share: np.quantile(part, share)),
    "tail": _windowed(_tail),
    "wma": _windowed(lambda part: np.average(part, weights=np.arange(1, part.size + 1))),
    "mean_distance": _windowed(lambda part: np.abs(part - part.mean()).mean()),
    "slope": _windowed(lambda part: _fit(part)[0][0]),
    "r_squared": _windowed(_r_squared),
    "off_line": _windowed(lambda part: part[-1] - _fit(part)[1][-1]),
    "around_line": _windowed(lambda part: (part - _fit(part)[1]).std()),
    "corr": _corr,
    "run": _run,
    "since": _since,
    "mean_apart": _apart(np.mean),
    "std_apart": _apart(np.std),
    "ema": _ema,
    "xma": _xma,
    "wilder": lambda x, p: _average(x, 1.0 / p, int(p)),
    "dema": _dema,
    "tema": _tema,
    "kama": _kama,
    "rsi": _rsi,
    "block_rsi": _block_rsi(False),
    "block_stochrsi": _block_rsi(True),
    "atr": _atr,
    "adx": _adx,
    "plus_di": _di(0),
    "minus_di": _di(1),
    "supertrend": _supertrend,
    "permutation_entropy": _windowed(lambda part, order: _order_entropy(part, int(order))),
    "sample_entropy": _windowed(_sample_entropy),
    "approximate_entropy": _windowed(_approximate_entropy),
    "spectral_entropy": _windowed(_spectral_entropy),
    "rescaled_range": _windowed(_rescaled_range),
    "fluctuation": _windowed(_fluctuation),
    "katz": _windowed(_katz),
    "petrosian": _windowed(_petrosian),
    "divergence": _windowed(_divergence),
    "correlation_slope": _windowed(_correlation_slope),
    "octave_share": _windowed(_octave_share),
}
"""Every word, by name."""
