"""File formats that can be imported; each is a `Format` of its own module, found by `recognise` or by its name."""

from fieldcast.data.formats.contract import REJECTS, Format, Options, Parsed, no_rejects
from fieldcast.data.formats.registry import FORMATS, format_of, recognise
from fieldcast.data.formats.source import Sample, Source

__all__ = ["FORMATS", "REJECTS", "Format", "Options", "Parsed", "Sample", "Source", "format_of", "no_rejects", "recognise"]
