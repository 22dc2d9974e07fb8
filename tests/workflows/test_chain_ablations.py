"""The ablations of the intraday chain and of prints: a planted signal is found, none is not, and too few rows are no answer.

The market is made here: closes whose sign knows the option chain of an hour before the close (or the day's prints) or nothing.
Stored under a lineage that is not simulated, so that both outcomes of the gate can be seen; and once under one that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from fieldcast.data import Lineage, save_instrument
from fieldcast.data.chains import expiry_moments, osi_of
from fieldcast.ground import ManualClock, MissingData, Reason, Settings
from fieldcast.market import Instrument, add_reason, default_instrument, sessions_between, table_of
from fieldcast.validation import UPGRADES, load_evidence, load_verdicts
from fieldcast.workflows import (
    Workspace,
    ablate_intraday_dealer,
    ablate_print_stream,
    chain_ablations,
    load_experiment,
    open_workspace,
    seal_span,
)
from fieldcast.workflows.experiment import Experiment

from .conftest import SMALL

NOW = datetime(2024, 3, 1, tzinfo=UTC)
INDEX: Instrument = default_instrument("XCBO:PLT", "index")
LINEAGE = Lineage("planted", "planted", NOW)
STRIKES = np.array([0.94, 0.97, 1.0, 1.03, 1.06])
CHAINED = 470     # newest sessions that have a chain: 150 rows for the first fit, more than 252 to judge
QUICK = SMALL.replace("l2 = 10.0\nrefit = 21", "l2 = 10.0\nrefit = 63")
RUNNERS = {"intraday_dealer": ablate_intraday_dealer, "print_stream": ablate_print_stream}


def planted(*, knows: bool, seed: int) -> tuple[pl.DataFrame, np.ndarray]:
    """Daily bars, and what an hour before each close is seen of the next session's sign: standard normal."""
    days = sessions_between("XNYS", date(2021, 1, 4), date(2024, 1, 31))
    count, random = days.height, np.random.default_rng(seed)
    seen = random.standard_normal(count)
    up = random.random(count) < (1 / (1 + np.exp(-2.5 * seen)) if knows else 0.5)
    moved = np.where(up, 1, -1) * np.abs(random.normal(0, 0.008, count))
    close = 4000 * np.exp(np.concatenate([[0.0], np.cumsum(moved[:-1])]))
    spread = 1 + np.abs(random.normal(0, 0.002, (2, count)))
    opened = close * np.exp(random.normal(0, 0.001, count))
    bars = pl.DataFrame({
        "instrument": INDEX.id, "ts": days["close"], "available_at": days["close"], "open": opened,
        "high": np.maximum(close, opened) * spread[0], "low": np.minimum(close, opened) / spread[1], "close": close,
        "reasons": "volume_not_reported",
    })  # fmt: skip
    return _conformed(bars, "bars/1d"), seen


def chains(bars: pl.DataFrame, calls: np.ndarray, puts: np.ndarray) -> pl.DataFrame:
    """A snapshot an hour before each close: two expiries, five strikes, Black-Scholes at 15 % and a rate of 0.

    Parameters
    ----------
    calls, puts : (n,) open interest of each contract of a row
    """
    at = bars["ts"] - timedelta(hours=1)
    frame = pl.DataFrame({"ts": at, "spot": bars["close"], "calls": calls, "puts": puts})
    for listed in ({"ahead": [21, 49]}, {"strike": STRIKES}, {"right": ["call", "put"]}):
        frame = frame.join(pl.DataFrame(listed), how="cross", maintain_order="left_right")
    frame = frame.with_columns(
        instrument=pl.lit(INDEX.id), available_at="ts", root=pl.lit("PLT"), settlement=pl.lit("PM"),
        exercise_style=pl.lit("european"), multiplier=pl.lit(100.0), strike=(pl.col("strike") * pl.col("spot") / 5).round() * 5,
        expiry=(pl.col("ts") + pl.duration(days="ahead")).dt.date(), underlying_price="spot",
        open_interest=pl.when(pl.col("right") == "call").then("calls").otherwise("puts"), quote_ts="ts", underlying_ts="ts",
        oi_available_at=pl.col("ts") - pl.duration(hours=2),
    )  # fmt: skip
    frame = frame.with_columns(expiry_moments(frame["expiry"], frame["settlement"]), osi_of(frame))
    years = ((frame["expiry_ts"] - frame["ts"]).dt.total_seconds() / 86400 / 365).to_numpy()
    spot, strike, sign = frame["spot"].to_numpy(), frame["strike"].to_numpy(), np.where(frame["right"] == "call", 1.0, -1.0)
    deviation = 0.15 * np.sqrt(years)
    d1 = np.log(spot / strike) / deviation + deviation / 2
    mid = sign * (spot * norm.cdf(sign * d1) - strike * norm.cdf(sign * (d1 - deviation)))
    tight = pl.DataFrame({"bid": np.maximum(mid - 0.05, 0.01), "ask": mid + 0.05})
    return _conformed(frame.hstack(tight).with_columns(bid_size=pl.lit(10.0), ask_size=pl.lit(10.0)), "chains")


def prints(rows: pl.DataFrame, seen: np.ndarray) -> pl.DataFrame:
    """One print of each contract five minutes after its snapshot: calls are bought and puts sold where `seen` is above 0."""
    place = rows["ts"].rle_id().to_numpy()
    bought = (rows["right"] == "call").to_numpy() == (seen[place] > 0)
    frame = rows.with_columns(
        ts=pl.col("ts") + pl.duration(minutes=5), available_at=pl.col("ts") + pl.duration(minutes=5),
        sequence=pl.int_range(pl.len()), price=pl.col("ask"), size=pl.lit(10.0), side=pl.Series(np.where(bought, "buy", "sell")),
    )  # fmt: skip
    return _conformed(frame, "option_trades")


def _conformed(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    schema = pl.Schema(table_of(table).schema)
    return frame.select(name for name in schema if name in frame.columns).match_to_schema(
        schema, missing_columns="insert", integer_cast="upcast", float_cast="upcast"
    )


@contextmanager
def market(
    folder: Path, upgrade: str, *, knows: bool, simulated: bool = False, chained: int = CHAINED, unstated: bool = False
) -> Iterator[tuple[Workspace, Experiment]]:
    """`unstated`: the chains state no price of their underlying, and its minute bars are stored too."""
    bars, seen = planted(knows=knows, seed=3)
    recent, signal = bars.tail(chained), seen[-chained:]
    tilt = np.exp(signal / 2) if upgrade == "intraday_dealer" else np.full(chained, 1.5)   # else calls and puts would cancel
    rows = chains(recent, 1000 * tilt, 1000 / tilt)
    (folder / "small.toml").write_text(QUICK)
    lineage = Lineage("planted", "planted", NOW, simulated=True) if simulated else LINEAGE
    with open_workspace(settings=Settings(home=folder / "home", workers=1), clock=ManualClock(NOW)) as opened:
        save_instrument(opened.ledger, INDEX)
        if simulated:
            mark = add_reason(Reason.SIMULATED, pl.lit(value=True))
            bars, rows = bars.with_columns(mark), rows.with_columns(mark)
        opened.store.append(bars, lineage, table="bars/1d")
        if unstated:
            minutes = rows.unique("ts").with_columns(
                volume=pl.lit(1.0), **{name: pl.col("underlying_price") for name in ("open", "high", "low", "close")}
            )
            opened.store.append(_conformed(minutes, "bars/1m"), lineage, table="bars/1m")
            rows = rows.with_columns(underlying_price=pl.lit(None, dtype=pl.Float64))
        opened.store.append(rows, lineage, table="chains")
        if upgrade == "print_stream":
            told = prints(rows, signal)
            opened.store.append(told.with_columns(mark) if simulated else told, lineage, table="option_trades")
        yield opened, load_experiment(folder / "small.toml")


@pytest.mark.slow
@pytest.mark.parametrize("upgrade", RUNNERS)
def test_a_signal_that_is_there_earns_the_upgrade_and_none_does_not(tmp_path: Path, upgrade: str) -> None:
    (tmp_path / "yes").mkdir()
    (tmp_path / "no").mkdir()
    with market(tmp_path / "yes", upgrade, knows=True) as (workspace, experiment):
        found = RUNNERS[upgrade](workspace, INDEX.id, experiment)
        assert found.verdict.reasons == (Reason.EARNED,), found.as_dict()
        assert found.outcome == "enabled"
        assert found.evidence[0].estimate > 0.02
        assert found.forecast >= 252
        assert found.evidence[0].n == found.forecast
        with workspace.ledger.read() as session:
            assert set(load_evidence(session, UPGRADES[upgrade].claims, NOW)) == set(found.evidence)
            assert load_verdicts(session, INDEX.id, NOW)[upgrade].enabled
    with market(tmp_path / "no", upgrade, knows=False) as (workspace, experiment):
        found = RUNNERS[upgrade](workspace, INDEX.id, experiment)
        assert found.verdict.reasons == (Reason.EVIDENCE_FAILED,), found.as_dict()
        assert found.forecast >= 252


@pytest.mark.slow
def test_a_signal_in_simulated_chains_earns_nothing(tmp_path: Path) -> None:
    with market(tmp_path, "intraday_dealer", knows=True, simulated=True, chained=260) as (workspace, experiment):
        found = ablate_intraday_dealer(workspace, INDEX.id, experiment)
        assert found.evidence[0].estimate > 0.02
        assert found.verdict.reasons == (Reason.SIMULATED,)


@pytest.mark.slow
@pytest.mark.parametrize("upgrade", RUNNERS)
def test_few_sessions_with_a_chain_cannot_be_judged_and_leave_no_record(tmp_path: Path, upgrade: str) -> None:
    with market(tmp_path, upgrade, knows=True, chained=30) as (workspace, experiment):
        found = RUNNERS[upgrade](workspace, INDEX.id, experiment)
        assert found.outcome == "cannot_judge"
        assert found.verdict.reasons == (Reason.FEW_ROWS,)
        assert (found.evidence, found.forecast) == ((), 0)
        if upgrade == "intraday_dealer":
            assert "1 rows: the last chain from before the open is not there" in found.notes
        assert found.rows == (29 if upgrade == "intraday_dealer" else 30)     # the first session has no chain before it
        with workspace.ledger.read() as session:
            assert load_evidence(session, UPGRADES[upgrade].claims, NOW) == ()


@pytest.mark.slow
def test_chains_that_state_no_price_take_it_from_the_stored_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The walks stand on the very columns that they would stand on if the chains stated it."""
    walked: list[list[tuple[list[float], list[float]]]] = []
    read = chain_ablations._Intraday.read

    def recorded(self: object, row: int, at: datetime) -> tuple[list[float], list[float]] | None:
        found = read(self, row, at)  # type: ignore[arg-type]
        if found is not None:
            walked[-1].append(found)
        return found

    monkeypatch.setattr(chain_ablations._Intraday, "read", recorded)
    for unstated in (False, True):
        walked.append([])
        (tmp_path / str(unstated)).mkdir()
        with market(
            tmp_path / str(unstated), "intraday_dealer", knows=True, chained=30, unstated=unstated
        ) as (workspace, experiment):
            assert ablate_intraday_dealer(workspace, INDEX.id, experiment).rows == 29
    np.testing.assert_array_equal(np.array(walked[1]), np.array(walked[0]))
    assert np.isfinite(np.array(walked[0])[:, :, 0]).all()


@pytest.mark.slow
def test_a_sealed_span_is_not_read(tmp_path: Path) -> None:
    with market(tmp_path, "intraday_dealer", knows=True, chained=30) as (workspace, experiment):
        everything = ablate_intraday_dealer(workspace, INDEX.id, experiment)
        seal_span(workspace, "last", [INDEX.id], first=date(2024, 1, 17), last=date(2024, 12, 31))
        before = ablate_intraday_dealer(workspace, INDEX.id, experiment)
        assert everything.rows - before.rows == 11     # sessions from the 17th of January on


@pytest.mark.slow
def test_no_chain_and_no_print_is_said(tmp_path: Path) -> None:
    with market(tmp_path, "intraday_dealer", knows=True, chained=30) as (workspace, experiment):
        assert ablate_print_stream(workspace, INDEX.id, experiment).rows == 0
        other = default_instrument("XCBO:NONE", "index")
        save_instrument(workspace.ledger, other)
        with pytest.raises(MissingData, match="option chains of XCBO:NONE"):
            ablate_intraday_dealer(workspace, other.id, experiment)
