"""Every LEAN format, the most particular first."""

from __future__ import annotations

from fieldcast.data.formats.lean_bars import LEAN_BARS
from fieldcast.data.formats.lean_factors import LEAN_FACTORS
from fieldcast.data.formats.lean_options import LEAN_OPTIONS
from fieldcast.data.formats.lean_ticks import LEAN_TICKS
from fieldcast.data.formats.lean_universe import LEAN_UNIVERSE

FORMATS = (*LEAN_UNIVERSE, *LEAN_FACTORS, *LEAN_OPTIONS, *LEAN_TICKS, *LEAN_BARS)
