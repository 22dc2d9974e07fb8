"""`research`: what a factor says about the cross-section of what comes next.

The panel is a file (one row an instrument and date, with the factor as a column), or stored instruments with a registered column
as the factor. Positions are taken at the open after the factor's date where nearly all opens are known, else at the next close:
never at the price that the factor was made of. Instruments that end are counted and named, dates with too few instruments are
left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fieldcast.data import load_instrument, read_adjusted
from fieldcast.evaluation import Interval
from fieldcast.evaluation.cross_section import (
    HORIZONS,
    LEAST_NAMES,
    QUANTILES,
    SHARE,
    Capacity,
    Panel,
    Quantiles,
    RankIC,
    capacity,
    decay,
    neutralise,
    quantile_places,
    quantile_portfolios,
)
from fieldcast.evaluation.intervals import BLOCK, DRAWS
from fieldcast.features import REGISTRY, compute
from fieldcast.ground import InvalidInput, MissingData, Shown, write_whole
from fieldcast.market import trusted_open
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.workspace import Workspace

Array = NDArray[np.float64]
KNOWN_OPENS = 0.95  # share of the prices at which opens have to be known for positions to be taken there
PANEL_PRICES = "prices as the panel has them"
STORED_PRICES = "prices adjusted for the splits and dividends on record"
_STAGE = "Instruments"
_TIMES = ("ts", "date", "session")


@dataclass(frozen=True, eq=False)
class Research(Shown):
    """What a factor showed.

    Parameters
    ----------
    decay : rank IC by horizon
    quantiles : of one session's returns
    capacity : None where there is no volume
    traded_at : open or close, of the session after the factor's date
    prices : how they are adjusted
    ended : instruments whose prices end before the panel does
    thin_dates : dates with fewer instruments than are needed
    coverage : share of (date, instrument) with a price at which the factor is known
    """

    factor: str
    simulated: bool
    dates: NDArray[Any]
    instruments: int
    decay: tuple[RankIC, ...]
    quantiles: Quantiles
    capacity: Capacity | None
    neutral_to: tuple[str, ...]
    traded_at: str
    prices: str
    ended: tuple[str, ...]
    thin_dates: int
    coverage: float
    plot: Path | None = None

    def decay_table(self) -> pl.DataFrame:
        """horizon, estimate, low, high, n, deviation, names: one row a horizon."""
        rows = [(one.horizon, *_figures(one.mean), one.deviation, one.names) for one in self.decay]
        names = ("horizon", "estimate", "low", "high", "n", "deviation", "names")
        return pl.DataFrame(rows, schema=list(names), orient="row")

    def as_dict(self) -> dict[str, Any]:
        return {
            "factor": self.factor,
            "simulated": self.simulated,
            "first": str(self.dates[0]),
            "last": str(self.dates[-1]),
            "dates": int(self.dates.size),
            "instruments": self.instruments,
            "neutral_to": list(self.neutral_to),
            "traded_at": f"next {self.traded_at}",
            "prices": self.prices,
            "coverage": self.coverage,
            "thin_dates": self.thin_dates,
            "ended": list(self.ended),
            "rank_ic": self.decay_table().to_dicts(),
            "quantiles": [dict(zip(("estimate", "low", "high", "n"), _figures(one), strict=True)) for one in self.quantiles.mean],
            "long_short": dict(zip(("estimate", "low", "high", "n"), _figures(self.quantiles.spread), strict=True)),
            "turnover": dict(zip(("estimate", "low", "high", "n"), _figures(self.quantiles.mean_turnover), strict=True)),
            "capacity": None if self.capacity is None else vars(self.capacity),
            "plot": None if self.plot is None else str(self.plot),
        }


def _figures(interval: Interval) -> tuple[float, float, float, int]:
    return interval.estimate, interval.low, interval.high, interval.n


def research(
    factor: str,
    instruments: Sequence[str] = (),
    *,
    workspace: Workspace | None = None,
    panel: Path | pl.DataFrame | None = None,
    horizons: Sequence[int] = HORIZONS,
    quantiles: int = QUANTILES,
    group: str | None = None,
    exposures: Sequence[str] = (),
    least: int = LEAST_NAMES,
    share: float = SHARE,
    simulated: bool = False,
    plot: Path | None = None,
    block: int = BLOCK,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress = silent,
) -> Research:
    """Rank IC with its decay, quantile portfolios, turnover and capacity of a factor, each with its interval.

    Parameters
    ----------
    factor : a column of the panel, or a registered column where instruments are named
    instruments : ids of stored instruments; needs `workspace`
    panel : table or CSV or Parquet file with ts (or date), instrument, close, the factor, and if there are any: open, and volume
        or dollar_volume; prices adjusted for splits and dividends
    horizons : sessions
    quantiles : how many portfolios
    group : column of the panel whose groups' means are removed
    exposures : columns of the panel (or registered columns) to which the factor is made neutral
    least : instruments that a date needs
    share : of the mean dollar volume that a trade may be, for the capacity
    simulated : whether the panel's prices are; of stored instruments the store says so
    plot : write the charts to this HTML file
    block, draws, seed : of the bootstrap

    Raises
    ------
    InvalidInput : a column that is not there, or neither or both of instruments and a panel
    MissingData : too few dates with enough instruments
    """
    if bool(instruments) == (panel is not None):
        raise InvalidInput("expected either the ids of stored instruments or a panel")
    if panel is not None:
        table = _read(panel)
    elif workspace is None:
        raise InvalidInput("expected a workspace for stored instruments, found none")
    else:
        table, simulated = _stored(workspace, factor, instruments, exposures, progress)
    wide = _Wide.of(table, factor, group, tuple(exposures))
    made = wide.panel
    if group is not None or exposures:
        left = neutralise(made.factor, groups=wide.groups, exposures=wide.exposures)
        made = Panel(made.dates, made.names, made.price, left, made.dollar_volume)
    chance: dict[str, Any] = {"least": least, "block": block, "draws": draws, "seed": seed}
    formed = quantile_portfolios(made, quantiles, **chance)
    result = Research(
        factor=factor,
        simulated=simulated,
        dates=made.dates,
        instruments=len(made.names),
        decay=decay(made, tuple(horizons), **chance),
        quantiles=formed,
        capacity=None if made.dollar_volume is None else capacity(made, formed.weights, share=share),
        neutral_to=tuple(name for name in (group, *exposures) if name is not None),
        traded_at=wide.traded_at,
        prices=PANEL_PRICES if panel is not None else STORED_PRICES,
        ended=made.ended,
        thin_dates=int((quantile_places(made.factor, quantiles, least=least) < 0).all(axis=1).sum()),
        coverage=float(np.isfinite(made.factor[np.isfinite(made.price)]).mean()),
        plot=plot,
    )
    if plot is not None:
        _write_charts(result, plot)
    return result


@dataclass(frozen=True)
class _Wide:
    """The long table as arrays of dates × instruments."""

    panel: Panel
    groups: NDArray[Any] | None
    exposures: tuple[Array, ...]
    traded_at: str

    @classmethod
    def of(cls, table: pl.DataFrame, factor: str, group: str | None, exposures: tuple[str, ...]) -> _Wide:
        needed = ["instrument", "date", "close", factor, *([group] if group else []), *exposures]
        absent = [name for name in needed if name not in table.columns]
        if absent:
            raise InvalidInput(f"expected columns {', '.join(needed)} in the panel, missing {', '.join(absent)}")
        if table.select("date", "instrument").is_duplicated().any():
            raise InvalidInput("expected each instrument once a date, found some more often; keep the last version of each row")
        dates, names = table["date"].unique().sort(), table["instrument"].unique().sort()
        row = dates.search_sorted(table["date"]).to_numpy()
        column = names.search_sorted(table["instrument"]).to_numpy()

        def spread(name: str) -> Array:
            out = np.full((dates.len(), names.len()), np.nan)
            out[row, column] = table[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            return out

        close = spread("close")
        opened = spread("open") if "open" in table.columns else np.full(close.shape, np.nan)
        at_open = np.isfinite(opened).sum() >= KNOWN_OPENS * np.isfinite(close).sum()
        volume = spread("volume") * close if "volume" in table.columns else None
        volume = spread("dollar_volume") if "dollar_volume" in table.columns else volume
        groups: NDArray[Any] | None = None
        if group is not None:
            groups = np.full(close.shape, "", dtype=object)
            groups[row, column] = table[group].cast(pl.String).fill_null("").to_numpy()
            groups = groups.astype(str)
        panel = Panel(
            dates=dates.to_numpy().astype("datetime64[D]"),
            names=tuple(names.to_list()),
            price=opened if at_open else close,
            factor=np.where(np.isfinite(close), spread(factor), np.nan),
            dollar_volume=volume if volume is not None and np.isfinite(volume).any() else None,
        )
        return cls(panel, groups, tuple(spread(name) for name in exposures), "open" if at_open else "close")


def _read(panel: Path | pl.DataFrame) -> pl.DataFrame:
    """The panel with its time as `date` and its names in lower case."""
    if isinstance(panel, Path):
        if not panel.is_file():
            raise MissingData(f"expected a file with a panel, found none at {panel}")
        try:
            found = pl.read_parquet(panel) if panel.suffix == ".parquet" else pl.read_csv(panel, try_parse_dates=True)
        except pl.exceptions.PolarsError as error:
            raise InvalidInput(f"expected a CSV or Parquet file in {panel}, found {error}") from None
    else:
        found = panel
    table = found.rename({name: name.lower() for name in found.columns})
    time = next((name for name in _TIMES if name in table.columns and table[name].dtype.is_temporal()), None)
    if time is None or "instrument" not in table.columns:
        shown = ", ".join(found.columns[:8])
        raise InvalidInput(f"expected a panel with instrument and a date (ts, date or session), found {shown}")
    return table.with_columns(pl.col(time).cast(pl.Date).alias("date"), pl.col("instrument").cast(pl.String))


def _stored(
    workspace: Workspace, factor: str, instruments: Sequence[str], exposures: Sequence[str], progress: Progress
) -> tuple[pl.DataFrame, bool]:
    """Bars and registered columns of stored instruments, a row an instrument and date; whether any is simulated."""
    wanted = list(dict.fromkeys((factor, *exposures)))
    unknown = [name for name in wanted if name not in REGISTRY]
    if unknown:
        raise InvalidInput(f"expected registered columns, found {', '.join(unknown)}; see fieldcast.features.REGISTRY")
    blocks = list(dict.fromkeys(REGISTRY[name].block for name in wanted))
    if "vix" in blocks:
        raise InvalidInput("expected a column that differs between instruments, found one of VIX: it is the same for all")
    simulated, parts = False, []
    until = known_until(workspace, instruments, "research")  # opened for no configuration: sealed sessions are never in it
    for done, name in enumerate(instruments):
        progress(_STAGE, done, len(instruments))
        simulated |= load_instrument(workspace.ledger, name).simulated
        raw = workspace.store.read(name, as_of=until)
        if raw.is_empty():
            raise MissingData(f"expected bars of {name}, found none; import a file first")
        bars = read_adjusted(workspace.store, name, "total", as_of=until, assume_none=True)
        columns = compute(bars, blocks)
        part = bars.select("instrument", pl.col("ts").dt.date().alias("date"), trusted_open().alias("open"), "close")
        worth = (raw["volume"] * raw["close"]).alias("dollar_volume")
        parts.append(part.with_columns(worth, *(columns[name] for name in wanted)))
    progress(_STAGE, len(instruments), len(instruments))
    held = workspace.store.datasets().filter(pl.col("instrument").is_in(list(instruments)) & (pl.col("table") == "bars/1d"))
    return pl.concat(parts), simulated or bool(held["simulated"].any())


def _write_charts(result: Research, path: Path) -> None:
    from fieldcast.plots import ic_decay_chart, quantile_equity_chart

    quiet = {"displayModeBar": False}
    days = result.dates.tolist()
    charts = [
        ic_decay_chart(result.decay_table(), title=f"{result.factor}: rank IC by horizon", simulated=result.simulated),
        quantile_equity_chart(
            days,
            result.quantiles.returns,
            result.quantiles.spread_series,
            title=f"{result.factor}: quantile portfolios, at the next {result.traded_at}",
            simulated=result.simulated,
        ),
    ]
    parts = [chart.to_html(include_plotlyjs=place == 0, full_html=False, config=quiet) for place, chart in enumerate(charts)]
    head = "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Research</title></head>"
    page = f"{head}<body>{''.join(parts)}</body></html>"
    write_whole(path, page.encode())
