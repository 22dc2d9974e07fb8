"""What a stage says of the wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldcast.workflows.progress import stage_of


def test_a_stage_tells_of_kernels_that_are_not_compiled_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert "first run compiles" in stage_of("Strategies", "_kernels_run.play_targets")
    (tmp_path / "simulation_1").mkdir()
    (tmp_path / "simulation_1" / "_kernels_run.play_targets-312.py311.nbi").touch()
    assert stage_of("Strategies", "_kernels_run.play_targets") == "Strategies"
    assert stage_of("Strategies", "_kernels_run.advance") != "Strategies"
