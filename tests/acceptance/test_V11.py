"""V11: Leak canaries: planted look-ahead faults and clean controls.

Done when: "At least 20 planted leaks and 20 controls run in CI; recall and false-alarm counts are published, with recall 20 of
20"
"""

from __future__ import annotations

import importlib.util
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from fieldcast.data import read_bundled
from fieldcast.validation.leaks import CallRunner, Kind, LeakReport, Outcome, check_leaks

pytestmark = pytest.mark.feature("V11")
OPEN_PARTS: tuple[str, ...] = ()

ROOT = Path(__file__).resolve().parents[2]
ROWS = 300


def _canaries() -> ModuleType:
    path = ROOT / "tests" / "validation" / "leaks" / "canaries.py"
    spec = importlib.util.spec_from_file_location("leak_canaries", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


CANARIES = _canaries()


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    """NASDAQ composite, the 300 sessions up to 2018-12-31: real daily bars, one of them with a volume of 0."""
    return read_bundled("nasdaq")[1].tail(ROWS)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Altered bars make user code divide by zero; that is its own business."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _checked(function: object, bars: pl.DataFrame) -> LeakReport:
    return check_leaks(CallRunner(function), bars, data="XNAS:COMP (bundled)")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CANARIES.LEAKS)
def test_a_planted_leak_is_found_and_its_cause_named(name: str, bars: pl.DataFrame) -> None:
    function, causes = CANARIES.LEAKS[name]
    report = _checked(function, bars)
    assert report.outcome is Outcome.LEAK
    found = [item for item in report.findings if item.kind is Kind.LOOK_AHEAD]
    assert found
    for item in found:
        assert item.cause in causes
        assert item.examples
        assert all(example.row <= example.cut for example in item.examples)


@pytest.mark.parametrize("name", CANARIES.CLEAN)
def test_a_sound_column_raises_no_alarm(name: str, bars: pl.DataFrame) -> None:
    report = _checked(CANARIES.CLEAN[name], bars)
    assert report.outcome is Outcome.CLEAN, [item.text for item in report.findings if item.fails]
    assert report.alterations["cut"][0] > 5  # the answer rests on computations that could have failed
    assert report.alterations["replace"][0] > 5


def test_the_counts_that_are_published_are_these() -> None:
    page = (ROOT / "docs" / "explanation" / "leaks.md").read_text(encoding="utf-8")
    assert len(CANARIES.LEAKS) >= 20
    assert len(CANARIES.CLEAN) >= 20
    leaks, controls = len(CANARIES.LEAKS), len(CANARIES.CLEAN)
    assert f"| planted leaks found | {leaks} of {leaks} |" in page
    assert f"| controls with a false alarm | 0 of {controls} |" in page
    listed = set(re.findall(r"^\| (.+?) \| .+ \|$", page, re.MULTILINE))
    assert set(CANARIES.LEAKS) <= listed
    assert set(CANARIES.CLEAN) <= listed
