"""What LEAN says about a file in its path and in the names of its zip's members: asset class, market, ticker, date, kind.

LEAN's layout is `<asset class>/<market>/<resolution>/<ticker>/<date>_<kind>.zip` for ticks, seconds and minutes and
`…/<resolution>/<ticker>.zip` for hours and days (QuantConnect, LEAN Engine, Data Format). The members repeat most of it; the
asset class and the market stand in the folders alone. Folders named `lean_<asset class>_<resolution>` are understood too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from fieldcast.data.chains import terms_of
from fieldcast.data.formats.contract import Options
from fieldcast.data.formats.source import Sample, Source
from fieldcast.ground import InvalidInput
from fieldcast.market import Kind

ASSETS = ("equity", "option", "indexoption", "index", "forex", "cfd", "crypto", "cryptofuture")
CRYPTO_MARKETS = ("coinbase", "gdax", "binance", "binanceus", "bybit", "bitfinex", "kraken", "ftx", "ftxus", "dydx")
FOREX_MARKETS = ("oanda", "fxcm")
MARKETS = ("usa", *FOREX_MARKETS, *CRYPTO_MARKETS)
RESOLUTIONS = ("tick", "second", "minute", "hour", "daily")
SCALED = ("equity", "option", "indexoption")  # prices in ten-thousandths; all others are in units
_ASSET_OF_KIND = {
    Kind.EQUITY: "equity", Kind.ETF: "equity", Kind.INDEX: "index", Kind.FX: "forex", Kind.CRYPTO: "crypto",
    Kind.FUTURE: "cryptofuture",
}
_CONTRACT = r"_(?P<style>american|european)_(?P<right>call|put)_(?P<strike>\d{1,12})_(?P<expiry>\d{8})"
_KIND = r"(?P<kind>trade|quote|openinterest)"
_MEMBERS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?P<day>\d{{8}})_(?P<ticker>[^_]+)_(?P<resolution>tick|second|minute)_{_KIND}{_CONTRACT}\.csv",
        rf"(?P<day>\d{{8}})_(?P<ticker>[^_]+)_(?P<resolution>tick|second|minute)_{_KIND}(?P<perp>_perp)?\.csv",
        rf"(?P<day>\d{{8}})_(?P<ticker>[^_]+)_{_KIND}_(?P<resolution>tick|second|minute)\.csv",
        rf"(?P<ticker>[^_]+)_{_KIND}{_CONTRACT}\.csv",
        r"(?P<ticker>[^_/]+)\.csv",
    )
)
_DAY_LINE = re.compile(rb"\d{8} \d\d:\d\d,")


@dataclass(frozen=True)
class Member:
    """What the name of a zip's member says; none where it does not."""

    ticker: str
    day: str | None
    resolution: str | None
    kind: str | None
    perpetual: bool
    style: str | None
    right: str | None
    strike: int | None  # in ten-thousandths
    expiry: str | None

    @property
    def is_option(self) -> bool:
        return self.style is not None


@dataclass(frozen=True)
class LeanName:
    """What is known about a file: asset class and market from its folders, the rest from its first member."""

    asset: str
    market: str
    resolution: str
    ticker: str   # upper case
    day: date | None
    perpetual: bool
    style: str | None

    @property
    def scale(self) -> float:
        """What a price of the file is divided by."""
        return 10_000.0 if self.asset in SCALED else 1.0


def member_of(name: str) -> Member | None:
    """What a member's name says; none for a name that is not LEAN's."""
    text = name.rsplit("/", 1)[-1].lower()
    for pattern in _MEMBERS:
        found = pattern.fullmatch(text)
        if found:
            parts: dict[str, str | None] = dict.fromkeys(("day", "resolution", "kind", "style", "right", "strike", "expiry"))
            parts |= found.groupdict()
            perpetual = bool(parts.pop("perp", None))
            strike = parts.pop("strike")
            return Member(perpetual=perpetual, strike=None if strike is None else int(strike), **parts)  # type: ignore[arg-type]
    return None


def root_of(ticker: str) -> str:
    """A ticker as the root of an option symbol, which holds no point: `BRKB` for `brk.b`."""
    return ticker.upper().replace(".", "")


def first_member(sample: Sample) -> Member | None:
    """What the first member of a zip says; none where the file is not LEAN's."""
    return member_of(sample.members[0]) if sample.members else None


def has_day_lines(sample: Sample) -> bool:
    """True where the first line begins with `YYYYMMDD HH:MM,`, as days and hours do."""
    return _DAY_LINE.match(sample.head) is not None


def columns_of(sample: Sample) -> int:
    """Number of fields of the first line."""
    return sample.first_line.count(",") + 1


def parse_day(text: str, where: str) -> date:
    """A date written `YYYYMMDD`.

    Raises
    ------
    InvalidInput : it is none
    """
    try:
        if len(text) != 8:
            raise ValueError(text)
        day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise InvalidInput(f"expected a date such as 20140605 in the name {where}, found {text}") from None
    if not 1950 <= day.year <= 2200:
        raise InvalidInput(f"expected a year between 1950 and 2200 in the name {where}, found {day.year}")
    return day


def name_of(source: Source, options: Options) -> LeanName:
    """What path, first member and `options` say about a zip.

    Raises
    ------
    InvalidInput : the zip is empty, or it is not said which market the file is from
    """
    members = source.members()
    member = member_of(members[0]) if members else None
    if member is None:
        found = members[0] if members else "no file at all"
        raise InvalidInput(f"expected files named as LEAN does in {source.name}, found {found}")
    words = _words(source.path)
    resolution = member.resolution or _first(words, RESOLUTIONS) or "daily"
    market = _first(words, MARKETS)
    asset = _asset(words, market, member, options)
    if market is None and asset not in ("equity", "option", "index", "indexoption") and options.venue is None:
        raise InvalidInput(f"expected the market of {source.name} in its folders, such as {asset}/oanda/minute; say venue=")
    return LeanName(
        asset=asset,
        market=(market or "usa").replace("gdax", "coinbase"),
        resolution=resolution,
        ticker=member.ticker.upper(),
        day=None if member.day is None else parse_day(member.day, source.name),
        perpetual=member.perpetual,
        style=member.style,
    )


def _asset(words: list[list[str]], market: str | None, member: Member, options: Options) -> str:
    if member.is_option:
        return "indexoption" if terms_of(root_of(member.ticker)).venue else "option"
    named = _first(words, ASSETS)
    if named is not None and named not in ("option", "indexoption"):
        return "cryptofuture" if member.perpetual else named
    if market in CRYPTO_MARKETS:
        return "cryptofuture" if member.perpetual else "crypto"
    if market in FOREX_MARKETS:
        return "forex"
    kind = options.instrument.kind if options.instrument else options.kind
    return _ASSET_OF_KIND.get(kind, "equity") if kind else "equity"


def _words(path: Path) -> list[list[str]]:
    """The words of the file's name and of its folders, nearest first: whole names, and the parts of `lean_…` ones."""
    stem = path.name.lower().split(".", 1)[0]
    parts = stem.split("_")
    found = [parts] if len(parts) > 1 else []
    for folder in list(reversed(path.parts[:-1]))[:6]:
        name = folder.lower()
        found.append(name.split("_") if name.startswith("lean_") else [name])
    return found


def _first(words: list[list[str]], wanted: tuple[str, ...]) -> str | None:
    """The first of the words that is one of `wanted`."""
    for group in words:
        for word in group:
            if word in wanted:
                return word
    return None
