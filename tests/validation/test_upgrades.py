"""Upgrades stay off until recorded evidence meets their gate: each way to stay off has its own reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.evaluation import auc, log_loss
from fieldcast.ground import IntegrityError, InvalidInput, MissingData, Reason
from fieldcast.ledger import Database, open_database, tables
from fieldcast.validation import (
    UPGRADES,
    EvidenceRow,
    Measure,
    Span,
    Upgrade,
    UpgradeOutcome,
    ablation_evidence,
    earned,
    load_evidence,
    load_verdicts,
    save_evidence,
)

NAME = "XNAS:TEST"
MADE = datetime(2024, 1, 2, tzinfo=UTC)
LATER = MADE + timedelta(days=30)
SPAN = Span((NAME,), date(2015, 1, 5), date(2023, 12, 29))
upgrades = pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)


def evidence(
    upgrade: Upgrade, measure: Measure = Measure.AUC, estimate: float = 0.03, low: float = 0.01, n: int = 2_000
) -> EvidenceRow:
    return EvidenceRow(
        upgrade.claim(measure), upgrade.configuration_hash(NAME), SPAN, estimate, low, max(estimate, 2 * estimate - low), n,
        "a test", MADE, MADE + timedelta(days=365),
    )  # fmt: skip


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", None) as opened:
        yield opened


def verdict(database: Database, upgrade: Upgrade, *rows: EvidenceRow, at: datetime = LATER) -> tuple[UpgradeOutcome, Reason]:
    """What the ledger says after the rows were written to it and read back."""
    with database.begin() as session:
        save_evidence(session, rows)
    with database.read() as session:
        found = load_verdicts(session, NAME, at)[upgrade.name]
    return found.outcome, found.reasons[0]


ENABLED = (UpgradeOutcome.ENABLED, Reason.EARNED)


def off(reason: Reason) -> tuple[UpgradeOutcome, Reason]:
    return UpgradeOutcome.DISABLED, reason


@upgrades
def test_nothing_on_record_keeps_it_off_and_a_row_that_meets_the_gate_puts_it_on(database: Database, upgrade: Upgrade) -> None:
    assert verdict(database, upgrade) == off(Reason.EVIDENCE_MISSING)
    assert verdict(database, upgrade, evidence(upgrade)) == ENABLED
    with database.read() as session:
        others = [found.enabled for name, found in load_verdicts(session, NAME, LATER).items() if name != upgrade.name]
    assert others == [False, False]


@upgrades
def test_a_gain_that_is_too_small_or_may_be_chance_keeps_it_off(database: Database, upgrade: Upgrade) -> None:
    assert verdict(database, upgrade, evidence(upgrade, estimate=0.02, low=0.01)) == off(Reason.EVIDENCE_FAILED)
    chance = replace(evidence(upgrade, estimate=0.05, low=0.0), recorded_at=MADE + timedelta(days=1))
    assert verdict(database, upgrade, chance) == off(Reason.EVIDENCE_FAILED)
    just = replace(evidence(upgrade, estimate=0.0201, low=0.0001), recorded_at=MADE + timedelta(days=2))
    assert verdict(database, upgrade, just) == ENABLED


@upgrades
def test_better_odds_earn_it_where_the_ranking_is_not_worse(database: Database, upgrade: Upgrade) -> None:
    better = evidence(upgrade, Measure.LOG_LOSS, estimate=0.004, low=0.001)
    assert verdict(database, upgrade, better) == off(Reason.EVIDENCE_FAILED)  # nothing says what the AUC did
    assert verdict(database, upgrade, evidence(upgrade, estimate=0.0, low=-0.01)) == ENABLED
    worse = replace(evidence(upgrade, estimate=-0.001, low=-0.01), recorded_at=MADE + timedelta(days=1))
    assert verdict(database, upgrade, worse) == off(Reason.EVIDENCE_FAILED)


def test_better_odds_on_other_days_than_the_ranking_earn_nothing(database: Database) -> None:
    upgrade = UPGRADES["hmm_regime"]
    better = evidence(upgrade, Measure.LOG_LOSS, estimate=0.004, low=0.001)
    elsewhere = replace(evidence(upgrade, estimate=0.01, low=-0.01), span=replace(SPAN, last=date(2020, 12, 31)))
    assert verdict(database, upgrade, better, elsewhere) == off(Reason.EVIDENCE_FAILED)


@upgrades
def test_evidence_of_a_simulation_keeps_it_off(database: Database, upgrade: Upgrade) -> None:
    assert verdict(database, upgrade, replace(evidence(upgrade), span=replace(SPAN, simulated=True))) == off(Reason.SIMULATED)


@upgrades
def test_evidence_of_another_configuration_or_instrument_keeps_it_off(database: Database, upgrade: Upgrade) -> None:
    elsewhere = replace(evidence(upgrade), span=replace(SPAN, instruments=("XNAS:OTHER",)))
    assert verdict(database, upgrade, elsewhere) == off(Reason.EVIDENCE_MISSING)
    changed = replace(upgrade, settings={**upgrade.settings, "more": 1})
    other = replace(evidence(upgrade), configuration_hash=changed.configuration_hash(NAME))
    assert verdict(database, upgrade, other) == off(Reason.EVIDENCE_OTHER)
    borrowed = replace(evidence(upgrade), configuration_hash=upgrade.configuration_hash("XNAS:OTHER"))
    assert verdict(database, upgrade, replace(borrowed, recorded_at=LATER)) == off(Reason.EVIDENCE_OTHER)


@upgrades
def test_evidence_counts_from_when_it_was_recorded_until_it_expires(database: Database, upgrade: Upgrade) -> None:
    with database.begin() as session:
        save_evidence(session, [evidence(upgrade)])
    tick = timedelta(microseconds=1)
    expiry = MADE + timedelta(days=365)
    answers = [verdict(database, upgrade, at=at) for at in (MADE - tick, MADE, expiry - tick, expiry)]
    assert answers == [off(Reason.EVIDENCE_MISSING), ENABLED, ENABLED, off(Reason.EVIDENCE_EXPIRED)]


def test_no_row_counts_longer_than_the_upgrade_allows() -> None:
    upgrade = replace(UPGRADES["hmm_regime"], valid_for=timedelta(days=10))
    forever = replace(evidence(upgrade), expires_at=datetime(2099, 1, 1, tzinfo=UTC))
    assert earned(upgrade, [forever], MADE + timedelta(days=9), instrument=NAME).enabled
    assert earned(upgrade, [forever], MADE + timedelta(days=10), instrument=NAME).reasons == (Reason.EVIDENCE_EXPIRED,)


@upgrades
def test_too_few_rows_cannot_judge(database: Database, upgrade: Upgrade) -> None:
    assert verdict(database, upgrade, evidence(upgrade, n=251)) == off(Reason.FEW_ROWS)
    more = replace(evidence(upgrade, n=252), recorded_at=MADE + timedelta(days=1))
    assert verdict(database, upgrade, more) == ENABLED


@upgrades
def test_what_was_earned_is_lost_by_a_later_failure(database: Database, upgrade: Upgrade) -> None:
    assert verdict(database, upgrade, evidence(upgrade)) == ENABLED
    failed = replace(evidence(upgrade, estimate=0.001, low=-0.02), recorded_at=MADE + timedelta(days=5))
    assert verdict(database, upgrade, failed) == off(Reason.EVIDENCE_FAILED)
    assert verdict(database, upgrade, at=MADE + timedelta(days=4)) == ENABLED  # as it was known then


def test_the_verdict_says_which_row_decided_it() -> None:
    upgrade = UPGRADES["print_stream"]
    found = earned(upgrade, [evidence(upgrade)], LATER, instrument=NAME)
    assert found.row == evidence(upgrade)
    assert "upgrade.print_stream.auc +0.0300" in found.text
    assert earned(upgrade, [], LATER, instrument=NAME).text.startswith("print_stream is disabled: no ablation")


ids = st.from_regex(r"[A-Z0-9]{2,12}:[^\s,:\x00-\x1f]{1,32}", fullmatch=True)


@given(st.lists(ids, min_size=1, max_size=3), st.dates(), st.dates(), st.booleans())
def test_a_span_comes_back_from_its_text(names: list[str], one: date, two: date, simulated: bool) -> None:
    span = Span(tuple(names), min(one, two), max(one, two), simulated)
    assert Span.parse(str(span)) == span


def test_rows_come_back_as_they_went_in_and_damage_is_seen(database: Database) -> None:
    upgrade = UPGRADES["hmm_regime"]
    row = evidence(upgrade)
    with database.begin() as session:
        save_evidence(session, [row])
    with database.read() as session:
        assert load_evidence(session, upgrade.claims, LATER) == (row,)
        assert load_evidence(session, upgrade.claims, MADE - timedelta(days=1)) == ()
    with pytest.raises(IntegrityError), database.begin() as session:
        save_evidence(session, [row])
    with database.begin() as session:
        found = session.query(tables.Evidence).one()
        found.data_span = "some days"
    with pytest.raises(IntegrityError, match="data span"), database.read() as session:
        load_evidence(session, upgrade.claims, LATER)


def test_figures_that_are_none_are_refused() -> None:
    row = evidence(UPGRADES["hmm_regime"])
    for broken in ({"low": 0.2}, {"estimate": float("nan")}, {"n": 0}, {"expires_at": MADE}):
        with pytest.raises(InvalidInput):
            replace(row, **broken)


DAYS = np.datetime64("2015-01-05") + np.arange(800)


def odds(edge: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Odds that know the sign a little, or (edge 0) not at all, and the returns."""
    random = np.random.default_rng(seed)
    p = np.clip(0.5 + edge * random.standard_normal(800), 0.05, 0.95)
    up = random.random(800) < p
    return p, np.where(up, 1, -1) * np.abs(random.standard_normal(800)) * 0.01


def test_an_ablation_measures_both_gains_on_rows_that_both_sides_know() -> None:
    upgrade = UPGRADES["hmm_regime"]
    on, returns = odds(0.15)
    flat = np.random.default_rng(9).uniform(0.45, 0.55, 800)
    on, flat, returns = on.copy(), flat.copy(), returns.copy()
    on[:30], flat[30:60], returns[60:70], returns[70:80] = np.nan, np.nan, 0.0, np.nan
    ranked, told = ablation_evidence(
        upgrade, instrument=NAME, with_odds=on, without_odds=flat, returns=returns, dates=DAYS, simulated=False, command="test",
        recorded_at=MADE, draws=200,
    )  # fmt: skip
    up = returns[80:] > 0
    assert ranked.n == told.n == 720
    assert ranked.estimate == pytest.approx(auc(on[80:], up) - auc(flat[80:], up))
    assert told.estimate == pytest.approx(log_loss(flat[80:], up) - log_loss(on[80:], up))
    assert ranked.span == Span((NAME,), DAYS[80].item(), DAYS[799].item())
    assert earned(upgrade, [ranked, told], LATER, instrument=NAME).enabled
    with pytest.raises(MissingData, match="both odds and an outcome"):
        ablation_evidence(
            upgrade, instrument=NAME, with_odds=on, without_odds=np.full(800, np.nan), returns=returns, dates=DAYS,
            simulated=False, command="test", recorded_at=MADE,
        )  # fmt: skip


def test_a_part_that_knows_nothing_rarely_earns_its_place() -> None:
    """The two clauses have a 5 % bound each: under no gain they may let through one in twenty or so each."""
    upgrade = UPGRADES["hmm_regime"]
    passed = 0
    for seed in range(40):
        without, returns = odds(0.05, seed)
        noise = np.clip(without + 0.05 * np.random.default_rng(1_000 + seed).standard_normal(800), 0.02, 0.98)
        rows = ablation_evidence(
            upgrade, instrument=NAME, with_odds=noise, without_odds=without, returns=returns, dates=DAYS, simulated=False,
            command="test", recorded_at=MADE, draws=100,
        )  # fmt: skip
        passed += earned(upgrade, rows, LATER, instrument=NAME).enabled
    assert passed <= 4
