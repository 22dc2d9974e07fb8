"""The headline model fitted on the user's own copy of a labelled corpus, and what it is worth.

Accuracy is out-of-fold: ten folds of whole groups of near-duplicates. Another corpus (FiQA) shows what is left of it elsewhere.
The lexicon is measured on the same texts beside it, since a fitted model that does not beat it is not worth its file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcast.data import MemoryStore, Options, import_source
from fieldcast.ground import InvalidInput, MissingData, Shown
from fieldcast.models.text import (
    LABELS,
    Accuracy,
    HeadlineModel,
    Lexicon,
    Transfer,
    accuracy_of,
    out_of_fold,
    transfer_of,
)
from fieldcast.workflows.progress import Progress, silent
from fieldcast.workflows.workspace import Workspace

LICENCE = "fitted on your copy and for your use: Financial PhraseBank is CC BY-NC-SA 3.0 (non-commercial); no weights are shipped"
_STAGE = "Headline model, out of fold"


@dataclass(frozen=True)
class HeadlineTrained(Shown):
    """The fitted model and its measure.

    Parameters
    ----------
    folder : where the model is
    version : SHA-256 over its parameters
    texts, groups, near_duplicates : labelled texts; groups of near-duplicates; texts that share a group
    out_of_fold, lexicon : accuracy on the same texts, of the model by folds and of the lexicon
    transfer : name of another corpus's file → the model and the lexicon on it
    note : of the corpus's licence
    """

    folder: Path
    version: str
    texts: int
    groups: int
    near_duplicates: int
    out_of_fold: Accuracy
    lexicon: Accuracy
    transfer: dict[str, dict[str, Transfer]]
    note: str = LICENCE

    def as_dict(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "version": self.version,
            "texts": self.texts,
            "groups": self.groups,
            "near_duplicates": self.near_duplicates,
            "out_of_fold": asdict(self.out_of_fold),
            "lexicon": asdict(self.lexicon),
            "transfer": {name: {who: asdict(found) for who, found in parts.items()} for name, parts in self.transfer.items()},
            "note": self.note,
        }


def train_headline(
    workspace: Workspace,
    file: Path | str,
    *,
    transfer: list[Path] | None = None,
    out: Path | None = None,
    folds: int = 10,
    progress: Progress = silent,
) -> HeadlineTrained:
    """Fit the headline model on a file of labelled sentences, and measure it.

    Parameters
    ----------
    file : Financial PhraseBank, or another file of `sentence@label`
    transfer : files with numbers instead of labels (FiQA), on which the fitted model is tried
    out : folder of the model; None = `models/headline` of the workspace, where `data score --scorer headline` looks
    folds : of the measure, from 2 to 50

    Raises
    ------
    InvalidInput : a file cannot be read as what it should be, or the number of folds is out of range
    MissingData : a file has no labels (numbers), or too few groups of texts for so many folds
    """
    if not 2 <= folds <= 50:
        raise InvalidInput(f"expected 2 to 50 folds, found {folds}")
    rows = _read(workspace, Path(file), "label")
    texts, labels = rows["text"].to_list(), rows["label"].replace_strict({name: n for n, name in enumerate(LABELS)}).to_numpy()
    others = {path.name: _read(workspace, path, "score") for path in map(Path, transfer or [])}
    measured = out_of_fold(
        texts,
        labels,
        lambda part, known: HeadlineModel.fit(part, known).score,
        folds=folds,
        progress=lambda done, count: progress(_STAGE, done, count),
    )
    progress(_STAGE, folds, folds)
    model, lexicon = HeadlineModel.fit(texts, labels), Lexicon()
    folder = out or workspace.home / "models" / "headline"
    version = model.save(folder)
    sizes = np.bincount(measured.group)
    return HeadlineTrained(
        folder=folder,
        version=version,
        texts=len(texts),
        groups=sizes.size,
        near_duplicates=int(sizes[sizes > 1].sum()),
        out_of_fold=accuracy_of(measured.scored, labels, measured.group),
        lexicon=accuracy_of(lexicon.score(texts), labels, measured.group),
        transfer={
            name: {
                scorer.name: transfer_of(scorer.score(found["text"].to_list()), found["score"].to_numpy())
                for scorer in (model, lexicon)
            }
            for name, found in others.items()
        },
    )


def _read(workspace: Workspace, path: Path, column: str) -> pl.DataFrame:
    """Texts of a file with their labels or numbers, in the order of the file."""
    if not path.is_file():
        raise MissingData(f"expected a file of texts at {path}, found none")
    store = MemoryStore()
    import_source(path, Options(now=workspace.clock.now()), store=store)
    names = store.datasets().filter(pl.col("table") == "news")["instrument"].to_list()
    rows = pl.concat([store.read(name, table="news") for name in names]) if names else pl.DataFrame()
    rows = rows.filter(pl.col(column).is_not_null()) if names else rows
    if rows.is_empty():
        raise MissingData(f"expected texts with a {column} in {path}, found none; see fieldcast data formats")
    return rows.sort("item")
