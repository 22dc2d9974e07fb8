"""V16: Economic gate: net-of-cost out-of-sample P&L on next-open fills, PSR(0) ≥ 0.95, deflated Sharpe shown, above buy-and-hold
at equal volatility or market-neutral.

Done when: "A planted gross-only edge below its cost fails, one at twice its cost passes, and same-close fills cannot be offered
to it"
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import polars as pl
import pytest

from fieldcast.evaluation import MemoryTrialLog, deflated_sharpe, probabilistic_sharpe, sharpe_moments
from fieldcast.ground import InvalidInput
from fieldcast.validation.economic import NextOpenReturns, gate_economic
from fieldcast.validation.gate import GateOutcome

pytestmark = pytest.mark.feature("V16")
OPEN_PARTS: tuple[str, ...] = ()

N, COST = 2520, 0.0010  # ten years of sessions; 10 bps of the account a session
SESSIONS = np.datetime64("2009-01-05") + np.arange(N)


def traded(
    edge: float, *, seed: int = 0, beta: float = 0.0, n: int = N, drift: float = 0.0002, exact: bool = True
) -> NextOpenReturns:
    """A strategy that earns `edge` a session before a cost of 10 bps, in the sample itself where `exact`; simulated."""
    rng = np.random.default_rng(seed)
    market = drift + 0.01 * rng.standard_normal(n)
    own = 0.01 * rng.standard_normal(n)
    gross = edge + beta * (market - drift) + own - (own.mean() if exact else 0.0)
    decided = SESSIONS[:n].astype("datetime64[us]") - np.timedelta64(16, "h")
    return NextOpenReturns(
        name="planted",
        sessions=SESSIONS[:n],
        decided_at=decided,
        filled_at=decided + np.timedelta64(17, "h"),
        gross=gross,
        cost=np.full(n, COST),
        benchmark=market,
        simulated=True,
        fill="next_open",
    )


def judged(returns: NextOpenReturns, log: MemoryTrialLog | None = None):
    return gate_economic(returns, log=log or MemoryTrialLog(), family="v16", configuration={"seed": 0})


@pytest.mark.parametrize("seed", range(10))
def test_an_edge_below_its_cost_fails(seed: int) -> None:
    returns = traded(0.8 * COST, seed=seed)
    assert probabilistic_sharpe(sharpe_moments(returns.gross)) > 0.95  # before cost it looks like an edge
    found = judged(returns)
    assert found.outcome is GateOutcome.FAIL
    assert found.gross_mean > 0 > found.gross_mean - found.cost_mean
    assert "SIMULATED" in found.text


@pytest.mark.parametrize("seed", range(10))
def test_an_edge_of_twice_its_cost_passes_and_shows_its_deflated_sharpe(seed: int) -> None:
    log = MemoryTrialLog()
    for other in range(5):  # five worthless trials beside it
        gate_economic(traded(COST, seed=100 + other), log=log, family="v16", configuration={"other": other})
    found = judged(traded(2 * COST, seed=seed), log)
    assert found.outcome is GateOutcome.PASS
    assert found.psr is not None
    assert found.psr >= 0.95
    assert found.family_size == 6
    assert found.deflated.dsr is not None
    assert f"{found.deflated.dsr:.4f} among 6 trials" in found.text
    sharpes = [trial.sharpe.sharpe for trial in log.trials("v16") if trial.sharpe]
    moments = sharpe_moments(traded(2 * COST, seed=seed).net)
    assert found.deflated.dsr == pytest.approx(deflated_sharpe(moments, float(np.var(sharpes, ddof=1)), 6))


def test_an_edge_that_chance_blurs_is_seldom_misjudged() -> None:
    """The edge is that of the population here: with a standard error of 2 bps, −2 bps net come out above 3.3 once in 250."""

    def passes(edge: float) -> int:
        made = (traded(edge, seed=seed, exact=False) for seed in range(20))
        said = (gate_economic(one, log=MemoryTrialLog(), family="v16", configuration={}, draws=100) for one in made)
        return sum(one.passed for one in said)

    assert passes(0.8 * COST) <= 2
    assert passes(2 * COST) >= 19


SAME_CLOSE = """
from typing import Any
from fieldcast.evaluation import MemoryTrialLog
from fieldcast.validation.economic import NextOpenReturns, gate_economic

def offered(a: Any) -> None:
    NextOpenReturns("x", a, a, a, a, a, a, simulated=True, fill="same_close")
    gate_economic(a.tolist, log=MemoryTrialLog(), family="f", configuration={})
    gate_economic({"gross": a}, log=MemoryTrialLog(), family="f", configuration={})
"""


def test_the_gate_has_one_type_and_that_one_convention() -> None:
    assert get_type_hints(gate_economic)["returns"] is NextOpenReturns
    assert get_args(get_type_hints(NextOpenReturns)["fill"]) == ("next_open",)
    assert not NextOpenReturns.__subclasses__()


@pytest.mark.slow
def test_the_types_refuse_fills_at_the_same_close(tmp_path: Path) -> None:
    (tmp_path / "offered.py").write_text(SAME_CLOSE)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "offered.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Literal['same_close']" in done.stdout or 'Literal["same_close"]' in done.stdout
    assert done.stdout.count("offered.py:") >= 2


def test_fills_at_the_same_close_are_refused_as_it_runs() -> None:
    good = traded(2 * COST)
    with pytest.raises(InvalidInput, match="fills at the next open, found 'same_close'"):
        replace(good, fill="same_close")
    with pytest.raises(InvalidInput, match="after its decision"):  # the convention declared, the times say otherwise
        replace(good, filled_at=good.decided_at)
    with pytest.raises(InvalidInput, match="expected NextOpenReturns, found dict"):
        gate_economic({"net": good.net}, log=MemoryTrialLog(), family="v16", configuration={})  # type: ignore[arg-type]
    table = pl.DataFrame(
        {"session": good.sessions, "decided_at": good.decided_at, "filled_at": good.filled_at, "gross": good.gross,
         "cost": good.cost, "benchmark": good.benchmark, "fill": ["next_open"] * (N - 1) + ["same_close"]}
    )  # fmt: skip
    with pytest.raises(InvalidInput, match="found same_close"):
        NextOpenReturns.of(table, name="x", simulated=True)
    sound = NextOpenReturns.of(table.with_columns(fill=pl.lit("next_open")), name="x", simulated=True)
    np.testing.assert_array_equal(sound.net, good.net)


def test_what_the_market_gave_at_equal_volatility_is_no_edge() -> None:
    rng = np.random.default_rng(7)
    market = 0.0008 + 0.01 * rng.standard_normal(N)
    passive = replace(traded(0.0), benchmark=market, gross=0.5 * market - 0.00001, cost=np.zeros(N))
    found = judged(passive)
    assert found.psr is not None
    assert found.psr >= 0.95
    assert found.outcome is GateOutcome.FAIL
    assert "Buying and holding" in found.why
    hedged = replace(traded(0.0005, seed=3, drift=0.004), cost=np.zeros(N))  # less than the market, and free of it
    neutral = judged(hedged)
    assert neutral.excess is not None
    assert neutral.excess.estimate < 0
    assert neutral.neutral
    assert neutral.outcome is GateOutcome.PASS


def test_a_small_sample_is_not_judged_and_a_large_one_without_an_edge_fails() -> None:
    assert judged(traded(2 * COST, n=251)).outcome is GateOutcome.CANNOT_JUDGE
    assert judged(traded(COST + 0.0001, n=500)).outcome is GateOutcome.CANNOT_JUDGE
    assert judged(traded(COST + 0.0001)).outcome is GateOutcome.FAIL
