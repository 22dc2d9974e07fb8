"""The engines that read bars as fields, and the map of what they found.

Here are liquidity, regime and price sentiment for daily bars. Dealer positioning and elasticity need option chains:
they are absent until there are some, and nothing stands in for them.
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
