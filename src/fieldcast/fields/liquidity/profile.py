"""Volume profile: how much was traded at which price.

Each bar's volume is spread evenly over low … high (its close alone would put a bar's whole volume at one price) into equal
bins between the lowest low and the highest high:

    POC    centre of the bin with most volume (of a run of equal bins: the middle one)
    area   from the POC outward, always the heavier neighbour, until 70 % of the volume is inside: VAL … VAH
    HVN    runs of bins with at least 1.5 of the mean bin's volume; its price is the centre of its volume
    LVN    runs of bins with at most 0.5 of it that lie between heavier ones; its price is its middle
    voids  runs of bins in which nothing was traded, between the lowest low and the highest high

One rule serves every span: the last 60 sessions at every bar (`volume_profile`), any set of bars (`Profile.of`), and a session
as it grows (`developing`), whose bins span the range until then.

Source: Steidlmayer & Koy, Markets and Market Logic (1986) for profile and value area. Bins, nodes and voids are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcast.fields._rows import Floats, rows_of
from fieldcast.ground import InvalidInput, MissingData

WINDOW = 60  # sessions in the profile, and how long a swing or a gap is remembered
BINS = 50
SHARE = 0.70  # of the volume inside the value area

_NAMES = ("poc", "val", "vah", "value_area_share", "vwap", "hvn_above", "hvn_below", "lvn_above", "lvn_below")


@dataclass(frozen=True)
class Node:
    """A run of bins: its ends, the price it stands for and the share of all volume that was done there."""

    low: float
    high: float
    price: float
    share: float


@dataclass(frozen=True, eq=False)
class Profile:
    """One volume profile.

    Parameters
    ----------
    edges : (bins + 1,) prices, ascending; two equal ones where all trading was at one price
    held : (bins,) volume in each bin, in the units of the bars
    poc, val, vah, vwap : prices
    value_area_share : volume inside VAL … VAH over all volume
    high_volume, low_volume, voids : nodes, ascending in price
    bars : how many bars are in it
    """

    edges: Floats
    held: Floats
    poc: float
    val: float
    vah: float
    vwap: float
    value_area_share: float
    high_volume: tuple[Node, ...]
    low_volume: tuple[Node, ...]
    voids: tuple[Node, ...]
    bars: int

    @classmethod
    def of(cls, high: Floats, low: Floats, close: Floats, volume: Floats, *, bins: int = BINS, share: float = SHARE) -> Profile:
        """The profile of all given bars.

        Parameters
        ----------
        high, low, close, volume : (n,) known values
        bins : equal price bins between the lowest low and the highest high
        share : of the volume that the value area must hold

        Raises
        ------
        InvalidInput : the arrays differ in length, or a value is not finite
        MissingData : no bars, or nothing was traded in them
        """
        from fieldcast.fields.liquidity import _kernels

        high, low, close, volume = _checked(high, low, close, volume)
        _refuse(1, bins, share)
        total = float(volume.sum())
        if total <= 0:
            raise MissingData(f"expected bars with volume for a profile, found {high.size} without; take a longer span")
        vwap = float((volume * (high + low + close)).sum() / 3 / total)
        bottom, top = float(low.min()), float(high.max())
        if top <= bottom:
            one = bottom
            return cls(
                np.array([one, one]), np.array([total]), one, one, one, one, 1.0, (Node(one, one, one, 1.0),), (), (), high.size
            )
        held, width = np.zeros(bins), (top - bottom) / bins
        _kernels.add_bars(high, low, volume, 0, high.size, bottom, width, held)
        peak, down, up, inside = _kernels.value_area(held, total, share)
        edges: Floats = bottom + width * np.arange(bins + 1, dtype=np.float64)
        mean = total / bins
        heavy, light, empty = held >= _kernels.HIGH_NODE * mean, held <= _kernels.LOW_NODE * mean, held <= _kernels.TIE * mean
        return cls(
            edges=edges,
            held=held,
            poc=bottom + (peak + 0.5) * width,
            val=bottom + down * width,
            vah=bottom + (up + 1.0) * width,
            vwap=vwap,
            value_area_share=min(1.0, inside / total),
            high_volume=_nodes(heavy, edges, held, weighted=True),
            low_volume=tuple(node for node in _nodes(light, edges, held) if node.low > edges[0] and node.high < edges[-1]),
            voids=_nodes(empty, edges, held),
            bars=high.size,
        )

    def table(self) -> pl.DataFrame:
        """`low`, `high`, `volume` and `share` of each bin, ascending."""
        return pl.DataFrame(
            {"low": self.edges[:-1], "high": self.edges[1:], "volume": self.held, "share": self.held / self.held.sum()}
        )


def profile_of(bars: pl.DataFrame, *, bins: int = BINS, share: float = SHARE) -> Profile:
    """The profile of all given bars that have a range and a volume.

    Parameters
    ----------
    bars : one instrument, schema `market.BARS`; those without high, low or volume are left out
    bins, share : as in `Profile.of`

    Raises
    ------
    MissingData : no bar is known, or nothing was traded in them
    """
    rows = rows_of(bars)
    known = np.isfinite(rows.high) & np.isfinite(rows.low) & np.isfinite(rows.volume)
    return Profile.of(*(item[known] for item in (rows.high, rows.low, rows.close, rows.volume)), bins=bins, share=share)


def volume_profile(
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    *,
    window: int = WINDOW,
    bins: int = BINS,
    share: float = SHARE,
) -> dict[str, Floats]:
    """The volume profile of the last `window` bars, at every bar.

    Parameters
    ----------
    high, low, close, volume : (n,) known values, ascending in time
    window : bars in a profile
    bins : equal price bins between the window's lowest low and highest high
    share : of the volume that the value area must hold

    Returns
    -------
    (n,) arrays: poc, val, vah, vwap, hvn_above, hvn_below, lvn_above, lvn_below (prices) and value_area_share (0 … 1);
    NaN before row window − 1, where nothing was traded in the window, and where there is no such node

    Raises
    ------
    InvalidInput : the arrays differ in length, or a value is not finite
    """
    from fieldcast.fields.liquidity import _kernels

    high, low, close, volume = _checked(high, low, close, volume)
    _refuse(window, bins, share)
    result = np.full((high.size, _kernels.WIDTH), np.nan)
    _kernels.volume_profiles(high, low, close, volume, window, share, np.empty(bins), result)
    return {name: result[:, column] for column, name in enumerate(_NAMES)}


def developing(
    high: Floats, low: Floats, close: Floats, volume: Floats, *, bins: int = BINS, share: float = SHARE
) -> dict[str, Floats]:
    """The profile of the bars from the first to each one: a session as it grows.

    Parameters
    ----------
    high, low, close, volume : (n,) known values of one session, ascending in time
    bins : equal price bins of the range until then
    share : of the volume that the value area must hold

    Returns
    -------
    (n,) arrays poc, val, vah (prices) and value_area_share; NaN before the first volume
    """
    from fieldcast.fields.liquidity import _kernels

    high, low, close, volume = _checked(high, low, close, volume)
    _refuse(1, bins, share)
    result = np.full((high.size, 4), np.nan)
    _kernels.developing_profile(high, low, volume, share, np.empty(bins), result)
    return {name: result[:, column] for column, name in enumerate(_NAMES[:4])}


def _checked(*arrays: Floats) -> list[Floats]:
    found = [np.ascontiguousarray(item, np.float64) for item in arrays]
    if len({item.shape for item in found}) != 1 or not all(np.isfinite(item).all() for item in found):
        raise InvalidInput("expected four arrays of one length with finite values; leave unknown bars out")
    return found


def _refuse(window: int, bins: int, share: float) -> None:
    if window < 1 or bins < 2 or not 0 < share <= 1:
        raise InvalidInput(f"expected window ≥ 1, bins ≥ 2 and 0 < share ≤ 1, found {window}, {bins} and {share}")


def _nodes(flags: np.ndarray, edges: Floats, held: Floats, *, weighted: bool = False) -> tuple[Node, ...]:
    """Runs of flagged bins, ascending."""
    padded = np.concatenate(([0], flags.astype(np.int8), [0]))
    turns = np.flatnonzero(np.diff(padded))
    nodes = []
    for first, last in zip(turns[::2], turns[1::2], strict=True):
        inside = held[first:last]
        low, high = float(edges[first]), float(edges[last])
        centres = 0.5 * (edges[first:last] + edges[first + 1 : last + 1])
        price = float((inside * centres).sum() / inside.sum()) if weighted else 0.5 * (low + high)
        nodes.append(Node(low, high, price, float(inside.sum() / held.sum())))
    return tuple(nodes)
