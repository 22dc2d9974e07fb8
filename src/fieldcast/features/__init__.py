"""What a model may see and what it is asked: the feature registry, its table, and the labels."""

from fieldcast.features import labels
from fieldcast.features._compute import compute
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
    "REGISTRY",
    "Column",
    "blocks",
    "columns",
    "compute",
    "groups",
    "labels",
    "recursive_warmup",
    "registry_hash",
    "warmup",
]
