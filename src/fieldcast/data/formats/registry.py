"""Every format that Fieldcast reads, in the order in which a file is tried."""

from __future__ import annotations

from collections.abc import Mapping

from fieldcast.data.formats.contract import Format
from fieldcast.data.formats.source import Source
from fieldcast.ground import InvalidInput

# Each module of formats adds its own tuple here; the most particular first.
FORMATS: Mapping[str, Format] = {format.name: format for format in ()}


def format_of(name: str) -> Format:
    """The format with this name.

    Raises
    ------
    InvalidInput : there is none
    """
    if name not in FORMATS:
        raise InvalidInput(f"expected a format out of {', '.join(FORMATS)}, found {name!r}")
    return FORMATS[name]


def recognise(source: Source) -> Format:
    """The first format that knows the file by its name and first bytes.

    Raises
    ------
    InvalidInput : none does
    """
    sample = source.sample()
    for format in FORMATS.values():
        if format.recognises(sample):
            return format
    raise InvalidInput(f"expected a file of a known format, found {source.name}; name one with format=: {', '.join(FORMATS)}")
