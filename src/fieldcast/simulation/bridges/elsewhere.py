"""Engines that need another environment: they are given files, and a runner that their own Python plays.

zipline-reloaded, nautilus_trader and LumiBot want versions of pandas that Fieldcast's own environment cannot have. Each lives
in a virtual environment of its own; which Python that is, is said by the environment variable FIELDCAST_PEER_PYTHON_<NAME>
(such as FIELDCAST_PEER_PYTHON_ZIPLINE), or it is found under the folder FIELDCAST_PEERS (`tools/peers_environment.py` makes
one).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

from fieldcast.ground import FieldcastError, MissingData
from fieldcast.simulation.bridges.job import Job, PeerRun, read_run

FOLDER_VARIABLE = "FIELDCAST_PEERS"
TIMEOUT_SECONDS = 600.0


class PeerFailed(FieldcastError):
    """An engine in another environment ended without a result; the message holds the end of what it printed."""


def python_of(name: str) -> Path:
    """The Python of the environment that has this engine.

    Raises
    ------
    MissingData : none is named, or there is none where one is named
    """
    variable = f"FIELDCAST_PEER_PYTHON_{name.upper()}"
    named = os.environ.get(variable)
    folder = os.environ.get(FOLDER_VARIABLE)
    if not named and not folder:
        raise MissingData(
            f"expected {variable} or {FOLDER_VARIABLE} to name an environment with {name}, found neither: "
            "python tools/peers_environment.py makes one"
        )
    path = Path(named) if named else Path(str(folder)) / name / "bin" / "python"
    if not path.exists():
        raise MissingData(f"expected the Python of an environment with {name}, found nothing at {path}")
    return path


def elsewhere(name: str) -> Callable[[Job], PeerRun]:
    """A player that runs `runners/<name>_runner.py` with the Python of `name`."""

    def play(job: Job) -> PeerRun:
        """The job in another environment, over files.

        Raises
        ------
        MissingData : no environment has the engine
        PeerFailed : the engine ended without a result
        """
        python = python_of(name)
        runner = files("fieldcast.simulation.bridges.runners").joinpath(f"{name}_runner.py")
        with tempfile.TemporaryDirectory(prefix=f"fieldcast-{name}-") as made, as_file(runner) as script:
            folder = Path(made)
            job.write(folder)
            plain = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "FIELDCAST"))}
            try:
                done = subprocess.run(
                    [str(python), str(script), str(folder)],
                    cwd=folder, env=plain | {"HOME": made}, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise PeerFailed(f"expected {name} to end within {TIMEOUT_SECONDS:g} s, stopped it") from None
            if done.returncode or not (folder / "done.json").exists():
                raise PeerFailed(
                    f"expected {name} to play the job, found exit code {done.returncode}: {(done.stdout + done.stderr)[-1500:]}"
                )
            return read_run(folder, job)

    return play
