"""Work spread over processes of this machine; results come back in the order of the jobs, whatever finished first."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from fieldcast.workflows.progress import Progress

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_jobs(
    work: Callable[[Job], Result], jobs: Sequence[Job], *, workers: int, progress: Progress, stage: str
) -> list[Result]:
    """`work` on every job, the first jobs started first; what a job raises is raised here.

    Parameters
    ----------
    work : a function of a module, free of side effects
    workers : processes; 1 = this one
    """
    found: dict[int, Result] = {}
    progress(stage, 0, len(jobs))
    if workers == 1 or len(jobs) < 2:
        for place, job in enumerate(jobs):
            found[place] = work(job)
            progress(stage, len(found), len(jobs))
    else:
        from joblib import Parallel, delayed, parallel_config

        with parallel_config(backend="loky", inner_max_num_threads=1):
            pool = Parallel(n_jobs=min(workers, os.cpu_count() or 1), return_as="generator_unordered", max_nbytes=None,
                            batch_size=1)
            for place, result in pool(delayed(_placed)(work, place, job) for place, job in enumerate(jobs)):
                found[place] = result
                progress(stage, len(found), len(jobs))
    return [found[place] for place in range(len(jobs))]


def _placed(work: Callable[[Job], Result], place: int, job: Job) -> tuple[int, Result]:
    return place, work(job)


def release() -> None:
    """Let the processes go: idle, they would hold a few hundred megabytes each until this one ends."""
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)
