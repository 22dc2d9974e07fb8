"""The universe: which instruments are followed, by class, with the rules of each class; one TOML file that a person can replace.

The file that ships (`universe.toml`, which explains its own keys) has 225 instruments: ETFs, large equities, indices, currency
pairs, crypto, futures and rates. Nothing in the code knows what stands in it. Whether their history is there is another question:
`data.universe_check`.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl

from fieldcast.ground import InvalidInput
from fieldcast.market import DAILY, Instrument, Kind, table_of

MINIMUM_ROWS = 1260
SHIPPED = "universe.toml"
_GROUP_KEYS = {
    "name", "kind", "venue", "symbols", "calendar", "currency", "tick", "lot", "multiplier", "tradable", "table", "minimum_rows",
    "absent_share", "details", "simulated",
}  # fmt: skip
_DETAIL_KEYS = {"name", "tick", "lot", "multiplier", "currency"}


@dataclass(frozen=True)
class Member:
    """One instrument of the universe.

    Parameters
    ----------
    group : its group's name
    table : where its history stands
    minimum_rows : sessions, up to now, of which each must have a row
    absent_share : share of them that its source may leave out
    """

    instrument: Instrument
    group: str
    table: str = DAILY
    minimum_rows: int = MINIMUM_ROWS
    absent_share: float = 0.0

    @property
    def absent_allowed(self) -> int:
        """Sessions of those that count that may have no row."""
        return int(self.absent_share * self.minimum_rows)


@dataclass(frozen=True)
class Universe:
    """Instruments by group, in the file's order; `sha256` is of the file's bytes."""

    name: str
    members: tuple[Member, ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    @cached_property
    def by_id(self) -> Mapping[str, Member]:
        return {member.instrument.id: member for member in self.members}

    def only(self, *, group: str | None = None, kind: Kind | str | None = None) -> Universe:
        """The members of a group or of an asset class.

        Raises
        ------
        InvalidInput : there are none
        """
        kept = tuple(
            member
            for member in self.members
            if (group is None or member.group == group) and (kind is None or member.instrument.kind == kind)
        )
        if not kept:
            wanted = " and ".join(str(part) for part in (group, kind) if part is not None)
            raise InvalidInput(f"expected members of {wanted} in {self.name}, found none; groups: {', '.join(self.groups)}")
        return Universe(self.name, kept, self.sha256)

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(member.group for member in self.members))

    def table(self) -> pl.DataFrame:
        """One line an instrument: id, group, kind, currency, calendar, tick, tradable, table, minimum_rows."""
        return pl.DataFrame(
            [
                {
                    "instrument": member.instrument.id,
                    "name": member.instrument.name,
                    "group": member.group,
                    "kind": str(member.instrument.kind),
                    "currency": member.instrument.currency,
                    "calendar": member.instrument.calendar,
                    "tick": str(member.instrument.tick),
                    "tradable": member.instrument.tradable,
                    "table": member.table,
                    "minimum_rows": member.minimum_rows,
                }
                for member in self.members
            ]
        )


def load_universe(path: Path | str | None = None) -> Universe:
    """Read a universe; none = the one that ships.

    Raises
    ------
    InvalidInput : the file cannot be read, has unknown keys or values, or names an instrument twice
    """
    name = SHIPPED if path is None else Path(path).name
    try:
        raw = (files("fieldcast.data") / SHIPPED).read_bytes() if path is None else Path(path).read_bytes()
        text = tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise InvalidInput(f"expected a universe file at {path}, found: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"expected {name} to be TOML, found: {error}") from None
    groups = text.get("group")
    if not isinstance(groups, list) or not groups or set(text) - {"name", "group"}:
        raise InvalidInput(f"expected `name` and [[group]] in {name}, found {', '.join(text) or 'nothing'}")
    members = [member for group in groups for member in _members(group, name)]
    ids = [member.instrument.id for member in members]
    repeated = sorted({id for id in ids if ids.count(id) > 1})
    if repeated:
        raise InvalidInput(f"expected each instrument of {name} once, found {', '.join(repeated)} more than once")
    return Universe(str(text.get("name", name)), tuple(members), hashlib.sha256(raw).hexdigest())


def _members(group: Any, file: str) -> list[Member]:
    if not isinstance(group, dict):
        raise InvalidInput(f"expected [[group]] tables in {file}, found {group!r}")
    title = str(group.get("name", "a group without a name"))
    unknown = sorted(set(group) - _GROUP_KEYS)
    absent = [key for key in ("name", "kind", "venue", "symbols") if key not in group]
    if unknown or absent:
        wrong = f"unknown {', '.join(unknown)}" if unknown else f"no {', '.join(absent)}"
        raise InvalidInput(f"expected {', '.join(sorted(_GROUP_KEYS))} in {title} of {file}, found {wrong}")
    symbols, details = group["symbols"], group.get("details", {})
    if not isinstance(symbols, list) or not symbols or not all(isinstance(symbol, str) for symbol in symbols):
        raise InvalidInput(f"expected a list of symbols in {title} of {file}, found {symbols!r}")
    strangers = sorted(set(details) - set(symbols))
    if strangers:
        raise InvalidInput(f"expected details of the symbols of {title} in {file}, found some of {', '.join(strangers)}")
    return [_member(group, symbol, details.get(symbol, {}), f"{title} of {file}") for symbol in symbols]


def _member(group: dict[str, Any], symbol: str, detail: Any, where: str) -> Member:
    if not isinstance(detail, dict) or set(detail) - _DETAIL_KEYS:
        raise InvalidInput(f"expected {', '.join(sorted(_DETAIL_KEYS))} for {symbol} in {where}, found {detail!r}")
    try:
        kind = Kind(group["kind"])
    except ValueError:
        raise InvalidInput(f"expected a kind out of {', '.join(Kind)} in {where}, found {group['kind']!r}") from None
    minimum, share = group.get("minimum_rows", MINIMUM_ROWS), group.get("absent_share", 0.0)
    if not isinstance(minimum, int) or minimum < 1 or not isinstance(share, int | float) or not 0 <= share < 1:
        raise InvalidInput(f"expected minimum_rows of at least 1 and absent_share in [0, 1) in {where}, found {minimum}, {share}")
    instrument = Instrument(
        id=f"{group['venue']}:{symbol}",
        kind=kind,
        currency=str(detail.get("currency", group.get("currency", "USD"))),
        calendar=str(group.get("calendar", "XNYS")),
        tick=_exact(group, detail, "tick", "0.01", where),
        lot=_exact(group, detail, "lot", "1", where),
        multiplier=_exact(group, detail, "multiplier", "1", where),
        tradable=bool(group.get("tradable", True)),
        simulated=bool(group.get("simulated", False)),
        name=str(detail.get("name", "")),
    )
    table = table_of(str(group.get("table", DAILY))).name
    return Member(instrument, str(group["name"]), table, minimum, float(share))


def _exact(group: dict[str, Any], detail: dict[str, Any], key: str, usual: str, where: str) -> Decimal:
    """A number that is written as text, so that no digit is lost."""
    value = detail.get(key, group.get(key, usual))
    if not isinstance(value, str):
        raise InvalidInput(f'expected {key} as text such as "{usual}" in {where}, found {value!r}')
    try:
        return Decimal(value)
    except InvalidOperation:
        raise InvalidInput(f"expected {key} as a number in {where}, found {value!r}") from None
