"""Which instrument a LEAN file is about: its id, kind, calendar and zone.

LEAN's folders name a market (`usa`, `oanda`, `coinbase`), not the exchange that lists a share. Where map files are at hand, the
id is the company's (its exchange and its newest ticker); else it is the ticker's, and the report says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from fieldcast.data.chains import terms_of
from fieldcast.data.formats._pairs import crypto_instrument, fx_instrument
from fieldcast.data.formats.contract import Options
from fieldcast.data.formats.lean_maps import USA, MapFiles, beside
from fieldcast.data.formats.lean_paths import LeanName, root_of
from fieldcast.data.formats.source import Source
from fieldcast.data.formats.text import venue_of
from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument, Kind, default_instrument

NEW_YORK, CHICAGO, UTC = "America/New_York", "America/Chicago", "UTC"
# LEAN's market hours database, dataTimeZone (tests hold these against the real file)
DATA_ZONE = {
    "equity": NEW_YORK, "option": NEW_YORK, "indexoption": NEW_YORK, "index": CHICAGO,
    "forex": UTC, "cfd": UTC, "crypto": UTC, "cryptofuture": UTC,
}
FXCM_ZONE = "Etc/GMT+5"   # the database's UTC-05


@dataclass(frozen=True)
class Owners:
    """Whom a ticker meant: one instrument throughout, or several by date.

    Parameters
    ----------
    holdings : `instrument`, `first`, `last` (null = still), by date; none = `instruments[0]` on every date
    notes : how this was found, in words
    """

    instruments: tuple[Instrument, ...]
    holdings: pl.DataFrame | None
    notes: tuple[str, ...]

    def on(self, day: date, ticker: str) -> Instrument:
        """The instrument that the ticker meant on `day`.

        Raises
        ------
        InvalidInput : none had it
        """
        if self.holdings is None:
            return self.instruments[0]
        for id, first, last in self._spans:
            if first <= day and (last is None or last >= day):
                return next(item for item in self.instruments if item.id == id)
        raise InvalidInput(f"expected a company with the ticker {ticker} on {day} in the map files, found none")

    @cached_property
    def _spans(self) -> list[tuple[str, date, date | None]]:
        return [] if self.holdings is None else self.holdings.rows()


def zone_of(name: LeanName, options: Options) -> str:
    """The zone of the file's times.

    Raises
    ------
    InvalidInput : `Options.zone` is none
    """
    if options.zone is not None:
        try:
            return ZoneInfo(options.zone).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidInput(f"expected a time zone such as America/New_York, found {options.zone!r}") from None
    return FXCM_ZONE if name.market == "fxcm" else DATA_ZONE[name.asset]


def owners_of(source: Source, name: LeanName, options: Options) -> Owners:
    """Whom the file's ticker meant.

    Raises
    ------
    InvalidInput : the ticker cannot be a symbol, or the map files contradict each other
    """
    if options.instrument is not None:
        return Owners((options.instrument,), None, ())
    if name.asset in ("equity", "option"):
        return _shares(source, name, options)
    return Owners((_other(name, options),), None, ())


@lru_cache(maxsize=4096)
def _described(id: str, kind: Kind) -> Instrument:
    return default_instrument(id, kind)


def _shares(source: Source, name: LeanName, options: Options) -> Owners:
    maps = beside(source.path, options.map_files)
    venue = None if options.venue is None else venue_of(options.venue)
    kind = options.kind or Kind.EQUITY
    owners = None if maps is None else _mapped(maps, name.ticker, venue, kind)
    if owners is not None:
        return owners
    which = "no map files" if maps is None else "map files without this ticker"
    note = (
        f"{which}: rows of {source.name} are stored as those of the ticker {name.ticker}, which may have meant another "
        "company earlier; say map_files= to part them"
    )
    return Owners((_described(f"{venue or USA}:{name.ticker}", kind),), None, (note,))


@lru_cache(maxsize=4096)
def _mapped(maps: MapFiles, ticker: str, venue: str | None, kind: Kind) -> Owners | None:
    """Whom the ticker meant by its map files; none where they lack it. Every day of the ticker asks this."""
    held = maps.holdings.filter(pl.col("ticker") == ticker)
    if held.is_empty():
        return None
    listed = pl.col("venue") if venue is None else pl.lit(venue)
    held = held.with_columns(instrument=pl.format("{}:{}", listed, pl.col("permtick")))
    ids = held["instrument"].unique(maintain_order=True).to_list()
    note = f"{ticker} by its map files: " + ", ".join(
        f"{row['instrument']} {row['first']}..{row['last'] or ''}" for row in held.iter_rows(named=True)
    )
    return Owners(
        tuple(_described(id, kind) for id in ids), held.select("instrument", "first", "last").sort("first"), (note,)
    )


def _other(name: LeanName, options: Options) -> Instrument:
    """An index, a currency pair or a coin."""
    if name.asset in ("crypto", "cryptofuture"):
        return crypto_instrument(name.market.upper(), name.ticker, options, perpetual=name.asset == "cryptofuture")
    if name.asset in ("forex", "cfd"):
        return fx_instrument(name.market.upper(), name.ticker, options)
    terms = terms_of(root_of(name.ticker))      # an index has the symbol of its own options
    venue = terms.venue or USA if options.venue is None else venue_of(options.venue)
    return default_instrument(f"{venue}:{terms.underlying}", options.kind or Kind.INDEX)
