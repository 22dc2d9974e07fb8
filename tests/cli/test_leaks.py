"""`fieldcast leaks` as a user meets it: the page that explains it, its exit codes, its JSON."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "test-your-own-features.md").read_text(encoding="utf-8")


def _plain(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def test_the_example_of_the_page_is_the_file_and_prints_what_the_page_shows(run, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "140")
    shown = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
    source = (ROOT / "examples" / "leaky_features.py").read_text(encoding="utf-8")
    assert shown.strip() in source
    ended = run("leaks", ROOT / "examples" / "leaky_features.py", "--rows", "400")
    assert ended.code == 1
    printed = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
    assert _plain(ended.out)[: len(_plain(printed))] == _plain(printed)
    assert "period_join" in ended.out


def test_a_sound_file_ends_with_0_and_says_the_same_as_json(run) -> None:
    ended = run("leaks", ROOT / "examples" / "my_features.py", "--rows", "300", "--json")
    assert ended.code == 0
    assert ended.json["outcome"] == "clean"
    assert [column["verdict"] for column in ended.json["columns"]] == ["clean"] * 3
    assert ended.json["data"]["name"] == "XNAS:COMP (bundled)"


def test_stored_bars_are_used_by_their_id(run, home, tmp_path) -> None:
    (tmp_path / "mine.py").write_text("def f(bars):\n    return bars['close'].shift(-2)\n")
    ended = run("leaks", "mine.py", "--data", "SIM:PLANTED", "--rows", "200", "--home", home, "--json", "--page", "page.html")
    assert ended.code == 1
    assert ended.json["data"]["simulated"] is True
    assert ended.json["findings"][0]["reach"] == 2
    assert "SIMULATED" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("text", "limit", "words"),
    [
        ("def f(bars):\n    return 1 / 0\n", 60, "ZeroDivisionError"),
        ("def f(bars: dict):\n    while True: pass\n", 1, "within 1 s"),
    ],
)
def test_code_that_cannot_be_judged_is_one_line_and_exit_code_2(run, tmp_path, text, limit, words) -> None:
    (tmp_path / "mine.py").write_text(text)
    assert words in run("leaks", "mine.py", "--limit", limit).refused()
