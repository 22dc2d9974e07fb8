"""Upgrades that stay off until an ablation has earned them.

An upgrade is a part that could be used and costs something when it is wrong: it fits noise, or it reads data whose quality is
doubtful. Each is off by default. An ablation scores the same walk with and without it; its figures go to the ledger as
evidence, and the gate switches the upgrade on for an instrument where one of two clauses holds:

    sharper      AUC of the sign gains more than .02, and the one-sided 95 % bound of the gain is above 0
    calibrated   the mean log loss falls, the one-sided 95 % bound of the fall is above 0, and the AUC is not lower

both from at least 252 rows that are not simulated, of exactly the configuration that would be switched on. For each measure
only the newest row counts, so that an upgrade can be lost as it was earned; evidence that has expired counts no longer, and
evidence recorded after a moment is not known at it.

The log loss stands for calibration because it is a proper score: no forecast can lower its expectation but by telling the odds
better, while an ECE can be lowered by saying less. Source of the rule: the phi-nance ablation (keep a part if its out-of-
sample AUC gains more than .02, or its calibration gains with AUC not lower), to which the bounds, the least n, the
configuration and the expiry are added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy.orm import Session

from fieldcast.ground import Reason, digest, utc
from fieldcast.validation.evidence import EvidenceRow, load_evidence

AUC_GAIN = 0.02
LEAST_ROWS = 252
VALID_FOR = timedelta(days=365)


class Measure(StrEnum):
    """What an ablation measures; both gains are positive where the upgrade helps."""

    AUC = "auc"  # AUC of the sign with the upgrade less without it
    LOG_LOSS = "log_loss"  # mean log loss without the upgrade less with it


class UpgradeOutcome(StrEnum):
    """Whether the upgrade may be used."""

    ENABLED = "enabled"
    DISABLED = "disabled"


@dataclass(frozen=True)
class Upgrade:
    """A part that has to be earned.

    Parameters
    ----------
    name : as in the registry
    switches_on : what changes where it is enabled
    settings : what exactly would be switched on; part of the configuration's hash
    valid_for : how long evidence counts at most, whatever its own expiry
    """

    name: str
    switches_on: str
    settings: Mapping[str, Any] = field(hash=False)
    valid_for: timedelta = VALID_FOR

    def claim(self, measure: Measure) -> str:
        """Id of the claim in the ledger."""
        return f"upgrade.{self.name}.{measure}"

    @property
    def claims(self) -> tuple[str, ...]:
        return tuple(self.claim(measure) for measure in Measure)

    def configuration_hash(self, instrument: str) -> str:
        """SHA-256 of what would be switched on for the instrument."""
        return digest({"upgrade": self.name, "instrument": instrument, "settings": dict(self.settings)})


INTRADAY_DEALER = Upgrade(
    "intraday_dealer",
    "the dealer field is read from the newest option chain of a session in progress, not from the last one before it opened",
    {"snapshot": "newest known, inside the session", "sign": "naive"},
)
HMM_REGIME = Upgrade(
    "hmm_regime",
    "the regime field carries odds of hidden states and of a recent change, under parameters fitted before the moment",
    {"model": "hidden Markov, normal, diagonal", "states": [2, 3, 4], "chosen by": "bic", "change points": "normal-gamma"},
)
PRINT_STREAM = Upgrade(
    "print_stream",
    "signed prints of the option contracts say which way dealers hold the open interest, in place of the naive policy",
    {"side": "as stated, else Lee and Ready", "basis": "open_interest", "hours": 24},
)
UPGRADES: Mapping[str, Upgrade] = MappingProxyType({item.name: item for item in (INTRADAY_DEALER, HMM_REGIME, PRINT_STREAM)})


@dataclass(frozen=True)
class UpgradeVerdict:
    """Whether an upgrade may be used for an instrument at a moment.

    Parameters
    ----------
    upgrade, instrument, as_of : of what
    outcome : the answer
    reasons : why
    row : the evidence that decided; None where there is none that could
    """

    upgrade: Upgrade
    instrument: str
    as_of: datetime
    outcome: UpgradeOutcome
    reasons: tuple[Reason, ...]
    row: EvidenceRow | None = None

    @property
    def enabled(self) -> bool:
        return self.outcome is UpgradeOutcome.ENABLED

    @property
    def text(self) -> str:
        """One line for people."""
        why = "; ".join(reason.meaning for reason in self.reasons)
        if self.row is None:
            return f"{self.upgrade.name} is {self.outcome}: {why}"
        row = self.row
        return (
            f"{self.upgrade.name} is {self.outcome}: {why} ({row.claim} {row.estimate:+.4f}, 90 % interval {row.low:+.4f} to "
            f"{row.high:+.4f}, n={row.n}, recorded {row.recorded_at:%Y-%m-%d})"
        )


def earned(upgrade: Upgrade, evidence_rows: Iterable[EvidenceRow], as_of: datetime, *, instrument: str) -> UpgradeVerdict:
    """Judge an upgrade on the evidence known at a moment; see the module for the gate.

    Parameters
    ----------
    evidence_rows : of any claims; those of other claims, or recorded after `as_of`, are not looked at
    """
    as_of = utc(as_of)

    def answer(reason: Reason, row: EvidenceRow | None = None) -> UpgradeVerdict:
        enabled = reason is Reason.EARNED
        outcome = UpgradeOutcome.ENABLED if enabled else UpgradeOutcome.DISABLED
        return UpgradeVerdict(upgrade, instrument, as_of, outcome, (reason,), row)

    known = [row for row in evidence_rows if row.claim in upgrade.claims and row.recorded_at <= as_of]
    rows = [row for row in known if row.span.instruments == (instrument,)]
    if not rows:
        return answer(Reason.EVIDENCE_MISSING)
    wanted = upgrade.configuration_hash(instrument)
    same = [row for row in rows if row.configuration_hash == wanted]
    if not same:
        return answer(Reason.EVIDENCE_OTHER, _newest(rows))
    real = [row for row in same if not row.span.simulated]
    if not real:
        return answer(Reason.SIMULATED, _newest(same))
    newest = {measure: _newest(row for row in real if row.claim == upgrade.claim(measure)) for measure in Measure}
    live = {measure: row for measure, row in newest.items() if row is not None and as_of < _expiry(upgrade, row)}
    if not live:
        return answer(Reason.EVIDENCE_EXPIRED, _newest(real))
    enough = {measure: row for measure, row in live.items() if row.n >= LEAST_ROWS}
    if not enough:
        return answer(Reason.FEW_ROWS, _newest(live.values()))
    passed = _passed(enough)
    return answer(Reason.EVIDENCE_FAILED, _newest(enough.values())) if passed is None else answer(Reason.EARNED, passed)


def _passed(rows: Mapping[Measure, EvidenceRow]) -> EvidenceRow | None:
    """The row that meets the gate: `sharper`, else `calibrated`."""
    sharper, calibrated = rows.get(Measure.AUC), rows.get(Measure.LOG_LOSS)
    if sharper is not None and sharper.estimate > AUC_GAIN and sharper.low > 0:
        return sharper
    together = sharper is not None and calibrated is not None and sharper.span == calibrated.span
    if together and calibrated is not None and sharper is not None and calibrated.low > 0 and sharper.estimate >= 0:
        return calibrated
    return None


def _newest(rows: Iterable[EvidenceRow]) -> EvidenceRow | None:
    return max(rows, key=lambda row: (row.recorded_at, row.claim), default=None)


def _expiry(upgrade: Upgrade, row: EvidenceRow) -> datetime:
    return min(row.expires_at, row.recorded_at + upgrade.valid_for)


def load_verdicts(session: Session, instrument: str, as_of: datetime) -> Mapping[str, UpgradeVerdict]:
    """Name → verdict of every registered upgrade, on what the ledger had on record at `as_of`."""
    claims = [claim for upgrade in UPGRADES.values() for claim in upgrade.claims]
    rows = load_evidence(session, claims, as_of)
    return MappingProxyType({name: earned(upgrade, rows, as_of, instrument=instrument) for name, upgrade in UPGRADES.items()})
