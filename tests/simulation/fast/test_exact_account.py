"""The account of the fast engine against a slow one in `Decimal`, written from the rules alone."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal

import numpy as np
import pytest

from fieldcast.ground import ConfigError, InvalidInput, StrategyError
from fieldcast.simulation.fast import FastSettings, Size, Tape, run_fast
from fieldcast.simulation.settings import Intrabar, Margin, Shortfall, VenueSettings
from fieldcast.trading import CostModel

D = Decimal
TICK = D("0.01")
CASH = D(100_000)


def on_tick(price: Decimal, up: bool) -> Decimal:
    return max((price / TICK).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * TICK, TICK)


class Account:
    """One share, market orders and exits, in exact decimals; a line of code a sentence of the rules."""

    def __init__(self, settings: FastSettings) -> None:
        self.s, self.cash, self.lots = settings, CASH, D(0)
        self.costs = settings.venue.costs
        self.shift = (self.costs.half_spread_bps + self.costs.slippage_bps) / 10_000
        self.stop = self.target = self.best = self.trailing = None
        self.fills: list[tuple[int, str, Decimal, Decimal, Decimal]] = []

    def price(self, buys: bool, printed: Decimal, limit: Decimal | None = None) -> Decimal:
        if limit is not None and printed == limit:
            return printed
        moved = on_tick(printed * (1 + self.shift), True) if buys else on_tick(printed * (1 - self.shift), False)
        if limit is None:
            return moved
        return min(moved, limit) if buys else max(moved, limit)

    def fee(self, price: Decimal, quantity: Decimal) -> Decimal:
        taken = max(price * quantity * self.costs.commission_bps / 10_000, self.costs.minimum_commission)
        return taken.quantize(D("0.01"), rounding=ROUND_CEILING)

    def carries(self, change: Decimal, printed: Decimal) -> bool:
        price = self.price(change > 0, printed)
        cash = self.cash - change * price - self.fee(price, abs(change))
        margin = self.s.venue.margin.initial
        if margin == 1 and cash < self.cash and cash < 0:
            return False
        held = self.lots + change
        return cash + held * printed >= margin * abs(held) * printed

    def trade(self, bar: int, change: Decimal, printed: Decimal, limit: Decimal | None = None, exit: bool = False) -> bool:
        side = 1 if change > 0 else -1
        after = self.lots + change
        if after < 0 and side < 0 and not self.s.venue.shorts:
            return False
        reduces = self.lots * side < 0 and abs(change) <= abs(self.lots)
        if not exit and not reduces and not self.carries(change, printed):
            if self.s.venue.shortfall is Shortfall.REJECT:
                return False
            low, high = D(0), abs(change)
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if self.carries(side * middle, printed) else (low, middle)
            if self.lots * side < 0:
                low = max(low, abs(self.lots))
            if low == 0:
                return False
            change = side * low
        price = self.price(change > 0, printed, limit)
        self.cash -= change * price + self.fee(price, abs(change))
        self.lots += change
        self.fills.append((bar, "BUY" if change > 0 else "SELL", abs(change), price, self.fee(price, abs(change))))
        return True

    def enters(self, close: Decimal, printed: Decimal) -> None:
        up = self.lots > 0
        s, side = self.s, 1 if self.lots > 0 else -1
        self.stop = on_tick(close * (1 - side * s.stop), not up) if s.stop else None
        self.target = on_tick(close * (1 + side * s.target), up) if s.target else None
        self.best = printed
        self.trail(printed)

    def trail(self, best: Decimal) -> None:
        if self.s.trail is None:
            return
        side = 1 if self.lots > 0 else -1
        distance = (best * self.s.trail).quantize(TICK, rounding=ROUND_DOWN)
        moved = best - side * distance
        if self.stop is None or (moved > self.stop if side > 0 else moved < self.stop):
            self.stop = moved

    def inside(self, bar: int, opened: Decimal, high: Decimal, low: Decimal, close: Decimal, entered: bool) -> None:
        if self.lots == 0 or (self.stop is None and self.target is None):
            return
        long = self.lots > 0
        stop, target = self.stop, self.target
        at_stop = at_target = None
        if stop is not None and (low <= stop if long else high >= stop):
            at_stop = (min(opened, stop) if long else max(opened, stop))
        if target is not None and (opened >= target if long else opened <= target):
            at_target = opened
        elif target is not None and (high > target if long else low < target):
            at_target = target
        if at_stop is not None and at_target is not None:
            worst = self.s.venue.intrabar is Intrabar.WORST
            if (opened <= stop if long else opened >= stop):
                at_target = None
            elif (opened >= target if long else opened <= target) and not (entered and worst):
                at_stop = None
            elif worst:
                at_target = None
            elif (close < opened) == long:      # open, high, low, close where it closes lower: the target of a long comes first
                at_stop = None
            else:
                at_target = None
        if at_stop is not None:
            self.trade(bar, -self.lots, at_stop, exit=True)
        elif at_target is not None:
            self.trade(bar, -self.lots, at_target, limit=target, exit=True)
        elif self.s.trail is not None:
            self.best = max(self.best, high) if long else min(self.best, low)
            self.trail(self.best)


def wanted(settings: FastSettings, target: float, equity: Decimal, close: Decimal, share: Decimal) -> Decimal:
    size, sign = settings.size, int(np.sign(target))
    if equity <= 0 or sign == 0:
        return D(0)
    if size.kind == "weight":
        return ((D(repr(float(target))) * size.value * equity) / close).to_integral_value(ROUND_DOWN)
    if size.kind == "units":
        return sign * size.value
    if size.kind == "volatility":
        return sign * ((share * equity) / close).to_integral_value(ROUND_DOWN)
    distance = (close * settings.stop).quantize(TICK, rounding=ROUND_CEILING)
    most = ((size.cap * equity) / close).to_integral_value(ROUND_DOWN)
    return sign * min(((size.value * equity) / distance).to_integral_value(ROUND_DOWN), most)


def slow(targets: np.ndarray, market, settings: FastSettings) -> tuple[list[Decimal], list[tuple]]:
    opened, high, low, close = (
        [D(repr(float(value))) for value in getattr(market, name)[0]] for name in ("open", "high", "low", "close")
    )
    account, equity, last, pending = Account(settings), [], 0.0, None
    price = market.close[0]
    for t in range(market.bars):
        entered = False
        if pending is not None:
            change, decided_at = pending
            held = account.lots
            if account.trade(t, change, opened[t]) and account.lots != 0 and held * account.lots <= 0:
                account.enters(decided_at, opened[t])
                entered = True
            pending = None
        account.inside(t, opened[t], high[t], low[t], close[t], entered)
        equity.append(account.cash + account.lots * close[t])
        if targets[t] != last:
            share, window = D(0), settings.size.window
            if settings.size.kind == "volatility" and t >= window:
                returns = np.diff(np.log(price[t - window : t + 1]))
                sigma = returns.std(ddof=1) * math.sqrt(settings.periods_per_year)
                share = D(math.floor(min(float(settings.size.value) / sigma, float(settings.size.cap)) * 1e8)) / 100_000_000
            change = wanted(settings, targets[t], equity[-1], close[t], share) - account.lots
            pending = (change, close[t]) if change else None
        last = targets[t]
    return equity, account.fills


CASES = {
    "weights": {},
    "cut to cash": {"shortfall": Shortfall.CUT},
    "margin": {"margin": Margin(D("0.5"), D(0))},
    "no shorts": {"shorts": False},
}
EXITS = {
    "none": {},
    "stop": {"stop": D("0.01")},
    "target": {"target": D("0.015")},
    "both": {"stop": D("0.01"), "target": D("0.012")},
    "trail": {"trail": D("0.015")},
    "all": {"stop": D("0.02"), "target": D("0.02"), "trail": D("0.01")},
}
SIZES = {
    "weight": Size("weight", D("0.9")),
    "units": Size("units", D(300)),
    "volatility": Size("volatility", D("0.1"), window=15),
    "risk": Size("risk", D("0.005"), cap=D("0.8")),
}


@pytest.mark.parametrize("exits", EXITS, ids=str)
@pytest.mark.parametrize("rules", CASES, ids=str)
def test_equity_and_fills_equal_those_of_exact_decimals(one, rules: str, exits: str) -> None:
    for seed in range(3):
        market = one(seed, bars=220, sigma=0.01)
        rng = np.random.default_rng(seed)
        targets = np.repeat(rng.choice([-1.0, -0.5, 0.0, 0.4, 1.0], 44), 5)
        costs = CostModel(half_spread_bps=D("1.37"), slippage_bps=D("0.5"), commission_bps=D("0.7"), minimum_commission=D(seed))
        intrabar = Intrabar.OHLC if seed == 1 and "trail" not in EXITS[exits] else Intrabar.WORST
        venue = VenueSettings(costs=costs, intrabar=intrabar, **CASES[rules])
        settings = FastSettings(venue=venue, **EXITS[exits])
        result = run_fast(targets, market, settings)
        equity, fills = slow(targets, market, settings)
        assert [D(int(value)) / 100 for value in result.equity_minor] == equity
        found = result.fills.select("bar", "side", "lots", "price_units", "fee_minor").rows()
        assert found == [(bar, side, int(lots), int(price * 100), int(fee * 100)) for bar, side, lots, price, fee in fills]
        if exits != "none":
            assert result.figures["stopped"] + result.figures["targets_hit"] > 0


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_size_asks_for_the_quantity_of_its_formula(one, size: str) -> None:
    market = one(5, bars=300, sigma=0.012)
    targets = np.repeat(np.random.default_rng(5).choice([-1.0, 0.0, 1.0], 50), 6)
    settings = FastSettings(venue=VenueSettings(shortfall=Shortfall.CUT), size=SIZES[size], stop=D("0.03"))
    result = run_fast(targets, market, settings)
    equity, fills = slow(targets, market, settings)
    assert [D(int(value)) / 100 for value in result.equity_minor] == equity
    assert result.fills.height == len(fills) > 20


def test_figures_are_those_of_the_equity_curve(one) -> None:
    market = one(9, bars=1000, sigma=0.01)
    targets = np.repeat(np.random.default_rng(9).choice([-0.7, 0.0, 0.9], 125), 8)
    result = run_fast(targets, market, FastSettings(stop=D("0.04"), periods_per_year=252.0))
    path = np.concatenate(([float(CASH)], result.equity_curve()))
    r = path[1:] / path[:-1] - 1.0
    figures = result.figures
    assert figures["sharpe"] == pytest.approx(r.mean() / r.std(ddof=1) * math.sqrt(252.0), rel=1e-10)
    down = math.sqrt((np.minimum(r, 0.0) ** 2).mean())
    assert figures["sortino"] == pytest.approx(r.mean() / down * math.sqrt(252.0), rel=1e-10)
    assert figures["max_drawdown"] == pytest.approx((1.0 - path / np.maximum.accumulate(path)).max(), rel=1e-12)
    assert figures["total_return"] == pytest.approx(path[-1] / path[0] - 1.0, rel=1e-12)
    fills, trades = result.fills, result.trades
    assert figures["fees"] == pytest.approx(fills["fee"].sum())
    assert figures["price_costs"] == pytest.approx(((fills["price"] - fills["reference_price"]).abs() * fills["quantity"]).sum())
    assert figures["turnover"] == pytest.approx((fills["price"] * fills["quantity"]).sum() / path[1:].mean() * 252.0 / 1000)
    assert figures["trades"] == trades.height
    assert figures["win_rate"] == pytest.approx((trades["net"] > 0).mean())
    position = np.zeros(1000)
    for bar, held in fills.select("bar", "position_lots").iter_rows():
        position[bar:] = held
    assert figures["exposure"] == pytest.approx((position != 0).mean())


def test_a_target_that_never_changes_from_nothing_earns_nothing(one) -> None:
    figures = run_fast(np.zeros(50), one(0, bars=50), FastSettings()).figures
    assert (figures["total_return"], figures["trades"], figures["max_drawdown"]) == (0.0, 0, 0.0)
    assert figures["sharpe"] is figures["sortino"] is figures["win_rate"] is None


def test_a_decision_on_the_last_bar_never_fills(one) -> None:
    targets = np.zeros(30)
    targets[-1] = 1.0
    assert run_fast(targets, one(0, bars=30), FastSettings()).fills.height == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_unknown_target_stops_the_run_and_names_its_bar(one, bad: float) -> None:
    targets = np.zeros(30)
    targets[17] = bad
    with pytest.raises(StrategyError, match="bar 17"):
        run_fast(targets, one(0, bars=30), FastSettings())


def test_what_the_fast_engine_does_not_know_is_refused_by_name(one) -> None:
    with pytest.raises(ConfigError, match="volume_share, latency_us"):
        FastSettings(venue=VenueSettings(latency_us=5, volume_share=D("0.5")))
    with pytest.raises(ConfigError, match="same_close"):
        FastSettings(venue=VenueSettings(fill="same_close"))
    with pytest.raises(ConfigError, match="stop"):
        FastSettings(size=Size("risk", D("0.01")))
    with pytest.raises(ConfigError, match="trailing"):
        FastSettings(venue=VenueSettings(intrabar=Intrabar.OHLC), trail=D("0.01"))
    with pytest.raises(InvalidInput, match="30 targets"):
        run_fast(np.zeros(29), one(0, bars=30), FastSettings())


def test_opens_that_are_no_prints_want_a_rule(many) -> None:
    market = many(1, instruments=1, bars=100)
    with pytest.raises(InvalidInput, match="untrusted_open=reject"):
        run_fast(np.ones(Tape.of(market).length), market, FastSettings())
