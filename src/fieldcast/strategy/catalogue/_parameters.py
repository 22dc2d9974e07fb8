"""Typed parameters with bounds: a rule is a frozen dataclass whose fields say what they may be."""

from __future__ import annotations

import math
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from fieldcast.ground import InvalidInput

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a rule, for checks and for forms.

    Parameters
    ----------
    kind : `whole`, `real`, `flag` or `choice`
    low, high : bounds, both allowed; None for a flag or a choice
    choices : what a choice may be
    """

    name: str
    kind: str
    default: Any
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


def whole(default: int, low: int, high: int) -> Any:
    """A whole number from `low` to `high`."""
    return field(default=default, metadata={"kind": "whole", "low": low, "high": high})


def real(default: float, low: float, high: float) -> Any:
    """A finite number from `low` to `high`."""
    return field(default=default, metadata={"kind": "real", "low": low, "high": high})


def flag() -> Any:
    """Off unless it is asked for."""
    return field(default=False, metadata={"kind": "flag"})


def choice(default: str, choices: tuple[str, ...]) -> Any:
    """One of a few words."""
    return field(default=default, metadata={"kind": "choice", "choices": choices})


@runtime_checkable
class Rule(Protocol):
    """From the arrays of one instrument to a target for each of its bars."""

    def targets(self, arrays: Any) -> Array: ...


@dataclass(frozen=True)
class Parameters:
    """Base of the catalogue's rules: refuses a parameter out of its bounds, by name."""

    id: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for item in parameters_of(type(self)):
            _check(self.id, item, getattr(self, item.name))

    @property
    def settings(self) -> dict[str, Any]:
        """The parameters as plain values."""
        return {item.name: getattr(self, item.name) for item in parameters_of(type(self))}


def parameters_of(rule: type[Any]) -> tuple[Parameter, ...]:
    """The parameters of a rule, in the order in which it takes them."""
    found = []
    for item in fields(rule):
        if "kind" not in item.metadata:
            continue
        assert item.default is not MISSING
        known = dict(item.metadata)
        found.append(Parameter(item.name, known.pop("kind"), item.default, **known))
    return tuple(found)


def _check(rule: str, item: Parameter, value: Any) -> None:
    where = f"{rule}: {item.name}"
    if item.kind == "flag":
        if not isinstance(value, bool):
            raise InvalidInput(f"expected {where} to be true or false, found {value!r}")
        return
    if item.kind == "choice":
        if value not in item.choices:
            raise InvalidInput(f"expected {where} out of {', '.join(item.choices)}, found {value!r}")
        return
    kinds: Any = int | np.integer if item.kind == "whole" else int | float | np.integer | np.floating
    if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
        sort = "a whole number" if item.kind == "whole" else "a number"
        raise InvalidInput(f"expected {where} to be {sort}, found {value!r}")
    assert item.low is not None
    assert item.high is not None
    if not item.low <= value <= item.high:
        raise InvalidInput(f"expected {where} from {item.low:g} to {item.high:g}, found {value}")


def closes(arrays: Any) -> Array:
    """The closes of one instrument's arrays.

    Raises
    ------
    InvalidInput : there are none
    """
    try:
        return np.asarray(arrays["close"], dtype=np.float64)
    except (KeyError, TypeError, IndexError):
        raise InvalidInput(f"expected arrays of one instrument with closes, found {type(arrays).__name__}") from None
