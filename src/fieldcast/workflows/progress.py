"""How a workflow tells whoever watches how far it is; what is done with it (bars, nothing) is the caller's affair."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol


class Progress(Protocol):
    """Called with a stage's title, how much of it is done and how much there is."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


def silent(stage: str, done: int, total: int) -> None:
    """Nobody watches."""


def stage_of(title: str, kernel: str) -> str:
    """The stage's title, with a word of the wait where its kernel (`module.function`) is not among the compiled ones yet."""
    compiled = any(Path(os.environ["NUMBA_CACHE_DIR"]).glob(f"*/{kernel}-*.nbi"))
    return title if compiled else f"{title} (the first run compiles kernels: a minute or two)"
