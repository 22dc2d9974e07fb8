"""ProjectionPacket 1.0: what Fieldcast says about one instrument at one moment, and how far it may be relied upon.

A packet holds one projection a horizon. A projection is `ok`, with odds, seven or more quantiles and moments of the
log return close(t) -> close(t + H) in basis points; or it is `missing`, with its reason and no figure at all: never a
zero, never a cone without width. Every promise below is checked when a packet is made, so that one which exists is
sound:

    times carry a zone; as_of < entry < target; as_of < valid_until <= target; each horizon once, at least one
    odds lie in [0, 1] and sum to 1; levels and quantiles ascend strictly and hold the seven required levels
    sigma > 0, and sigma_annual = sigma_horizon sqrt(periods a year); reliability is the least of its parts
    odds and cone agree within 0.05, or `odds_cone_disagree` says that they do not
    simulated data is labelled as such

Old versions are brought up by `load_packet`, step by step through `MIGRATIONS`; an unknown version is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from fieldcast.ground import InvalidInput, Reason, canonical_json, digest, html_of
from fieldcast.projection.conformal import QUANTILE_LEVELS
from fieldcast.projection.odds import AGREEMENT_TOLERANCE, DOWN, UP, cone_odds

PACKET_SCHEMA_VERSION = "1.0"
HORIZONS = ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "1d", "2d", "3d", "4d", "5d")
SCHEMA_FILE = Path(__file__).parent / "schema" / "projection_packet_1_0.json"
_SUM_TOLERANCE = 1e-9
_MOMENT_TOLERANCE = 1e-6



def _known_horizon(name: str) -> str:
    if name not in HORIZONS:
        raise ValueError(f"expected a horizon out of {', '.join(HORIZONS)}, found {name!r}")
    return name


HorizonName = Annotated[str, AfterValidator(_known_horizon), Field(json_schema_extra={"enum": list(HORIZONS)})]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Utc = Annotated[AwareDatetime, AfterValidator(lambda moment: moment.astimezone(UTC))]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Direction(_Part):
    """Three-way odds of the log return against the flat band; they sum to 1."""

    up: Probability
    flat: Probability
    down: Probability

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = self.up + self.flat + self.down
        if abs(total - 1.0) > _SUM_TOLERANCE:
            raise ValueError(f"expected odds that sum to 1, found {total!r}")
        return self

    @property
    def called(self) -> Literal["up", "down"]:
        """The likelier side."""
        return "up" if self.up >= self.down else "down"


class Reliability(_Part):
    """The least of three parts, each in [0, 1]; see `projection.reliability`."""

    value: Probability
    data: Probability
    sample: Probability
    calibration: Probability

    @model_validator(mode="after")
    def _is_the_least_part(self) -> Self:
        if abs(self.value - min(self.data, self.sample, self.calibration)) > _SUM_TOLERANCE:
            raise ValueError(f"expected reliability to be the least of its parts, found {self.value!r}")
        return self


class MeasuredCoverage(_Part):
    """Share of earlier outcomes inside the central bands, over n outcomes that were known at as_of."""

    n: Annotated[int, Field(ge=1)]
    band_50: Probability
    band_75: Probability
    band_90: Probability

    @model_validator(mode="after")
    def _bands_are_nested(self) -> Self:
        if not self.band_50 <= self.band_75 <= self.band_90:
            raise ValueError("expected coverage that grows from the 50 % band to the 90 % band")
        return self


class Provenance(_Part):
    """Where a packet comes from."""

    data_hashes: Mapping[Name, Sha256]
    model_id: Name
    evidence_id: Name | None = None
    code_version: Name
    simulated: bool


_FORECAST = (
    "reference_price", "flat_band_bps", "direction", "levels", "quantiles_bps", "mean_bps", "sigma_horizon_bps",
    "sigma_annual", "periods_per_year", "conviction", "reliability",
)  # fmt: skip
_TIMES = ("entry_ts", "target_ts", "valid_until")


class HorizonProjection(_Part):
    """The projection of one horizon: `ok` with every figure, or `missing` with its reason and none.

    reference_price : close of the as_of session
    entry_ts, target_ts : next open, and close of session t + H
    flat_band_bps : half-width of the band called flat
    conviction : calibrated probability of the called side, given that the return is not zero
    periods_per_year : horizons in a year: 252 for 1d, 50.4 for 5d
    coverage : None until an outcome has been scored
    """

    horizon: HorizonName
    status: Literal["ok", "missing"]
    reason: Reason | None = None
    reference_price: Positive | None = None
    entry_ts: Utc | None = None
    target_ts: Utc | None = None
    valid_until: Utc | None = None
    return_kind: Literal["log"] = "log"
    flat_band_bps: Annotated[float, Field(ge=0.0)] | None = None
    direction: Direction | None = None
    levels: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] | None = None
    quantiles_bps: tuple[float, ...] | None = None
    mean_bps: float | None = None
    sigma_horizon_bps: Positive | None = None
    sigma_annual: Positive | None = None
    periods_per_year: Positive | None = None
    events: Mapping[Name, Probability] = Field(default_factory=dict)
    conviction: Probability | None = None
    reliability: Reliability | None = None
    coverage: MeasuredCoverage | None = None
    warnings: tuple[Reason, ...] = ()

    @classmethod
    def missing(
        cls,
        horizon: str,
        reason: Reason,
        *,
        entry_ts: datetime | None = None,
        target_ts: datetime | None = None,
        valid_until: datetime | None = None,
        warnings: tuple[Reason, ...] = (),
    ) -> HorizonProjection:
        """A horizon about which nothing can be said, and why; its times may be known all the same."""
        return cls(
            horizon=horizon,
            status="missing",
            reason=reason,
            entry_ts=entry_ts,
            target_ts=target_ts,
            valid_until=valid_until,
            warnings=warnings,
        )

    @property
    def known(self) -> bool:
        """True where there is a forecast."""
        return self.status == "ok"

    def band(self, share: float) -> tuple[float, float]:
        """Lower and upper edge in bps of the central band that holds `share` (0.5, 0.75, 0.9).

        Raises
        ------
        InvalidInput : the horizon is missing, or has no such levels
        """
        if self.levels is None or self.quantiles_bps is None:
            raise InvalidInput(f"expected a projection for {self.horizon}, found it missing ({self.reason})")
        found = dict(zip((round(level, 9) for level in self.levels), self.quantiles_bps, strict=True))
        low, high = round((1.0 - share) / 2.0, 9), round((1.0 + share) / 2.0, 9)
        if low not in found or high not in found:
            raise InvalidInput(f"expected a band with edges among the levels {self.levels}, found {share}")
        return found[low], found[high]

    @model_validator(mode="after")
    def _status_is_whole(self) -> Self:
        if self.status == "missing":
            if self.reason is None:
                raise ValueError("expected a reason for a missing horizon")
            given = [name for name in (*_FORECAST, "coverage") if getattr(self, name) is not None]
            if given or self.events:
                raise ValueError(f"expected no figures for a missing horizon, found {', '.join(given) or 'events'}")
            return self
        if self.reason is not None:
            raise ValueError(f"expected no reason for a horizon that is ok, found {self.reason}")
        absent = [name for name in (*_FORECAST, *_TIMES) if getattr(self, name) is None]
        if absent:
            raise ValueError(f"expected every figure of a horizon that is ok; missing {', '.join(absent)}")
        return self

    @model_validator(mode="after")
    def _times_are_in_order(self) -> Self:
        if self.entry_ts is not None and self.target_ts is not None and self.entry_ts >= self.target_ts:
            raise ValueError("expected entry_ts before target_ts")
        if self.valid_until is not None and self.target_ts is not None and self.valid_until > self.target_ts:
            raise ValueError("expected valid_until at or before target_ts")
        return self

    @model_validator(mode="after")
    def _cone_is_ordered(self) -> Self:
        if self.levels is None or self.quantiles_bps is None:
            return self
        if len(self.levels) != len(self.quantiles_bps):
            raise ValueError("expected one quantile for each level")
        for label, values in (("levels", self.levels), ("quantiles_bps", self.quantiles_bps)):
            if any(b <= a for a, b in pairwise(values)):
                raise ValueError(f"expected strictly ascending {label}, found {values}")
        lacking = [level for level in QUANTILE_LEVELS if not any(abs(level - x) <= 1e-12 for x in self.levels)]
        if lacking:
            raise ValueError(f"expected the levels {QUANTILE_LEVELS}; missing {lacking}")
        return self

    @model_validator(mode="after")
    def _moments_fit_together(self) -> Self:
        if self.sigma_horizon_bps is None or self.periods_per_year is None or self.sigma_annual is None:
            return self
        expected = self.sigma_horizon_bps * 1e-4 * math.sqrt(self.periods_per_year)
        if abs(self.sigma_annual - expected) > _MOMENT_TOLERANCE * expected:
            raise ValueError(f"expected sigma_annual {expected:.6g} = sigma_horizon sqrt(periods_per_year)")
        return self

    @model_validator(mode="after")
    def _odds_agree_with_the_cone(self) -> Self:
        if self.direction is None or self.quantiles_bps is None or self.levels is None or self.flat_band_bps is None:
            return self
        if Reason.ODDS_CONE_DISAGREE in self.warnings:
            return self
        implied = cone_odds(np.array([self.quantiles_bps]), self.flat_band_bps, self.levels)[0]
        given = np.array([self.direction.up, self.direction.flat, self.direction.down])
        if (np.abs(given - implied)[[UP, DOWN]] > AGREEMENT_TOLERANCE + 1e-9).any():
            raise ValueError(
                f"expected odds within {AGREEMENT_TOLERANCE} of the cone's {implied.round(4).tolist()}, found "
                f"{given.round(4).tolist()}; correct them or add the warning {Reason.ODDS_CONE_DISAGREE}"
            )
        return self


class ProjectionPacket(_Part):
    """All horizons of one instrument at one decision time."""

    schema_version: Literal["1.0"] = "1.0"
    instrument: Name
    as_of: Utc
    provenance: Provenance
    warnings: tuple[Reason, ...] = ()  # what holds for every horizon
    horizons: Annotated[tuple[HorizonProjection, ...], Field(min_length=1)]

    def _repr_html_(self) -> str:
        return html_of(self.model_dump(mode="json"))

    @model_validator(mode="after")
    def _horizons_are_distinct(self) -> Self:
        names = [horizon.horizon for horizon in self.horizons]
        if len(set(names)) != len(names):
            raise ValueError(f"expected each horizon once, found {names}")
        return self

    @model_validator(mode="after")
    def _times_follow_as_of(self) -> Self:
        for horizon in self.horizons:
            for name in _TIMES:
                moment = getattr(horizon, name)
                if moment is not None and moment <= self.as_of:
                    raise ValueError(f"expected {name} of {horizon.horizon} after as_of {self.as_of.isoformat()}")
        return self

    @model_validator(mode="after")
    def _simulated_is_labelled(self) -> Self:
        if self.provenance.simulated != (Reason.SIMULATED in self.warnings):
            raise ValueError(f"expected the warning {Reason.SIMULATED} exactly where provenance says simulated")
        return self

    def horizon(self, name: str) -> HorizonProjection:
        """The projection of one horizon; InvalidInput names those that the packet has."""
        for horizon in self.horizons:
            if horizon.horizon == name:
                return horizon
        raise InvalidInput(f"expected a horizon out of {', '.join(h.horizon for h in self.horizons)}, found {name!r}")

    @property
    def canonical(self) -> str:
        """Canonical JSON: one spelling for equal packets."""
        return canonical_json(self.model_dump(mode="python"))

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON."""
        return digest(self.model_dump(mode="python"))


def missing_packet(
    instrument: str, as_of: datetime, reason: Reason, *, horizons: tuple[str, ...], provenance: Provenance
) -> ProjectionPacket:
    """A valid packet that says why there is no projection on any horizon."""
    return ProjectionPacket(
        instrument=instrument,
        as_of=as_of,
        provenance=provenance,
        warnings=(Reason.SIMULATED,) if provenance.simulated else (),
        horizons=tuple(HorizonProjection.missing(name, reason) for name in horizons),
    )


Migration = Callable[[dict[str, Any]], dict[str, Any]]

MIGRATIONS: dict[str, Migration] = {}  # version -> step that returns the packet in its successor's version


def load_packet(text: str | bytes) -> ProjectionPacket:
    """A packet from its JSON, brought up to 1.0 from an older version where a migration is registered.

    Raises
    ------
    InvalidInput : not JSON, a version without a way up, or a packet that breaks a promise (each is named)
    """
    try:
        body = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"expected the JSON of a projection packet, found {error}") from None
    if not isinstance(body, dict):
        raise InvalidInput(f"expected a JSON object, found {type(body).__name__}")
    seen: set[str] = set()
    while (version := str(body.get("schema_version"))) != PACKET_SCHEMA_VERSION:
        if version not in MIGRATIONS or version in seen:
            known = ", ".join([PACKET_SCHEMA_VERSION, *MIGRATIONS])
            raise InvalidInput(f"expected packet version {known}, found {version}; update Fieldcast")
        seen.add(version)
        body = MIGRATIONS[version](body)
    try:
        return ProjectionPacket.model_validate_json(json.dumps(body))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'packet'}: {item['msg']}" for item in error.errors())
        raise InvalidInput(f"expected a sound projection packet, found {problems}") from None


def packet_json_schema() -> dict[str, Any]:
    """JSON schema of a packet as it is written; the committed copy is `SCHEMA_FILE`."""
    return ProjectionPacket.model_json_schema(mode="serialization")
