"""From what callers pass to what kernels take: broadcast, checked, and spread over threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldcast.ground.errors import InvalidInput

Floats = NDArray[np.float64]

PARALLEL_FROM = 16_384  # options: below, starting threads costs more than it saves


@dataclass(frozen=True, slots=True)
class Inputs:
    """Arrays of one kernel call: each flat, with a step of 0 where one value serves all options, else 1."""

    shape: tuple[int, ...]
    size: int
    columns: tuple[Floats, ...]
    is_call: NDArray[np.bool_]
    steps: NDArray[np.int64]  # of the columns, then of is_call


def gather(values: Mapping[str, ArrayLike], is_call: ArrayLike) -> Inputs:
    """Broadcast the named values and `is_call` against each other.

    Raises
    ------
    InvalidInput : a value is not numeric, is_call is not boolean, or the shapes do not fit each other
    """
    arrays: list[NDArray[np.generic]] = []
    for name, value in values.items():
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise InvalidInput(f"expected numbers for {name}, found {array.dtype}")
        arrays.append(array.astype(np.float64, copy=False))
    flags = np.asarray(is_call)
    if flags.dtype.kind != "b":
        raise InvalidInput(f"expected booleans for is_call (True for a call, False for a put), found {flags.dtype}")
    arrays.append(flags)
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
    except ValueError:
        shapes = ", ".join(f"{n} {a.shape}" for n, a in zip([*values, "is_call"], arrays, strict=True))
        raise InvalidInput(f"expected shapes that broadcast against each other, found {shapes}") from None
    size = int(np.prod(shape, dtype=np.int64))
    flat = []
    for array in arrays:
        if array.size == 1:
            flat.append(array.reshape(1))
        else:
            flat.append(np.ascontiguousarray(array if array.shape == shape else np.broadcast_to(array, shape)).reshape(size))
    steps = np.array([0 if a.size == 1 else 1 for a in flat], dtype=np.int64)
    return Inputs(shape, size, tuple(flat[:-1]), flat[-1].astype(np.bool_, copy=False), steps)  # type: ignore[arg-type]


def refuse(
    inputs: Inputs, names: tuple[str, ...], positive: tuple[str, ...], signed: tuple[str, ...] = (), free: tuple[str, ...] = ()
) -> None:
    """Say which value is out of its range: `positive` > 0, `signed` finite, the others finite and >= 0; `free` ones may be NaN.

    Kernels notice a bad row while they pass over it and this finds the words, so that good input pays for no extra pass.
    """
    for name, column in zip(names, inputs.columns, strict=True):
        if name in free:
            continue
        good = np.isfinite(column)
        wanted = "a finite number"
        if name in positive:
            good &= column > 0.0
            wanted = "a finite number above 0"
        elif name not in signed:
            good &= column >= 0.0
            wanted = "a finite number, at least 0"
        if not good.all():
            row = int(np.argmin(good))
            raise InvalidInput(
                f"expected {wanted} for {name}, found {column[row]} in option {row} ({int((~good).sum())} such values): "
                "leave such options out, or mend their source"
            )


def row_of(kernel: Any, *arguments: Any) -> int:
    """Call a kernel, which has no Python types, and return the row that it reports."""
    return int(kernel(*arguments))


def spread(work: Callable[[int, int], int], size: int, parallel_from: int = PARALLEL_FROM) -> int:
    """Run work(first, last) over [0, size), on all processors this process may use where that pays.

    Returns
    -------
    the smallest row that a part reported as bad, or -1
    """
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    threads = min(threads, size // max(1, parallel_from) + 1)
    if threads <= 1:
        return work(0, size)
    bounds = [size * k // threads for k in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        found = [row for row in pool.map(work, bounds[:-1], bounds[1:]) if row >= 0]
    return min(found, default=-1)


def refuse_exponents(inputs: Inputs, names: tuple[str, ...], largest: float) -> None:
    """Say which option has a rate times years that no price can carry; called when `refuse` found nothing else."""
    years = inputs.columns[names.index("years")]
    for name in ("rate", "dividend_yield"):
        if name in names and (np.abs(inputs.columns[names.index(name)] * years) > largest).any():
            raise InvalidInput(
                f"expected {name} * years within ±{largest:g}, found more: is {name} a fraction per year, not per cent?"
            )
    raise InvalidInput(f"expected a discount factor whose rate times years is within ±{largest:g}, found one outside of it")
