"""From stored bars to the arrays a walk needs: features, labels, decision times, aligned row by row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data import QualityReport, Store, content_sha256, quality
from fieldcast.features import columns, compute, labels, warmup
from fieldcast.ground import MissingData, digest
from fieldcast.market import DAILY, DECISION_DELAY, Instrument, sessions, table_of
from fieldcast.workflows.experiment import Experiment

Array = NDArray[np.float64]
MICROSECONDS = "datetime64[us]"


@dataclass(frozen=True)
class Prepared:
    """One instrument, ready to be walked.

    `table` holds ts, as_of and the feature columns; `outcomes[(label, horizon)]` is (y, label_end); `returns[h]` are log
    returns close(t) → close(t+h), `tradable_returns[h]` open(t+1) → close(t+h), NaN where unknown, where a session is missing
    in between, where a bar was restated, or where the open is no real print. `first_usable` is the first row past the longest
    warm-up.
    """

    instrument: Instrument
    bars: pl.DataFrame
    table: pl.DataFrame
    names: tuple[str, ...]
    decision: NDArray[np.datetime64]
    outcomes: dict[tuple[str, int], tuple[Array, NDArray[np.datetime64]]]
    returns: dict[int, Array]
    tradable_returns: dict[int, Array]
    first_usable: int
    quality: QualityReport
    data_hash: str

    @property
    def rows(self) -> int:
        return self.bars.height

    def features(self, names: tuple[str, ...] | None = None) -> Array:
        """(n, p) float64, NaN where a value is not known."""
        return np.column_stack([self.table[name].to_numpy() for name in (names or self.names)]).astype(np.float64)


def prepare(
    store: Store,
    instrument: Instrument,
    experiment: Experiment,
    *,
    vix: str | None = None,
    as_of: datetime | None = None,
    rows: int | None = None,
) -> Prepared:
    """Read, compute and align.

    Parameters
    ----------
    vix : id of the VIX series to use as a covariate, where there is one
    as_of : what was known at this moment; none = everything known now
    rows : keep only the last so many rows

    Raises
    ------
    MissingData : the store has no rows for the instrument
    """
    bars = store.read(instrument.id, as_of=as_of)
    if rows is not None:
        bars = bars.tail(rows)
    covariate = store.read(vix, as_of=as_of) if vix is not None else None
    found = data_hash(store, instrument.id, covariate=used_covariate(experiment, vix), as_of=as_of, rows=rows)
    return prepare_bars(bars, instrument, experiment, covariate=covariate, data_hash=found)


def prepare_bars(
    bars: pl.DataFrame,
    instrument: Instrument,
    experiment: Experiment,
    *,
    covariate: pl.DataFrame | None = None,
    data_hash: str,
) -> Prepared:
    """As `prepare`, from bars (schema `market.BARS`) and the bars of the VIX series, whose hash the caller knows.

    Raises
    ------
    MissingData : there is no row, or the blocks ask for a VIX that is not there
    """
    if bars.is_empty():
        raise MissingData(f"expected rows of {instrument.id}, found none; import a file first")
    if covariate is None and "vix" in experiment.features.blocks:
        raise MissingData(f"expected a VIX series for {instrument.id}, as features.blocks asks for, found none; give its id")
    blocks = list(dict.fromkeys([*experiment.features.blocks, *(["vix"] if covariate is not None else [])]))
    table = compute(bars, blocks, vix=covariate).with_columns(as_of=pl.col("ts") + DECISION_DELAY)
    outcomes: dict[tuple[str, int], tuple[Array, NDArray[np.datetime64]]] = {}
    returns: dict[int, Array] = {}
    tradable: dict[int, Array] = {}
    for horizon in sorted({1, *experiment.labels.sign, *experiment.labels.event}):
        sound = _sound(bars, instrument, horizon)
        sign = labels.sign(bars, horizon)
        returns[horizon] = np.where(sound, sign["ret"].to_numpy(), np.nan)
        tradable[horizon] = np.where(sound, labels.open_to_close(bars, horizon)["ret"].to_numpy(), np.nan)
        if horizon in experiment.labels.sign:
            outcomes["sign", horizon] = _outcome(sign, sound)
        if horizon in experiment.labels.event and bars["high"].null_count() < bars.height:
            event = labels.high_reaches(bars, horizon, experiment.labels.event_threshold)
            outcomes["event", horizon] = _outcome(event, sound)
    newest = bars["ts"][-1] + DECISION_DELAY
    return Prepared(
        instrument=instrument,
        bars=bars,
        table=table,
        names=tuple(columns(list(experiment.features.blocks))),
        decision=table["as_of"].dt.replace_time_zone(None).to_numpy().astype(MICROSECONDS),
        outcomes=outcomes,
        returns=returns,
        tradable_returns=tradable,
        first_usable=warmup(list(experiment.features.blocks)),
        quality=quality(bars, instrument, newest),
        data_hash=data_hash,
    )


def used_covariate(experiment: Experiment, vix: str | None) -> str | None:
    """The covariate that decides the projections: VIX where the experiment's blocks ask for it, else none."""
    return vix if "vix" in experiment.features.blocks else None


def data_hash(
    store: Store,
    instrument: str,
    *,
    covariate: str | None = None,
    as_of: datetime | None = None,
    rows: int | None = None,
) -> str:
    """SHA-256 of what the projections of this instrument rest on, the covariate included."""
    found = store.content_hash(instrument, as_of=as_of)
    return _joined(found, None if covariate is None else (covariate, store.content_hash(covariate, as_of=as_of)), rows)


def history_hash(bars: pl.DataFrame, covariate: tuple[str, pl.DataFrame] | None = None) -> str:
    """What `data_hash` says of a store that holds these daily bars of an instrument and of its covariate, and no others."""
    table = table_of(DAILY)
    other = None if covariate is None else (covariate[0], content_sha256(covariate[1], table))
    return _joined(content_sha256(bars, table), other)


def _joined(found: str, other: tuple[str, str] | None, rows: int | None = None) -> str:
    return found if other is None and rows is None else digest([found, None if other is None else list(other), rows])


def known_in_time(bars: pl.DataFrame, rows: int) -> NDArray[np.bool_]:
    """(n,) True where each of the last `rows` bars was known, in the version that is stored, by this row's decision."""
    newest = bars["available_at"].rolling_max(window_size=rows, min_samples=1)
    return (newest <= bars["ts"] + DECISION_DELAY).to_numpy().astype(np.bool_)


def _sound(bars: pl.DataFrame, instrument: Instrument, horizon: int) -> NDArray[np.bool_]:
    """(n,) True where the outcome over `horizon` is what it says.

    The row `horizon` ahead is the session so far ahead (no session is missing in between), and no bar from this one to that one
    was restated or late: an outcome that rests on a later correction was not known when the row says.
    """
    calendar = sessions(instrument.calendar).with_row_index("place").select("place", pl.col("close").alias("ts"))
    place = bars.select("ts").join(calendar, on="ts", how="left", maintain_order="left")["place"].cast(pl.Int64)
    consecutive = (place.shift(-horizon) - place == horizon).fill_null(value=False).to_numpy().astype(np.bool_)
    late = ~known_in_time(bars, 1)
    touched = np.zeros(len(late), dtype=np.bool_)
    for step in range(horizon + 1):
        touched[: max(len(late) - step, 0)] |= late[step:]
    return np.asarray(consecutive & ~touched, dtype=np.bool_)


def _outcome(label: pl.DataFrame, sound: NDArray[np.bool_]) -> tuple[Array, NDArray[np.datetime64]]:
    ends = label["label_end_ts"].dt.replace_time_zone(None).to_numpy().astype(MICROSECONDS)
    return np.where(sound, label["y"].cast(pl.Float64).to_numpy(), np.nan).astype(np.float64), ends
