"""The engines that read markets as fields, and the map of what they found.

Here at the top is what daily bars give. `dealer` and `elasticity` read option chains, `books` order books, `liquidity` the
session's minutes too; their readings join the map where there is something to read, and nothing stands in for them.
"""

from fieldcast.fields import liquidity, regime, sentiment
from fieldcast.fields.assignment import AssignedPacket, AssignmentWarning, Coverage, assign
from fieldcast.fields.columns import FieldColumn
from fieldcast.fields.field_map import LANDMARKS, FieldMap
from fieldcast.fields.readings import NAMESPACES, Landmark, Reading
from fieldcast.fields.table import FIELD_REGISTRY, TIMES, WARMUP, build_field_table, reasons_of, registry_hash

__all__ = [
    "FIELD_REGISTRY",
    "LANDMARKS",
    "NAMESPACES",
    "TIMES",
    "WARMUP",
    "AssignedPacket",
    "AssignmentWarning",
    "Coverage",
    "FieldColumn",
    "FieldMap",
    "Landmark",
    "Reading",
    "assign",
    "build_field_table",
    "liquidity",
    "reasons_of",
    "regime",
    "registry_hash",
    "sentiment",
]
