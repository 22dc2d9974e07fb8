"""What spread and slippage were, by instrument and session bucket.

Each bucket keeps, of spread and of slippage, the mean, a grid of quantiles in steps of 5 % (the median and the 90 % point
among them), how many samples they rest on and when they were last measured. The spread is the whole quoted one; slippage is
what a fill cost beyond half of it, and is negative where a fill was better.

    reading     mean, p50 or p90, never below 0
    degraded    above 500 ms between decision and order: the larger of p90 and the reading that was asked for
    sample      the quantile function, linear between its points, at a uniform number of a seeded stream

Sources: the reference system's measured execution model (spread and slippage per symbol and session, p90 above 500 ms).
There a triangular distribution through (p50, mean, p90) was drawn from, which does not exist where the mean lies below the
median; the quantile grid always does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np

from fieldcast.ground import InvalidInput, utc
from fieldcast.trading.costs.buckets import SessionBucket

LEVELS = tuple(round(0.05 * step, 2) for step in range(21))
_MEDIAN, _NINETY = LEVELS.index(0.5), LEVELS.index(0.9)
LATENCY_LIMIT_MS = 500.0
SCHEMA = 1


class Statistic(StrEnum):
    """Which figure of a distribution stands for it."""

    MEAN = "mean"
    P50 = "p50"
    P90 = "p90"


@dataclass(frozen=True, slots=True)
class CostDistribution:
    """Samples of one cost in basis points, reduced to their mean and quantiles.

    Parameters
    ----------
    mean_bps : of the samples
    quantiles_bps : (21,) at 0, 5, …, 100 %, ascending
    sample_count : at least 1
    last_updated : when it was measured, UTC

    Raises
    ------
    InvalidInput : a figure is not finite, the quantiles do not ascend, or there is no sample
    """

    mean_bps: float
    quantiles_bps: tuple[float, ...]
    sample_count: int
    last_updated: datetime

    def __post_init__(self) -> None:
        figures = (self.mean_bps, *self.quantiles_bps)
        if len(self.quantiles_bps) != len(LEVELS) or not all(math.isfinite(figure) for figure in figures):
            raise InvalidInput(f"expected a finite mean and {len(LEVELS)} finite quantiles, found {figures}")
        if any(low > high for low, high in zip(self.quantiles_bps, self.quantiles_bps[1:], strict=False)):
            raise InvalidInput(f"expected quantiles that ascend, found {self.quantiles_bps}")
        if self.sample_count < 1:
            raise InvalidInput(f"expected at least one sample, found {self.sample_count}")
        object.__setattr__(self, "last_updated", utc(self.last_updated))

    @classmethod
    def of(cls, samples_bps: np.ndarray, at: datetime) -> CostDistribution:
        """The distribution of (n,) samples, measured at `at`."""
        samples = np.asarray(samples_bps, np.float64)
        if samples.size == 0:
            raise InvalidInput("expected at least one sample, found none")
        grid = np.maximum.accumulate(np.quantile(samples, LEVELS))  # rounding must not let a quantile fall
        return cls(float(samples.mean()), tuple(float(value) for value in grid), int(samples.size), at)

    @property
    def p50_bps(self) -> float:
        return self.quantiles_bps[_MEDIAN]

    @property
    def p90_bps(self) -> float:
        return self.quantiles_bps[_NINETY]

    def reading(self, statistic: Statistic = Statistic.MEAN, *, latency_ms: float = 0.0) -> float:
        """One figure, basis points, >= 0; see the module for what latency does.

        Raises
        ------
        InvalidInput : the latency is negative or not finite
        """
        if not (math.isfinite(latency_ms) and latency_ms >= 0):
            raise InvalidInput(f"expected a latency of at least 0 ms, found {latency_ms}")
        asked = {Statistic.MEAN: self.mean_bps, Statistic.P50: self.p50_bps, Statistic.P90: self.p90_bps}[Statistic(statistic)]
        return max(0.0, asked, self.p90_bps) if latency_ms > LATENCY_LIMIT_MS else max(0.0, asked)

    def sampled(self, uniforms: np.ndarray) -> np.ndarray:
        """Draws for uniform numbers in [0, 1), basis points, >= 0."""
        drawn: np.ndarray = np.maximum(np.interp(uniforms, LEVELS, self.quantiles_bps), 0.0)
        return drawn


@dataclass(frozen=True, slots=True)
class CostProfile:
    """What is known of one instrument in one bucket; None where it was never measured on enough samples."""

    spread: CostDistribution | None = None
    slippage: CostDistribution | None = None


@dataclass(frozen=True)
class ExecutionCosts:
    """Measured profiles by instrument and bucket, as of one date.

    Parameters
    ----------
    as_of : the day they were put together
    profiles : (instrument id, bucket) → profile
    """

    as_of: date
    profiles: Mapping[tuple[str, SessionBucket], CostProfile]

    def __post_init__(self) -> None:
        object.__setattr__(self, "profiles", MappingProxyType(dict(self.profiles)))

    @property
    def instruments(self) -> tuple[str, ...]:
        return tuple(sorted({instrument for instrument, _ in self.profiles}))

    def get(self, instrument: str, bucket: SessionBucket) -> CostProfile:
        """The profile of a bucket; an empty one where it was never measured."""
        return self.profiles.get((instrument, bucket), CostProfile())

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they stand in a dated file."""
        rows = []
        for (instrument, bucket), profile in sorted(self.profiles.items()):
            row: dict[str, Any] = {"instrument": instrument, "bucket": str(bucket)}
            for name, found in (("spread", profile.spread), ("slippage", profile.slippage)):
                row[name] = None if found is None else _plain(found)
            rows.append(row)
        return {"schema": SCHEMA, "as_of": self.as_of.isoformat(), "profiles": rows}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ExecutionCosts:
        """The profiles of a dated file.

        Raises
        ------
        InvalidInput : the values are not what `as_dict` gives
        """
        try:
            if values["schema"] != SCHEMA:
                raise InvalidInput(f"expected execution costs of schema {SCHEMA}, found {values['schema']}")
            profiles = {
                (str(row["instrument"]), SessionBucket(row["bucket"])): CostProfile(_read(row["spread"]), _read(row["slippage"]))
                for row in values["profiles"]
            }
            return cls(date.fromisoformat(values["as_of"]), profiles)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(f"expected execution costs as `costs recalibrate` writes them, found {error!r}") from None


def _plain(found: CostDistribution) -> dict[str, Any]:
    return {
        "mean_bps": found.mean_bps,
        "p50_bps": found.p50_bps,
        "p90_bps": found.p90_bps,
        "sample_count": found.sample_count,
        "last_updated": found.last_updated.isoformat(),
        "quantiles_bps": list(found.quantiles_bps),
    }


def _read(values: Mapping[str, Any] | None) -> CostDistribution | None:
    if values is None:
        return None
    updated = datetime.fromisoformat(values["last_updated"])
    quantiles = tuple(float(value) for value in values["quantiles_bps"])
    return CostDistribution(float(values["mean_bps"]), quantiles, int(values["sample_count"]), updated)
