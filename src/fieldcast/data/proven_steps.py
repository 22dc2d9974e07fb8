"""The tick and the lot that a file itself proves, for what is traded around the clock.

A file of a coin or of its perpetual future names no tick and no lot, and their usual ones (0.01; a whole contract) are wrong for
most: ADA is quoted at 0.3067, and BTC's perpetual trades in thousandths. What was printed is a whole number of ticks and lots:

    tick = the smaller of 0.01 and 10^-d,    d the most decimals of a price in the file, at most 8
    lot  = the smaller of 1 and 10^-v,       v the most decimals of a volume; of perpetual futures that are paid in another coin

So a tick may be finer than the venue's own, never coarser than its prices. What was told, or stands in the catalogue, is left
as it is, and where the file proves or says otherwise the import's notes name both; the lot of a spot pair is the finest
already, and a contract that is paid in dollars is counted in contracts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

import polars as pl

from fieldcast.market import Instrument, Kind

_GUESSED_TICK, _GUESSED_LOT = Decimal("0.01"), Decimal(1)
_AROUND_THE_CLOCK = "24/7"
_PRICES = ("open", "high", "low", "close", "price")
_FINEST = 8


def with_proven_steps(instruments: Iterable[Instrument], rows: pl.DataFrame) -> tuple[Instrument, ...]:
    """The instruments, those around the clock with the tick and lot that `rows` (bars or trades, `instrument` and more) prove."""
    return tuple(_proven(one, rows) for one in instruments)


def overruled_steps(
    found: Iterable[Instrument], known: Iterable[Instrument], *, told: Decimal | None = None
) -> tuple[str, ...]:
    """A note for each tick or lot of the catalogue that a file contradicts.

    Parameters
    ----------
    found : as the file proves them
    known : the same instruments as the catalogue, or a file before this one, has them
    told : the tick of the instrument that was named for the file; a coarser one that was not told proves nothing
    """
    notes = []
    for mine, held in zip(found, known, strict=True):
        for name in ("tick", "lot"):
            ours, theirs = getattr(mine, name), getattr(held, name)
            said = name == "tick" and told is not None and told != theirs
            if said and told is not None:
                ours = told
            if said or ours < theirs:
                notes.append(
                    f"{mine.id}: expected {name} {theirs}, as in the catalogue, found {ours}, which "
                    f"{'was said of this file' if said else 'its numbers prove'}; the catalogue's stands: write "
                    f'[instruments."{mine.id}"] {name} = {ours} in a plan, or import into a new workspace'
                )
    return tuple(notes)


def _proven(one: Instrument, rows: pl.DataFrame) -> Instrument:
    prices = [name for name in _PRICES if name in rows.columns]
    if one.calendar != _AROUND_THE_CLOCK or one.kind not in (Kind.CRYPTO, Kind.FUTURE) or not prices:
        return one
    own = rows.filter(pl.col("instrument") == one.id)
    if one.tick == _GUESSED_TICK:
        one = replace(one, tick=min(one.tick, _step(own.select(prices))))
    in_coins = one.kind is Kind.FUTURE and one.currency != "USD" and "volume" in own.columns
    if in_coins and one.lot == _GUESSED_LOT:
        one = replace(one, lot=min(one.lot, _step(own.select("volume"))))
    return one


def _step(table: pl.DataFrame) -> Decimal:
    """10^-d, the d decimals that carry every number of a table; nulls and what is not finite are passed over."""
    numbers = pl.concat([column.cast(pl.Float64).rename("x") for column in table.get_columns()]).drop_nulls()
    numbers = numbers.filter(numbers.is_finite())
    for places in range(_FINEST):
        if (numbers.round(places) == numbers).all():
            return Decimal(1).scaleb(-places)
    return Decimal(1).scaleb(-_FINEST)
