"""What a validation leaves behind: projections as Parquet, the gate's answer and the newest packet in the ledger."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import polars as pl

from fieldcast.ground import IntegrityError, MissingData
from fieldcast.market import file_name
from fieldcast.projection import record_packet
from fieldcast.validation import save_gate_result
from fieldcast.workflows.experiment import Experiment
from fieldcast.workflows.results import Validation
from fieldcast.workflows.workspace import Workspace

TABLES = ("projections", "outcomes", "fit_table")


def save_validation(workspace: Workspace, result: Validation) -> None:
    """Tables first, each file whole or not at all; then gate results and packets in one transaction."""
    for part in result.parts:
        for name in TABLES:
            _write(getattr(part, name), table_path(workspace, result.experiment, part.instrument.id, name), part.data_hash)
    with workspace.ledger.begin(label="validation") as session:
        for part in result.parts:
            if part.gate is not None:
                save_gate_result(
                    session,
                    part.gate,
                    instrument=part.instrument.id,
                    as_of=part.packet.as_of,
                    configuration_hash=result.experiment.hash,
                    data_hash=part.data_hash,
                    recorded_at=workspace.clock.now(),
                )
            record_packet(session, part.packet)


def load_table(workspace: Workspace, experiment: Experiment, instrument: str, name: str, *, data_hash: str) -> pl.DataFrame:
    """A table of an earlier validation of the same experiment on the same data.

    Raises
    ------
    MissingData : there is none, or it was made from other data
    IntegrityError : the file is damaged
    """
    return _load(workspace, experiment, instrument, name, data_hash)


def latest_table(workspace: Workspace, experiment: Experiment, instrument: str, name: str) -> pl.DataFrame:
    """The table of the last validation of the same experiment, on whatever data it was; as `load_table`."""
    return _load(workspace, experiment, instrument, name, None)


def _load(workspace: Workspace, experiment: Experiment, instrument: str, name: str, data_hash: str | None) -> pl.DataFrame:
    path = table_path(workspace, experiment, instrument, name)
    if not path.exists():
        raise MissingData(f"expected {name} of {instrument}, found none; run fieldcast validate {instrument}")
    try:
        if data_hash is not None and pl.read_parquet_metadata(path).get("data_hash") != data_hash:
            raise MissingData(f"expected {name} of {instrument} from its present data, found older ones; validate again")
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise IntegrityError(f"expected a whole Parquet file at {path.name}, found {error}; validate again") from None


def table_path(workspace: Workspace, experiment: Experiment, instrument: str, name: str) -> Path:
    """Where a table is kept: by name, experiment and instrument."""
    return workspace.settings.data_dir / name / experiment.hash[:16] / f"{file_name(instrument)}.parquet"


def table_hash(frame: pl.DataFrame) -> str:
    """SHA-256 over the values of a table, whatever file they stand in."""
    return hashlib.sha256(frame.write_json().encode()).hexdigest()


def _write(frame: pl.DataFrame, path: Path, data_hash: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as handle:
        temporary = Path(handle.name)
        try:
            frame.write_parquet(handle, compression="zstd", metadata={"data_hash": data_hash})
            handle.flush()
            os.fsync(handle.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


