"""What a projector has learned from its bars, taken apart for a file and put together again to the last bit.

    arrays   <horizon>.path.<name> and <horizon>.volatility.<name>: the parts of `projection.warm`
    values   `horizons` (the rest of those parts), `walks` (the fitted fold of each and when the next is due), `packet` and its
             `digest`, all as JSON types

The bars are not among them: a state is put together beside the bars that it was made with, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldcast.models import model_kinds
from fieldcast.projection import ProjectionPacket
from fieldcast.projection.calibrators import Calibrator, calibrator_from_parameters
from fieldcast.projection.packet import load_packet
from fieldcast.projection.walk_forward import FittedFold, WalkState
from fieldcast.projection.warm import HorizonState, Parts, VolatilityState
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.study import cone_maker
from fieldcast.workflows.warm_states import KeptState


@dataclass(frozen=True)
class Learned:
    """What stands beside the bars.

    Parameters
    ----------
    horizons : state of the path by horizon, in sessions
    walks : state of the walk by label and horizon
    packet : of the newest bar
    """

    horizons: dict[int, HorizonState]
    walks: dict[tuple[str, int], WalkState]
    packet: ProjectionPacket


def taken_apart(learned: Learned, key: Mapping[str, Any], data: Mapping[str, Any]) -> KeptState:
    """The state for a file; key, data : as in `KeptState`."""
    arrays: dict[str, NDArray[Any]] = {}
    horizons = []
    for horizon, state in learned.horizons.items():
        both = {"path": state.parts(), "volatility": state.volatility.parts()}
        arrays |= {f"{horizon}.{of}.{name}": array for of, part in both.items() for name, array in part.arrays.items()}
        horizons.append({"horizon": horizon} | {of: dict(part.values) for of, part in both.items()})
    walks = [
        {"label": label, "horizon": horizon, "due_at": state.due_at, "fitted": _fold_values(state.fitted)}
        for (label, horizon), state in learned.walks.items()
    ]
    packet = learned.packet
    values = {"horizons": horizons, "walks": walks, "packet": packet.model_dump_json(), "digest": packet.digest}
    return KeptState(key, data, arrays, values)


def put_together(kept: KeptState, data: Mapping[str, Any], experiment: Experiment) -> Learned | str:
    """The inverse of `taken_apart`; else why the state does not fit.

    Parameters
    ----------
    data : `warm_states.data_of` the bars as they are now, up to the last one of the state
    """
    for name, expected in kept.data.items():
        if data[name] != expected:
            what = {"vix": "the VIX series", "bars": "the bars"}.get(name, name)
            return f"expected {what} as they were when the state was made, found others: one was restated, or came late"
    packet = load_packet(kept.values["packet"])
    if packet.digest != kept.values["digest"]:
        return f"expected the packet {kept.values['digest'][:16]} in the state, found {packet.digest[:16]}"
    walks = {
        (walk["label"], walk["horizon"]): WalkState(_fold_of(walk["fitted"]), walk["due_at"]) for walk in kept.values["walks"]
    }
    horizons = {
        one["horizon"]: HorizonState.restored(
            _parts(kept, one, "path"), VolatilityState.restored(_parts(kept, one, "volatility")),
            flat_share=experiment.labels.flat_share, maker=cone_maker(experiment), drift=experiment.cones.drift,
        )
        for one in kept.values["horizons"]
    }  # fmt: skip
    return Learned(horizons, walks, packet)


def _fold_values(fitted: FittedFold | None) -> dict[str, Any] | None:
    """A fitted fold as JSON types."""
    if fitted is None:
        return None
    calibrator = getattr(fitted.calibrate, "__self__", None)        # `calibrate` is the bound `predict` of a calibrator
    assert isinstance(calibrator, Calibrator), "a nominated model is calibrated"
    return {
        "kind": fitted.model.kind,
        "parameters": fitted.model.parameters(),
        "calibrator": calibrator.parameters(),
        "positions": fitted.positions.tolist(),
        "columns": list(fitted.columns),
        "rows": [fitted.n_fit, fitted.n_calibration],
    }


def _fold_of(values: Mapping[str, Any] | None) -> FittedFold | None:
    """The inverse of `_fold_values`."""
    if values is None:
        return None
    model = model_kinds()[values["kind"]].from_parameters(values["parameters"])
    positions = np.array(values["positions"], dtype=np.intp)
    calibrator = calibrator_from_parameters(values["calibrator"])
    return FittedFold(model, calibrator.predict, calibrator.kind, positions, tuple(values["columns"]), *values["rows"])


def _parts(kept: KeptState, one: Mapping[str, Any], of: str) -> Parts:
    """The parts of one horizon's state: `path` or `volatility`."""
    head = f"{one['horizon']}.{of}."
    return Parts({name.removeprefix(head): array for name, array in kept.arrays.items() if name.startswith(head)}, one[of])
