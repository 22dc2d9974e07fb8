"""A small market for tests of the cycle: three instruments, a table of bars that can be restated, given projections.

Prices are drawn once from a fixed seed. The projections and gates are given, not computed: what is tested is what the
cycle does with them.
"""

from __future__ import annotations

import atexit
import math
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from statistics import NormalDist

import numpy as np
import polars as pl

from fieldcast.cycle import CycleConfig, CycleResult, Snapshot, run
from fieldcast.execution import PaperBroker
from fieldcast.ground import ManualClock, MissingData, Reason, digest
from fieldcast.ledger import Database, open_database
from fieldcast.market import BARS, Instrument, Kind, next_session, sessions_between
from fieldcast.projection import (
    QUANTILE_LEVELS,
    Direction,
    HorizonProjection,
    ProjectionPacket,
    Provenance,
    Reliability,
)
from fieldcast.validation import GateOutcome, GateResult

SHARE = Instrument("XNAS:SHARE", Kind.EQUITY)
INDEX = Instrument("XNAS:INDEX", Kind.INDEX, tradable=False, notional=True)
FEAR = Instrument("XCBO:FEAR", Kind.INDEX, tradable=False)
UNIVERSE = (SHARE, INDEX, FEAR)
FIRST, LAST = date(2018, 11, 1), date(2018, 12, 31)
CASH = Decimal(1_000_000)


@cache
def empty_ledger() -> Path:
    """A migrated ledger without rows: copied, because migrating costs more than a whole cycle."""
    folder = tempfile.mkdtemp(prefix="fieldcast-ledger-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "ledger.db"
    open_database(f"sqlite:///{path}", None).close()
    return path


@cache
def calendar() -> pl.DataFrame:
    """Sessions of the test's two months."""
    return sessions_between("XNYS", FIRST, LAST)


class Market:
    """Bars as they were known; a restatement is a further row."""

    def __init__(self, seed: int = 20181231) -> None:
        days = calendar()
        self.frames = {}
        for number, (instrument, start) in enumerate(((SHARE, 100.0), (INDEX, 7000.0), (FEAR, 20.0))):
            rng = np.random.default_rng([seed, number])
            close = start * np.exp(np.cumsum(rng.normal(0.0, 0.012, days.height)))
            opening = close * np.exp(rng.normal(0.0, 0.004, days.height))
            frame = pl.DataFrame(
                {
                    "instrument": [instrument.id] * days.height,
                    "ts": days["close"],
                    "available_at": days["as_of"],
                    "open": opening.round(2) if instrument is not FEAR else [None] * days.height,
                    "high": (np.maximum(opening, close) + 0.5).round(2),
                    "low": (np.minimum(opening, close) - 0.5).round(2),
                    "close": close.round(2),
                    "volume": [1e6] * days.height,
                    "reasons": [None if instrument is not FEAR else Reason.CLOSE_ONLY.value] * days.height,
                },
                schema=BARS,
            )
            self.frames[instrument.id] = frame

    def read(
        self, instrument: str, *, as_of: datetime | None = None, first: date | None = None, last: date | None = None
    ) -> pl.DataFrame:
        if instrument not in self.frames:
            raise MissingData(f"expected a known instrument, found {instrument}")
        frame = self.frames[instrument]
        if as_of is not None:
            frame = frame.filter(pl.col("available_at") <= as_of)
        if first is not None:
            frame = frame.filter(pl.col("ts").dt.date() >= first)
        if last is not None:
            frame = frame.filter(pl.col("ts").dt.date() <= last)
        return frame.sort("ts", "available_at").unique("ts", keep="last", maintain_order=True)

    def restate(self, instrument: Instrument, session: date, available_at: datetime, **values: float | str) -> None:
        """One bar of the past, told anew."""
        frame = self.frames[instrument.id]
        changed = (
            frame.filter(pl.col("ts").dt.date() == session)
            .tail(1)
            .with_columns(pl.lit(value).alias(name) for name, value in values.items())
            .with_columns(available_at=pl.lit(available_at, dtype=pl.Datetime("us", "UTC")))
        )
        assert changed.height == 1
        self.frames[instrument.id] = pl.concat([frame, changed.select(frame.columns)])

    def drop(self, instrument: Instrument, session: date) -> None:
        frame = self.frames[instrument.id]
        self.frames[instrument.id] = frame.filter(pl.col("ts").dt.date() != session)


def gate(outcome: str) -> GateResult:
    """A gate's answer with figures that suit it."""
    reason = {"PASS": Reason.GATE_PASSED, "FAIL": Reason.GATE_FAILED, "CANNOT_JUDGE": Reason.GATE_CANNOT_JUDGE}[outcome]
    return GateResult(GateOutcome(outcome), 0.53, 0.007, 0.518, 5000, 5000, (reason,))


def packet(
    instrument: Instrument,
    *,
    as_of: datetime,
    session: date,
    close: float,
    p_up: float = 0.6,
    p_flat: float = 0.1,
    sigma_annual: float = 0.2,
) -> ProjectionPacket:
    """A sound packet over one day with a normal cone."""
    following = next_session("XNYS", session)
    sigma_bps = 1e4 * sigma_annual / math.sqrt(252)
    return ProjectionPacket(
        instrument=instrument.id,
        as_of=as_of,
        provenance=Provenance(
            data_hashes={"bars": digest([instrument.id, str(session), close])},
            model_id="given",
            code_version="test",
            simulated=instrument.simulated,
        ),
        warnings=(Reason.SIMULATED,) if instrument.simulated else (),
        horizons=(
            HorizonProjection(
                horizon="1d",
                status="ok",
                reference_price=close,
                entry_ts=following["open"],
                target_ts=following["close"],
                valid_until=following["open"],
                flat_band_bps=10.0,
                direction=Direction(up=p_up, flat=p_flat, down=1.0 - p_up - p_flat),
                levels=QUANTILE_LEVELS,
                quantiles_bps=tuple(sigma_bps * NormalDist().inv_cdf(level) for level in QUANTILE_LEVELS),
                mean_bps=1.0,
                sigma_horizon_bps=sigma_bps,
                sigma_annual=sigma_annual,
                periods_per_year=252.0,
                conviction=max(p_up, 1.0 - p_up - p_flat) / (1.0 - p_flat),
                reliability=Reliability(value=0.8, data=0.8, sample=0.9, calibration=1.0),
                warnings=(Reason.ODDS_CONE_DISAGREE,),
            ),
        ),
    )


@dataclass
class Source:
    """Snapshots of the market with given odds, volatilities, gates and quality scores by instrument.

    `p_up[(id, session)]` and so on override the default for one session.
    """

    market: Market
    p_up: dict[object, float] = field(default_factory=dict)
    sigma: dict[object, float] = field(default_factory=dict)
    gates: dict[object, str | None] = field(default_factory=dict)
    scores: dict[object, float | None] = field(default_factory=dict)
    silent: set[object] = field(default_factory=set)  # instruments without a projection
    absent: set[object] = field(default_factory=set)  # instruments of which nothing is known

    def _given(self, table: dict[object, object], instrument: Instrument, session: date, default: object) -> object:
        return table.get((instrument.id, session), table.get(instrument.id, default))

    def snapshot(self, instrument: Instrument, as_of: datetime) -> Snapshot:
        if instrument.id in self.absent:
            raise MissingData(f"nothing is known of {instrument.id}")
        bars = self.market.read(instrument.id, as_of=as_of)
        data_hash = digest([list(row) for row in bars.drop("available_at").rows()])
        last = bars.row(-1, named=True)
        session = last["ts"].date()
        silent = instrument.id in self.silent or (instrument.id, session) in self.silent or instrument is FEAR
        given = None
        if not silent:
            given = packet(
                instrument,
                as_of=last["ts"] + timedelta(minutes=30),
                session=session,
                close=last["close"],
                p_up=self._given(self.p_up, instrument, session, 0.6),  # type: ignore[arg-type]
                sigma_annual=self._given(self.sigma, instrument, session, 0.2),  # type: ignore[arg-type]
            )
        outcome = self._given(self.gates, instrument, session, None if instrument is FEAR else "PASS")
        return Snapshot(
            bars=bars.tail(5),
            data_hash=data_hash,
            quality=self._given(self.scores, instrument, session, 0.99),  # type: ignore[arg-type]
            packet=given,
            gate=None if outcome is None else gate(str(outcome)),
        )


def configuration(**changes: object) -> CycleConfig:
    """The test's portfolio."""
    given = {"account": "test", "portfolio": "paper", "instruments": UNIVERSE, "starting_cash": CASH} | changes
    return CycleConfig(**given)  # type: ignore[arg-type]


class World:
    """Ledger, broker, market, source and clock in one folder, opened anew as often as wanted."""

    def __init__(
        self,
        home: Path,
        *,
        config: CycleConfig | None = None,
        url: str | None = None,
        ledger: Database | None = None,
    ) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.market = Market()
        self.source = Source(self.market)
        self.config = config or configuration()
        self.clock = ManualClock(calendar()["as_of"][0])
        if ledger is None and url is None and not (home / "ledger.db").exists():
            shutil.copy(empty_ledger(), home / "ledger.db")
        self.ledger: Database = ledger or open_database(url or f"sqlite:///{home / 'ledger.db'}", home)
        self.broker = self._broker()

    def _broker(self) -> PaperBroker:
        return PaperBroker(
            self.home / f"{self.config.portfolio}.broker",
            account=self.config.account,
            portfolio=self.config.portfolio,
            market=self.market,
            clock=self.clock,
            instruments=self.config.instruments,
            cash=self.config.starting_cash,
        )

    def close(self) -> None:
        self.broker.close()
        self.ledger.close()

    def at(self, session: date, minutes: int = 0) -> World:
        """Put the clock (also back) to the session's decision time, and so many minutes later."""
        moment = calendar().filter(pl.col("session") == session)["as_of"][0]
        self.clock.at = moment + timedelta(minutes=minutes)
        return self

    def run(self, *, revise: bool = False, broker: object | None = None) -> CycleResult:
        return run(
            self.clock,
            self.source,
            broker or self.broker,  # type: ignore[arg-type]
            self.ledger,
            self.config,
            revise=revise,
        )

    def bar(self, instrument: Instrument, session: date) -> dict[str, float]:
        frame = self.market.read(instrument.id).filter(pl.col("ts").dt.date() == session)
        return frame.row(0, named=True)


def days(count: int, start: date = date(2018, 12, 3)) -> list[date]:
    """So many sessions from `start` on."""
    found: list[date] = calendar().filter(pl.col("session") >= start)["session"].to_list()[:count]
    assert len(found) == count
    return found
