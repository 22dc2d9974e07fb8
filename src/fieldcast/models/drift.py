"""Has a feature moved away from the sample that the model was fitted on? PSI and the two-sample Kolmogorov-Smirnov test.

    PSI = sum_b (q_b - p_b) log(q_b / p_b)          p: shares of the training sample, q: of the recent one

over ten bins of equal training mass and one for missing values. Where nothing moved, PSI is about (1/n + 1/m) chi2(B - 1): it
grows as samples shrink, so a threshold alone cries wolf on small ones. A feature has drifted by PSI where it is above 0.2 *and*
above the 1 - alpha / 2k point of that null; by KS where the distance is above 0.1 *and* its p-value below alpha / 2k, for k
features. `spacing` thins both samples to rows that far apart, because the rows of a persistent feature repeat each other and the
null would be far too tight.

Sources: Yurdakul and Naranjo (2020), "Statistical properties of the population stability index", for the null; 0.1 and 0.2 are
the industry's "minor" and "major" shifts; Smirnov (1948) for KS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground import InvalidInput, MissingData

PSI_MINOR, PSI_MAJOR = 0.1, 0.2
KS_DISTANCE = 0.1
ALPHA = 0.01  # over all features together
BINS = 10
LEAST_ROWS = 30  # fewer (thinned) rows say nothing
MOST_KEPT = 4096  # order statistics that a training sample keeps of a feature
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureSample:
    """One feature of the training sample: its order statistics (at most 4,096, evenly spaced) and its missing rows."""

    name: str
    ordered: tuple[float, ...]
    known: int
    missing: int


@dataclass(frozen=True)
class TrainingSample:
    """What a model was fitted on, feature by feature; `spacing` rows apart."""

    features: tuple[FeatureSample, ...]
    spacing: int

    @classmethod
    def of(cls, table: ArrayLike, names: Sequence[str], *, spacing: int = 1) -> TrainingSample:
        """From features (n, p), NaN where unknown, in time order.

        Raises
        ------
        InvalidInput : shapes and names do not fit, an infinity, or a spacing below 1
        """
        thinned = _thinned(table, len(names), spacing)
        found = []
        for place, name in enumerate(names):
            column = thinned[:, place]
            known = np.sort(column[np.isfinite(column)])
            picked = np.unique(np.linspace(0, known.size - 1, min(known.size, MOST_KEPT)).round().astype(np.intp))
            kept = known[picked] if known.size else known
            found.append(FeatureSample(name, tuple(kept.tolist()), int(known.size), int(column.size - known.size)))
        return cls(tuple(found), spacing)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, from which `from_dict` makes the same sample."""
        return {"spacing": self.spacing, "features": [asdict(one) | {"ordered": list(one.ordered)} for one in self.features]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> TrainingSample:
        parts = (FeatureSample(**(one | {"ordered": tuple(one["ordered"])})) for one in plain["features"])
        return cls(tuple(parts), int(plain["spacing"]))


@dataclass(frozen=True)
class FeatureDrift:
    """One feature: figures, the points that chance alone reaches, and whether it has drifted.

    `psi_null` and `ks_p` are None, and nothing has drifted, where either sample has too few rows to say.
    """

    name: str
    psi: float | None
    psi_null: float | None
    ks: float | None
    ks_p: float | None
    n_training: int
    n_recent: int
    missing_training: float
    missing_recent: float
    by_psi: bool
    by_ks: bool

    @property
    def drifted(self) -> bool:
        return self.by_psi or self.by_ks


@dataclass(frozen=True)
class DriftReport:
    """Every feature, with the thresholds that were applied."""

    features: tuple[FeatureDrift, ...]
    psi_threshold: float
    ks_threshold: float
    alpha: float

    @property
    def drifted(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.features if one.drifted)

    def as_dict(self) -> dict[str, Any]:
        rows = [asdict(one) | {"drifted": one.drifted} for one in self.features]
        limits = {"psi": self.psi_threshold, "ks": self.ks_threshold, "alpha": self.alpha}
        return {"drifted": list(self.drifted), "thresholds": limits, "features": rows}


def drift(
    training: TrainingSample,
    recent: ArrayLike,
    *,
    psi_threshold: float = PSI_MAJOR,
    ks_threshold: float = KS_DISTANCE,
    alpha: float = ALPHA,
) -> DriftReport:
    """Recent rows (m, p), in time order and in the order of the sample's features, against the training sample.

    Raises
    ------
    InvalidInput : another number of columns, an infinity, or a level out of range
    MissingData : no recent row
    """
    if not 0.0 < alpha < 0.5:
        raise InvalidInput(f"expected alpha between 0 and 0.5, found {alpha}")
    rows = _thinned(recent, len(training.features), training.spacing)
    if not rows.shape[0]:
        raise MissingData("expected recent rows to compare with the training sample, found none")
    level = alpha / (2 * len(training.features))  # two tests of each feature
    found = [
        _feature(sample, rows[:, place], level, psi_threshold, ks_threshold) for place, sample in enumerate(training.features)
    ]
    return DriftReport(tuple(found), psi_threshold, ks_threshold, alpha)


def population_stability(training: ArrayLike, recent: ArrayLike, *, bins: int = BINS) -> tuple[float, int]:
    """PSI of two samples (n,) and (m,), NaN where unknown, and the number of bins it has; empty shares count half a row.

    Bins have equal mass in the training sample; equal values share a bin, so there may be fewer.
    """
    a, b = np.asarray(training, dtype=np.float64), np.asarray(recent, dtype=np.float64)
    known = np.sort(a[np.isfinite(a)])
    return _stability(known, known.size, int(a.size - known.size), b, bins)


def _stability(ordered: Floats, known: int, missing: int, recent: Floats, bins: int) -> tuple[float, int]:
    """`ordered` are evenly spaced order statistics of `known` values."""
    inner = np.unique(np.quantile(ordered, np.linspace(0, 1, bins + 1)[1:-1])) if ordered.size else np.empty(0)
    total = known + missing
    p = np.append(_counts(ordered, inner) * (known / max(ordered.size, 1)), missing)
    q = np.append(_counts(recent[np.isfinite(recent)], inner), float((~np.isfinite(recent)).sum()))
    used = (p > 0) | (q > 0)
    shares_p, shares_q = np.maximum(p[used], 0.5) / total, np.maximum(q[used], 0.5) / recent.size
    return float(((shares_q - shares_p) * np.log(shares_q / shares_p)).sum()), int(used.sum())


def _counts(values: Floats, inner: Floats) -> Floats:
    return np.bincount(np.searchsorted(inner, values, side="left"), minlength=inner.size + 1).astype(np.float64)


def _feature(sample: FeatureSample, recent: Floats, level: float, psi_threshold: float, ks_threshold: float) -> FeatureDrift:
    from scipy.special import chdtri, kolmogorov

    ordered = np.asarray(sample.ordered)
    known = np.sort(recent[np.isfinite(recent)])
    n, m = sample.known + sample.missing, recent.size
    shares = sample.missing / n if n else math.nan, 1.0 - known.size / m
    psi = psi_null = ks = ks_p = None
    if min(n, m) >= LEAST_ROWS:
        psi, bins = _stability(ordered, sample.known, sample.missing, recent, BINS)
        psi_null = (1.0 / n + 1.0 / m) * float(chdtri(max(bins - 1, 1), level))
    if min(sample.known, known.size) >= LEAST_ROWS:
        every = np.concatenate([ordered, known])
        gap = np.searchsorted(ordered, every, "right") / ordered.size - np.searchsorted(known, every, "right") / known.size
        ks = float(np.abs(gap).max())
        ks_p = float(kolmogorov(ks * math.sqrt(sample.known * known.size / (sample.known + known.size))))
    return FeatureDrift(
        name=sample.name,
        psi=psi,
        psi_null=psi_null,
        ks=ks,
        ks_p=ks_p,
        n_training=n,
        n_recent=m,
        missing_training=shares[0],
        missing_recent=shares[1],
        by_psi=psi is not None and psi_null is not None and psi > max(psi_threshold, psi_null),
        by_ks=ks is not None and ks_p is not None and ks > ks_threshold and ks_p < level,
    )


def _thinned(table: ArrayLike, columns: int, spacing: int) -> Floats:
    rows = np.asarray(table, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != columns or not columns:
        raise InvalidInput(f"expected features of shape (n, {columns}), found {rows.shape}")
    if spacing < 1:
        raise InvalidInput(f"expected a spacing of at least one row, found {spacing}")
    if np.isinf(rows).any():
        raise InvalidInput("expected finite features or NaN for a missing one, found an infinity")
    return rows[(rows.shape[0] - 1) % spacing :: spacing] if rows.shape[0] else rows
