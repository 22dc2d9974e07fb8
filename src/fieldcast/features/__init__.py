"""What a model may see and what it is asked: the feature registry, its table, and the labels."""

from fieldcast.features import labels, tiers, validators
from fieldcast.features._compute import compute, compute_each, compute_tier, newest, reads_bars_alone
from fieldcast.features._engine_matrix import NAMES as ENGINE_COLUMNS
from fieldcast.features._engine_matrix import engine_matrix
from fieldcast.features._inputs import Inputs, read_bars
from fieldcast.features._registry import (
    Column,
    blocks,
    columns,
    groups,
    of_blocks,
    recursive_warmup,
    registry,
    registry_hash,
    warmup,
)

REGISTRY = registry()

__all__ = [
    "ENGINE_COLUMNS",
    "REGISTRY",
    "Column",
    "Inputs",
    "blocks",
    "columns",
    "compute",
    "compute_each",
    "compute_tier",
    "engine_matrix",
    "groups",
    "labels",
    "newest",
    "of_blocks",
    "read_bars",
    "reads_bars_alone",
    "recursive_warmup",
    "registry_hash",
    "tiers",
    "validators",
    "warmup",
]
