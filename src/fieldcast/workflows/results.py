"""What the workflows return: typed tables and verdicts, with nothing in them that was not computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from fieldcast.data import QualityReport
from fieldcast.market import Instrument
from fieldcast.projection import ProjectionPacket
from fieldcast.validation import GateResult
from fieldcast.validation.sealed import LookedSpan
from fieldcast.workflows.experiment import Experiment

NOT_ASKED = "NOT_ASKED"


@dataclass(frozen=True)
class InstrumentValidation:
    """Everything that the walk found about one instrument.

    Parameters
    ----------
    projections : one row a session and horizon, out of sample; see docs/reference/tables.md
    outcomes : as_of, horizon, label_end_ts, ret (close to close), ret_open_to_close; null where not known yet
    scores : label, horizon, model, metric, estimate, low, high (95 %), n; all models on identical rows
    vix_anchor : the same columns, for the volatility anchor with and without VIX on the rows where VIX is known
    cones : horizon, model, level, coverage, n, kupiec_p, christoffersen_p, interval_score_bps
    cone_difference : horizon, ours_bps, benchmark_bps, relative, low, high (95 %, relative to the benchmark), n
    reliability : label, horizon, model, and each bin's forecast, hit_rate, n, null_low, null_high
    sharpe : figures of sign(score) * return, a diagnostic and no trading result
    gate : the gate's answer; None where too few sessions have an outcome for it to be asked
    gate_text : the answer in words, or what was missing for one
    packet : the newest packet, whose outcome is not known yet
    bayes_auc : for the planted market, the AUC of the true odds on the realised path
    fits : number of fitted models by task; `fit_table` has one row for each
    """

    instrument: Instrument
    quality: QualityReport
    projections: pl.DataFrame
    outcomes: pl.DataFrame
    scores: pl.DataFrame
    vix_anchor: pl.DataFrame
    cones: pl.DataFrame
    cone_difference: pl.DataFrame
    reliability: pl.DataFrame
    sharpe: pl.DataFrame
    gate: GateResult | None
    gate_text: str
    packet: ProjectionPacket
    fits: dict[str, int]
    fit_table: pl.DataFrame
    first_session: str
    last_session: str
    out_of_sample_from: str
    data_hash: str
    bayes_auc: float | None = None

    @property
    def verdict(self) -> str:
        """`PASS`, `FAIL` or `CANNOT_JUDGE`, and `NOT_ASKED` where there is no answer."""
        return NOT_ASKED if self.gate is None else str(self.gate.outcome)


@dataclass(frozen=True)
class FamilyCount:
    """Trials on record in one family, and how many independent ones they are worth."""

    name: str
    n: int
    n_effective: float


@dataclass(frozen=True)
class Validation:
    """Result of `validate`: one part an instrument; simulated instruments are a family of trials of their own.

    `looked` names what had been seen before of the real instruments' test span: figures on it are no fresh test.
    """

    experiment: Experiment
    parts: tuple[InstrumentValidation, ...]
    families: tuple[FamilyCount, ...]
    seconds: float
    looked: tuple[LookedSpan, ...] = ()

    @property
    def trials(self) -> int:
        """Configurations on record in all families."""
        return sum(family.n for family in self.families)

    def __getitem__(self, instrument: str) -> InstrumentValidation:
        return next(part for part in self.parts if part.instrument.id == instrument)

    def as_dict(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment.hash,
            "trials": self.trials,
            "families": [vars(family) for family in self.families],
            "looked_at": [vars(one) for one in self.looked],
            "instruments": [_part(part) for part in self.parts],
        }

    def _repr_html_(self) -> str:
        tables = [f"<h4>{part.instrument.id}: {part.verdict}</h4>{part.scores._repr_html_()}" for part in self.parts]
        return "".join(tables)


def _part(part: InstrumentValidation) -> dict[str, Any]:
    return {
        "instrument": part.instrument.id,
        "simulated": part.instrument.simulated,
        "quality": part.quality.score,
        "out_of_sample": [part.out_of_sample_from, part.last_session],
        "gate": {"outcome": part.verdict, "text": part.gate_text}
        | {name: getattr(part.gate, name, None) for name in ("estimate", "lower_bound", "standard_error", "n")},
        "scores": part.scores.to_dicts(),
        "cones": part.cones.to_dicts(),
        "cone_difference": part.cone_difference.to_dicts(),
        "reliability": part.reliability.to_dicts(),
        "vix_anchor": part.vix_anchor.to_dicts(),
        "sharpe_of_sign_times_return": part.sharpe.to_dicts(),
        "fits": part.fits,
        "packet": part.packet.model_dump(mode="json"),
        "bayes_auc": part.bayes_auc,
    }
