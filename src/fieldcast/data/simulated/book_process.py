"""What a simulated order book is made of: the queue-reactive model.

K queues stand on each side of a reference price p that lies half a tick between two prices: queue i of a side is i - 1/2 ticks
away. Sizes count units (`lot` each). While p stands still, events come at rates that depend on the queue's own size n:

    limit order      n -> n + 1    at rate L_i(n)
    cancellation     n -> n - 1    at rate C_i(n)
    market order     n -> n - 1    at rate M_i(n), on the first queue of a side that is not empty

When an event changes the mid price, p moves a tick the same way with the probability `move`; with the probability `redraw` the
whole book is then drawn afresh around the new p (news), otherwise queues keep their prices and the one that comes into view is
drawn.

Why this model and not a Hawkes flow: here the book's state drives the flow (imbalance predicts the next move, queues revert), and
while p stands still the first queue is a birth-death chain with a law that can be written down,

    pi(n) proportional to product over j = 1 .. n of L_1(j - 1) / (C_1(j) + M_1(j)),

against which a simulation can be tested exactly. Hawkes orders would cluster in time but know nothing of the queues.

The default rates have the shapes that the source finds in liquid shares: limit orders hardly depend on the size, cancellations
grow with it less than in proportion, market orders become rare where the queue is long. Their figures are round, fitted to
nothing. Source: Huang, Lehalle and Rosenbaum, "Simulating and analyzing order book data: the queue-reactive model", JASA 110
(2015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class QueueRates:
    """Rates of events a second, (K, N + 1) each: row i - 1 is queue i, column n its size in units; no limit order at N.

    Parameters
    ----------
    limit, cancel, market : as in the module; cancellations and market orders at n = 0 must be 0
    """

    limit: tuple[tuple[float, ...], ...]
    cancel: tuple[tuple[float, ...], ...]
    market: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        table = self.table()
        if table.ndim != 3 or table.shape[2] < 2 or not np.isfinite(table).all() or table.min() < 0:
            raise InvalidInput("expected three tables of rates of the same shape, at or above zero, for sizes 0 and up")
        if table[1:, :, 0].any() or table[0, :, -1].any():
            raise InvalidInput("expected no cancellation or market order at an empty queue, and no limit order at a full one")
        if not (table[0, :, :-1].min() > 0 and table[1:, :, 1:].sum(axis=0).min() > 0):
            raise InvalidInput("expected every queue to be able to grow below its limit, and to shrink above zero")

    def table(self) -> Floats:
        """(3, K, N + 1): limit, cancel, market."""
        return np.array([self.limit, self.cancel, self.market], dtype=np.float64)

    @property
    def levels(self) -> int:
        """K."""
        return len(self.limit)

    def invariant(self) -> Floats:
        """(K, N + 1) law of each queue while the reference price stands still.

        Exact for the first; for the others market orders are weighted with the chance that all nearer queues are empty, as if the
        queues were independent. Each book begins in this law.
        """
        limit, cancel, market = self.table()
        found = np.empty(limit.shape)
        reached = 1.0
        for queue in range(self.levels):
            down = cancel[queue] + reached * market[queue]
            logs = np.concatenate([[0.0], np.cumsum(np.log(limit[queue, :-1]) - np.log(np.maximum(down[1:], 1e-300)))])
            weights = np.exp(logs - logs.max())
            found[queue] = weights / weights.sum()
            reached *= found[queue, 0]
        return found


def default_rates(levels: int = 5, most: int = 50, limit: float = 2.4, cancel: float = 0.22, market: float = 0.8) -> QueueRates:
    """Rates of the shapes in the module.

    Parameters
    ----------
    levels, most : K and N
    limit : rate of limit orders on the second queue; the first has four fifths of it, and each further one four fifths of the
        last
    cancel : of one unit alone; n units are cancelled n^0.85 times as often, and on the first queue half again as often
    market : rate on a queue of one unit; falls by half every six units to a third of it
    """
    n = np.arange(most + 1)
    limits, cancels, markets = [], [], []
    for queue in range(levels):
        near = limit * (0.8 if queue == 0 else 0.8 ** (queue - 1))
        limits.append(tuple(float(x) for x in np.where(n < most, near * (1 + (n == 0)), 0.0)))
        cancels.append(tuple(float(x) for x in cancel * (1.5 if queue == 0 else 1.0) * n**0.85))
        markets.append(tuple(float(x) for x in np.where(n > 0, market * (1 + 2 * 0.5 ** ((n - 1) / 6)) / 3, 0.0)))
    return QueueRates(tuple(limits), tuple(cancels), tuple(markets))


@dataclass(frozen=True)
class BookProcess:
    """Parameters of a simulated book.

    Parameters
    ----------
    rates : at the mean pace of a session; the season of the day speeds all of them up and down together
    move : chance that the reference price follows a change of the mid
    redraw : chance that the book is then drawn afresh
    lot : size of a unit, in the instrument's units
    gap_ticks : standard deviation of the reference price's step over a night
    pace : multiplies all rates
    """

    rates: QueueRates = field(default_factory=default_rates)
    move: float = 0.7
    redraw: float = 0.1
    lot: float = 100.0
    gap_ticks: float = 40.0
    pace: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.move <= 1 and 0 <= self.redraw <= 1):
            raise InvalidInput(f"expected chances from 0 to 1, found {self.move} and {self.redraw}")
        for name in ("lot", "pace"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise InvalidInput(f"expected {name} above zero, found {getattr(self, name)}")
        if not (math.isfinite(self.gap_ticks) and self.gap_ticks >= 0):
            raise InvalidInput(f"expected gap_ticks at or above zero, found {self.gap_ticks}")
