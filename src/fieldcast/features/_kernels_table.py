"""What a table of features is checked by, in one pass over its arrays: the range of prices, and which values are known.

Doubles are compared by their bits: of numbers that are not negative the bits have the order of the numbers, infinity and NaN
stand above all of them, and a negative number is a negative integer. So a range needs no case for NaN, and both loops become
vector instructions.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

import numpy as np
from numba import njit

INFINITE = 0x7FF0000000000000  # bits of infinity; those of NaN are above
WORD = 64


@njit(cache=True, nogil=True)
def extent(line):  # type: ignore[no-untyped-def]
    """Least and greatest bits of a line of doubles, as integers; (0, 0) of an empty one."""
    bits = line.view(np.int64)
    if bits.shape[0] == 0:
        return 0, 0
    least, most = bits[0], bits[0]
    for i in range(bits.shape[0]):
        least = min(least, bits[i])
        most = max(most, bits[i])
    return least, most


@njit(cache=True, nogil=True)
def plain_numbers(opened, high, low, close, volume):  # type: ignore[no-untyped-def]
    """Whether prices are positive, volumes not negative, and none of them infinite or NaN."""
    for price in (opened, high, low, close):
        least, most = extent(price)
        if least <= 0 or most >= INFINITE:
            return False
    least, most = extent(volume)
    return least >= 0 and most < INFINITE


@njit(cache=True, nogil=True, error_model="numpy")
def mark_known(lines, rows, first, last, marks):  # type: ignore[no-untyped-def]
    """Which values of the words `first` to `last` are no NaN, a bit each; returns how many are infinite.

    lines (p, at least `rows`): C-contiguous, each a multiple of 64 long; marks (p, words): bit r of word w is row 64 w + r
    """
    endless = 0
    for k in range(lines.shape[0]):
        line = lines[k]
        for word in range(first, last):
            begin = word * WORD
            end = min(begin + WORD, rows)
            doubtful = 0
            for i in range(begin, end):
                doubtful += 1 if line[i] - line[i] != 0.0 else 0
            if doubtful == 0:
                marks[k, word] = np.uint64(0xFFFFFFFFFFFFFFFF)
                continue
            known = np.uint64(0)
            for i in range(begin, end):
                value = line[i]
                if value == value:
                    known |= np.uint64(1) << np.uint64(i - begin)
                endless += 1 if abs(value) == np.inf else 0
            marks[k, word] = known
    return endless
