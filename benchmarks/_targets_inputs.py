"""Inputs of `targets.py`: one simulated share with everything that a decision on it reads. [SIMULATED]

All rows come from the project's own generators and carry the reason `simulated`:

    daily      sessions of 23 years (5,785), the last of them added up from the minutes below
    minutes    a year of 1-minute bars, 390 in a whole session
    chains     a snapshot of more than 20,000 European contracts at each of the last ten closes, quoted around a smile
    book       the order book of the whole last session by price level, some 850,000 rows, with its quotes and trades. One
               snapshot at the opening begins it: every row since then has a say in the book of the close
    texts      scores of 10,000 texts of the five sources over two months; the words behind them do not exist
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import numpy as np
import polars as pl

from fieldcast.data import Lineage
from fieldcast.data.simulated import (
    BarMarket,
    BookMarket,
    ChainMarket,
    ListingRules,
    equity,
    simulate_bars,
    simulate_book,
    simulate_chain,
)
from fieldcast.fields.sentiment.rules import SOURCES
from fieldcast.ground import Reason
from fieldcast.market import DECISION_DELAY, STAMP, Instrument, table_of

SEED = 7
FIRST_DAILY, LAST_DAILY = date(2001, 1, 2), date(2022, 12, 30)
FIRST_MINUTE, LAST_ALONE = date(2022, 12, 31), date(2023, 12, 14)
FIRST_CHAIN, LAST_CHAIN = date(2023, 12, 15), date(2023, 12, 29)      # ten sessions
CONTRACTS, TEXTS, TEXT_DAYS = 20_000, 10_000, 60
# As many expiries and strikes as the largest listed chains have: daily, weekly and monthly ones, strikes half a thousandth apart.
LISTINGS = ListingRules(
    dailies=20, weeklies=16, monthlies=12, quarter_ends=True, long_years=2, long_month=12, least_step=0.0005, near=3.0,
    near_strikes=300, far_down=6.0, far_up=5.0,
)  # fmt: skip
LINEAGE = Lineage(
    provider="simulated", dataset="targets", fetched_at=datetime(2024, 1, 2, tzinfo=UTC), simulated=True,
    source=f"benchmarks/targets.py, seed {SEED}",
)  # fmt: skip


class Inputs:
    """One simulated share; each part is made when it is asked for."""

    @cached_property
    def _old(self) -> tuple[Instrument, pl.DataFrame]:
        (made,) = simulate_bars(BarMarket(SEED, (equity("TGT", first_price=400.0),), FIRST_DAILY, LAST_DAILY, "1d"))
        return made.instrument, made.bars

    @property
    def instrument(self) -> Instrument:
        return self._old[0]

    @cached_property
    def _year(self) -> tuple[pl.DataFrame, pl.DataFrame, dict[datetime, pl.DataFrame]]:
        """Minute bars, their daily sums, and the chains by their moment: two histories, the second begun where the first ends."""
        price = float(self._old[1]["close"][-1])
        market = BarMarket(SEED, (equity("TGT", first_price=price),), FIRST_MINUTE, LAST_ALONE, "1m")
        (alone,) = simulate_bars(market)
        share = equity("TGT", first_price=float(alone.bars["close"][-1]))
        chain = simulate_chain(ChainMarket(SEED + 1, share, FIRST_CHAIN, LAST_CHAIN, "1m", listings=LISTINGS))
        snapshots = {snapshot.ts: snapshot.rows for snapshot in chain.snapshots()}
        assert all(rows.height >= CONTRACTS for rows in snapshots.values()), "every chain is as large as it is said to be"
        return (
            pl.concat((alone.bars, chain.bars.bars)),
            pl.concat((alone.daily().bars, chain.bars.daily().bars)),
            snapshots,
        )

    @property
    def minutes(self) -> pl.DataFrame:
        return self._year[0]

    @property
    def chains(self) -> dict[datetime, pl.DataFrame]:
        """Snapshots by their moment, ascending."""
        return self._year[2]

    @cached_property
    def daily(self) -> pl.DataFrame:
        return pl.concat((self._old[1], self._year[1]))

    @cached_property
    def book(self) -> dict[str, pl.DataFrame]:
        """`depth`, `quotes` and `trades` of the last session, from its opening to its close."""
        share = equity("TGT", first_price=float(self.minutes["open"][-390]))
        session = next(simulate_book(BookMarket(SEED, share, LAST_CHAIN, LAST_CHAIN)).sessions())
        return {name: getattr(session, name) for name in ("depth", "quotes", "trades")}

    @cached_property
    def texts(self) -> pl.DataFrame:
        """Scores that lean with a slow wave of mood, up to the last close."""
        random = np.random.default_rng(SEED)
        last = int(self.minutes["ts"][-1].timestamp())
        ts = np.sort(last - 60 - random.integers(0, TEXT_DAYS * 86_400, TEXTS))
        mood = 0.3 * np.sin((ts - last) / 86_400 / 9.0)
        stamps = pl.Series(ts * 1_000_000).cast(STAMP)
        frame = pl.DataFrame(
            {
                "instrument": pl.repeat(self.instrument.id, TEXTS, eager=True),
                "ts": stamps,
                "available_at": stamps + timedelta(seconds=30),
                "item": [f"simulated-{place:05d}" for place in range(TEXTS)],
                "source": random.choice(SOURCES, TEXTS, p=(0.3, 0.3, 0.2, 0.19, 0.01)),
                "scorer": pl.repeat("lexicon@0123456789abcdef", TEXTS, eager=True),
                "score": np.clip(mood + random.normal(0.0, 0.35, TEXTS), -1.0, 1.0),
                "confidence": random.uniform(0.3, 1.0, TEXTS),
                "mentions": np.ones(TEXTS),
                "engagement": np.rint(random.lognormal(2.0, 1.5, TEXTS)),
                "comments": np.rint(random.lognormal(0.5, 1.0, TEXTS)),
                "reasons": pl.repeat(str(Reason.SIMULATED), TEXTS, eager=True),
            }
        )
        schema = dict(table_of("text_scores").schema)
        return frame.select(
            pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype).alias(name)
            for name, dtype in schema.items()
        )

    def decision(self, place: int) -> datetime:
        """The moment of the decision on the daily bar of that place."""
        moment = self.daily["available_at"][place]
        assert isinstance(moment, datetime)
        return max(moment, self.daily["ts"][place] + DECISION_DELAY)
