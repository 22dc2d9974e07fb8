"""Minutes ahead: within the session or over midnight, each row from what was known, and honest about what cannot be said."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcast.data import save_instrument
from fieldcast.features import compute
from fieldcast.ground import InvalidInput, Reason, ShortHistory, load_settings
from fieldcast.market import BARS, Instrument, default_instrument, sessions_between
from fieldcast.workflows import minute_projection as minutes
from fieldcast.workflows import open_workspace, project_minutes
from fieldcast.workflows.minute_projection import MinuteSettings, minute_packet, minute_path, minute_rows

SMALL = MinuteSettings(days=18, initial=12, training=4, scores=3)
EQUITY = default_instrument("XTST:WALK", "equity", calendar="XNYS", currency="USD")
COIN = default_instrument("CTST:COINUSD", "crypto", calendar="24/7", currency="USD")


def walk(instrument: Instrument, first: date, last: date, seed: int = 3) -> pl.DataFrame:
    """Minute bars of a random walk that is twice as rough in the first and last hour of a session."""
    random = np.random.default_rng(seed)
    days = sessions_between(instrument.calendar, first, last)
    stamps, rough = [], []
    for opened, closed in days.select("open", "close").iter_rows():
        count = int((closed - opened) / timedelta(minutes=1))
        stamps += [opened + timedelta(minutes=k) for k in range(1, count + 1)]
        rough += [2.0 if min(k, count - k) < 60 else 1.0 for k in range(count)]
    n = len(stamps)
    close = 100.0 * np.exp(np.cumsum(4e-4 * np.array(rough) * random.standard_t(5, n)))
    opened = np.concatenate([[100.0], close[:-1]])
    spread = np.exp(1e-4 * np.abs(random.standard_normal((2, n))))
    ts = pl.Series(stamps).dt.replace_time_zone("UTC") if stamps[0].tzinfo is None else pl.Series(stamps)
    table = {
        "instrument": [instrument.id] * n,
        "ts": ts,
        "available_at": ts,
        "open": opened,
        "high": np.maximum(opened, close) * spread[0],
        "low": np.minimum(opened, close) / spread[1],
        "close": close,
        "volume": random.uniform(1e2, 1e3, n),
        "reasons": [None] * n,
    }
    return pl.DataFrame({name: pl.Series(name, table[name], dtype=dtype) if name != "ts" else ts for name, dtype in BARS.items()})


@pytest.fixture(scope="module")
def shares() -> pl.DataFrame:
    """Nineteen sessions; that of 2018-11-23 ends at 13:00."""
    return walk(EQUITY, date(2018, 11, 1), date(2018, 11, 28))


def at(bars: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    return bars.filter(pl.col("ts") <= moment)


def status(packet: object) -> dict[str, str]:
    return {h.horizon: h.status if h.reason is None else str(h.reason) for h in packet.horizons}  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_packet_of_minutes_has_every_horizon_inside_the_session_and_its_times(shares: pl.DataFrame) -> None:
    end = datetime(2018, 11, 27, 19, 0, tzinfo=UTC)
    packet = minute_packet(at(shares, end), EQUITY, settings=SMALL)
    assert status(packet) == {"1m": "ok", "5m": "ok", "15m": "ok", "1h": "ok"}
    assert packet.as_of == end + timedelta(seconds=1)
    for name, ahead in minutes.HORIZONS.items():
        found = packet.horizon(name)
        assert found.target_ts == end + timedelta(minutes=ahead)
        assert packet.as_of < found.entry_ts < found.target_ts  # type: ignore[operator]
        assert found.periods_per_year == pytest.approx(252 * 390 / ahead)
        assert found.coverage is not None
        few = found.coverage.n < 60 * ahead  # outcomes overlap: of an hour's there are hardly twenty
        assert found.coverage.band_90 == pytest.approx(0.90, abs=0.2 if few else 0.04)
        assert found.coverage.band_50 == pytest.approx(0.50, abs=0.3 if few else 0.08)
    sigmas = [packet.horizon(name).sigma_horizon_bps for name in minutes.HORIZONS]
    assert sigmas == sorted(sigmas)  # type: ignore[type-var]


@pytest.mark.slow
@pytest.mark.parametrize(("hour", "minute"), [(20, 30), (20, 55)])
def test_a_horizon_that_outlasts_the_session_is_missing_with_its_reason(shares: pl.DataFrame, hour: int, minute: int) -> None:
    packet = minute_packet(at(shares, datetime(2018, 11, 27, hour, minute, tzinfo=UTC)), EQUITY, settings=SMALL)
    left = 21 * 60 - (hour * 60 + minute)
    for name, ahead in minutes.HORIZONS.items():
        expected = "ok" if ahead <= left else Reason.TARGET_OUTSIDE_SESSION.value
        assert status(packet)[name] == expected


def test_a_day_that_ends_early_ends_its_horizons_early(shares: pl.DataFrame) -> None:
    rows = minute_rows(shares, EQUITY, 18)
    early = datetime(2018, 11, 23, 18, 0, tzinfo=UTC)  # 13:00 in New York
    row = int(np.searchsorted(rows.ts, int(early.timestamp() * 1e6))) - 10
    assert rows.ends[row] == int(early.timestamp() * 1e6)
    for ahead, found in ((5, True), (10, True), (15, False), (60, False)):
        assert bool(rows.ahead(ahead)[1][row]) is found
    assert rows.a_day == 390
    last = np.flatnonzero(rows.ts == rows.ends)
    assert not any(rows.ahead(ahead)[1][last].any() for ahead in minutes.HORIZONS.values())  # no return over a night


def test_a_market_that_never_closes_goes_on_over_midnight() -> None:
    bars = walk(COIN, date(2020, 3, 1), date(2020, 3, 9))
    rows = minute_rows(bars, COIN, 9)
    assert rows.a_day == 1440
    late = int(np.searchsorted(rows.ts, int(datetime(2020, 3, 8, 23, 50, tzinfo=UTC).timestamp() * 1e6)))
    place, there = rows.ahead(60)
    assert there[late]
    assert place[late] == late + 60
    path = minutes.TimeOfDay("UTC", around_the_clock=True).path(rows.bars, 60)
    stops = minutes.TimeOfDay("UTC").path(rows.bars, 60)
    assert np.isfinite(path.sigma[late])
    assert np.isnan(stops.sigma[late])
    noon = late - 12 * 60
    assert path.sigma[noon] == pytest.approx(stops.sigma[noon], rel=0.02)


@pytest.mark.slow
def test_every_figure_of_a_row_is_that_of_the_bars_cut_there(shares: pl.DataFrame) -> None:
    rows = minute_rows(shares[: len(shares) - 130], EQUITY, 18)
    whole = minute_path(rows, EQUITY, 15, SMALL)
    for back in (200, 131, 64, 15):
        row = len(rows.ts) - 1 - back
        cut = minute_path(minute_rows(rows.bars[: row + 1], EQUITY, 18), EQUITY, 15, SMALL)
        assert len(cut.sigma) == row + 1
        for name in ("sign_odds", "odds", "quantiles_bps", "sigma", "flat_band_bps", "mean_bps"):
            np.testing.assert_allclose(getattr(cut, name)[-1], getattr(whole, name)[row], rtol=1e-9, err_msg=name)
        assert cut.scored[-1] == whole.scored[row]


def test_minute_features_are_decided_a_second_after_the_bar_and_daily_ones_after_half_an_hour(shares: pl.DataFrame) -> None:
    bars = shares[:1200]
    known = compute(bars, ["volatility"])
    assert known["parkinson_1"].null_count() == 0
    late = bars.with_columns(available_at=pl.col("ts") + timedelta(seconds=2))  # a second too late for every decision
    assert compute(late, ["volatility"])["parkinson_1"].null_count() == len(bars)
    daily = bars.with_columns(ts=bars["ts"][0] + pl.duration(days=pl.int_range(pl.len()))).with_columns(
        available_at=pl.col("ts") + timedelta(minutes=29)
    )
    assert compute(daily, ["volatility"])["parkinson_1"].null_count() == 0


@pytest.mark.slow
def test_stored_minute_bars_are_projected_by_their_instrument(shares: pl.DataFrame, tmp_path: Path) -> None:
    from fieldcast.data import Lineage

    with open_workspace(settings=load_settings(home=tmp_path, workers=1)) as workspace:
        save_instrument(workspace.ledger, EQUITY)
        lineage = Lineage(provider="test", dataset="walk", fetched_at=shares["ts"][-1], simulated=False, source="random walk")
        workspace.store.append(shares, lineage, table=minutes.TABLE)
        moment = datetime(2018, 11, 27, 19, 0, tzinfo=UTC)
        packet = project_minutes(workspace, EQUITY.id, horizons=["5m"], as_of=moment, settings=SMALL)
        assert packet.digest == minute_packet(at(shares, moment), EQUITY, horizons=["5m"], settings=SMALL).digest


def test_what_cannot_be_projected_is_refused_by_name(shares: pl.DataFrame) -> None:
    with pytest.raises(InvalidInput, match=r"out of 1m, 5m, 15m, 1h.*2m"):
        minute_packet(shares, EQUITY, horizons=["2m"])
    with pytest.raises(ShortHistory, match="more than 4680 minute bars"):
        minute_packet(shares[:1000], EQUITY, horizons=["5m"], settings=SMALL)
    with pytest.raises(InvalidInput, match="whole minutes"):
        minute_packet(shares.with_columns(ts=pl.col("ts") + timedelta(seconds=1)), EQUITY)
    with pytest.raises(ShortHistory, match="in sessions of XNYS"):
        minute_packet(shares.with_columns(ts=pl.col("ts") + timedelta(hours=8)).filter(pl.col("ts").dt.hour() < 6), EQUITY)
    with pytest.raises(InvalidInput, match="within initial"):
        MinuteSettings(training=20)


@pytest.mark.slow
def test_a_market_that_never_closes_may_have_its_cones_from_experts(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from fieldcast.cli._app import app
    from fieldcast.data import Lineage

    bars = walk(COIN, date(2020, 3, 1), date(2020, 3, 16))
    with open_workspace(settings=load_settings(home=tmp_path, workers=1)) as workspace:
        save_instrument(workspace.ledger, COIN)
        lineage = Lineage(provider="test", dataset="walk", fetched_at=bars["ts"][-1], simulated=False, source="random walk")
        workspace.store.append(bars, lineage, table=minutes.TABLE)
        plain = project_minutes(workspace, COIN.id, horizons=["15m"])
        asked = project_minutes(workspace, COIN.id, horizons=["15m"], settings=MinuteSettings(cones="experts"))
    assert asked.provenance.model_id != plain.provenance.model_id
    before, found = plain.horizon("15m"), asked.horizon("15m")
    assert found.status == "ok"
    assert found.quantiles_bps != before.quantiles_bps
    assert found.quantiles_bps[-1] == pytest.approx(before.quantiles_bps[-1], rel=0.3)
    assert found.coverage.band_90 == pytest.approx(0.90, abs=0.04)  # type: ignore[union-attr]
    given = CliRunner().invoke(app, ["project", COIN.id, "--minutes", "--cones", "experts", "--home", str(tmp_path), "--json"])
    assert given.exit_code == 0, given.output
    packet = json.loads(given.stdout)
    made = {h["horizon"]: h for h in packet["horizons"]}
    assert set(made) == set(minutes.HORIZONS)
    np.testing.assert_allclose(made["15m"]["quantiles_bps"], found.quantiles_bps)


def test_cones_from_experts_are_refused_where_a_market_closes_and_beside_daily_bars(shares: pl.DataFrame, tmp_path: Path) -> None:
    from fieldcast.workflows import project

    with pytest.raises(InvalidInput, match="never closes"):
        minute_packet(shares, EQUITY, horizons=["5m"], settings=MinuteSettings(days=18, initial=12, cones="experts"))
    with pytest.raises(InvalidInput, match="out of conformal, experts"):
        MinuteSettings(cones="both")  # type: ignore[arg-type]
    with (
        open_workspace(settings=load_settings(home=tmp_path, workers=1)) as workspace,
        pytest.raises(InvalidInput, match="beside minutes alone"),
    ):
        project(workspace, EQUITY.id, cones="experts")
