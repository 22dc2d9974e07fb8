"""F06 Text scorers: FinBERT-class model, Grok or other LLM scorer, lexicon fallback.

Done when: "The three scorers share one contract test, and offline runs pick the lexicon and say so".

The contract test is tests/models/text/test_contract.py; it runs over the three, and over the headline model that a user fits.
The FinBERT-class model is there as its adapter: weights and `transformers` are no part of the test environment, and what they
compute is given by a rule; where `transformers` is there, a small BERT with random weights is loaded from the disk and scores as
that library itself does (tests/models/text/test_finbert_and_choice.py). The language model answers from a service on 127.0.0.1
that speaks the documented protocol.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data import Lineage
from fieldcast.ground import ConfigError, load_settings
from fieldcast.market import table_of
from fieldcast.models.text import SCORERS, choose_scorer
from fieldcast.workflows import open_workspace, score_texts

pytestmark = pytest.mark.feature("F06", part="adapters of all scorers, one contract, the offline choice")

OPEN_PARTS: tuple[str, ...] = ("FinBERT run on its published weights", "an LLM asked over a real network")

TESTS = Path(__file__).resolve().parents[1] / "models" / "text"


def test_the_scorers_share_one_contract_test() -> None:
    """The fixture over which every test of the contract runs is made of every scorer."""
    fixtures = ast.parse((TESTS / "conftest.py").read_text(encoding="utf-8"))
    (fixture,) = [node for node in fixtures.body if isinstance(node, ast.FunctionDef) and node.name == "scorer"]
    (mark,) = fixture.decorator_list
    assert isinstance(mark, ast.Call)
    (params,) = [ast.literal_eval(keyword.value) for keyword in mark.keywords if keyword.arg == "params"]
    assert set(params) == set(SCORERS) == {"lexicon", "headline", "finbert", "llm"}
    contract = ast.parse((TESTS / "test_contract.py").read_text(encoding="utf-8"))
    tests = [node for node in contract.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    shared = [node for node in tests if "scorer" in {argument.arg for argument in node.args.args}]
    assert len(shared) >= 8


def test_the_contract_test_passes_for_every_scorer() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(TESTS / "test_contract.py")]
    done = subprocess.run(command, cwd=TESTS.parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout.splitlines()[-1]


def test_an_offline_run_picks_the_lexicon_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even with a key in the environment: the workflow is offline unless it is told otherwise."""
    monkeypatch.setenv("FIELDCAST_LLM_KEY", "test-key")  # pragma: allowlist secret
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("an offline run went to the network"))
    now = datetime(2026, 3, 20, tzinfo=UTC)
    schema = dict(table_of("news").schema)
    row = {"instrument": "NEWS:TEST", "ts": now, "available_at": now, "item": "1", "text": "Profit rose", "language": "en"}
    with open_workspace(settings=load_settings(home=tmp_path, workers=1)) as workspace:
        news = pl.DataFrame([dict.fromkeys(schema) | row], schema=schema)
        workspace.store.append(news, Lineage("test", "test", now), table="news")
        done = score_texts(workspace, source="NEWS:TEST")
        assert done.scorer.startswith("lexicon@")
        assert done.said == "offline: the lexicon scores, since it needs no network, no weights and no fitting"
        assert done.as_dict()["said"] == done.said
        with pytest.raises(ConfigError, match="offline"):
            score_texts(workspace, source="NEWS:TEST", scorer="llm")
    assert choose_scorer(offline=False).scorer.name == "llm"
