"""Tables behind the report's figures: what was said joined with what came, running coverage, log loss saved.

    covered(t)  = share of the last 250 outcomes inside the band; an honest cone's share lies in the central 95 % of
                  Binomial(250, level) / 250
    saved(t)    = sum over sessions up to t of  loss(reference) - loss(forecast),  loss = -log of what was said of the side
                  that came; in nats; sessions without a change of price are left out
    reference   = share of rises among the outcomes known at the decision (from the first row of the history on)
    Bayes       = the planted rule itself, on the same sessions
"""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data import SimulatedMarket
from fieldcast.data.simulated.market import PLANTED_LOOKBACK
from fieldcast.evaluation import auc, log_loss_rows
from fieldcast.plots import BANDS
from fieldcast.workflows.results import InstrumentValidation

WINDOW = 250
SHOWN_SESSIONS = 120
SHOWN_CLOSES = 60
THINNED = 5              # every so many sessions of a long line are drawn
_BAYES_TOLERANCE = 2e-3  # between the rule's AUC as recomputed and as the market printed it
_SAME_PRICE = 1e-9       # log return below which two closes on a price grid are the same

Array = NDArray[np.float64]


def said_and_came(part: InstrumentValidation, horizon: str) -> pl.DataFrame:
    """Known projections of one horizon with `target` (day) and `realised` (bps; null where not known yet)."""
    said = part.projections.filter((pl.col("horizon") == horizon) & (pl.col("status") == "ok"))
    came = part.outcomes.filter(pl.col("horizon") == horizon).select("as_of", "ret")
    return said.join(came, on="as_of", how="left").sort("as_of").with_columns(
        target=pl.col("target_ts").dt.date(), realised=1e4 * pl.col("ret")
    )  # fmt: skip


def closes(part: InstrumentValidation, horizon: str) -> pl.DataFrame:
    """The last closes, as the projections' reference prices: ts (decision time), close."""
    known = part.projections.filter((pl.col("horizon") == horizon) & pl.col("reference_price").is_not_null())
    return known.sort("as_of").select(ts="as_of", close="reference_price").tail(SHOWN_CLOSES)


def running_coverage(rows: pl.DataFrame, window: int = WINDOW) -> pl.DataFrame:
    """date and, for each band in percent, covered_{level}, low_{level}, high_{level}; empty where rows are too few."""
    known = rows.filter(pl.col("realised").is_not_null())
    columns = []
    for name, low, high in BANDS:
        level = int(name.split()[0])
        inside = pl.col("realised").is_between(pl.col(low), pl.col(high)).cast(pl.Float64)
        edges = binomial_range(window, level / 100)
        columns += [inside.rolling_mean(window).alias(f"covered_{level}"),
                    pl.lit(edges[0]).alias(f"low_{level}"), pl.lit(edges[1]).alias(f"high_{level}")]  # fmt: skip
    table = known.select(pl.col("target").alias("date"), *columns).slice(window - 1)
    return thin(table)


def binomial_range(n: int, p: float, share: float = 0.95) -> tuple[float, float]:
    """Central range of Binomial(n, p) / n that holds at least `share`."""
    tail, total = (1 - share) / 2, 0.0
    low = high = 0
    for k in range(n + 1):
        log_mass = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        total += math.exp(log_mass + k * math.log(p) + (n - k) * math.log1p(-p))
        if total <= tail:
            low = k + 1
        if total < 1 - tail:
            high = k + 1
    return low / n, high / n


def loss_saved(part: InstrumentValidation) -> pl.DataFrame:
    """date, saved (nats, cumulative): the nominated odds against the share of rises known at each decision."""
    rows = _directions(part)
    p = (rows["p_up"] / (rows["p_up"] + rows["p_down"])).to_numpy()
    return _cumulated(rows, p)


def bayes_saved(part: InstrumentValidation) -> pl.DataFrame | None:
    """The same for one who knows the planted rule; None where the rule does not give the AUC that the market printed.

    The rule is that of `SimulatedMarket`'s defaults; where the last five sessions' return is zero, it says nothing and
    is given the reference's odds.
    """
    if part.bayes_auc is None:
        return None
    known = part.outcomes.filter(pl.col("horizon") == "1d").sort("as_of")
    five = known["ret"].rolling_sum(PLANTED_LOOKBACK).shift(1)
    edge = SimulatedMarket(seed=0).p_up
    rule = known.select("as_of", "ret", five=five).with_columns(
        odds=pl.when(pl.col("five") > _SAME_PRICE).then(edge).when(pl.col("five") < -_SAME_PRICE).then(1 - edge)
    )
    moved = rule.filter(pl.col("ret").is_not_null() & (pl.col("ret") != 0))
    rises = (moved["ret"] > 0).to_numpy()
    if not 0 < rises.sum() < rises.size:
        return None
    if abs(auc(moved["odds"].fill_null(0.5).to_numpy(), rises) - part.bayes_auc) > _BAYES_TOLERANCE:
        return None
    rows = _directions(part).join(rule.select("as_of", "odds"), on="as_of", how="left")
    return _cumulated(rows, rows["odds"].fill_null(rows["reference"]).to_numpy())


def thin(table: pl.DataFrame, every: int = THINNED) -> pl.DataFrame:
    """Every so many rows, the last one always among them."""
    start = (table.height - 1) % every if table.height else 0
    return table.slice(start).gather_every(every)


def _directions(part: InstrumentValidation) -> pl.DataFrame:
    """Sessions that moved, with the forecast, the reference's odds, and whether the price rose."""
    known = part.outcomes.filter((pl.col("horizon") == "1d") & pl.col("ret").is_not_null()).sort("label_end_ts")
    moved = known.filter(pl.col("ret") != 0)
    rises = np.concatenate([[0.0], np.cumsum((moved["ret"] > 0).to_numpy())])
    rows = said_and_came(part, "1d").filter(pl.col("ret").is_not_null() & (pl.col("ret") != 0))
    ended = np.searchsorted(moved["label_end_ts"].to_physical().to_numpy(), rows["as_of"].to_physical().to_numpy(), "right")
    share = np.divide(rises[ended], ended, out=np.full(ended.size, np.nan), where=ended > 0)
    rows = rows.with_columns(reference=pl.Series(share), rose=pl.col("ret") > 0)
    return rows.filter((pl.col("reference") > 0) & (pl.col("reference") < 1))


def _cumulated(rows: pl.DataFrame, p: Array) -> pl.DataFrame:
    if rows.is_empty():
        return pl.DataFrame({"date": rows["target"], "saved": pl.Series([], dtype=pl.Float64)})
    rose = rows["rose"].to_numpy()
    saved = log_loss_rows(rows["reference"].to_numpy(), rose) - log_loss_rows(p, rose)
    return thin(pl.DataFrame({"date": rows["target"], "saved": np.cumsum(saved)}))
