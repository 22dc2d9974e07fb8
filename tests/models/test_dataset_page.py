"""The page on building a dataset: its example runs as it stands, and every module that it names is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "build-a-dataset.md").read_text(encoding="utf-8")


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "build-a-dataset.md", "exec"), names)
    printed = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert printed["uplift"] in ("admitted", "refused", "cannot_judge")
    assert len(names["counted"]) == len(names["training"]) > 500  # type: ignore[arg-type]
    assert len(names["later"]) > 300  # type: ignore[arg-type]
    assert set(printed) == {"kept", "odds", "uplift", "weeks"}


def test_every_module_of_the_page_is_there() -> None:
    cells = [
        cell for line in PAGE.splitlines() if line.startswith("| `") for cell in re.findall(r"`([\w.]+)`", line.split("|")[1])
    ]
    assert len(cells) == 15
    for name in cells:
        package, _, member = name.partition(".")
        try:
            importlib.import_module(f"fieldcast.{name}")
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(f"fieldcast.{package}"), member), name
