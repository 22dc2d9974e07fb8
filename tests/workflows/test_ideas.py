"""Ideas out of a store: what they rest on, mirrored sides, and what stops them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fieldcast.ground import InvalidInput, MissingData, Reason
from fieldcast.market.sessions import sessions_between
from fieldcast.trading.costs import CostDistribution, CostProfile, ExecutionCosts, SessionBucket
from fieldcast.trading.costs.files import write_costs
from fieldcast.workflows import Workspace, import_data, make_idea, open_workspace
from fieldcast.workflows.execution_costs import costs_folder

pytestmark = pytest.mark.slow

LAST = date(2023, 12, 29)
AS_OF = datetime(2023, 12, 29, 21, 30, tzinfo=UTC)
N = 400


def _bars(path: Path, count: int) -> None:
    """Prices in cents, a range of 1 % a day and a known volume."""
    days = sessions_between("XNYS", date(2021, 1, 1), LAST)["session"].to_list()[-count:]
    close = 100 * np.exp(np.cumsum(0.01 * np.random.default_rng(4).standard_normal(count)))
    rows = [
        f"{day},{price:.2f},{price * 1.006:.2f},{price * 0.994:.2f},{price:.2f},{1_000_000 + 1_000 * k}"
        for k, (day, price) in enumerate(zip(days, close, strict=True))
    ]
    path.write_text("Date,Open,High,Low,Close,Volume\n" + "\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("ideas")
    _bars(folder / "long.csv", N)
    _bars(folder / "short.csv", 248)
    with open_workspace(folder) as opened:
        for name in ("long", "short"):
            import_data(opened, [folder / f"{name}.csv"], f"ARCX:{name.upper()}", kind="etf")
        yield opened


def made(workspace: Workspace, direction: str = "long", **more: Any) -> Any:
    asked = {"nav": Decimal(100_000), "as_of": AS_OF, "paths": 1_000} | more
    return make_idea(workspace, "ARCX:LONG", direction, **asked)


def test_its_figures_are_those_of_the_bars(workspace: Workspace) -> None:
    found = made(workspace)
    bars = workspace.store.read("ARCX:LONG")
    close = bars["close"].to_numpy()
    returns = np.diff(np.log(close))
    assert float(found.idea.reference) == pytest.approx(close[-1])
    assert found.sigma_annual == pytest.approx(returns.std(ddof=1) * 252**0.5)
    assert found.returns == N - 1
    high, low = bars["high"].to_numpy()[1:], bars["low"].to_numpy()[1:]
    true_range = np.maximum(high, close[:-1]) - np.minimum(low, close[:-1])
    distance = float(found.idea.reference - found.idea.stop)
    assert distance == pytest.approx(1.5 * true_range[-14:].mean(), rel=0.3), "Wilder's average of ranges that hardly vary"
    assert found.size.quantity == min(found.size.limits.values()) // 1
    expected = 1e4 * returns.std(ddof=1) * (float(found.size.quantity) / bars["volume"].to_numpy()[-20:].mean()) ** 0.5
    assert found.idea.costs.impact_bps == pytest.approx(expected, rel=1e-6)


def test_a_short_is_the_mirror_of_a_long(workspace: Workspace) -> None:
    long, short = made(workspace).idea, made(workspace, "short").idea
    mirror = 2 * long.reference
    assert (short.stop, short.target) == (mirror - long.stop, mirror - long.target)
    assert (short.quantity, short.costs, short.errors) == (long.quantity, long.costs, long.errors)


def test_the_same_seed_gives_the_same_odds(workspace: Workspace) -> None:
    assert made(workspace, seed=3).as_dict() == made(workspace, seed=3).as_dict()
    assert made(workspace, seed=4).as_dict()["odds"] != made(workspace, seed=3).as_dict()["odds"]


def test_measured_costs_are_used_where_they_are_known_for_the_next_open(workspace: Workspace) -> None:
    assert made(workspace).costs_from == "assumed"
    wide = CostDistribution.of(np.full(20, 8.0), AS_OF)
    half_known = {("ARCX:LONG", SessionBucket.OPENING): CostProfile(wide, None)}
    write_costs(costs_folder(workspace), ExecutionCosts(LAST, half_known))
    assert made(workspace).costs_from == "assumed", "a spread alone is half of it"
    write_costs(costs_folder(workspace), ExecutionCosts(LAST, {("ARCX:LONG", SessionBucket.OPENING): CostProfile(wide, wide)}))
    found = made(workspace)
    assert found.costs_from == "measured"
    assert (found.idea.costs.half_spread_bps, found.idea.costs.slippage_bps) == (4.0, 8.0)
    other = {("ARCX:LONG", SessionBucket.MIDDAY): CostProfile(wide, wide)}
    write_costs(costs_folder(workspace), ExecutionCosts(LAST, other))
    assert made(workspace).costs_from == "assumed", "the next open is not midday"


def test_fees_are_the_venues(workspace: Workspace) -> None:
    paid = made(workspace, fees="ibkr_fixed").idea.costs.fees
    assert paid > 2, "a minimum of 1.00 each way, and a sale's own fees"
    with pytest.raises(MissingData, match="ibkr_fixed"):
        made(workspace, fees="ibkr")


def test_nothing_known_later_enters(workspace: Workspace) -> None:
    early = made(workspace, as_of=AS_OF - timedelta(days=60))
    assert early.idea.as_of < AS_OF - timedelta(days=59)
    assert early.returns < N - 1 - 35
    assert early.idea.reference != made(workspace).idea.reference


def test_no_money_is_no_order(workspace: Workspace) -> None:
    assert made(workspace, nav=Decimal(50)).idea.errors == (Reason.QUANTITY_ZERO,)


def test_a_short_history_and_wrong_words_are_refused(workspace: Workspace) -> None:
    with pytest.raises(MissingData, match=r"average true range.*warming_up"):
        make_idea(workspace, "ARCX:SHORT", "long", nav=Decimal(1000), as_of=AS_OF)
    with pytest.raises(InvalidInput, match="long, short"):
        made(workspace, "up")
    with pytest.raises(InvalidInput, match="session"):
        made(workspace, sessions=0)
    with pytest.raises(MissingData):
        make_idea(workspace, "ARCX:NONE", "long", nav=Decimal(1000))
