"""The economic gate: is the out-of-sample profit still there after its cost, and is it more than the market's own?

It judges one series of daily returns net of cost, made of fills at the open that follows each decision, over the whole
out-of-sample span of one configuration. In this order:

    CANNOT_JUDGE   fewer than 252 sessions
    FAIL           the mean net return is not above 0, or the returns do not vary
    PASS           PSR(0) >= 0.95, and above the market: net returns have a higher mean than buy-and-hold scaled to their own
                   volatility, or they are market-neutral (the 95 % interval of their beta lies inside -0.1 … 0.1)
    FAIL           PSR(0) >= 0.95 and neither of these; or PSR(0) < 0.95 where the sample has 80 % power for an annual Sharpe
                   ratio of 1:  (1 / sqrt(252)) sqrt(n - 1) / sqrt(1 - g3 SR + (g4 - 1)/4 SR^2) >= 2.49
    CANNOT_JUDGE   else: the sample is too small to tell

The deflated Sharpe ratio, among every trial of the family that is on record (all parameter sets of its sweeps, as
`evaluation.family_figures` counts them), is shown and does not decide. The mean net return is shown with its interval by the
stationary bootstrap over dates, because PSR takes returns for independent.

**Fills.** A decision at a close cannot be filled at that close. `NextOpenReturns` is the only type that the gate takes, there
is no other convention that it could hold, and each of its rows has to have been filled after it was decided.

Sources: PSR and DSR see `evaluation.sharpe` (Bailey and Lopez de Prado 2012, 2014); power as in the gate V04.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.evaluation import (
    DeflatedTrial,
    Interval,
    SharpeMoments,
    Trial,
    TrialLog,
    family_figures,
    mean_interval,
    probabilistic_sharpe,
    sharpe_moments,
    stationary_bootstrap,
)
from fieldcast.evaluation.intervals import summarise
from fieldcast.ground import InvalidInput, MissingData, Reason, Shown
from fieldcast.validation.gate import GateOutcome

GATE = "V16"
CONFIDENCE = 0.95
LEAST_SESSIONS = 252
WORTHWHILE = 1.0 / math.sqrt(252.0)  # Sharpe ratio a day, 1 a year: the smallest that is worth finding
POWER = 2.49  # z(0.95) + z(0.80)
NEUTRAL_BETA = 0.10
BLOCK, DRAWS = 21, 1000
NextOpen = Literal["next_open"]
COLUMNS = ("session", "decided_at", "filled_at", "gross", "cost", "benchmark", "fill")
Array = NDArray[np.float64]
_REASONS = {
    GateOutcome.PASS: Reason.GATE_PASSED,
    GateOutcome.FAIL: Reason.GATE_FAILED,
    GateOutcome.CANNOT_JUDGE: Reason.GATE_CANNOT_JUDGE,
}


@dataclass(frozen=True, eq=False)
class NextOpenReturns:
    """Out-of-sample returns of one configuration whose orders filled at the open after each decision.

    Parameters
    ----------
    name : of what was traded
    sessions : (n,) session on which each return begins, at its open; strictly ascending
    decided_at, filled_at : (n,) UTC times of the decision behind the row's position and of its fill, which is later
    gross : (n,) return on the account from that open to the next, before cost
    cost : (n,) what trading at that open cost, as a share of the account; at least 0
    benchmark : (n,) return of buying and holding the market from that open to the next
    simulated : whether any price behind it is
    fill : the fill convention; there is one

    Raises
    ------
    InvalidInput : another convention, a fill that is not later than its decision, shapes that differ, a cost below 0, or a number
        that is not finite
    """

    name: str
    sessions: NDArray[Any]
    decided_at: NDArray[Any]
    filled_at: NDArray[Any]
    gross: Array
    cost: Array
    benchmark: Array
    simulated: bool
    fill: NextOpen

    def __post_init__(self) -> None:
        if self.fill not in get_args(NextOpen):
            raise InvalidInput(
                f"expected fills at the next open, found {self.fill!r}: a price that a decision was made on cannot be traded at"
            )
        days = np.asarray(self.sessions).astype("datetime64[D]")
        times = {name: np.asarray(getattr(self, name)).astype("datetime64[us]") for name in ("decided_at", "filled_at")}
        numbers = {name: np.asarray(getattr(self, name), dtype=np.float64) for name in ("gross", "cost", "benchmark")}
        shapes = {values.shape for values in (days, *times.values(), *numbers.values())}
        if len(shapes) != 1 or days.ndim != 1:
            raise InvalidInput(f"expected columns of one length for {self.name}, found {sorted(map(str, shapes))}")
        if np.isnat(days).any() or (np.diff(days) <= np.timedelta64(0, "D")).any():
            raise InvalidInput(f"expected known, strictly ascending sessions for {self.name}; sort the rows first")
        for name, values in numbers.items():
            if not np.isfinite(values).all():
                raise InvalidInput(f"expected finite {name} for {self.name}, found {int((~np.isfinite(values)).sum())} others")
        early = times["filled_at"] <= times["decided_at"]
        if any(np.isnat(values).any() for values in times.values()) or early.any():
            where = days[int(np.argmax(early))]
            raise InvalidInput(
                f"expected each fill of {self.name} after its decision, found {int(early.sum())} others, the first on {where}"
            )
        if (numbers["cost"] < 0).any():
            raise InvalidInput(f"expected costs of {self.name} of at least 0, found {numbers['cost'].min():g}")
        for name, values in {"sessions": days, **times, **numbers}.items():
            object.__setattr__(self, name, values)

    @classmethod
    def of(cls, table: pl.DataFrame, *, name: str, simulated: bool) -> NextOpenReturns:
        """From a table with the columns `COLUMNS`; `fill` says the convention of each row.

        Raises
        ------
        InvalidInput : a column is missing, or a row has another fill convention than `next_open`; and as the class
        """
        absent = [column for column in COLUMNS if column not in table.columns]
        if absent:
            raise InvalidInput(f"expected columns {', '.join(COLUMNS)}, missing {', '.join(absent)}")
        others = [str(found) for found in table["fill"].unique().to_list() if found not in get_args(NextOpen)]
        if others:
            raise InvalidInput(
                f"expected fills at the next open in every row of {name}, found {', '.join(sorted(others))}: a price that a "
                "decision was made on cannot be traded at"
            )

        def moments(column: str) -> NDArray[Any]:
            times = table[column]
            zoned = getattr(times.dtype, "time_zone", None) is not None
            return (times.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zoned else times).to_numpy()

        return cls(
            name=name,
            sessions=table["session"].to_numpy(),
            decided_at=moments("decided_at"),
            filled_at=moments("filled_at"),
            gross=table["gross"].to_numpy(),
            cost=table["cost"].to_numpy(),
            benchmark=table["benchmark"].to_numpy(),
            simulated=simulated,
            fill="next_open",
        )

    @property
    def net(self) -> Array:
        """(n,) gross less cost."""
        return self.gross - self.cost


@dataclass(frozen=True)
class EconomicResult(Shown):
    """What the economic gate said, and the figures that led to it; returns are per session, ratios too.

    Parameters
    ----------
    net : mean net return with its 95 % interval; None where there are too few sessions for one
    gross_mean, cost_mean : parts of its estimate
    moments : Sharpe ratio, skewness, raw kurtosis of the net returns; None where they do not vary
    psr : probability that the true Sharpe ratio is above 0
    excess : mean of net return less buy-and-hold at the same volatility
    beta : of the net returns on the market's
    deflated : the trial among its family; `family_size` and `effective_size` trials
    """

    outcome: GateOutcome
    name: str
    simulated: bool
    n: int
    net: Interval | None
    gross_mean: float
    cost_mean: float
    moments: SharpeMoments | None
    psr: float | None
    excess: Interval | None
    beta: Interval | None
    deflated: DeflatedTrial
    family_size: int
    effective_size: float
    why: str
    reasons: tuple[Reason, ...] = field(default=())
    gate: str = GATE

    @property
    def passed(self) -> bool:
        return self.outcome is GateOutcome.PASS

    @property
    def neutral(self) -> bool:
        """Whether the returns are market-neutral."""
        return self.beta is not None and self.beta.low >= -NEUTRAL_BETA and self.beta.high <= NEUTRAL_BETA

    @property
    def text(self) -> str:
        """What was expected, what was found, and why that leads to the outcome."""
        mark = "SIMULATED " if self.simulated else ""
        psr = "none" if self.psr is None else f"{self.psr:.4f}"
        dsr = self.deflated.dsr
        shown = "none" if dsr is None else f"{dsr:.4f}"
        left = 1e4 * (self.gross_mean - self.cost_mean)
        return (
            f"{self.outcome}: {mark}{self.name}, net of cost at the next open: {left:+.2f} bps a session ("
            f"{1e4 * self.gross_mean:+.2f} gross, {1e4 * self.cost_mean:.2f} cost), PSR(0) {psr} (needed {CONFIDENCE}), "
            f"deflated Sharpe {shown} among {self.family_size} trials (worth {self.effective_size:.1f}), n={self.n}. {self.why}"
        )

    def as_dict(self) -> Mapping[str, Any]:
        def plain(interval: Interval | None) -> dict[str, Any] | None:
            return None if interval is None else {k: getattr(interval, k) for k in ("estimate", "low", "high", "n")}

        return {
            "gate": self.gate,
            "outcome": str(self.outcome),
            "text": self.text,
            "name": self.name,
            "simulated": self.simulated,
            "n": self.n,
            "net_mean": plain(self.net),
            "gross_mean": self.gross_mean,
            "cost_mean": self.cost_mean,
            "sharpe": None if self.moments is None else self.moments.sharpe,
            "psr": self.psr,
            "excess": plain(self.excess),
            "beta": plain(self.beta),
            "market_neutral": self.neutral,
            "dsr": self.deflated.dsr,
            "dsr_effective": self.deflated.dsr_effective,
            "trials": self.family_size,
            "effective_trials": self.effective_size,
            "reasons": [str(reason) for reason in self.reasons],
        }


def gate_economic(
    returns: NextOpenReturns,
    *,
    log: TrialLog,
    family: str,
    configuration: Mapping[str, Any],
    block: int = BLOCK,
    draws: int = DRAWS,
    seed: int = 0,
) -> EconomicResult:
    """Judge the nominated configuration's net returns; see the module for the rule.

    Parameters
    ----------
    returns : of the whole out-of-sample span
    log, family, configuration : the trial is recorded before it is judged, and deflated among its family; there is no default
    block, draws, seed : of the bootstrap; blocks of at least 21 sessions

    Raises
    ------
    InvalidInput : something else than `NextOpenReturns`, shorter blocks, or no family
    MissingData : fewer than two sessions
    """
    if not isinstance(returns, NextOpenReturns):
        raise InvalidInput(f"expected NextOpenReturns, found {type(returns).__name__}: nothing else says how orders were filled")
    if block < BLOCK:
        raise InvalidInput(f"expected date blocks of at least {BLOCK} sessions, found {block}")
    net, n = returns.net, returns.sessions.size
    if n < 2:
        raise MissingData(f"expected at least two sessions of {returns.name}, found {n}")
    moments = _moments(net)
    trial = _record(returns, net, moments, log, family, configuration)
    figures = family_figures(log, family)
    settings: dict[str, Any] = {"dates": returns.sessions, "block": block, "draws": draws, "seed": seed}
    long = n >= 2 * block
    mean = mean_interval(net, **settings) if long else None
    psr = None if moments is None else probabilistic_sharpe(moments)
    spread = float(returns.benchmark.std(ddof=1))
    excess = beta = None
    if long and moments is not None and spread > 0:
        scale = float(net.std(ddof=1)) / spread
        excess = mean_interval(net - scale * returns.benchmark, **settings)
        beta = beta_interval(net, returns.benchmark, **settings)
    outcome, why = _decide(n, float(net.mean()), moments, psr, excess, beta)
    return EconomicResult(
        outcome=outcome,
        name=returns.name,
        simulated=returns.simulated,
        n=n,
        net=mean,
        gross_mean=float(returns.gross.mean()),
        cost_mean=float(returns.cost.mean()),
        moments=moments,
        psr=psr,
        excess=excess,
        beta=beta,
        deflated=figures.of(trial.id),
        family_size=figures.n,
        effective_size=figures.n_effective,
        why=why,
        reasons=(_REASONS[outcome],),
    )


def beta_interval(
    returns: Array, market: Array, *, dates: NDArray[Any], block: int = BLOCK, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """Slope of `returns` on `market`, both (n,) on strictly ascending dates, with its date-bootstrap interval."""
    counts = stationary_bootstrap(dates.size, block=block, draws=draws, seed=seed)
    columns = np.column_stack([np.ones(dates.size), market, returns, market * market, market * returns])

    def slope(sums: Array) -> Array:
        w, x, y, xx, xy = sums.T
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Array = (xy - x * y / w) / (xx - x * x / w)
        return found

    estimate = float(slope(columns.sum(axis=0)[None, :])[0])
    return summarise(estimate, slope(counts @ columns), n=dates.size, dates=dates.size, block=block)


def _decide(
    n: int, mean: float, moments: SharpeMoments | None, psr: float | None, excess: Interval | None, beta: Interval | None
) -> tuple[GateOutcome, str]:
    if n < LEAST_SESSIONS:
        return GateOutcome.CANNOT_JUDGE, f"At least {LEAST_SESSIONS} sessions are needed."
    if mean <= 0:
        return GateOutcome.FAIL, "Nothing is left after cost."
    if moments is None or psr is None:
        return GateOutcome.FAIL, "The net returns do not vary, so that they say nothing of chance."
    if psr >= CONFIDENCE:
        neutral = beta is not None and beta.low >= -NEUTRAL_BETA and beta.high <= NEUTRAL_BETA
        if excess is not None and excess.estimate > 0:
            return GateOutcome.PASS, f"Above buy-and-hold at equal volatility by {1e4 * excess.estimate:+.2f} bps a session."
        if neutral and beta is not None:
            return GateOutcome.PASS, f"Market-neutral: beta {beta.estimate:+.3f}, 95 % {beta.low:+.3f} to {beta.high:+.3f}."
        return GateOutcome.FAIL, "Buying and holding the market at the same volatility would have earned as much."
    factor = 1.0 - moments.skew * moments.sharpe + (moments.kurtosis - 1.0) / 4.0 * moments.sharpe**2
    power = WORTHWHILE * math.sqrt(n - 1.0) / math.sqrt(factor) if factor > 0 else math.inf
    if power >= POWER:
        return GateOutcome.FAIL, f"The sample could show an annual Sharpe ratio of 1 (power ratio {power:.2f}), and does not."
    return GateOutcome.CANNOT_JUDGE, f"The sample is too small to tell (power ratio {power:.2f}, needed {POWER})."


def _moments(net: Array) -> SharpeMoments | None:
    try:
        return sharpe_moments(net)
    except MissingData:
        return None


def _record(
    returns: NextOpenReturns, net: Array, moments: SharpeMoments | None, log: TrialLog, family: str, settings: Mapping[str, Any]
) -> Trial:
    trial = Trial(
        family=family,
        configuration=dict(settings),
        instrument=returns.name,
        label="net_return",
        horizon=1,
        span_start=returns.sessions[0].item(),
        span_end=returns.sessions[-1].item(),
        metric="net_mean" if moments is None else "net_sharpe",     # what does not vary has no Sharpe ratio
        estimate=float(net.mean()) if moments is None else moments.sharpe,
        n=net.size,
        dates=returns.sessions,
        series=net,
    )
    log.record(trial)
    return trial
