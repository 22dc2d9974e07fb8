"""The warm state: its packets are those of a validation on the same history, bar for bar, and it refuses what does not follow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import SimulatedMarket, save_instrument, simulate
from fieldcast.ground import ConflictError, InvalidInput, MissingData, ShortHistory, load_settings
from fieldcast.models.log_har import FLOOR, bar_variance, daily_variance
from fieldcast.projection import packet_from_row
from fieldcast.workflows import Experiment, Projector, load_experiment, open_workspace, project, validate

HERE = Path(__file__).parent
ROWS, LATER = 1660, 45


def experiment(**changes: object) -> Experiment:
    """A short walk over the volatility block, with every part that a packet shows."""
    plain = load_experiment().model_dump(mode="json")
    plain["features"] = {"blocks": ["volatility"]}
    plain["walk_forward"] |= {"initial": 400}
    plain["models"]["boosted_trees"] |= {"rounds": 10, "refit": 21}
    for path, value in changes.items():
        part = plain
        *head, last = path.split("__")
        for name in head:
            part = part[name]
        part[last] = value
    return Experiment.model_validate(plain)


@pytest.fixture(scope="module")
def market() -> object:
    return simulate(SimulatedMarket(seed=11, kind="planted", n_sessions=ROWS + LATER, last=date(2018, 12, 31)))


def cold(bars: pl.DataFrame, instrument: object, chosen: Experiment) -> Callable[[object], str]:
    """Digest of the packet of a moment by the cold path: walk, compose and tabulate the whole history."""
    from fieldcast.projection.tabulate import tabulate
    from fieldcast.projection.walk_forward import walk_odds
    from fieldcast.workflows import study
    from fieldcast.workflows.prepare import prepare_bars
    from fieldcast.workflows.walks import odds_tasks

    prepared = prepare_bars(bars, instrument, chosen, data_hash="")  # type: ignore[arg-type]
    walks = [walk_odds(task) for task in odds_tasks(prepared, chosen) if task.model == chosen.nominated.model]
    first = int(np.flatnonzero(np.isfinite(walks[0].odds))[0])
    paths = study.compose_paths(prepared, walks, chosen)
    table = tabulate(study._source(prepared, chosen), paths, study._events(walks, chosen), first)
    return lambda as_of: packet_from_row(table, instrument.id, as_of).digest  # type: ignore[attr-defined, arg-type]


SETTINGS = {
    "logistic": {},
    "trees": {"nominated__model": "boosted_trees"},
    "drift": {"cones__drift": "odds"},
    "regressors": {"cones__regressors": ["log_atr_percent"]},
    "adaptive cones": {"cones__forecaster": "adaptive"},
    "a gap between test blocks": {"walk_forward__test": 15},
    "a20": {"features__blocks": ["a20", "volatility"]},
    "fields": {"features__blocks": ["volatility", "fields.liquidity"]},
}


@pytest.mark.parametrize(
    "name",
    [name if name == "logistic" else pytest.param(name, marks=pytest.mark.slow) for name in SETTINGS],
)
def test_every_packet_of_the_warm_state_is_that_of_the_cold_path(name: str, market: object) -> None:
    chosen = experiment(**SETTINGS[name])
    bars, instrument = market.bars, market.instrument  # type: ignore[attr-defined]
    steps = 10 if name == "adaptive cones" else LATER
    projector = Projector(bars[:ROWS], instrument, chosen)
    digest = cold(bars[: ROWS + steps], instrument, chosen)
    assert projector.packet.digest == digest(projector.packet.as_of)
    for row in range(ROWS, ROWS + steps):
        packet = projector.add(bars[row : row + 1])
        assert packet.digest == digest(packet.as_of), row
    if steps == LATER:
        assert len(projector.fits) >= 2
    if name == "a gap between test blocks":
        assert any(h.status == "missing" for h in packet.horizons) or len(projector.fits) >= 2


@pytest.mark.slow
def test_a_session_that_is_missing_and_a_bar_that_came_late_are_seen_as_the_cold_path_sees_them(market: object) -> None:
    chosen = experiment()
    bars, instrument = market.bars, market.instrument  # type: ignore[attr-defined]
    late = pl.when(pl.int_range(pl.len()) == ROWS + 6).then(pl.col("ts") + timedelta(days=3)).otherwise(pl.col("available_at"))
    opened = pl.when(pl.int_range(pl.len()) == ROWS + 9).then(None).otherwise(pl.col("open"))
    bars = bars.with_columns(available_at=late, open=opened)
    bars = bars.filter(pl.int_range(pl.len()) != ROWS + 2)[: ROWS + 30]
    projector, digest = Projector(bars[:ROWS], instrument, chosen), cold(bars, instrument, chosen)
    for row in range(ROWS, ROWS + 30):
        packet = projector.add(bars[row : row + 1])
        if row != ROWS + 5:  # the row whose own bar came late has no version known in time on either path
            assert packet.digest == digest(packet.as_of), row


@pytest.mark.slow
def test_several_bars_at_once_are_those_bars_one_by_one(market: object) -> None:
    bars, instrument = market.bars, market.instrument  # type: ignore[attr-defined]
    one, all_at_once = (Projector(bars[:ROWS], instrument, experiment()) for _ in range(2))
    for row in range(ROWS, ROWS + 5):
        one.add(bars[row : row + 1])
    assert all_at_once.add(bars[ROWS : ROWS + 5]).digest == one.packet.digest
    assert all_at_once.data_hash == one.data_hash


def test_bars_that_do_not_follow_are_refused_and_change_nothing(market: object) -> None:
    bars, instrument = market.bars, market.instrument  # type: ignore[attr-defined]
    projector = Projector(bars[:ROWS], instrument, experiment())
    before = projector.packet
    with pytest.raises(InvalidInput, match="ascending"):
        projector.add(bars[ROWS - 1 : ROWS])
    with pytest.raises(InvalidInput, match="one instrument"):
        projector.add(bars[ROWS : ROWS + 1].with_columns(instrument=pl.lit("SIM:OTHER")))
    with pytest.raises(InvalidInput, match="positive prices"):
        projector.add(bars[ROWS : ROWS + 1].with_columns(low=pl.lit(-1.0)))
    with pytest.raises(InvalidInput, match="at least one"):
        projector.add(bars[:0])
    with pytest.raises(InvalidInput, match="end at a close of XNYS"):
        projector.add(bars[ROWS : ROWS + 1].with_columns(ts=pl.col("ts") + timedelta(hours=1)))
    assert projector.packet is before
    after = projector.add(bars[ROWS : ROWS + 1])
    assert after.digest == Projector(bars[: ROWS + 1], instrument, experiment()).packet.digest
    with pytest.raises(ShortHistory):
        Projector(bars[:500], instrument, experiment())
    with pytest.raises(MissingData, match="expected a VIX series"):
        Projector(bars, instrument, experiment(features__blocks=["volatility", "vix"]))


@pytest.mark.slow
def test_project_follows_a_validated_history_without_validating_again(market: object, tmp_path: Path) -> None:
    bars, instrument = market.bars, market.instrument  # type: ignore[attr-defined]
    chosen = experiment(models__boosted_trees=None)
    with open_workspace(settings=load_settings(home=tmp_path, workers=1)) as workspace:
        save_instrument(workspace.ledger, instrument)
        workspace.store.append(bars[:ROWS], market.lineage)  # type: ignore[attr-defined]
        validate(workspace, [instrument.id], chosen)
        followed = Projector.open(workspace, instrument.id, chosen)
        assert followed.packet.digest == project(workspace, instrument.id, chosen).digest
        workspace.store.append(bars[ROWS : ROWS + 3], market.lineage)  # type: ignore[attr-defined]
        packet = project(workspace, instrument.id, chosen)
        assert packet.as_of > followed.packet.as_of
        assert followed.refresh(workspace).digest == packet.digest
        assert followed.refresh(workspace) is followed.packet  # nothing came since
        assert packet.digest == validate(workspace, [instrument.id], chosen)[instrument.id].packet.digest
        restated = bars[ROWS + 2 : ROWS + 3].with_columns(
            close=pl.col("close") * 1.0001, high=pl.col("high") * 1.01, available_at=pl.col("available_at") + timedelta(hours=1)
        )
        workspace.store.append(restated, market.lineage)  # type: ignore[attr-defined]
        with pytest.raises(ConflictError, match="restated"):
            followed.refresh(workspace)


def test_the_variance_of_one_bar_is_that_of_the_table_to_the_last_bit() -> None:
    random = np.random.default_rng(3)
    n = 3000
    close = 100 * np.exp(np.cumsum(0.02 * random.standard_normal(n)))
    opened, high, low = close * np.exp(0.01 * random.standard_normal((3, n)))
    high, low = np.maximum.reduce([high, opened, close]), np.minimum.reduce([low, opened, close])
    opened[::7], high[::11], low[::13] = np.nan, np.nan, np.nan
    close[50:60] = close[50]
    ts = pl.datetime_range(date(2000, 1, 1), date(2000, 1, 1) + timedelta(days=n - 1), "1d", eager=True, time_zone="UTC")
    bars = pl.DataFrame({"ts": ts, "open": opened, "high": high, "low": low, "close": close, "reasons": [None] * n},
                        schema_overrides={"reasons": pl.String}).fill_nan(None)  # fmt: skip
    table = daily_variance(bars)["variance"].to_numpy()
    one = [bar_variance(opened[k], high[k], low[k], close[k], close[k - 1]) for k in range(1, n)]
    np.testing.assert_array_equal(one, table[1:])
    assert (table[1:] >= FLOOR).all()
