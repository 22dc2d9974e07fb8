"""Sample weights: how much each training row counts. All are positive and have mean 1, alone and multiplied together.

    energy        1 / E^p          E the energy that a move takes at the row (any unit), p = 1
    volatility    1 / sigma        rows of wild markets count less, so that a squared error is not theirs alone
    time_decay    2^(-a / h)       a the age of the row behind the newest, h the half-life, in one unit
    uniqueness    mean of 1 / c_s over the moments s of the row's label, c_s = labels that are running at s; moments are the
                  bars, where they are given
    balance       n / (k n_c)      n_c rows of the row's class, k classes; `sqrt` the root of it

All read training rows alone: a weight of one row may depend on the other rows (how many labels overlap, how often its class
occurs, which is the newest), so rows that a model may not see may not weigh either.

Source: Lopez de Prado, Advances in Financial Machine Learning (2018), ch. 4.3 and 4.4 (concurrency and average uniqueness);
the Gnosis V3 reference system for energy, volatility and the half-life of 100 rows.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fieldcast.features._inputs import Array
from fieldcast.ground import InvalidInput

HALF_LIFE = 100.0
LEAST = 1e-9  # of the newest row's weight: what decays for ever stays above zero
Scheme = Literal["balanced", "sqrt"]


def energy(values: npt.ArrayLike, power: float = 1.0) -> Array:
    """Weights from the energy of a move: a row where the market gives way easily counts more.

    Parameters
    ----------
    values : (n,) energies above zero, raw and not standardised (a z-score of an energy has no reciprocal)
    power : p, above zero
    """
    if not (np.isfinite(power) and power > 0):
        raise InvalidInput(f"expected a power above zero, found {power}")
    given = _positive("energies", values)
    return scaled((given / given.max()) ** -power)


def volatility(sigma: npt.ArrayLike) -> Array:
    """Weights from each row's volatility (n,), above zero and known at the row; a target of volatility cancels in the mean."""
    return scaled(1.0 / _positive("volatilities", sigma))


def time_decay(age: npt.ArrayLike, half_life: float = HALF_LIFE) -> Array:
    """Weights from the age of each row.

    Parameters
    ----------
    age : (n,) at or above zero, in rows, sessions or days behind the newest
    half_life : age at which a row counts half, in the same unit
    """
    if not (np.isfinite(half_life) and half_life > 0):
        raise InvalidInput(f"expected a half-life above zero, found {half_life}")
    given = _finite("ages", age)
    if (given < 0).any():
        raise InvalidInput(f"expected ages of at least zero, found {given.min()}; count them behind the newest training row")
    return scaled(np.maximum(np.exp2(-(given - given.min()) / half_life), LEAST))


def uniqueness(
    start: npt.ArrayLike, end: npt.ArrayLike, groups: npt.NDArray[Any] | None = None, *, moments: npt.ArrayLike | None = None
) -> Array:
    """Weights from how far labels run alone; (n,).

    Parameters
    ----------
    start, end : (n,) when each label begins to run (its decision; the first price that counts comes later) and when its answer
        was known; numbers or times
    groups : (n,) instrument of each row; labels of different ones do not overlap. None = one instrument
    moments : (m,) ends of all bars, in the unit of `start`. None = the moments at which a label begins or ends, which is the
        same where every bar is a training row; where rows were left out, give them

    Raises
    ------
    InvalidInput : a label that ends before it begins, has not ended, or runs over none of the moments
    """
    return scaled(average_uniqueness(start, end, groups, moments=moments))


def average_uniqueness(
    start: npt.ArrayLike, end: npt.ArrayLike, groups: npt.NDArray[Any] | None = None, *, moments: npt.ArrayLike | None = None
) -> Array:
    """(n,) mean of 1 / (labels running) over the moments at which each label runs, in (0, 1]; see `uniqueness`."""
    first, last = np.asarray(start), np.asarray(end)
    unknown = np.isnat(last).any() if np.issubdtype(last.dtype, np.datetime64) else not np.isfinite(last.astype(np.float64)).all()
    if first.ndim != 1 or first.shape != last.shape or not first.size or unknown or not (last > first).all():
        raise InvalidInput("expected labels that end after they begin, with their ends known; drop rows without an answer")
    names = np.zeros(first.size, dtype=np.int64) if groups is None else np.unique(groups, return_inverse=True)[1]
    if names.shape != first.shape:
        raise InvalidInput(f"expected a group for each of {first.size} rows, found {names.shape}")
    out = np.empty(first.size)
    for name in range(int(names.max()) + 1):
        rows = names == name
        held = np.concatenate([first[rows], last[rows]]) if moments is None else np.asarray(moments)
        out[rows] = _alone(first[rows], last[rows], np.unique(held))
    return out


def _alone(first: npt.NDArray[Any], last: npt.NDArray[Any], moments: npt.NDArray[Any]) -> Array:
    """One instrument's labels: a label runs on those ascending moments that lie after `first`, up to `last`."""
    opened = np.searchsorted(moments, first, side="right")
    closed = np.searchsorted(moments, last, side="right")  # one past the last moment
    if (closed <= opened).any():
        raise InvalidInput("expected moments on which every label runs, found a label over none; give the ends of all bars")
    steps = np.bincount(opened, minlength=moments.size + 1) - np.bincount(closed, minlength=moments.size + 1)
    running = np.cumsum(steps)[: moments.size]
    share = np.concatenate([[0.0], np.cumsum(np.where(running > 0, 1.0 / np.maximum(running, 1), 0.0))])
    alone: Array = (share[closed] - share[opened]) / (closed - opened)
    return alone


def balance(y: npt.ArrayLike, scheme: Scheme = "balanced") -> Array:
    """Weights that give each class the same total (`balanced`), or move half of the way there in logs (`sqrt`).

    Parameters
    ----------
    y : (n,) classes, known in every row
    scheme : `balanced` or `sqrt`
    """
    if scheme not in ("balanced", "sqrt"):
        raise InvalidInput(f"expected balanced or sqrt, found {scheme!r}")
    classes, place, counts = np.unique(_finite("classes", y), return_inverse=True, return_counts=True)
    if classes.size < 2:
        raise InvalidInput(f"expected at least two classes to balance, found only {classes.tolist()}")
    weight = place.size / (classes.size * counts[place])
    return scaled(weight if scheme == "balanced" else np.sqrt(weight))


def combined(*weights: npt.ArrayLike) -> Array:
    """Several weights of the same rows multiplied, with mean 1.

    Raises
    ------
    InvalidInput : none, other lengths, or a weight that is not above zero
    """
    found = [_positive("weights", one) for one in weights]
    if not found or len({one.size for one in found}) != 1:
        raise InvalidInput(f"expected weights of the same rows, found lengths {[one.size for one in found]}")
    logs = np.sum([np.log(one) for one in found], axis=0)
    return scaled(np.maximum(np.exp(logs - logs.max()), LEAST))


def scaled(weights: npt.ArrayLike) -> Array:
    """The same weights with mean 1; refused unless all are above zero."""
    given = _positive("weights", weights)
    out: Array = given / given.mean()
    return out


def _finite(what: str, values: npt.ArrayLike) -> Array:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        raise InvalidInput(f"expected a series of finite {what}, found shape {found.shape} or NaN; drop rows that are not known")
    return found


def _positive(what: str, values: npt.ArrayLike) -> Array:
    found = _finite(what, values)
    if (found <= 0).any():
        raise InvalidInput(f"expected {what} above zero, found {found.min()}")
    return found
