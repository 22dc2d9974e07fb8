"""How long the jobs of one decision may take, and how long they do: `make targets`. Ends with 1 where one takes longer.

Inputs are simulated and of the size of real ones (`_targets_inputs.py`); nothing is read from outside. One process, the state
as a running system has it: kernels compiled, features warm. Each job runs once to warm up and seven times on the clock:

    fetch        from the Parquet store, as known at a moment: a year of 1-minute bars, 23 years of daily bars, a chain of 20,000
    prediction   a new daily bar in, the packet out, by a projector that holds 2,500 sessions (logistic, two horizons, an event)
    pipeline     a session's bars (daily and 390 minutes) and its chain written to the store; the packet; all fields read back;
                 the target of the volatility rule; the idea with levels, size, costs and 1,000 paths. What is not in it: fitting
                 the first models (a projector is opened once), a fold that falls due, an order book (a decision after the
                 close has none), the order itself
    training     100 passes of the multilayer perceptron over 5,000 rows of the tier a200; once, not seven times
    hedge        20,000 contracts from rows to prices, dealer field, elasticity with its surface, and their readings
    liquidity    35 days of minute bars, and the order book of a whole session at its close (some 850,000 rows since one snapshot
                 at the opening, the dearest moment of the day) with its quotes and trades, and their readings. The book is not
                 kept from one reading to the next; before the window of a minute its rows are only laid down
    sentiment    the mood out of 10,000 scored texts, and its reading
    idea         levels, size by three rules, costs, errors and warnings, from figures at hand
    monte_carlo  1,000 paths of that idea over 20 sessions
    backtest     31 daily bars by the venue with all tables, in a new process each time, its start included; three times

A job is judged by the least wall time of its rounds, less the time for which it stood ready and another process had its
processor (Linux counts that for the main thread; elsewhere nothing is taken off, and nothing for threads or new processes).
What the job itself waits for, such as the disk, counts. A neighbour makes rounds longer and never shorter, so that a target
which is missed then is missed by the code. Median, plain least and processor time stand beside it.

    python benchmarks/targets.py [--csv FILE] [--only NAME]... [--scale 1.0]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from _targets_inputs import CONTRACTS, LINEAGE, SEED, TEXTS, Inputs

from fieldcast import features
from fieldcast.data import save_instrument
from fieldcast.fields.books import book_field
from fieldcast.fields.dealer import NAIVE, dealer_field
from fieldcast.fields.elasticity import elasticity_field
from fieldcast.fields.liquidity import session_liquidity
from fieldcast.fields.pricing_chain import price_chain
from fieldcast.fields.sentiment import sentiment_field
from fieldcast.ground import load_settings
from fieldcast.models.mlp import MultilayerPerceptron
from fieldcast.strategy import (
    Bootstrap,
    Cap,
    Holding,
    RiskShare,
    TradeIdea,
    VolatilityTarget,
    simulate_idea,
    smallest_size,
    trade_idea,
)
from fieldcast.strategy.sizing import volatility_target
from fieldcast.trading import CostModel, Side, price_from_bar
from fieldcast.workflows import Projector, Workspace, load_experiment, open_workspace
from fieldcast.workflows.fields import BOOK, SESSIONS_BACK
from fieldcast.workflows.ideas import make_idea

Work = Callable[[], object]
ROUNDS, COLD_ROUNDS, WARM_SESSIONS, TRAINING_ROWS, PASSES, PATHS = 7, 3, 2_500, 5_000, 100, 1_000
AHEAD = ROUNDS + 1                  # new bars that a job with one a round takes, the one to warm up with among them
STORED = -AHEAD - 1                 # place of the newest daily bar in the store before the first round of the pipeline
NAV = Decimal(1_000_000)
SCHEDULE = Path("/proc/self/schedstat")      # nanoseconds on the processor, nanoseconds ready and not on it, turns
COLD = """
import json, sys
import numpy as np
from fieldcast.market import Instrument, Kind
from fieldcast.simulation.market import Market
from fieldcast.simulation.targets_run import run_targets
bars = {name: np.array(values) for name, values in json.load(sys.stdin).items()}
ts = bars.pop("ts").astype(np.int64)
market = Market.of_arrays(Instrument("SIM:TGT", Kind.EQUITY, simulated=True), ts, *bars.values())
found = run_targets((np.arange(ts.size) // 3 % 2).astype(float), market)
print(sum(table.height for table in (found.orders, found.fills, found.journal, found.trades, found.equity)))
"""


@dataclass(frozen=True)
class Target:
    """A job, how long it may take in milliseconds, and how often it is timed after how many rounds to warm up."""

    name: str
    target_ms: float
    make: Callable[[Jobs], Work]
    rounds: int = ROUNDS
    warm: int = 1


@dataclass(frozen=True)
class Figure:
    """What was found, milliseconds: median and least on the wall, least without waiting for others, median of the processor."""

    target: Target
    allowed_ms: float
    median_ms: float
    least_ms: float
    undisturbed_ms: float
    processor_ms: float

    @property
    def met(self) -> bool:
        return self.undisturbed_ms <= self.allowed_ms


class Jobs:
    """The jobs, each as what is to be timed; making one prepares all that its clock shall not see."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.inputs = Inputs()

    @cached_property
    def workspace(self) -> Workspace:
        """A store in a folder that goes away, filled up to the session before the first round of the pipeline."""
        home = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        own = load_settings(home=home, workers=1, ledger_url=None, store_url=None)      # whatever the environment says
        found = self._stack.enter_context(open_workspace(settings=own))
        made, last = self.inputs, self.inputs.daily["ts"][STORED]
        save_instrument(found.ledger, made.instrument)
        found.store.append(made.daily.filter(pl.col("ts") <= last), LINEAGE)
        found.store.append(made.minutes.filter(pl.col("ts") <= last), LINEAGE, table="bars/1m")
        found.store.append(made.texts, LINEAGE, table="text_scores")
        for moment, rows in made.chains.items():
            if moment <= last:
                found.store.append(rows, LINEAGE, table="chains")
        return found

    @cached_property
    def projector(self) -> Projector:
        """Opened so far back that the rounds of `prediction` end with the newest stored bar."""
        bars = self.inputs.daily[: STORED - AHEAD + 1].tail(WARM_SESSIONS)
        return Projector(bars, self.inputs.instrument, load_experiment())

    def fetch(self) -> Work:
        store, name, as_of = self.workspace.store, self.inputs.instrument.id, self.inputs.decision(STORED)

        def work() -> None:
            minutes = store.read(name, table="bars/1m", as_of=as_of, first=as_of.date() - timedelta(days=365))
            daily = store.read(name, as_of=as_of)
            chain = store.read(name, table="chains", as_of=as_of, first=as_of.date(), last=as_of.date())
            assert minutes.height > 90_000
            assert daily.height > 5_000
            assert chain.height >= CONTRACTS

        return work

    def prediction(self) -> Work:
        projector = self.projector
        ahead = iter(self.inputs.daily[place : place + 1] for place in range(self.inputs.daily.height + STORED - AHEAD + 1,
                                                                             self.inputs.daily.height + STORED + 1))  # fmt: skip

        def work() -> None:
            bar = next(ahead)
            assert projector.add(bar).as_of >= bar["ts"][0]

        return work

    def pipeline(self) -> Work:
        workspace, projector, made = self.workspace, self.projector, self.inputs
        name, ahead = made.instrument.id, iter(range(STORED + 1, 0))

        def session() -> Iterator[tuple[pl.DataFrame, str]]:
            """The rows that the next session brings, by table."""
            place = next(ahead)
            before, last = made.daily["ts"][place - 1], made.daily["ts"][place]
            yield made.daily[place:][:1], "bars/1d"
            yield made.minutes.filter(pl.col("ts") > before, pl.col("ts") <= last), "bars/1m"
            yield made.chains[last], "chains"

        def work() -> None:
            rows = list(session())
            for part, table in rows:
                workspace.store.append(part, LINEAGE, table=table)
            day = rows[0][0]["ts"][0].date()
            as_of = made.decision(made.daily["ts"].dt.date().index_of(day) or 0)
            packet = projector.refresh(workspace, as_of=as_of)
            nearest = packet.horizons[0]
            assert packet.as_of.date() == day
            assert nearest.direction is not None
            assert nearest.sigma_annual is not None
            assert nearest.reference_price is not None
            sized = volatility_target(
                p_up=nearest.direction.up, p_down=nearest.direction.down, sigma_annual=nearest.sigma_annual, nav=NAV,
                price=price_from_bar(nearest.reference_price), lot=made.instrument.lot,
            )  # fmt: skip
            direction = "long" if nearest.direction.up > nearest.direction.down else "short"
            idea = make_idea(workspace, name, direction, nav=NAV, as_of=as_of, paths=PATHS)
            assert sized.reasons
            assert idea.odds is not None
            assert idea.odds.paths == PATHS

        return work

    def training(self) -> Work:
        daily = self.inputs.daily
        table = features.compute(daily, ["a200"])
        names = [name for name in features.columns(["a200"]) if name in table.columns]
        rows = table.select(names).cast(pl.Float64).to_numpy()[-TRAINING_ROWS - 1 : -1]
        rows = rows[:, np.isfinite(rows).all(axis=0)]
        close = daily["close"].to_numpy()[-TRAINING_ROWS - 1 :]
        labels = (np.diff(close) > 0).astype(float)
        assert rows.shape[0] == TRAINING_ROWS
        assert rows.shape[1] > 150, f"a matrix of the tier's width, found {rows.shape}"

        def work() -> None:
            assert MultilayerPerceptron(passes=PASSES, seed=SEED).fit(rows, labels).rows == TRAINING_ROWS

        return work

    def hedge(self) -> Work:
        as_of, rows = next(iter(self.inputs.chains.items()))
        volume = float(self.inputs.daily["volume"].tail(20).to_numpy().mean())

        def work() -> None:
            chain = price_chain(rows, as_of)
            assert len(chain) > 0.9 * CONTRACTS
            dealer_field(chain).reading()
            elasticity = elasticity_field(chain, NAIVE, daily_volume=volume)
            elasticity.reading()
            assert elasticity.surface is not None

        return work

    def liquidity(self) -> Work:
        made, book = self.inputs, self.inputs.book
        as_of = book["depth"]["available_at"][-1]
        minutes = made.minutes.filter(pl.col("ts") > as_of - SESSIONS_BACK)

        def work() -> None:
            session_liquidity(minutes, made.instrument, as_of).reading()
            found = book_field(book["depth"], as_of, trades=book["trades"], quotes=book["quotes"], settings=BOOK)
            assert found.reading().values
            assert found.regime is not None

        return work

    def sentiment(self) -> Work:
        texts, as_of = self.inputs.texts, self.inputs.minutes["ts"][-1]
        assert texts.height == TEXTS

        def work() -> None:
            found = sentiment_field(texts, as_of)
            found.reading()
            assert found.score is not None

        return work

    @cached_property
    def _figures(self) -> tuple[np.ndarray, float]:
        """A thousand daily log returns, and the mean range of the last 14 sessions."""
        daily = self.inputs.daily
        ranges = (daily["high"] - daily["low"]).tail(14).to_numpy()
        return np.diff(np.log(daily["close"].to_numpy()))[-1_000:], float(ranges.mean())

    def _compose(self) -> TradeIdea:
        (returns, reach), made = self._figures, self.inputs
        reference, distance = price_from_bar(made.daily["close"][-1]), price_from_bar(round(1.5 * reach, 2))
        rules = (
            RiskShare(distance, Decimal("0.01")),
            VolatilityTarget(float(returns.std(ddof=1)) * 252**0.5, Decimal("0.15")),
            Cap(Decimal("0.10")),
        )
        size = smallest_size(Holding(NAV, reference, made.instrument.multiplier, made.instrument.lot), rules)
        return trade_idea(
            made.instrument, Side.BUY, as_of=made.decision(-1), reference=reference, stop_distance=distance,
            quantity=size.quantity, nav=NAV, costs=CostModel(), volume=5e6,
        )  # fmt: skip

    def idea(self) -> Work:
        def work() -> None:
            made = self._compose()
            assert made.quantity > 0
            assert made.costs is not None

        work()
        return work

    def monte_carlo(self) -> Work:
        made, (returns, _) = self._compose(), self._figures

        def work() -> None:
            assert simulate_idea(made, steps=20, innovations=Bootstrap(returns), seed=SEED, paths=PATHS).paths == PATHS

        return work

    def backtest(self) -> Work:
        bars = self.inputs.daily.tail(31)
        given = {"ts": bars["ts"].to_physical().to_list()}
        given |= {name: bars[name].to_list() for name in ("open", "high", "low", "close", "volume")}

        def work() -> None:
            done = subprocess.run(
                [sys.executable, "-c", COLD], input=json.dumps(given), capture_output=True, text=True, check=True
            )
            assert int(done.stdout) > 31

        return work


TARGETS = (
    Target("fetch", 1_000, Jobs.fetch),
    Target("prediction", 10, Jobs.prediction),
    Target("pipeline", 5_000, Jobs.pipeline),
    Target("training", 300_000, Jobs.training, rounds=1, warm=0),
    Target("hedge", 100, Jobs.hedge),
    Target("liquidity", 100, Jobs.liquidity),
    Target("sentiment", 100, Jobs.sentiment),
    Target("idea", 500, Jobs.idea),
    Target("monte_carlo", 200, Jobs.monte_carlo),
    Target("backtest", 5_000, Jobs.backtest, rounds=COLD_ROUNDS),
)


def processor_seconds() -> float:
    """Of this process, and of those that it has waited for."""
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + others.ru_utime + others.ru_stime


def waited_seconds() -> float:
    """For which the main thread has stood ready to run while others ran; 0 where the system does not count it."""
    if not SCHEDULE.exists():
        return 0.0
    return int(SCHEDULE.read_text(encoding="ascii").split()[1]) / 1e9


def timed(target: Target, jobs: Jobs, scale: float) -> Figure:
    work = target.make(jobs)
    for _ in range(target.warm):
        work()
    wall, own, used = [], [], []
    for _ in range(target.rounds):
        began, waited, spent, start = time.perf_counter(), waited_seconds(), processor_seconds(), time.perf_counter()
        work()
        wall.append(1e3 * (time.perf_counter() - start))
        used.append(1e3 * (processor_seconds() - spent))
        waited = waited_seconds() - waited
        own.append(min(wall[-1], 1e3 * (time.perf_counter() - began - waited)))     # the clock around holds all of the waiting
    return Figure(target, target.target_ms * scale, statistics.median(wall), min(wall), min(own), statistics.median(used))


def hardware() -> str:
    """The machine in one line: processor, how many of them may be used, memory, Python, and how busy it is."""
    cpu = platform.processor() or platform.machine()
    listed = Path("/proc/cpuinfo")
    if listed.exists():
        lines = listed.read_text(encoding="utf-8").splitlines()
        named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        cpu = next(named, cpu)
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{cpu}, {len(os.sched_getaffinity(0))} processors, {gigabytes:.0f} GiB, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def write_csv(path: Path, figures: list[Figure], machine: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    today = datetime.now(tz=UTC).date().isoformat()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        measured = ("target_ms", "median_ms", "least_ms", "undisturbed_ms", "processor_ms")
        writer.writerow(("name", *measured, "n", "met", "simulated", "date", "hardware"))
        for one in figures:
            found = (one.allowed_ms, one.median_ms, one.least_ms, one.undisturbed_ms, one.processor_ms)
            times = (f"{value:.4f}" for value in found)
            writer.writerow(
                (one.target.name, *times, one.target.rounds, str(one.met).lower(), "true", today, machine)
            )


def positive(text: str) -> float:
    value = float(text)
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
    return value


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--csv", type=Path, help="write the figures to this file too")
    parser.add_argument("--only", action="append", choices=[target.name for target in TARGETS], help="may be given again")
    parser.add_argument("--scale", type=positive, default=1.0, help="every target times this; 1 = as they are enforced")
    given = parser.parse_args()
    machine = hardware()
    print(f"simulated inputs; {machine}")
    print(f"{'':12} {'target':>10} {'undisturbed':>11} {'least':>10} {'median':>10} {'processor':>10}   n   milliseconds")
    figures = []
    with ExitStack() as stack:
        jobs = Jobs(stack)
        for target in TARGETS:
            if given.only and target.name not in given.only:
                continue
            one = timed(target, jobs, given.scale)
            figures.append(one)
            times = " ".join(f"{value:>10,.2f}" for value in (one.least_ms, one.median_ms, one.processor_ms))
            judged = f"{one.allowed_ms:>10,.2f} {one.undisturbed_ms:>11,.2f}"
            print(f"{target.name:12} {judged} {times} {target.rounds:>3}   {'met' if one.met else 'MISSED'}", flush=True)
    if given.csv is not None:
        write_csv(given.csv, figures, machine)
    missed = [one for one in figures if not one.met]
    for one in missed:
        print(
            f"targets: expected {one.target.name} within {one.allowed_ms:,g} ms, "
            f"found {one.undisturbed_ms:,.2f} ms in its best round",
            file=sys.stderr,
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
