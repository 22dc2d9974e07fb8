"""The page on volatility: its example runs and prints what the page shows, and its table names what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fieldcast.models import volatility

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "explanation" / "volatility.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_table_names_every_forecaster() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    kinds = {name for name in volatility.__all__ if isinstance(getattr(volatility, name), type)}
    made = {name for name in kinds if issubclass(getattr(volatility, name), volatility.VolatilityForecaster)}
    assert named == made - {"VolatilityForecaster", "ReturnScaled"}


@pytest.mark.slow
def test_the_example_runs_and_prints_what_the_page_shows() -> None:
    (language, code), (_, shown) = FENCES
    assert language == "python"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    line = re.compile(r"(\S+) (\S+): half-width (\d+) bps, odds of \+1 % (\d\.\d\d)\n")
    found, expected = line.findall(done.stdout), line.findall(shown)
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert len(expected) == 2
    for ours, theirs in zip(found, expected, strict=True):  # another LightGBM or arch may round otherwise
        assert float(ours[2]) == pytest.approx(float(theirs[2]), abs=2.0)
        assert float(ours[3]) == pytest.approx(float(theirs[3]), abs=0.02)
