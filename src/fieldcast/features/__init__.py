"""What a model may see and what it is asked: the feature registry, its table, and the labels."""

from fieldcast.features import labels, tiers, validators
from fieldcast.features._compute import compute, compute_each, compute_tier
from fieldcast.features._engine_matrix import NAMES as ENGINE_COLUMNS
from fieldcast.features._engine_matrix import engine_matrix
from fieldcast.features._registry import (
    Column,
    blocks,
    columns,
    groups,
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
    "blocks",
    "columns",
    "compute",
    "compute_each",
    "compute_tier",
    "engine_matrix",
    "groups",
    "labels",
    "recursive_warmup",
    "registry_hash",
    "tiers",
    "validators",
    "warmup",
]
