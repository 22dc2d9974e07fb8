"""The registered columns of the liquidity engine: what each is, and the parts in which they are computed."""

from __future__ import annotations

import numpy as np

from fieldcast.fields._parts import Part
from fieldcast.fields._rows import Floats, Rows
from fieldcast.fields.columns import FieldColumn
from fieldcast.fields.liquidity.effort import PAST, PHASES, effort_columns, phase_columns, relative_volume
from fieldcast.fields.liquidity.impact import AMIHUD, AMIHUD_LONG, KYLE, amihud_columns, kyle_columns, positive
from fieldcast.fields.liquidity.profile import SHARE, WINDOW, volume_profile
from fieldcast.fields.liquidity.spreads import SESSIONS, edge_columns, range_spread_columns
from fieldcast.fields.liquidity.squeeze import AGE_MEMORY, MOMENTUM_MEMORY, SPAN, squeeze_columns
from fieldcast.fields.liquidity.structure import SWING, last_swing, structure_columns

PROFILE_SOURCE = "Steidlmayer & Koy (1986)"
SWING_SOURCE = "Williams (1995)"
AMIHUD_SOURCE = "Amihud (2002)"
KYLE_SOURCE = "Kyle (1985)"
WYCKOFF_SOURCE = "Wyckoff (1931)"
SQUEEZE_SOURCE = "Carter (2005)"
OWN = "fields/liquidity"

_BARS = ("high", "low", "close", "volume")
_RANGE = ("high", "low", "close")
_TRADED = ("close", "volume")
_OHLC = ("open", "high", "low", "close")
_TURN = WINDOW + SWING


def _profile_columns(rows: Rows) -> dict[str, Floats]:
    profile = volume_profile(rows.high, rows.low, rows.close, rows.volume)
    profile["value_area_position"] = (rows.close - profile["val"]) / positive(profile["vah"] - profile["val"])
    for name in ("poc", "val", "vah", "vwap"):
        profile[f"{name}_distance"] = np.log(rows.close / profile[name])
    return profile


def _anchored_columns(rows: Rows) -> dict[str, Floats]:
    sides = (("high", rows.high), ("low", -rows.low))
    return {f"anchored_vwap_{side}": _since(rows, last_swing(values)[1]) for side, values in sides}


def _since(rows: Rows, age: Floats) -> Floats:
    """Volume-weighted price from `age` bars ago to now."""
    traded = np.concatenate(([0.0], np.cumsum(rows.volume)))
    value = np.concatenate(([0.0], np.cumsum(rows.volume * (rows.high + rows.low + rows.close) / 3)))
    known = np.isfinite(age)
    now = np.flatnonzero(known)
    start = now - age[known].astype(np.int64)
    volume = traded[now + 1] - traded[start]
    result = np.full(len(rows), np.nan)
    np.divide(value[now + 1] - value[start], volume, out=volume, where=volume > 0)
    result[known] = np.where(traded[now + 1] > traded[start], volume, np.nan)
    return result


def _gap_column(rows: Rows) -> dict[str, Floats]:
    gap = np.full(len(rows), np.nan)
    gap[1:] = np.log(rows.open[1:] / rows.close[:-1])
    return {"gap": gap}


PARTS: tuple[Part, ...] = (
    Part(_BARS, WINDOW - 1, _profile_columns),
    Part(_BARS, _TURN, _anchored_columns),
    Part(_RANGE, _TURN, structure_columns),
    Part(_TRADED, AMIHUD_LONG, amihud_columns),
    Part(_TRADED, PAST, lambda rows: {"relative_volume": relative_volume(rows.close, rows.volume)}),
    Part(_TRADED, KYLE, kyle_columns),
    Part(_BARS, PAST + 1, effort_columns),
    Part(_BARS, WINDOW - 1, phase_columns),
    Part(_RANGE, AGE_MEMORY, squeeze_columns),
    Part(_RANGE, SESSIONS, range_spread_columns),
    Part(_OHLC, SESSIONS, edge_columns),
    Part(("open", "close"), 1, _gap_column),
)


def compute(rows: Rows) -> dict[str, Floats]:
    """Every liquidity column, (n,) each, NaN where unknown; names without their namespace."""
    columns: dict[str, Floats] = {}
    for part in PARTS:
        columns |= part.values(rows)
    return columns


def _column(
    name: str,
    unit: str,
    formula: str,
    *,
    source: str = PROFILE_SOURCE,
    inputs: tuple[str, ...] = _BARS,
    warmup: int = WINDOW - 1,
    low: float | None = None,
    high: float | None = None,
) -> FieldColumn:
    return FieldColumn(
        name=f"liquidity.{name}",
        block="liquidity",
        inputs=inputs,
        warmup=warmup,
        unit=unit,
        formula=formula,
        source=source,
        low=0.0 if unit == "price" else low,
        high=high,
        level=unit == "price",
    )


def _turn(name: str, unit: str, formula: str, low: float | None = None, high: float | None = None) -> FieldColumn:
    return _column(name, unit, formula, source=SWING_SOURCE, inputs=_RANGE, warmup=_TURN, low=low, high=high)


def _squeeze(name: str, unit: str, formula: str, warmup: int, low: float | None = None, high: float | None = None) -> FieldColumn:
    return _column(name, unit, formula, source=SQUEEZE_SOURCE, inputs=_RANGE, warmup=warmup, low=low, high=high)


def _effort(name: str, unit: str, formula: str, low: float | None = None, high: float | None = None) -> FieldColumn:
    return _column(name, unit, formula, source=WYCKOFF_SOURCE, warmup=PAST + 1, low=low, high=high)


PROFILE_COLUMNS: tuple[FieldColumn, ...] = (
    _column("poc", "price", "centre of the heaviest of 50 bins, 60 sessions"),
    _column("val", "price", "lower end of the 70 % value area"),
    _column("vah", "price", "upper end of the 70 % value area"),
    _column("value_area_share", "share of volume", "volume inside the value area", low=SHARE, high=1.0),
    _column("value_area_position", "value areas above its low", "(close − val) / (vah − val)"),
    _column("poc_distance", "log", "log(close / poc)"),
    _column("val_distance", "log", "log(close / val)"),
    _column("vah_distance", "log", "log(close / vah)"),
    _column("hvn_above", "price", "nearest high-volume node at or above the close"),
    _column("hvn_below", "price", "nearest high-volume node below the close"),
    _column("lvn_above", "price", "nearest low-volume node at or above the close"),
    _column("lvn_below", "price", "nearest low-volume node below the close"),
    _column("vwap", "price", "sum(volume · typical price) / sum(volume), 60 sessions"),
    _column("vwap_distance", "log", "log(close / vwap)"),
    _column("vwap_deviation", "volume-weighted deviations", "(close − vwap) / deviation, 60 sessions", source=OWN),
    *(
        _column(f"anchored_vwap_{side}", "price", f"VWAP since the last swing {side}", source=OWN, warmup=_TURN)
        for side in ("high", "low")
    ),
)
STRUCTURE_COLUMNS: tuple[FieldColumn, ...] = (
    *(_turn(f"swing_{side}", "price", f"last confirmed 3-3 fractal {side}") for side in ("high", "low")),
    *(_turn(f"swing_{side}_age", "bars", "bars since it", low=SWING, high=WINDOW) for side in ("high", "low")),
    *(_turn(f"swing_{side}_distance", "log", f"log(close / swing_{side})") for side in ("high", "low")),
    _turn("structure", "signed", "1: higher highs and lows, −1: lower ones, last two swings of each", -1.0, 1.0),
    _column("gap", "log", "log(open / previous close)", source=OWN, inputs=("open", "close"), warmup=1),
    *(
        _column(
            f"gap_{side}",
            "price",
            f"fill price of the nearest open gap {side}",
            source=OWN,
            inputs=_RANGE,
            warmup=WINDOW,
        )
        for side in ("below", "above")
    ),
)
IMPACT_COLUMNS: tuple[FieldColumn, ...] = (
    _column(
        "amihud",
        "|log return| per 1e9 of close × volume",
        "mean over 20 sessions, of those with volume",
        source=AMIHUD_SOURCE,
        inputs=_TRADED,
        warmup=AMIHUD,
        low=0.0,
    ),
    _column(
        "amihud_ratio",
        "log",
        "log(amihud over 20 / amihud over 250 sessions)",
        source=AMIHUD_SOURCE,
        inputs=_TRADED,
        warmup=AMIHUD_LONG,
    ),
    _column(
        "kyle_lambda",
        "log return per 1e9 of signed close × volume",
        "slope of returns on signed amounts, tick rule, 60 sessions",
        source=KYLE_SOURCE,
        inputs=_TRADED,
        warmup=KYLE,
    ),
    _column(
        "kyle_impact",
        "standard deviations of return",
        "kyle_lambda · mean amount / standard deviation of returns",
        source=KYLE_SOURCE,
        inputs=_TRADED,
        warmup=KYLE,
    ),
)
EFFORT_COLUMNS: tuple[FieldColumn, ...] = (
    _column(
        "relative_volume",
        "log",
        "log(close · volume / its mean over the 20 sessions before)",
        source=OWN,
        inputs=_TRADED,
        warmup=PAST,
    ),
    _effort("effort_result", "log", "relative volume − log(true range % / its mean over the 20 sessions before)"),
    _effort("absorption", "score", "max(0, tanh effort) · max(0, tanh −result)", 0.0, 1.0),
    _effort("displacement", "signed score", "change of close / true range · max(0, tanh result)", -1.0, 1.0),
    *(
        _column(f"wyckoff_{name}", "membership", "its weight / sum of weights", source=WYCKOFF_SOURCE, low=0.0, high=1.0)
        for name in PHASES
    ),
    _squeeze("squeeze", "log", "log(Bollinger half width / Keltner half width), below 0 = on", SPAN),
    _squeeze("squeeze_age", "bars", "bars for which it has been on", AGE_MEMORY, 0.0, WINDOW),
    _squeeze("squeeze_since", "bars", "bars since it was last on", AGE_MEMORY, 0.0, WINDOW - 1.0),
    _squeeze("squeeze_momentum", "mean true ranges", "end of the line through close − middle, 20 bars", MOMENTUM_MEMORY),
)
SPREAD_COLUMNS: tuple[FieldColumn, ...] = (
    _column(
        "corwin_schultz_spread",
        "basis points",
        "mean of 20 two-day spreads from highs and lows",
        source="Corwin & Schultz (2012)",
        inputs=_RANGE,
        warmup=SESSIONS,
        low=0.0,
    ),
    _column(
        "abdi_ranaldo_spread",
        "basis points",
        "from closes and mid-ranges, corrected by the month of 20 pairs",
        source="Abdi & Ranaldo (2017)",
        inputs=_RANGE,
        warmup=SESSIONS,
        low=0.0,
    ),
    _column(
        "edge_spread",
        "basis points, negative = noise",
        "signed root of EDGE's squared spread, 20 pairs",
        source="Ardia, Guidotti & Kroencke (2024)",
        inputs=_OHLC,
        warmup=SESSIONS,
    ),
)
COLUMNS: tuple[FieldColumn, ...] = (
    *PROFILE_COLUMNS,
    *STRUCTURE_COLUMNS,
    *IMPACT_COLUMNS,
    *EFFORT_COLUMNS,
    *SPREAD_COLUMNS,
)
