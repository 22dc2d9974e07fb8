"""What the readers of option prints share: contracts by their OSI symbol, cancels, and rows of `option_trades`.

A print that is cancelled later was known as a print until then. So a cancel makes a second version of the row that it takes back,
with size 0, from the moment of the cancel: the newest earlier print of the same contract, exchange, price and size, each print
at most once. A cancel for which the file has no print is a reject, as is a print that the file marks as cancelled or corrected
without saying when (`trade_cancelled`). Prints of contracts that are adjusted for a corporate action (`AAPL1`), whose deliverable
is not in the symbol, are rejects too.
Source of what a cancel is: OPRA's conditions CANC, CNCL, CNCO and CNOL, as quoted in Barchart, "Options Time & Sales Trade
Conditions".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from fieldcast.data.chains import Terms, expiry_moments, osi_of, parsed_osi, terms_of
from fieldcast.data.formats._bar_files import text_blocks
from fieldcast.data.formats.bars import real
from fieldcast.data.formats.contract import Options, Parsed, no_rejects
from fieldcast.data.formats.frames import rejects, rows_of
from fieldcast.data.formats.source import Source
from fieldcast.data.formats.text import lines_of, venue_of
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Instrument, Kind, add_reason, default_instrument
from fieldcast.market.tables import OPTION_TRADES

_CANCEL_KEY = ["contract_id", "exchange", "price", "size"]
_FIELD = r'("[^"]*"|[^",]*)'


@dataclass
class Contracts:
    """Whose contracts a file holds: the underlying of each root, found once.

    Parameters
    ----------
    options : an instrument takes its own contracts alone; a venue is that of every share
    name : of the file
    """

    options: Options
    name: str

    def __post_init__(self) -> None:
        self.instruments: dict[str, Instrument] = {}
        self.others = 0     # prints of contracts on something else than the instrument that was named
        self._terms: dict[str, Terms | None] = {}
        self._ids: dict[str, str | None] = {}

    def placed(self, prints: pl.DataFrame) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
        """Prints with `instrument`, `contract_id` and the contract's terms; and the rejects.

        Parameters
        ----------
        prints : `row`, `contract` (OSI, padded or not) and columns of `option_trades`
        """
        known = pl.concat([prints, parsed_osi(prints["contract"])], how="horizontal")
        unread = known.filter(pl.col("root").is_null())
        known = known.drop_nulls("root")
        for root in known["root"].unique().to_list():
            self._learn(root)
        standard = [root for root, terms in self._terms.items() if terms is not None]
        odd = known.filter(~pl.col("root").is_in(standard))
        known = known.filter(pl.col("root").is_in(standard))
        ids = {root: id for root, id in self._ids.items() if id is not None}
        mine = known.filter(pl.col("root").is_in(list(ids)))
        self.others += known.height - mine.height
        mine = mine.with_columns(
            pl.col("root").replace_strict(ids, return_dtype=pl.String).alias("instrument"),
            *(self._term(field) for field in ("settlement", "exercise_style", "multiplier")),
        )
        mine = mine.with_columns(expiry_moments(mine["expiry"], mine["settlement"]), osi_of(mine))
        lost = [
            rejects(unread["row"], unread["contract"].fill_null("")),
            rejects(odd["row"], odd["contract"], Reason.VALUE_MISSING),      # its deliverable is unknown
        ]
        return mine.drop("contract", "expiry"), lost

    def notes(self) -> tuple[str, ...]:
        """What was left out because somebody asked for one instrument."""
        named = self.options.instrument
        if not self.others or named is None:
            return ()
        return (f"{self.others} prints of contracts on others than {named.id} were left out, as instrument= says",)

    def _learn(self, root: str) -> None:
        if root in self._terms:
            return
        try:
            terms = terms_of(root)
        except InvalidInput:
            self._terms[root] = None
            return
        self._terms[root] = terms
        underlying = self._underlying(terms)
        self._ids[root] = None if underlying is None else underlying.id
        if underlying is not None:
            self.instruments[underlying.id] = underlying

    def _underlying(self, terms: Terms) -> Instrument | None:
        options = self.options
        if options.instrument is not None:
            same = re.sub("[^A-Z0-9]", "", options.instrument.symbol.upper()) == terms.underlying    # the root of BRK.B is BRKB
            return real(options.instrument) if same else None
        if terms.venue is not None:
            return default_instrument(f"{terms.venue}:{terms.underlying}", Kind.INDEX)
        if options.venue is None:
            raise InvalidInput(
                f"expected to be told the venue of {terms.underlying}, on which {self.name} has contracts; "
                "give instrument= or venue="
            )
        return default_instrument(f"{venue_of(options.venue)}:{terms.underlying}", options.kind or Kind.EQUITY)

    def _term(self, field: str) -> pl.Expr:
        values = {root: getattr(terms, field) for root, terms in self._terms.items() if terms is not None}
        dtype = pl.Float64 if field == "multiplier" else pl.String
        return pl.col("root").replace_strict(values, return_dtype=dtype).alias(field)


Parts = Callable[[], Iterable[tuple[pl.DataFrame, pl.DataFrame]]]


def print_parts(parts: Parts, contracts: Contracts) -> Iterator[Parsed]:
    """A file as rows of `option_trades`; prints that a cancel takes back become new versions at the end.

    Parameters
    ----------
    parts : reads the file from its start. Of each part the prints (`row`, `text`, `contract`, `ts`, `available_at`, `cancel`: it
        reports a cancel, `taken_back`: it is marked as cancelled or corrected, and columns of `option_trades`) and the rejects
    """
    cancels: list[pl.DataFrame] = []
    for prints, broken in parts():
        lacking = pl.any_horizontal(pl.col(name).is_null() for name in ("ts", "available_at", "price", "size"))
        unread = prints.filter(lacking)
        gone = prints.filter(~lacking & pl.col("taken_back") & ~pl.col("cancel"))
        sound, lost = _sound(prints, contracts)
        told = sound.filter("cancel")
        if told.height:
            cancels.append(told)
        expired = sound.filter(~pl.col("cancel") & (pl.col("ts") > pl.col("expiry_ts")))
        lost += [
            broken,
            rejects(unread["row"], unread["text"]),
            rejects(gone["row"], gone["text"], Reason.TRADE_CANCELLED),
            rejects(expired["row"], expired["text"], Reason.EXPIRED),
        ]
        yield _parsed(_live(sound), pl.concat(lost).sort("row"), contracts)
    if cancels:
        told = pl.concat(cancels)
        others = contracts.others
        again = (_live(_sound(prints, contracts)[0]) for prints, _ in parts())
        alike = [prints.join(told, on=_CANCEL_KEY, how="semi", nulls_equal=True) for prints in again]
        contracts.others = others
        rows, unmatched = _taken_back(pl.concat(alike), told)
        yield _parsed(rows, rejects(unmatched["row"], unmatched["text"], Reason.TRADE_CANCELLED), contracts, contracts.notes())
    elif contracts.notes():
        yield _parsed(OPTION_TRADES.empty(), no_rejects(), contracts, contracts.notes())


def _sound(prints: pl.DataFrame, contracts: Contracts) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Prints and cancels with their contracts, and the rejects; prints that are marked as taken back are left out."""
    lacking = pl.any_horizontal(pl.col(name).is_null() for name in ("ts", "available_at", "price", "size"))
    whole, lost = contracts.placed(prints.filter(~lacking & (pl.col("cancel") | ~pl.col("taken_back"))))
    return whole.with_columns(sequence=pl.col("row")), lost


def _live(sound: pl.DataFrame) -> pl.DataFrame:
    """The prints among them."""
    return sound.filter(~pl.col("cancel") & (pl.col("ts") <= pl.col("expiry_ts")))


def _taken_back(prints: pl.DataFrame, cancels: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """New versions of the prints that were cancelled, and the cancels that took back nothing.

    Parameters
    ----------
    prints : those of the contracts, exchanges, prices and sizes of the cancels
    """
    events = pl.concat([prints.with_row_index("at"), cancels.with_row_index("at")], how="diagonal").sort("ts", "row")
    open_prints: dict[tuple[object, ...], list[int]] = {}
    pairs: list[tuple[int, int]] = []
    unmatched: list[int] = []
    for cancel, at, *key in events.select("cancel", "at", *_CANCEL_KEY).iter_rows():
        waiting = open_prints.setdefault(tuple(key), [])
        if not cancel:
            waiting.append(at)
        elif waiting:
            pairs.append((waiting.pop(), at))
        else:
            unmatched.append(at)
    places = pl.DataFrame(pairs, schema={"print": pl.UInt32, "cancel": pl.UInt32}, orient="row")
    when = cancels["available_at"].gather(places["cancel"])
    rows = prints[places["print"]].with_columns(told=when).with_columns(
        size=pl.lit(0.0),     # known after the print was
        available_at=pl.max_horizontal("told", pl.col("available_at") + pl.duration(microseconds=1)),
        reasons=pl.lit(None, dtype=pl.String),
    )
    return rows.with_columns(add_reason(Reason.TRADE_CANCELLED, pl.lit(value=True))), cancels[unmatched]


def _parsed(rows: pl.DataFrame, lost: pl.DataFrame, contracts: Contracts, notes: tuple[str, ...] = ()) -> Parsed:
    held = set(rows["instrument"].unique())
    return Parsed(
        OPTION_TRADES.name, rows_of(OPTION_TRADES, rows), tuple(item for id, item in contracts.instruments.items() if id in held),
        lost, available_at="reported", notes=notes,
    )


# lines ---------------------------------------------------------------------------------------------------------------


def quoted_parts(
    source: Source, columns: Callable[[list[str]], Sequence[str]]
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """The columns of a CSV file as text, with `row` and `text`, part by part; and the lines that lack some of them.

    A field may stand in quotes and hold commas then; fields after the last column are passed over.

    Parameters
    ----------
    columns : the file's header → its columns up to the last one that is wanted; of columns of one name the first has it

    Raises
    ------
    InvalidInput : what `columns` raises, or there is no line
    """
    first = 0
    names: Sequence[str] = ()
    for data in text_blocks(source):
        lines = lines_of(data)
        if not lines:
            continue
        if first == 0:
            found = columns([name.strip().strip('"') for name in lines[0].split(",")])
            names = [f"\0{at}" if name in found[:at] or name in ("row", "text") else name for at, name in enumerate(found)]
        skip = int(first == 0)
        frame = pl.DataFrame({"text": lines[skip:]}, schema={"text": pl.String()})
        frame = frame.with_row_index("row", first + skip).with_columns(pl.col("row").cast(pl.Int64)).filter(pl.col("text") != "")
        pattern = "^" + ",".join([_FIELD] * len(names)) + "(?:,.*)?$"
        frame = frame.with_columns(part=pl.col("text").str.extract_groups(pattern).struct.rename_fields(list(names)))
        whole = pl.col("part").struct.field(names[0]).is_not_null() & ~pl.col("text").str.contains("\ufffd", literal=True)
        broken = frame.filter(~whole)
        fields = frame.filter(whole).unnest("part").with_columns(pl.col(names).str.strip_chars('" '))
        yield fields, rejects(broken["row"], broken["text"]) if broken.height else no_rejects()
        first += len(lines)
    if not names:
        raise InvalidInput(f"expected a header and rows in {source.name}, found no line; fetch it again")
