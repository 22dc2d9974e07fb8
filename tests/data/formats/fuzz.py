"""Damage to files of every registered format, and what must hold whatever the damage.

`seeds()` gathers one or more sound small files of each format from the fuzz modules beside this one (`test_*fuzz.py`): each has
`CASES` (objects with `format`, `name`, `data`, and `options` where a person must say something about the file) or `FILES`
(format → path and members of its archive). A new format needs one entry there; `test_D18` fails for a registered format that has
none. A payload is determined by (format, name of the seed, number): any failure can be made again from its message.
"""

from __future__ import annotations

import gzip
import importlib.util
import io
import random
import re
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from types import ModuleType

import polars as pl

from fieldcast.data import MemoryStore
from fieldcast.data.formats import FORMATS, Options
from fieldcast.data.importing import import_source
from fieldcast.ground import InvalidInput
from fieldcast.market import TABLES

HERE = Path(__file__).parent
USUAL_NOW = datetime(2026, 11, 1, tzinfo=UTC)
OPTIONAL = {"databento-mbo": "databento_dbn", "databento-option-prints": "databento_dbn"}  # formats whose library is an extra


@dataclass(frozen=True)
class Seed:
    """A sound small file of a format, and what a person says about it."""

    format: str
    name: str
    data: bytes
    options: Options


@dataclass(frozen=True)
class Outcome:
    """What became of one payload: refused with a message, or stored with so many rows kept and put in quarantine."""

    refusal: str | None
    kept: int
    quarantined: int


# seeds --------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def seeds() -> dict[str, tuple[Seed, ...]]:
    """Format → its sound files."""
    found: dict[str, list[Seed]] = {}
    for path in sorted(HERE.glob("test_*fuzz.py")):
        for seed in _seeds_of(_module(path)):
            found.setdefault(seed.format, []).append(seed)
    return {name: tuple(own) for name, own in found.items()}


def without_seed() -> set[str]:
    """Registered formats that nobody can fuzz; those whose optional library is absent are left out."""
    absent = {name for name, library in OPTIONAL.items() if importlib.util.find_spec(library) is None}
    return set(FORMATS) - set(seeds()) - absent


def _module(path: Path) -> ModuleType:
    name = f"fieldcast_fuzz_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def _seeds_of(module: ModuleType) -> Iterator[Seed]:
    now = getattr(module, "NOW", USUAL_NOW)
    for case in getattr(module, "CASES", ()):
        yield Seed(case.format, case.name, case.data, getattr(case, "options", Options(now=now)))
    for format, (name, members) in getattr(module, "FILES", {}).items():
        contents = {member: text.encode() for member, text in members.items()}
        yield Seed(format, name, contents[""] if "" in contents else zipped(contents), Options(now=now))


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


# damage -------------------------------------------------------------------------------------------------------------

NUMBERS = (
    b"nan", b"NaN", b"inf", b"-inf", b"Infinity", b"1e400", b"-1e308", b"1e-320", b"9" * 40, b"-1", b"-0.0", b"0", b"", b" ",
    b"null", b"None", b"--", b"0x1F", b"1,000", b"1.2.3", b"\xd9\xa3", b"\x00", b"\xff", b'"', b"[]", b"{}", b"true", b"1e5",
)  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")


def _flip(data: bytes, chance: random.Random) -> bytes:
    body = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    return bytes(body)


def _overwrite(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + chance.randbytes(chance.randint(1, 40)) + data[at + chance.randint(0, 40) :]


def _cut(data: bytes, chance: random.Random) -> bytes:
    """Truncated, or its beginning lost."""
    at = chance.randrange(len(data))
    return data[:at] if chance.random() < 0.7 else data[at:]


def _separator(data: bytes) -> bytes:
    return max((b",", b"|", b";", b"\t", b"@", b" "), key=lambda mark: (data.count(mark) if mark != b" " else 0))


def _fields(data: bytes, chance: random.Random) -> bytes:
    """Fields dropped, doubled, swapped or replaced by what is no sound number."""
    lines, mark = data.split(b"\n"), _separator(data)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(lines))
        fields = lines[place].split(mark)
        field, other, kind = chance.randrange(len(fields)), chance.randrange(len(fields)), chance.randrange(6)
        if kind == 0:
            del fields[field]
        elif kind == 1:
            fields.insert(field, fields[other])
        elif kind == 2:
            fields[field], fields[other] = fields[other], fields[field]
        else:
            fields[field] = chance.choice(NUMBERS)
        lines[place] = mark.join(fields)
    return b"\n".join(lines)


def _numbers(data: bytes, chance: random.Random) -> bytes:
    """Numbers wherever they stand (in JSON, in names) made extreme, negative, or wrong by one, as counts would be."""
    found = list(_NUMBER.finditer(data))
    if not found:
        return _flip(data, chance)
    for match in sorted(chance.sample(found, min(len(found), chance.randint(1, 6))), key=lambda one: -one.start()):
        kind, text = chance.randrange(5), match.group()
        if kind == 0:
            new = b"-" + text
        elif kind == 1 and b"." not in text and len(text) < 18:
            new = str(int(text) + chance.choice((-1, 1))).encode()
        elif kind == 2:
            new = text + b"0" * chance.randint(1, 30)
        else:
            new = chance.choice(NUMBERS)
        data = data[: match.start()] + new + data[match.end() :]
    return data


def _column(data: bytes, chance: random.Random) -> bytes:
    """The same wrong text in one field of every line."""
    mark, value, place = _separator(data), chance.choice(NUMBERS), chance.randrange(10)
    lines = [line.split(mark) for line in data.split(b"\n")]
    for fields in lines[chance.randint(0, 1) :]:
        if place < len(fields):
            fields[place] = value
    return b"\n".join(mark.join(fields) for fields in lines)


def _lines(data: bytes, chance: random.Random) -> bytes:
    """Lines lost, doubled, moved or all reversed; the header in the middle; the last line, which may count them, gone."""
    lines = data.split(b"\n")
    for _ in range(chance.randint(1, 6)):
        place, other, kind = chance.randrange(len(lines)), chance.randrange(len(lines)), chance.randrange(7)
        if kind == 0 and len(lines) > 1:
            del lines[place]
        elif kind == 1:
            lines.insert(place, lines[other])
        elif kind == 2:
            lines[place], lines[other] = lines[other], lines[place]
        elif kind == 3:
            lines.reverse()
        elif kind == 4:
            lines.insert(place, lines[0])
        elif kind == 5:
            chance.shuffle(lines)
        else:
            lines.pop() if len(lines) > 1 else None
    return b"\n".join(lines)


def _encoding(data: bytes, chance: random.Random) -> bytes:
    """Another encoding, a byte order mark, broken UTF-8, null bytes, other line ends."""
    kind = chance.randrange(7)
    text = data.decode("utf-8", "replace")
    at = chance.randrange(len(data))
    if kind == 0:
        return text.encode("utf-16")
    if kind == 1:
        return b"\xef\xbb\xbf" + data
    if kind == 2:
        return data[:at] + chance.choice((b"\xc3", b"\xff\xfe", b"\xed\xa0\x80", b"\xf0\x9f")) + data[at:]
    if kind == 3:
        return data[:at] + b"\x00" * chance.randint(1, 5) + data[at:]
    if kind == 4:
        return data.replace(b"\n", chance.choice((b"\r\n", b"\r", b"\n\n")))
    if kind == 5:
        return text.encode("latin-1", "replace")
    return data.replace(b'"', b"'") if b'"' in data else data[:at] + b'"' + data[at:]


TEXT = (_flip, _overwrite, _cut, _fields, _fields, _fields, _numbers, _numbers, _numbers, _column, _lines, _lines, _encoding)
BINARY = (_flip, _flip, _overwrite, _cut)


class Chance(random.Random):
    """A source of chance that counts what it damaged: `rows` are lines that are no longer what and where they were."""

    rows = 0


def _content(data: bytes, chance: Chance) -> bytes:
    """Damage to bytes that are no archive."""
    if not data:
        return chance.choice(NUMBERS)
    text, sound = b"\x00" not in data[:4096] and not data.startswith(b"PAR1"), data
    for _ in range(chance.randint(1, 2)):
        data = chance.choice(TEXT if text else BINARY)(data, chance) or b"0"
    if text:
        chance.rows += sum(new != old for new, old in zip_longest(data.split(b"\n"), sound.split(b"\n")))
    return data


def _packed(data: bytes, chance: Chance) -> bytes:
    """Gzip: whole around damaged text, cut short, flipped, or twice."""
    kind = chance.randrange(4)
    if kind == 0:
        return gzip.compress(_content(data, chance), mtime=0)
    packed = gzip.compress(data, mtime=0)
    if kind == 1:
        return packed[: chance.randrange(2, len(packed))]
    return _flip(packed, chance) if kind == 2 else gzip.compress(packed, mtime=0)


def _archive(data: bytes, chance: Chance) -> bytes:
    """Zip: a member damaged, emptied, renamed, lost or there twice; or the archive's own bytes."""
    if chance.random() < 0.2:
        return chance.choice(BINARY)(data, chance)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name, kind = chance.choice(list(members)), chance.randrange(10)
    if kind == 0:
        members[name] = b""
    elif kind == 1:
        renamed = _flip(name.encode(), chance).decode("latin-1").replace("\x00", "0") or "x"
        members[renamed] = members.pop(name)
    elif kind == 2:
        del members[name]
    elif kind == 3:
        members["copy of " + name] = members[name]
    else:
        members[name] = _content(members[name], chance)
    return zipped(members)


def payload(seed: Seed, number: int) -> tuple[bytes, int]:
    """The damaged file with this number, and how many of its rows were damaged."""
    chance = Chance(f"{seed.format}/{seed.name}/{number}")
    if seed.data.startswith(b"PK"):
        data = _archive(seed.data, chance)
    else:
        data = _packed(seed.data, chance) if chance.random() < 0.1 else _content(seed.data, chance)
    return data, chance.rows


# what must hold -----------------------------------------------------------------------------------------------------


def run(seed: Seed, data: bytes, folder: Path) -> Outcome:
    """Import a payload and judge what was stored.

    Any exception but `InvalidInput` (of which a missing extra is one) goes through and fails the caller, as do refusals that do
    not say what was expected, and stored values that cannot be.
    """
    path = folder / seed.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    store = MemoryStore()
    try:
        report = import_source(path, seed.options, store=store, format=seed.format)
    except InvalidInput as error:
        if "expected" not in str(error):
            raise AssertionError(f"a refusal that does not say what was expected: {error}") from error
        return Outcome(str(error), impossible(store, seed.options.now), 0)
    return Outcome(None, impossible(store, seed.options.now), sum(report.removed.values()))


def impossible(store: MemoryStore, now: datetime) -> int:
    """Refuse what must never be stored; the number of rows where there is nothing of the kind."""
    rows = 0
    for table, instrument, dataset in store.datasets().select("table", "instrument", "dataset").iter_rows():
        kind, held = TABLES[table], store.read(instrument, table=table, dataset=dataset)
        rows += held.height
        floats = [name for name, dtype in kind.schema.items() if dtype == pl.Float64]
        checks = [pl.col(name).is_not_null() & ~pl.col(name).is_finite() for name in floats]
        checks += [pl.col(name) <= 0 for name in kind.positive]
        checks += [pl.col(name) < 0 for name in kind.non_negative]
        checks += [pl.col(low) > pl.col(high) for low, high in kind.ordered]
        checks += [pl.col(name).is_null() for name in (*kind.required, *kind.key, "available_at")]
        checks += [pl.col("ts") > now, pl.col("available_at") < pl.col("ts")]
        wrong = held.filter(pl.any_horizontal(check.fill_null(value=False) for check in checks))
        assert wrong.is_empty(), f"{table} of {instrument} holds what cannot be: {wrong.row(0, named=True)}"
    return rows


def campaign(format: str, first: int, count: int, folder: Path) -> dict[str, int]:
    """Payloads `first` to `first + count - 1` of a format, spread over its seeds; the counts of what became of them."""
    own = seeds()[format]
    tally = {"payloads": 0, "rows": 0, "refused": 0, "stored": 0, "quarantined": 0}
    for number in range(first, first + count):
        seed = own[number % len(own)]
        try:
            data, rows = payload(seed, number)
            outcome = run(seed, data, folder)
        except BaseException as error:
            raise AssertionError(f"payload {number} of {seed.format} ({seed.name}): {type(error).__name__}: {error}") from error
        tally["payloads"] += 1
        tally["rows"] += rows
        tally["refused"] += outcome.refusal is not None
        tally["stored"] += outcome.kept > 0
        tally["quarantined"] += outcome.quarantined > 0
    return tally
