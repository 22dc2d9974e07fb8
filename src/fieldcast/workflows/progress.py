"""How a workflow tells whoever watches how far it is; what is done with it (bars, nothing) is the caller's affair."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with a stage's title, how much of it is done and how much there is."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


def silent(stage: str, done: int, total: int) -> None:
    """Nobody watches."""
