"""P01: Versioned ProjectionPacket (horizons 1m to 5d; per horizon status, times, reference price, flat band, three-way
odds, seven strictly ordered quantiles, moments, events, conviction, reliability), JSON fixture and schema, invariants,
migration; missing is a status with its reason, never a zero-width cone.

Done when: "1,000 generated packets round-trip, every invariant violation in a list of at least ten is refused, odds and
cone agree within the declared tolerance or warn, and every listed data fault gives a valid packet with 0 exceptions"
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from fieldcast.data import SimulatedMarket, clean, simulate
from fieldcast.evaluation import WalkForward
from fieldcast.ground import Reason
from fieldcast.market import DECISION_DELAY, add_reason
from fieldcast.models import daily_variance
from fieldcast.projection import (
    AGREEMENT_TOLERANCE,
    HORIZONS,
    ProjectionPacket,
    cone_mean,
    cone_odds,
    load_packet,
    missing_packet,
    packet_from_row,
    packet_json_schema,
    packets_to_table,
)
from fieldcast.projection.composer import FIRST_VOLATILITY_FIT, compose, walk_volatility
from fieldcast.projection.tabulate import Source, tabulate

pytestmark = pytest.mark.feature("P01")
OPEN_PARTS: tuple[str, ...] = ()

LEVELS = (0.05, 0.125, 0.25, 0.5, 0.75, 0.875, 0.95)
FIXTURE = Path(__file__).parents[1] / "projection" / "packet_1_0.json"
REQUIRED = ("status", "entry_ts", "target_ts", "reference_price", "flat_band_bps", "direction", "quantiles_bps",
            "mean_bps", "sigma_horizon_bps", "events", "conviction", "reliability")  # fmt: skip


def generate(rng: np.random.Generator) -> dict[str, Any]:
    """The fields of a sound packet: any horizons, any cone, any odds near it."""
    as_of = datetime(1999, 1, 4, tzinfo=UTC) + timedelta(minutes=int(rng.integers(0, 10_000_000)))
    simulated = bool(rng.random() < 0.3)
    names = rng.choice(HORIZONS, size=rng.integers(1, 5), replace=False)
    return {
        "instrument": str(rng.choice(["XNAS:COMP", "XCBO:^VIX", "SIM:PLANTED", "XCRY:BTC/USD"])),
        "as_of": as_of,
        "provenance": {
            "data_hashes": {"bars": rng.bytes(32).hex(), "vix": rng.bytes(32).hex()},
            "model_id": f"logistic-{rng.bytes(6).hex()}",
            "evidence_id": None if rng.random() < 0.5 else rng.bytes(6).hex(),
            "code_version": "0.1.0",
            "simulated": simulated,
        },
        "warnings": ("simulated",) if simulated else (),
        "horizons": tuple(generate_horizon(rng, str(name), as_of) for name in names),
    }


def generate_horizon(rng: np.random.Generator, name: str, as_of: datetime) -> dict[str, Any]:
    if rng.random() < 0.2:
        return {"horizon": name, "status": "missing", "reason": str(rng.choice([str(code) for code in Reason]))}
    sigma = float(10 ** rng.uniform(-1, 3))
    q = np.sort(rng.standard_t(3, 7)) * sigma + np.arange(7) * 1e-3
    band = float(rng.uniform(0, 2) * sigma)
    implied = cone_odds(q[None], band)[0]
    shift = rng.uniform(-1, 1) * min(AGREEMENT_TOLERANCE, implied[0], implied[2])
    odds = implied + np.array([shift, 0.0, -shift])
    warn: tuple[str, ...] = ()
    if rng.random() < 0.2:
        odds, warn = rng.dirichlet([1, 1, 1]), ("odds_cone_disagree",)
    periods = float(rng.uniform(10, 1e5))
    parts = rng.random(3)
    hits = np.sort(rng.random(3))
    entry = as_of + timedelta(minutes=int(rng.integers(1, 5000)))
    target = entry + timedelta(minutes=int(rng.integers(1, 10_000)))
    return {
        "horizon": name,
        "status": "ok",
        "reference_price": float(10 ** rng.uniform(-4, 5)),
        "entry_ts": entry,
        "target_ts": target,
        "valid_until": target if rng.random() < 0.5 else entry,
        "flat_band_bps": band,
        "direction": {"up": float(odds[0]), "flat": float(odds[1]), "down": float(odds[2])},
        "levels": LEVELS,
        "quantiles_bps": tuple(q.tolist()),
        "mean_bps": float(cone_mean(q[None])[0]),
        "sigma_horizon_bps": sigma,
        "sigma_annual": sigma * 1e-4 * periods**0.5,
        "periods_per_year": periods,
        "events": {"high >= +1 %": float(rng.random())} if rng.random() < 0.7 else {},
        "conviction": float(rng.uniform(0.5, 1.0)),
        "reliability": dict(zip(("data", "sample", "calibration"), parts.tolist(), strict=True))
        | {"value": float(parts.min())},
        "coverage": None
        if rng.random() < 0.3
        else {"n": int(rng.integers(1, 9999)), "band_50": hits[0], "band_75": hits[1], "band_90": hits[2]},
        "warnings": warn,
    }


def test_a_thousand_generated_packets_round_trip() -> None:
    rng = np.random.default_rng(20261120)
    packets = [ProjectionPacket.model_validate(generate(rng)) for _ in range(1000)]
    for packet in packets:
        again = load_packet(packet.model_dump_json())
        assert again == packet
        assert again.digest == packet.digest
    unique = list({(packet.instrument, packet.as_of): packet for packet in packets}.values())
    assert len(unique) > 990
    table = packets_to_table(unique)
    for packet in unique[::10]:
        assert packet_from_row(table, packet.instrument, packet.as_of) == packet
    kinds = {horizon.status for packet in packets for horizon in packet.horizons}
    assert kinds == {"ok", "missing"}
    assert {horizon.horizon for packet in packets for horizon in packet.horizons} == set(HORIZONS)


def test_fixture_and_schema_describe_the_packet() -> None:
    packet = load_packet(FIXTURE.read_bytes())
    assert packet.schema_version == "1.0"
    assert {"1d", "5d"} <= {horizon.horizon for horizon in packet.horizons if horizon.known}
    schema = packet_json_schema()
    horizon = schema["$defs"]["HorizonProjection"]["properties"]
    assert set(REQUIRED) <= set(horizon)
    assert tuple(horizon["horizon"]["enum"]) == HORIZONS
    assert (HORIZONS[0], HORIZONS[-1]) == ("1m", "5d")


def first(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    return lambda packet: change(packet["horizons"][0])


def quantile(place: int, value: float) -> Callable[[dict[str, Any]], None]:
    return first(lambda h: h["quantiles_bps"].__setitem__(place, value))


VIOLATIONS: dict[str, Callable[[dict[str, Any]], None]] = {
    "odds do not sum to 1": first(lambda h: h["direction"].update(up=h["direction"]["up"] + 1e-6)),
    "odds below 0": first(lambda h: h.update(direction={"up": 1.2, "flat": 0.0, "down": -0.2})),
    "quantiles cross": quantile(2, 1e4),
    "quantiles tie": first(lambda h: h["quantiles_bps"].__setitem__(3, h["quantiles_bps"][2])),
    "zero-width cone": first(lambda h: h.update(quantiles_bps=[0.0] * 7)),
    "infinite quantile": quantile(6, float("inf")),
    "NaN quantile": quantile(3, float("nan")),
    "a required level is missing": first(
        lambda h: h.update(levels=h["levels"][:-1], quantiles_bps=h["quantiles_bps"][:-1])
    ),
    "levels and quantiles differ in number": first(lambda h: h["quantiles_bps"].append(1e5)),
    "levels out of order": first(lambda h: h["levels"].reverse()),
    "as_of without a zone": lambda p: p.update(as_of="2018-12-31T21:30:00"),
    "target before entry": first(lambda h: h.update(target_ts=h["entry_ts"])),
    "entry before as_of": lambda p: p["horizons"][0].update(entry_ts=p["as_of"]),
    "valid beyond the target": first(lambda h: h.update(valid_until="2100-01-01T00:00:00Z")),
    "a horizon twice": lambda p: p["horizons"].append(copy.deepcopy(p["horizons"][0])),
    "an unknown horizon": first(lambda h: h.update(horizon="7d")),
    "no horizon": lambda p: p.update(horizons=[]),
    "ok without a cone": first(lambda h: h.update(levels=None, quantiles_bps=None)),
    "ok with a reason": first(lambda h: h.update(reason="no_data")),
    "missing without a reason": lambda p: p["horizons"][-1].update(reason=None),
    "missing with a figure": lambda p: p["horizons"][-1].update(sigma_horizon_bps=0.0),
    "an unregistered reason": lambda p: p["horizons"][-1].update(reason="because"),
    "sigma of zero": first(lambda h: h.update(sigma_horizon_bps=0.0, sigma_annual=0.0)),
    "sigmas that contradict": first(lambda h: h.update(sigma_annual=h["sigma_annual"] * 1.01)),
    "a negative price": first(lambda h: h.update(reference_price=-1.0)),
    "a negative flat band": first(lambda h: h.update(flat_band_bps=-1.0)),
    "conviction above 1": first(lambda h: h.update(conviction=1.01)),
    "an event above 1": first(lambda h: h.update(events={"x": 1.5})),
    "reliability above its weakest part": first(lambda h: h["reliability"].update(value=0.99)),
    "coverage that shrinks": first(lambda h: h["coverage"].update(band_90=0.1)),
    "odds far from the cone without a warning": first(
        lambda h: h.update(direction={"up": 0.9, "flat": 0.05, "down": 0.05})
    ),
    "simulated without its label": lambda p: p["provenance"].update(simulated=True),
    "a hash that is none": lambda p: p["provenance"].update(data_hashes={"bars": "abc"}),
    "an unknown field": lambda p: p.update(position=3),
    "a simple return": first(lambda h: h.update(return_kind="simple")),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_every_violation_is_refused(name: str) -> None:
    assert len(VIOLATIONS) >= 10
    body = json.loads(FIXTURE.read_text())
    ProjectionPacket.model_validate(body)
    VIOLATIONS[name](body)
    with pytest.raises(ValidationError):
        ProjectionPacket.model_validate(body)


@pytest.mark.parametrize(("gap", "agrees"), [(0.0499, True), (-0.0499, True), (0.0501, False), (-0.0501, False)])
def test_odds_and_cone_agree_within_the_tolerance_or_warn(gap: float, agrees: bool) -> None:
    body = json.loads(FIXTURE.read_text())
    horizon = body["horizons"][0]
    up, flat, down = cone_odds(np.array([horizon["quantiles_bps"]]), horizon["flat_band_bps"])[0]
    horizon["direction"] = {"up": up + gap, "flat": flat, "down": down - gap}
    if agrees:
        ProjectionPacket.model_validate(body)
    else:
        with pytest.raises(ValidationError, match="odds_cone_disagree"):
            ProjectionPacket.model_validate(body)
        horizon["warnings"] = ["odds_cone_disagree"]
        assert Reason.ODDS_CONE_DISAGREE in ProjectionPacket.model_validate(body).horizons[0].warnings


# data faults --------------------------------------------------------------------------------------------------------

ROW = pl.int_range(pl.len())
HIT = (ROW >= 640) & (ROW < 660)


def spoil(column: str, value: float | None) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda bars: bars.with_columns(pl.when(HIT).then(value).otherwise(pl.col(column)).alias(column))


FAULTS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "null close": spoil("close", None),
    "NaN close": spoil("close", float("nan")),
    "infinite close": spoil("close", float("inf")),
    "close of zero": spoil("close", 0.0),
    "negative close": spoil("close", -5.0),
    "no open": spoil("open", None),
    "no high": spoil("high", None),
    "high below low": spoil("high", 0.01),
    "negative volume": spoil("volume", -1.0),
    "no volume": spoil("volume", None),
    "a close-only stretch": lambda b: b.with_columns(
        *(pl.when(HIT).then(None).otherwise(pl.col(c)).alias(c) for c in ("open", "high", "low")),
        add_reason(Reason.CLOSE_ONLY, HIT),
    ),
    "synthetic opens": lambda b: b.with_columns(add_reason(Reason.OPEN_SYNTHETIC, HIT)),
    "sessions lost": lambda b: b.filter(~HIT),
    "a duplicated stretch": lambda b: pl.concat([b, b.filter(HIT)]),
    "unsorted rows": lambda b: b.reverse(),
    "a hundredfold price": lambda b: b.with_columns(
        pl.when(HIT).then(pl.col(c) * 100).otherwise(pl.col(c)).alias(c) for c in ("open", "high", "low", "close")
    ),
    "a market that stands still": lambda b: b.with_columns(
        pl.when(HIT).then(b["close"][639]).otherwise(pl.col(c)).alias(c) for c in ("open", "high", "low", "close")
    ),
    "rows after now": lambda b: pl.concat(
        [b, b.tail(1).with_columns(pl.col("ts").dt.offset_by("400d"), pl.col("available_at").dt.offset_by("400d"))]
    ),
    "fifty rows only": lambda b: b.head(50),
    "no row at all": lambda b: b.head(0),
}


@pytest.fixture(scope="module")
def market() -> Any:
    return simulate(SimulatedMarket(seed=3, n_sessions=760))


@pytest.mark.parametrize("fault", FAULTS)
def test_every_listed_data_fault_gives_valid_packets(fault: str, market: Any) -> None:
    now = market.bars["ts"][-1] + DECISION_DELAY
    bars, _ = clean(FAULTS[fault](market.bars), market.instrument, now=now)
    if bars.height <= FIRST_VOLATILITY_FIT:
        template = load_packet(FIXTURE.read_bytes()).provenance.model_copy(update={"simulated": True})
        reason = Reason.SHORT_HISTORY if bars.height else Reason.NO_DATA
        packet = missing_packet(market.instrument.id, now, reason, horizons=("1d", "5d"), provenance=template)
        assert load_packet(packet.canonical) == packet
        assert all(horizon.reason is reason and horizon.quantiles_bps is None for horizon in packet.horizons)
        return
    table = project(bars, market.instrument)
    packets = [packet_from_row(table, market.instrument.id, as_of) for as_of in table["as_of"].unique().sort()]
    assert len(packets) == bars.height - 600
    horizons = [horizon for packet in packets for horizon in packet.horizons]
    assert any(horizon.known for horizon in horizons)
    for horizon in horizons:
        if horizon.known:
            assert np.diff(horizon.quantiles_bps).min() > 0
        else:
            assert horizon.reason is not None
            assert horizon.quantiles_bps is None


def project(bars: pl.DataFrame, instrument: Any) -> pl.DataFrame:
    """Rows 600.. of both horizons, with sign odds that are unknown on every seventh row."""
    close = bars["close"].to_numpy()
    n = len(close)
    log = np.log(close)
    daily = np.r_[np.nan, np.diff(log)]
    variance = daily_variance(bars)["variance"].to_numpy().astype(np.float64)
    decision = (bars["ts"] + DECISION_DELAY).dt.replace_time_zone(None).to_numpy()
    odds = np.random.default_rng(0).uniform(0.4, 0.6, n)
    odds[::7] = np.nan
    odds[:400] = np.nan
    paths = []
    for h in (1, 5):
        ret = np.full(n, np.nan)
        ret[: n - h] = log[h:] - log[:-h]
        ends = np.full(n, np.datetime64("NaT"), dtype="datetime64[us]")
        ends[: n - h] = bars["ts"].dt.replace_time_zone(None).to_numpy()[h:]
        folds = tuple(WalkForward(initial=300, test=21, step=21).split(decision, ends, 60))
        sigma = walk_volatility(variance, daily, horizon=h, refit=21)
        paths.append(
            compose(
                horizon=h,
                folds=folds,
                returns=ret,
                sigma=sigma,
                sign_odds=odds,
                input_missing=np.isnan(odds),
                data_coverage=np.ones(n),
                flat_share=1 / 3,
            )
        )
    source = Source(
        instrument=instrument.id,
        calendar=instrument.calendar,
        simulated=True,
        closes=bars.select("ts", "close"),
        hashes=["0" * 64] * n,
        model_id="test",
        code_version="0.1.0",
    )
    return tabulate(source, paths, {1: {"high >= +1 %": odds}}, 600)
