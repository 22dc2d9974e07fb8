"""FinBERT-class models: a fine-tuned BERT that sorts a text into positive, negative and neutral, run on this machine.

    odds = softmax(logits), taken to the order of our labels by the names that the model's configuration gives its own

The weights are not ours to ship: they are read from a local folder (Hugging Face layout: config, tokenizer, safetensors) and
never fetched. `transformers` and `torch` come with the extra `text` and are imported when a model is loaded, not before.

What turns texts into logits is an argument (`Classify`), so that this module's own part, the order of labels, blank texts and
batches, is tested without either library. Source: Araci, "FinBERT", arXiv 1908.10063.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from fieldcast.ground import ConfigError, InvalidInput, MissingData, digest
from fieldcast.models.text.contract import LABELS, Floats, Scored, checked_texts, from_odds, is_blank

Classify = Callable[[Sequence[str]], Floats]
"""Texts → logits (n, k), one column for each of the model's labels."""

BATCH = 16
LONGEST = 512  # tokens that such models read; the rest of a text is cut off
FORMULA = 1
_NEEDED = ("config.json", "model.safetensors")
_TOKENIZERS = ("tokenizer.json", "vocab.txt")  # one of them: transformers makes up an empty vocabulary where there is none


class FinBert:
    """Scores by a model that sorts texts.

    Parameters
    ----------
    classify : texts → logits
    label_names : names of the model's labels in the order of its logits; the three of ours in any case, once each
    weights_hash : over the files of the model, so that another fine-tuning has another version

    Raises
    ------
    InvalidInput : the model has other labels
    """

    name = "finbert"
    languages = ("en",)

    def __init__(self, classify: Classify, label_names: Sequence[str], weights_hash: str) -> None:
        names = [name.strip().lower() for name in label_names]
        if sorted(names) != sorted(LABELS):
            raise InvalidInput(f"expected a model with the labels {', '.join(LABELS)}, found {', '.join(names)}")
        self._classify = classify
        self._order = [names.index(label) for label in LABELS]
        self.version = digest({"kind": self.name, "formula": FORMULA, "labels": names, "weights": weights_hash})

    @classmethod
    def load(cls, folder: Path) -> FinBert:
        """The model in a local folder; nothing is fetched.

        Raises
        ------
        MissingData : the folder has no such model, or not all of it
        InvalidInput : its files are damaged, or it sorts into other labels
        ConfigError : `transformers` or `torch` is not installed
        """
        lacking = [name for name in _NEEDED if not (folder / name).is_file()]
        if lacking:
            raise MissingData(f"expected {' and '.join(lacking)} of a FinBERT model in {folder}, found none; put them there")
        if not any((folder / name).is_file() for name in _TOKENIZERS):
            raise MissingData(f"expected {' or '.join(_TOKENIZERS)} of a FinBERT model in {folder}, found none; put one there")
        if not libraries_there():
            raise ConfigError("expected transformers and torch for FinBERT, found none; pip install 'fieldcast[text]'")
        classify, names = _from_transformers(folder)
        return cls(classify, names, _hash_of(folder))

    def score(self, texts: Sequence[str]) -> Scored:
        """Scores of the texts; those without a word are not given to the model.

        Raises
        ------
        InvalidInput : the model gave logits of another shape, or not finite ones
        """
        read = checked_texts(texts)
        blank = [is_blank(text) for text in read]
        logits = np.zeros((len(read), len(LABELS)))
        spoken = [place for place, nothing in enumerate(blank) if not nothing]
        for first in range(0, len(spoken), BATCH):
            part = spoken[first : first + BATCH]
            found = np.asarray(self._classify([read[place] for place in part]), dtype=np.float64)
            if found.shape != (len(part), len(LABELS)) or not np.isfinite(found).all():
                raise InvalidInput(f"expected finite logits of shape ({len(part)}, 3) from the model, found {found.shape}")
            logits[part] = found[:, self._order]
        odds = np.exp(logits - logits.max(axis=1, keepdims=True)) if len(read) else logits
        return from_odds(odds / odds.sum(axis=1, keepdims=True) if len(read) else odds, blank)


def libraries_there() -> bool:
    """Whether the extra is installed."""
    return all(find_spec(name) is not None for name in ("transformers", "torch"))


def _hash_of(folder: Path) -> str:
    """SHA-256 over the names and bytes of the files that decide what the model says."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors", ".txt")):
        total.update(path.name.encode() + b"\0")
        with path.open("rb") as handle:
            total.update(hashlib.file_digest(handle, "sha256").digest())
    return total.hexdigest()


def _from_transformers(folder: Path) -> tuple[Classify, list[str]]:
    """The model behind `transformers`, on the CPU, in evaluation mode; remote code and pickled weights are refused.

    Weights that the file lacks would be drawn at random: such a model (one without its classifier, say) is refused.
    """
    torch: Any = import_module("torch")
    transformers: Any = import_module("transformers")
    damaged: type[Exception] = import_module("safetensors").SafetensorError
    how: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), **how)
        model, told = transformers.AutoModelForSequenceClassification.from_pretrained(
            str(folder), use_safetensors=True, output_loading_info=True, **how
        )
    except (OSError, ValueError, KeyError, RuntimeError, damaged) as error:
        raise InvalidInput(f"expected a whole model in {folder}, found: {error}; fetch it again") from None
    lacking = sorted(str(name) for name in (*told["missing_keys"], *told["mismatched_keys"]))
    if lacking:
        raise MissingData(f"expected every weight of the model in {folder}, missing {', '.join(lacking[:4])}; fetch it again")
    model, names = model.eval(), model.config.id2label

    def classify(texts: Sequence[str]) -> Floats:
        with torch.inference_mode():
            tokens = tokenizer(list(texts), truncation=True, max_length=LONGEST, padding=True, return_tensors="pt")
            found: Floats = model(**tokens).logits.double().numpy()
        return found

    return classify, [str(names[place]) for place in sorted(names, key=int)]
