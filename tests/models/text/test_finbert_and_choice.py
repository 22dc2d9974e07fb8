"""FinBERT's adapter, with what transforms texts to logits given by a rule; and which scorer is chosen when."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from fieldcast.ground import ConfigError, InvalidInput, MissingData
from fieldcast.models.text import OFFLINE, SCORERS, FinBert, HeadlineModel, choose_scorer
from fieldcast.models.text.finbert import BATCH

from .conftest import KEY, Service


def test_labels_are_taken_by_their_names_whatever_their_order() -> None:
    logits = {"negative": 2.0, "neutral": 0.5, "positive": -1.0}
    odds = np.exp(list(logits.values())) / np.exp(list(logits.values())).sum()
    for order in (["positive", "negative", "neutral"], ["Neutral", "Positive", "Negative"]):
        model = FinBert(lambda texts, order=order: np.array([[logits[name.lower()] for name in order]] * len(texts)), order, "w")
        found = model.score(["text"])
        assert found.score[0] == pytest.approx(odds[2] - odds[0])
        assert found.confidence[0] == pytest.approx((odds[0] - 1 / 3) * 1.5)
        assert found.label[0] == 0


@pytest.mark.parametrize(
    "names", [["LABEL_0", "LABEL_1", "LABEL_2"], ["positive", "negative"], ["positive", "positive", "neutral"]]
)
def test_a_model_with_other_labels_is_refused(names: list[str]) -> None:
    with pytest.raises(InvalidInput, match="labels"):
        FinBert(lambda texts: np.zeros((len(texts), 3)), names, "w")


def test_it_is_asked_in_batches_and_never_for_blank_texts() -> None:
    asked: list[int] = []

    def classify(texts):
        assert all(text == "text" for text in texts)
        asked.append(len(texts))
        return np.zeros((len(texts), 3))

    FinBert(classify, ["positive", "negative", "neutral"], "w").score(["text", ""] * (BATCH + 1))
    assert asked == [BATCH, 1]


@pytest.mark.parametrize("bad", [np.zeros((1, 2)), np.full((1, 3), np.nan), np.full((1, 3), np.inf)])
def test_logits_that_are_none_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="finite logits"):
        FinBert(lambda texts: bad, ["positive", "negative", "neutral"], "w").score(["text"])


def test_large_logits_do_not_overflow() -> None:
    model = FinBert(lambda texts: np.array([[1e4, -1e4, 0.0]]), ["positive", "negative", "neutral"], "w")
    assert model.score(["text"]).score[0] == 1.0


def test_without_weights_or_libraries_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"config\.json"):
        FinBert.load(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "vocab.txt").touch()
    if find_spec("transformers") is None or find_spec("torch") is None:
        with pytest.raises(ConfigError, match=r"fieldcast\[text\]"):
            FinBert.load(tmp_path)


def test_without_a_vocabulary_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(MissingData, match=r"tokenizer\.json or vocab\.txt"):
        FinBert.load(tmp_path)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A BERT of two layers with weights drawn at random, as transformers saves one."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "profit", "rose", "fell", "sales", "the", "loss"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    transformers.BertTokenizerFast(vocab_file=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    torch.manual_seed(0)
    names = {0: "Positive", 1: "Negative", 2: "Neutral"}
    settings = transformers.BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, num_labels=3,
        id2label=names, label2id={name: place for place, name in names.items()},
    )  # fmt: skip
    transformers.BertForSequenceClassification(settings).save_pretrained(tmp_path)
    return tmp_path


def test_a_model_on_the_disk_scores_as_transformers_itself_does(tiny: Path) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    texts = ["Profit rose", "", "the sales fell " * 400]
    found = FinBert.load(tiny).score(texts)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tiny).eval()
    for place in (0, 2):
        with torch.inference_mode():
            tokens = tokenizer([texts[place]], truncation=True, max_length=512, return_tensors="pt")
            odds = model(**tokens).logits.double().softmax(-1).numpy()[0]
        assert found.score[place] == pytest.approx(odds[0] - odds[1], abs=1e-6)
    assert found.score[1] == 0.0
    assert FinBert.load(tiny).version == FinBert.load(tiny).version


def test_damaged_weights_and_missing_ones_are_refused(tiny: Path) -> None:
    weights, whole = tiny / "model.safetensors", (tiny / "model.safetensors").read_bytes()
    weights.write_bytes(whole[:5000])
    with pytest.raises(InvalidInput, match="whole model"):
        FinBert.load(tiny)
    files = pytest.importorskip("safetensors.torch")
    weights.write_bytes(whole)
    held = files.load_file(weights)
    del held["classifier.weight"]
    files.save_file(held, weights, metadata={"format": "pt"})
    with pytest.raises(MissingData, match=r"classifier\.weight"):
        FinBert.load(tiny)


# the choice ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def models(tmp_path: Path, headline: HeadlineModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("FIELDCAST_LLM_KEY", raising=False)
    headline.save(tmp_path / "headline")
    return tmp_path


def test_an_offline_run_picks_the_lexicon_and_says_so(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a fitted model and a key are there."""
    monkeypatch.setenv("FIELDCAST_LLM_KEY", KEY)
    choice = choose_scorer(offline=True, models=models)
    assert choice.scorer.name == "lexicon"
    assert choice.said == OFFLINE
    assert choice.said.startswith("offline: the lexicon")


def test_online_the_best_that_is_there_scores_and_the_others_say_why_not(models: Path, service: Service, monkeypatch) -> None:
    choice = choose_scorer(offline=False, models=models)
    assert choice.scorer.name == "headline"
    assert set(choice.passed_over) == {"llm", "finbert"}
    assert "FIELDCAST_LLM_KEY" in choice.passed_over["llm"]
    monkeypatch.setenv("FIELDCAST_LLM_KEY", KEY)
    monkeypatch.setenv("FIELDCAST_LLM_URL", service.url)
    assert choose_scorer(offline=False, models=models).scorer.name == "llm"
    monkeypatch.delenv("FIELDCAST_LLM_KEY")
    assert choose_scorer(offline=False).scorer.name == "lexicon"


def test_a_named_scorer_is_that_one_or_none(models: Path) -> None:
    assert choose_scorer("headline", models=models).scorer.name == "headline"
    assert choose_scorer("lexicon", offline=False).scorer.name == "lexicon"
    with pytest.raises(MissingData, match="FinBERT"):
        choose_scorer("finbert", models=models)
    with pytest.raises(ConfigError, match="--online"):
        choose_scorer("llm", models=models)
    with pytest.raises(ConfigError, match="FIELDCAST_LLM_KEY"):
        choose_scorer("llm", offline=False)
    with pytest.raises(InvalidInput, match=", ".join(SCORERS)):
        choose_scorer("oracle")
