"""Independent pieces of work on threads, processes or a Ray cluster; results come back in the order of the pieces.

What a piece computes depends on nothing but the piece, so every backend and every number of workers gives the same bits.

    threads     pieces that spend their time in kernels without the interpreter's lock; nothing is copied
    processes   pieces of plain Python and numpy (a user's own strategy); the function and its pieces are pickled
    ray         the same on a cluster; needs the extra `ray`
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from fieldcast.ground import ConfigError

Piece = TypeVar("Piece")
Answer = TypeVar("Answer")
Backend = Literal["threads", "processes", "ray"]
BACKENDS: tuple[Backend, ...] = ("threads", "processes", "ray")


def spread(
    work: Callable[[Piece], Answer], pieces: Sequence[Piece], *, workers: int | None = None, backend: Backend = "threads"
) -> list[Answer]:
    """`work` on every piece; what a piece raises is raised here.

    Parameters
    ----------
    work : for `processes` and `ray` a function of a module, or anything else that can be pickled
    workers : at once; None = one for each core; 1 = here and now, without a backend

    Raises
    ------
    ConfigError : no such backend, workers below 1, or Ray is not installed
    """
    if backend not in BACKENDS:
        raise ConfigError(f"expected a backend out of {', '.join(BACKENDS)}, found {backend!r}")
    most = os.cpu_count() or 1 if workers is None else workers
    if most < 1:
        raise ConfigError(f"expected at least one worker, found {workers}")
    if backend == "ray":
        return _with_ray(work, pieces, most)
    if most == 1 or len(pieces) < 2:
        return [work(piece) for piece in pieces]
    if backend == "threads":
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(most, len(pieces))) as pool:
            return list(pool.map(work, pieces))
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        found: list[Answer] = Parallel(n_jobs=min(most, len(pieces)), max_nbytes=None)(delayed(work)(piece) for piece in pieces)
    return found


def _with_ray(work: Callable[[Piece], Answer], pieces: Sequence[Piece], workers: int) -> list[Answer]:
    """On the cluster that is connected, or one of this machine's own that ends with the call."""
    ray = _ray()
    own = not ray.is_initialized()
    if own:
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        task = ray.remote(work)
        waiting = [task.remote(piece) for piece in pieces]
        answers: list[Answer] = ray.get(waiting)
        return answers
    finally:
        if own:
            ray.shutdown()


def _ray() -> Any:
    from importlib import import_module
    from importlib.util import find_spec

    if find_spec("ray") is None:
        raise ConfigError("expected the extra `ray` for the backend ray, found none: pip install 'fieldcast[ray]'")
    return import_module("ray")
