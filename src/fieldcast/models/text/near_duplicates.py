"""Groups of texts that say the same in nearly the same words, so that a fold never learns from what it is tested on.

Company news is full of templates ("Operating profit rose to EUR 5.2 mn from EUR 4.1 mn"), of which each year brings another
copy. A text is the set of its runs of one, two and three words, numbers written as one sign; two texts are near-duplicates where
the sets' Jaccard similarity

    J = |A ∩ B| / |A ∪ B|  ≥ 0.5

and groups are the connected components of that relation, so that a chain of copies is one group. All pairs are compared
(sparse products of blocks), none is guessed by hashing as MinHash would (Broder 1997): at the size of a labelled corpus the
exact answer costs seconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.models.text.contract import checked_texts

SIMILAR = 0.5
LONGEST_RUN = 3  # words
_BLOCK = 512  # texts compared with all others at a time
_WORD = re.compile(r"[^\W\d_]+|\d[\d.,:/-]*")


def shingles(text: str) -> frozenset[str]:
    """Runs of one to three words, in lower case; every number is `0`."""
    words = ["0" if word[0].isdigit() else word for word in _WORD.findall(text.lower())]
    return frozenset(" ".join(words[at : at + n]) for n in range(1, LONGEST_RUN + 1) for at in range(len(words) - n + 1))


def near_duplicate_groups(texts: Sequence[str], similar: float = SIMILAR) -> NDArray[np.int64]:
    """The group of each text.

    Parameters
    ----------
    texts : n texts
    similar : Jaccard similarity from which two texts are near-duplicates, in (0, 1]

    Returns
    -------
    (n,) numbers of groups, 0 … in the order of their first texts; texts without a word are groups of their own

    Raises
    ------
    InvalidInput : `similar` is out of range, or something is no text
    """
    if not 0.0 < similar <= 1.0:
        raise InvalidInput(f"expected a similarity above 0 and up to 1, found {similar}")
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    sets = [shingles(text) for text in checked_texts(texts)]
    if not sets:
        return np.zeros(0, np.int64)
    pairs = list(_pairs(sets, similar))
    left, right = (np.concatenate(side) for side in zip(*pairs, strict=True))
    links = coo_matrix((np.ones(left.size), (left, right)), shape=(len(sets), len(sets)))
    _, component = connected_components(links, directed=False)
    _, first, group = np.unique(component, return_index=True, return_inverse=True)
    order = np.empty(first.size, np.int64)
    order[np.argsort(first)] = np.arange(first.size)
    return order[group]


def _pairs(sets: Sequence[frozenset[str]], similar: float) -> Any:
    """(left, right) places of near-duplicates, block by block."""
    from scipy.sparse import csr_matrix

    place: dict[str, int] = {}
    columns = [place.setdefault(item, len(place)) for found in sets for item in sorted(found)]
    sizes = np.array([len(found) for found in sets])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    table = csr_matrix((np.ones(len(columns), np.float32), columns, starts), shape=(len(sets), max(len(place), 1)))
    turned = table.T.tocsc()
    for first in range(0, len(sets), _BLOCK):
        shared = (table[first : first + _BLOCK] @ turned).tocoo()
        union = sizes[first + shared.row] + sizes[shared.col] - shared.data
        near = shared.data >= similar * union
        yield first + shared.row[near], shared.col[near]
