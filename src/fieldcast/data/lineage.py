"""Where rows came from: the record that travels with every file, in its Parquet footer and in the index."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from fieldcast.ground import InvalidInput, Reason, utc

Adjustment = Literal["raw", "adjusted_only"]
Availability = Literal["assumed", "reported"]
_DATASET = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Lineage:
    """One delivery of rows.

    Parameters
    ----------
    provider : who delivered, such as `bundled`, `simulated`, `file`
    dataset : the folder of the store that the rows belong to; lower case letters, digits, `_ . -`
    fetched_at : when the rows reached Fieldcast
    adjustment : `raw` prices, or `adjusted_only` where the source gives nothing else
    available_at : `assumed` where the rows' `available_at` is a convention, `reported` where the source states it
    simulated : True for rows of Fieldcast's own simulated market; each such row then carries the reason `simulated`
    source : the file, address or parameters that the rows were made from, with a hash where there is one
    dropped : rows that the source had and the store does not, counted by cause
    """

    provider: str
    dataset: str
    fetched_at: datetime
    adjustment: Adjustment = "raw"
    available_at: Availability = "assumed"
    simulated: bool = False
    source: str = ""
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fetched_at", utc(self.fetched_at))
        object.__setattr__(self, "dropped", {key: int(self.dropped[key]) for key in sorted(self.dropped)})
        if not _DATASET.fullmatch(self.dataset):
            raise InvalidInput(
                f"expected a dataset of lower case letters, digits and _ . - such as bundled, found {self.dataset!r}"
            )
        if self.adjustment not in get_args(Adjustment):
            raise InvalidInput(f"expected adjustment raw or adjusted_only, found {self.adjustment!r}")
        if self.available_at not in get_args(Availability):
            raise InvalidInput(f"expected available_at assumed or reported, found {self.available_at!r}")
        if not self.provider:
            raise InvalidInput("expected the name of a provider, found an empty one")

    @property
    def is_reported(self) -> bool:
        """True where the source states when each row could be known."""
        return self.available_at == "reported"

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What anything derived from these rows must say about itself."""
        return (Reason.SIMULATED,) if self.simulated else ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, as they stand in the footer."""
        return {
            "provider": self.provider,
            "dataset": self.dataset,
            "fetched_at": self.fetched_at.isoformat(),
            "adjustment": self.adjustment,
            "available_at": self.available_at,
            "simulated": self.simulated,
            "reasons": [str(reason) for reason in self.reasons],
            "source": self.source,
            "dropped": dict(self.dropped),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Lineage:
        """The inverse of `to_json`."""
        return cls(
            provider=value["provider"],
            dataset=value["dataset"],
            fetched_at=datetime.fromisoformat(value["fetched_at"]),
            adjustment=value["adjustment"],
            available_at=value["available_at"],
            simulated=value["simulated"],
            source=value["source"],
            dropped=value["dropped"],
        )


def with_delivery(known: tuple[Lineage, ...], new: Lineage) -> tuple[Lineage, ...]:
    """`known` and `new`, oldest first; a delivery that is repeated stands once."""
    return known if new in known else (*known, new)
