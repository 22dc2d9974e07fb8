"""The tables that the store keeps: what a row is about, which values it must have, and how its files are laid out.

A row is identified by its key; `available_at` tells its versions apart (a restatement is a new row). Every table begins with
`instrument, ts, available_at` and ends with `reasons`. `instrument` is the id of whatever the row is about: an instrument, or
the id of a macro series (`FRED:DGS10`), of a news source (`NEWS:PHRASEBANK`) or of an option's underlying.

Daily tables have one file a dataset and year; intraday tables one an instrument and year, and a segment for each day that is
not compacted yet. Prices are in the instrument's currency, sizes in its units, times in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from fieldcast.ground import InvalidInput
from fieldcast.market.schemas import BARS, STAMP

DAILY = "bars/1d"
INTERVALS = ("1d", "4h", "1h", "30m", "15m", "5m", "1m", "1s")


class Layout(StrEnum):
    """How the rows of a table are spread over files."""

    DAILY = "daily"        # one file a dataset and year
    INTRADAY = "intraday"  # one file an instrument and year, and a segment a day


@dataclass(frozen=True)
class Table:
    """One kind of rows.

    Parameters
    ----------
    name : as it stands in paths and on the command line, such as `bars/1m` or `chains`
    schema : column → type, in order
    key : what a row is about, without `available_at`; begins with instrument and ts
    required : columns that are never null
    positive, non_negative : columns whose values, where there are any, are above (at or above) zero
    ordered : pairs (a, b) with a ≤ b wherever both are there
    """

    name: str
    schema: Mapping[str, pl.DataType]
    key: tuple[str, ...]
    layout: Layout
    required: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    non_negative: tuple[str, ...] = ()
    ordered: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> str:
        """The name without the interval: `bars` for `bars/1m`."""
        return self.name.split("/", 1)[0]

    @property
    def interval(self) -> str | None:
        """`1m` for `bars/1m`; none for a table that has none."""
        return self.name.split("/", 1)[1] if "/" in self.name else None

    @property
    def version_key(self) -> tuple[str, ...]:
        """The key of a version: the row's key and when it became known, in the order in which rows are kept."""
        return (*self.key[:2], "available_at", *self.key[2:])

    @property
    def values(self) -> tuple[str, ...]:
        """The columns in which versions of a row can differ."""
        return tuple(name for name in self.schema if name not in self.version_key)

    def empty(self) -> pl.DataFrame:
        """The table without rows."""
        return pl.DataFrame(schema=dict(self.schema))


_HEAD: dict[str, pl.DataType] = {"instrument": pl.String(), "ts": STAMP, "available_at": STAMP}
_TAIL: dict[str, pl.DataType] = {"reasons": pl.String()}
_FLOAT, _INT, _TEXT, _FLAG = pl.Float64(), pl.Int64(), pl.String(), pl.Boolean()


def _schema(**columns: pl.DataType) -> dict[str, pl.DataType]:
    return {**_HEAD, **columns, **_TAIL}


def _bars(interval: str) -> Table:
    return Table(
        f"bars/{interval}", BARS, ("instrument", "ts"), Layout.DAILY if interval == "1d" else Layout.INTRADAY,
        required=("close",), positive=("open", "high", "low", "close"), non_negative=("volume",), ordered=(("low", "high"),),
    )


_QUOTE_PRICES = tuple(f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close"))


def _quote_bars(interval: str) -> Table:
    """Best bid and offer over a bar; a side without a quote is null."""
    columns: dict[str, pl.DataType] = {}
    for side in ("bid", "ask"):
        columns |= {f"{side}_{part}": _FLOAT for part in ("open", "high", "low", "close")} | {f"{side}_size": _FLOAT}
    return Table(
        f"quote_bars/{interval}", _schema(**columns), ("instrument", "ts"),
        Layout.DAILY if interval == "1d" else Layout.INTRADAY,
        positive=_QUOTE_PRICES, non_negative=("bid_size", "ask_size"),
        ordered=(("bid_low", "bid_high"), ("ask_low", "ask_high")),
    )


TRADES = Table(
    "trades",
    _schema(
        sequence=_INT,      # place among the rows of the same source, ascending: several may share a ts
        price=_FLOAT, size=_FLOAT,
        side=_TEXT,         # of the aggressor, buy or sell; null where the source does not say
        exchange=_TEXT, conditions=_TEXT, trade_id=_TEXT,
    ),
    ("instrument", "ts", "sequence"), Layout.INTRADAY,
    required=("sequence", "price"), positive=("price",), non_negative=("size",),
)
QUOTES = Table(
    "quotes",
    _schema(sequence=_INT, bid=_FLOAT, bid_size=_FLOAT, ask=_FLOAT, ask_size=_FLOAT, exchange=_TEXT, conditions=_TEXT),
    ("instrument", "ts", "sequence"), Layout.INTRADAY, required=("sequence",), positive=("bid", "ask"),
    non_negative=("bid_size", "ask_size"),
)
DEPTH = Table(
    "depth",
    _schema(
        sequence=_INT,             # place of the level change among the rows of the same source, ascending
        first_update=_INT,         # the venue's first and last update id of the message, where it numbers them; a snapshot
        last_update=_INT,          # from outside the stream has the last alone
        snapshot=_FLAG,            # the message replaces the whole book
        side=_TEXT,                # bid or ask
        price=_FLOAT, size=_FLOAT,  # the new total size at the price; 0 removes the level
        order_id=_TEXT,            # of feeds by order alone, whose size is the order's
        action=_TEXT,              # add, modify, cancel (size comes off the order) or reset (empties the book, then adds)
    ),
    ("instrument", "ts", "sequence"), Layout.INTRADAY, required=("sequence", "snapshot", "side", "price", "size"),
    positive=("price",), non_negative=("size",),
)
CHAINS = Table(
    "chains",
    _schema(                       # instrument = the underlying
        contract_id=_TEXT,         # OSI: root padded to 6, yymmdd, C or P, strike × 1000 in 8 digits
        root=_TEXT, expiry_ts=STAMP,   # the contract's true last moment
        strike=_FLOAT, right=_TEXT,    # call or put
        exercise_style=_TEXT, settlement=_TEXT, multiplier=_FLOAT,
        bid=_FLOAT, ask=_FLOAT, bid_size=_FLOAT, ask_size=_FLOAT, last=_FLOAT, last_ts=STAMP,
        mark=_FLOAT,               # the source's own price, neither bid, ask nor a known trade: a day's closing mid or print
        iv=_FLOAT, open_interest=_FLOAT, volume=_FLOAT, delta=_FLOAT, gamma=_FLOAT, vega=_FLOAT, theta=_FLOAT, rho=_FLOAT,
        underlying_price=_FLOAT, underlying_ts=STAMP, quote_ts=STAMP, oi_available_at=STAMP,
    ),
    ("instrument", "ts", "contract_id"), Layout.DAILY,
    required=("contract_id", "root", "expiry_ts", "strike", "right", "multiplier"),
    positive=("strike", "multiplier", "underlying_price", "iv"),
    non_negative=("bid", "ask", "bid_size", "ask_size", "last", "mark", "open_interest", "volume"),
)


def _option_bars(interval: str) -> Table:
    """Trades of option contracts over a bar; instrument = the underlying."""
    return Table(
        f"option_bars/{interval}",
        _schema(
            contract_id=_TEXT, root=_TEXT, expiry_ts=STAMP, strike=_FLOAT, right=_TEXT, exercise_style=_TEXT, settlement=_TEXT,
            multiplier=_FLOAT, open=_FLOAT, high=_FLOAT, low=_FLOAT, close=_FLOAT, volume=_FLOAT,
        ),
        ("instrument", "ts", "contract_id"), Layout.DAILY if interval == "1d" else Layout.INTRADAY,
        required=("contract_id", "root", "expiry_ts", "strike", "right", "multiplier", "open", "high", "low", "close"),
        positive=("strike", "multiplier", "open", "high", "low", "close"), non_negative=("volume",), ordered=(("low", "high"),),
    )


OPTION_TRADES = Table(
    "option_trades",
    _schema(                       # instrument = the underlying; a print that was cancelled has a later version with size 0
        contract_id=_TEXT, root=_TEXT, expiry_ts=STAMP, strike=_FLOAT, right=_TEXT, exercise_style=_TEXT, settlement=_TEXT,
        multiplier=_FLOAT,
        sequence=_INT,             # place in the source
        price=_FLOAT, size=_FLOAT,  # size in contracts
        side=_TEXT,                # of the aggressor, buy or sell; null where the source does not say
        exchange=_TEXT, conditions=_TEXT,
        bid=_FLOAT, ask=_FLOAT, bid_size=_FLOAT, ask_size=_FLOAT,      # the best of all exchanges as the print found it
        underlying_bid=_FLOAT, underlying_ask=_FLOAT,
    ),
    ("instrument", "ts", "contract_id", "sequence"), Layout.INTRADAY,
    required=("contract_id", "root", "expiry_ts", "strike", "right", "multiplier", "sequence", "price", "size"),
    positive=("strike", "multiplier", "price", "underlying_bid", "underlying_ask"),
    non_negative=("size", "bid", "ask", "bid_size", "ask_size"),
)
OPEN_INTEREST = Table(
    "open_interest",
    _schema(contract_id=_TEXT, open_interest=_FLOAT),      # instrument = the underlying; available_at: next session's open
    ("instrument", "ts", "contract_id"), Layout.DAILY, required=("contract_id", "open_interest"), non_negative=("open_interest",),
)
SHORT_VOLUME = Table(
    "short_volume",
    _schema(short_volume=_FLOAT, short_exempt_volume=_FLOAT, total_volume=_FLOAT, market=_TEXT),
    ("instrument", "ts", "market"), Layout.DAILY, required=("short_volume", "total_volume", "market"),
    non_negative=("short_volume", "short_exempt_volume", "total_volume"),
    ordered=(("short_volume", "total_volume"), ("short_exempt_volume", "short_volume")),
)
MACRO = Table(
    "macro",
    _schema(value=_FLOAT, unit=_TEXT),      # ts = end of the period observed; available_at = when this vintage came out
    ("instrument", "ts"), Layout.DAILY, required=("value",),
)
NEWS = Table(
    "news",
    _schema(item=_TEXT, text=_TEXT, subject=_TEXT, label=_TEXT, score=_FLOAT, language=_TEXT),
    ("instrument", "ts", "item"), Layout.DAILY, required=("item", "text"),
)
TEXT_SCORES = Table(
    "text_scores",
    _schema(                 # instrument = what the text is about, or the source where it is about the market; ts = published
        item=_TEXT,          # the text's, as in `news`
        source=_TEXT,        # news, x, reddit, stocktwits or earnings
        scorer=_TEXT,        # name@version hash of what scored it, such as lexicon@0123456789abcdef
        score=_FLOAT, confidence=_FLOAT,    # in [-1, 1] and [0, 1]
        text_hash=_TEXT,     # first 16 digits of the SHA-256 of the text that was scored
        mentions=_FLOAT,     # texts that the row stands for: 1 for a text by itself
        engagement=_FLOAT,   # likes or votes, and comments, where the source counts them
        comments=_FLOAT,
    ),
    ("instrument", "ts", "item", "scorer"), Layout.DAILY,
    required=("item", "source", "scorer", "score", "confidence", "mentions"), positive=("mentions",),
    non_negative=("confidence", "comments"),
)
ACTIONS = Table(
    "actions",
    _schema(      # corporate actions; ts = when announced; where the source does not say, the ex-date's midnight in its zone
        effective_at=STAMP,  # midnight of the ex-date in the instrument's zone: rows that ended before it are before the action
        action=_TEXT,       # split or dividend
        ratio=_FLOAT,       # split: new shares for one old share
        amount=_FLOAT,      # dividend: cash a share, as paid then
        reference=_FLOAT,   # close before the ex-date that the source states
    ),
    ("instrument", "ts", "action", "effective_at"), Layout.DAILY, required=("action", "effective_at"),
    positive=("ratio", "reference"),
    non_negative=("amount",),
)
EVENTS = Table(
    "events",
    _schema(      # what is scheduled; ts = when it was announced: the newest announcement of an item counts
        happens_at=STAMP,
        event=_TEXT,        # earnings, ex_dividend, expiry, macro_release or roll
        item=_TEXT,         # which one of them, such as 2024Q1
        value=_FLOAT, note=_TEXT,
    ),
    ("instrument", "ts", "event", "item"), Layout.DAILY, required=("happens_at", "event", "item"),
)
FUNDING = Table(
    "funding",
    _schema(rate=_FLOAT, mark=_FLOAT),      # of a perpetual future: the share of notional paid by longs at ts
    ("instrument", "ts"), Layout.DAILY, required=("rate",), positive=("mark",),
)

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        *(_bars(interval) for interval in INTERVALS),
        *(_quote_bars(interval) for interval in INTERVALS),
        *(_option_bars(interval) for interval in ("1d", "1h", "1m", "1s")),
        *(OPTION_TRADES, TRADES, QUOTES, DEPTH, CHAINS, OPEN_INTEREST, SHORT_VOLUME, MACRO),
        *(NEWS, TEXT_SCORES, ACTIONS, EVENTS, FUNDING),
    )
}


def table_of(name: str) -> Table:
    """The table with this name.

    Raises
    ------
    InvalidInput : there is none
    """
    if name not in TABLES:
        raise InvalidInput(f"expected a table out of {', '.join(TABLES)}, found {name!r}")
    return TABLES[name]
