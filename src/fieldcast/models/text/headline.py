"""The headline model: a multinomial logistic regression on words, letters and the lexicon, fitted on the user's own copy.

    words    runs of one and two words in at least 2 texts      letters   runs of 2 to 5 letters within words, at least 3 texts
    lexicon   tanh(P / 2), tanh(N / 2) and the score of our lexicon: what the rules of grammar in it know
    weight   (1 + ln tf) · (ln((1 + n) / (1 + df)) + 1), words and letters each scaled to length 1      (TF-IDF, sublinear)
    odds     softmax(W x + b), W with a ridge of 1 / (2 C)

Numbers are written as 0, so that no amount is learnt by heart. No fitted weights are shipped: Financial PhraseBank, on which
it is meant to be fitted, is free for non-commercial use alone (CC BY-NC-SA 3.0), and what is fitted on it is the user's.

On disk: `vocabulary.json`, `weights.npz` (arrays only, read with allow_pickle=False) and `manifest.json` with the SHA-256 of
both and the model's own hash. No pickle.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import IntegrityError, InvalidInput, MissingData, ShortHistory, digest
from fieldcast.models.text.contract import LABELS, Floats, Scored, checked_texts, from_odds, is_blank
from fieldcast.models.text.lexicon import Lexicon

FORMAT = 1
LEAST_TEXTS = 30
OPINIONS = 3  # columns of the lexicon
MANIFEST, VOCABULARY, WEIGHTS = "manifest.json", "vocabulary.json", "weights.npz"
_NUMBER = re.compile(r"\d[\d.,]*")
_BLOCKS: dict[str, dict[str, Any]] = {
    "words": {"analyzer": "word", "ngram_range": (1, 2), "min_df": 2, "token_pattern": r"(?u)\b\w+\b|[%€$]"},
    "letters": {"analyzer": "char_wb", "ngram_range": (2, 5), "min_df": 3},
}
_BATCH = 4096


class HeadlineModel:
    """Fitted odds of negative, neutral and positive; made by `fit` or `load`.

    Parameters
    ----------
    vocabulary : block → its terms, in the order of its columns
    idf : block → (terms,) inverse document frequencies
    weights : (3, p) over the columns of all blocks and of the lexicon, in the order of LABELS; intercept : (3,)
    """

    name = "headline"
    languages = ("en",)

    def __init__(self, vocabulary: dict[str, list[str]], idf: dict[str, Floats], weights: Floats, intercept: Floats) -> None:
        width = sum(map(len, vocabulary.values())) + OPINIONS
        if set(vocabulary) != set(_BLOCKS) or any(idf[name].shape != (len(vocabulary[name]),) for name in _BLOCKS):
            raise InvalidInput(f"expected terms and frequencies of {', '.join(_BLOCKS)}, found others")
        if weights.shape != (len(LABELS), width) or intercept.shape != (len(LABELS),):
            raise InvalidInput(f"expected weights of shape (3, {width}), found {weights.shape}")
        if not all(np.isfinite(part).all() for part in (weights, intercept, *idf.values())):
            raise InvalidInput("expected finite weights, found others; fit again")
        self.vocabulary, self.idf, self.weights, self.intercept = vocabulary, idf, weights, intercept
        self._blocks = {name: _block(name, vocabulary[name], idf[name]) for name in _BLOCKS}
        parts = {"vocabulary": _digest_json(vocabulary), **{f"idf.{name}": _digest_array(idf[name]) for name in _BLOCKS}}
        parts |= {"weights": _digest_array(weights), "intercept": _digest_array(intercept), "lexicon": Lexicon().version}
        self.version = digest({"format": FORMAT, "kind": self.name, **parts})

    @classmethod
    def fit(cls, texts: Sequence[str], labels: NDArray[np.int64], *, C: float = 10.0) -> HeadlineModel:
        """Fit on labelled texts.

        Parameters
        ----------
        texts : n texts
        labels : (n,) places in LABELS; each of the three must occur
        C : inverse strength of the ridge, above 0

        Raises
        ------
        ShortHistory : fewer than 30 texts
        InvalidInput : a label is missing or out of range, or C is not above 0
        """
        read = [plain(text) for text in checked_texts(texts)]
        labels = np.asarray(labels)
        if len(read) < LEAST_TEXTS:
            raise ShortHistory(f"expected at least {LEAST_TEXTS} labelled texts, found {len(read)}")
        if labels.shape != (len(read),) or set(np.unique(labels).tolist()) != {0, 1, 2}:
            raise InvalidInput(f"expected a label out of {', '.join(LABELS)} for each text, each of them at least once")
        if not (np.isfinite(C) and C > 0):
            raise InvalidInput(f"expected C above 0, found {C}")
        from scipy.sparse import hstack
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        vectorisers = {name: TfidfVectorizer(sublinear_tf=True, **how) for name, how in _BLOCKS.items()}
        blocks = [vectoriser.fit_transform(read) for vectoriser in vectorisers.values()]
        table = hstack([*blocks, opinions(read)]).tocsr()
        model = LogisticRegression(C=C, max_iter=2000).fit(table, labels)
        return cls(
            {name: vectoriser.get_feature_names_out().tolist() for name, vectoriser in vectorisers.items()},
            {name: np.asarray(vectoriser.idf_, dtype=np.float64) for name, vectoriser in vectorisers.items()},
            np.asarray(model.coef_, dtype=np.float64),
            np.asarray(model.intercept_, dtype=np.float64),
        )

    def odds(self, texts: Sequence[str]) -> Floats:
        """(n, 3) probabilities in the order of LABELS."""
        from scipy.sparse import hstack

        read = [plain(text) for text in checked_texts(texts)]
        found = [np.zeros((0, len(LABELS)))]
        for first in range(0, len(read), _BATCH):
            part = read[first : first + _BATCH]
            table = hstack([*(block.transform(part) for block in self._blocks.values()), opinions(part)]).tocsr()
            eta = np.asarray(table @ self.weights.T) + self.intercept
            odds = np.exp(eta - eta.max(axis=1, keepdims=True))
            found.append(odds / odds.sum(axis=1, keepdims=True))
        return np.concatenate(found)

    def score(self, texts: Sequence[str]) -> Scored:
        """Scores of the texts, from their odds."""
        return from_odds(self.odds(texts), [is_blank(text) for text in texts])

    def save(self, folder: Path) -> str:
        """Write the model into `folder` (made if needed), the manifest last; returns its version."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"weights": self.weights, "intercept": self.intercept} | {f"idf_{name}": self.idf[name] for name in _BLOCKS}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        vocabulary = json.dumps(self.vocabulary, ensure_ascii=False, sort_keys=True).encode()
        files = {VOCABULARY: _write(folder / VOCABULARY, vocabulary), WEIGHTS: _write(folder / WEIGHTS, buffer.getvalue())}
        manifest = {"format": FORMAT, "kind": self.name, "hash": self.version, "lexicon": Lexicon().version, "files": files}
        _write(folder / MANIFEST, json.dumps(manifest, sort_keys=True, indent=1).encode())
        return self.version

    @classmethod
    def load(cls, folder: Path) -> HeadlineModel:
        """The model that was saved in `folder`.

        Raises
        ------
        MissingData : none was
        IntegrityError : bytes or parameters are not those that were saved
        InvalidInput : it was fitted with another lexicon than this version's
        """
        if not (folder / MANIFEST).is_file():
            raise MissingData(f"expected a headline model in {folder}, found none; fieldcast train headline FILE")
        manifest = _parsed(folder / MANIFEST, (folder / MANIFEST).read_bytes())
        if manifest.get("format") != FORMAT or manifest.get("kind") != cls.name or not isinstance(manifest.get("files"), dict):
            raise IntegrityError(f"expected a manifest of a headline model, format {FORMAT}, in {folder}; fit again")
        if manifest.get("lexicon") != Lexicon().version:
            raise InvalidInput(f"expected a headline model fitted with this lexicon in {folder}, found another's; fit again")
        content = {name: _checked(folder / name, manifest["files"].get(name)) for name in (VOCABULARY, WEIGHTS)}
        vocabulary = _parsed(folder / VOCABULARY, content[VOCABULARY])
        try:
            with np.load(io.BytesIO(content[WEIGHTS]), allow_pickle=False) as arrays:
                idf = {name: arrays[f"idf_{name}"] for name in _BLOCKS}
                model = cls(vocabulary, idf, arrays["weights"], arrays["intercept"])
        except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise IntegrityError(f"expected the arrays of a headline model in {folder}, found: {error}; fit again") from None
        if model.version != manifest.get("hash"):
            raise IntegrityError(f"expected model {manifest.get('hash')} in {folder}, found {model.version}; fit again")
        return model


def opinions(texts: Sequence[str]) -> Any:
    """(n, 3) sparse: what the lexicon makes of each text."""
    from scipy.sparse import csr_matrix

    good, bad = Lexicon().amounts(texts).T
    return csr_matrix(np.column_stack([np.tanh(good / 2.0), np.tanh(bad / 2.0), (good - bad) / (good + bad + 1.0)]))


def plain(text: str) -> str:
    """In lower case, every number as 0."""
    return _NUMBER.sub("0", text.lower())


def _block(name: str, terms: list[str], idf: Floats) -> Any:
    """The fitted vectoriser of a block, made again from its terms and frequencies."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    how = {key: value for key, value in _BLOCKS[name].items() if key != "min_df"}
    vectoriser = TfidfVectorizer(sublinear_tf=True, vocabulary={term: place for place, term in enumerate(terms)}, **how)
    vectoriser.idf_ = idf
    return vectoriser


def _digest_array(values: Floats) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f8").tobytes()).hexdigest()


def _digest_json(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False, sort_keys=True).encode()).hexdigest()


def _write(path: Path, content: bytes) -> str:
    """Write durably under a temporary name, then rename; returns the SHA-256 of the bytes."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)
    return hashlib.sha256(content).hexdigest()


def _checked(path: Path, recorded: object) -> bytes:
    if not path.is_file():
        raise MissingData(f"expected {path.name} beside its manifest in {path.parent}, found none; fit again")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != recorded:
        raise IntegrityError(f"expected {path} as it was saved, found other bytes; restore it or fit again")
    return content


def _parsed(path: Path, content: bytes) -> Any:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise IntegrityError(f"expected JSON in {path}, found {error}") from None
    if not isinstance(found, dict):
        raise IntegrityError(f"expected an object in {path}, found {type(found).__name__}")
    return found
