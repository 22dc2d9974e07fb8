"""Numbers between commas, the whole file at once: LEAN's files have neither header nor quotes.

A run of digits is found and read eight bytes at a time: bytes that are no digit show in the highest bit of each byte of
w + 0x76…76, w the text less eight times the digit zero, and three multiplications join eight digits to a number
(D. Lemire, Quickly parsing eight digits, 2018). What does not fit that (a sign, sixteen digits and more, the last bytes of the
file) is read byte by byte.
"""

# mypy: allow-untyped-decorators, disable-error-code="call-arg,unreachable"

from __future__ import annotations

import numba
import numpy as np

from fieldcast.data.formats._kernels_bytes import load_word, trailing_zeros

_LARGEST = 9007199254740991  # 2**53 - 1: whole numbers up to here are exact in float64
_POWERS = 10.0 ** np.arange(23)  # exact in float64, so that digits / power is rounded once, as strtod does
_WHOLE_POWERS = 10 ** np.arange(9)
_AHEAD = 32  # bytes that a fast field may look at
_ZEROS, _OVER, _HIGH = np.uint64(0x3030303030303030), np.uint64(0x7676767676767676), np.uint64(0x8080808080808080)
_FOURS = np.uint64(0x000000FF000000FF)
_HUNDREDS, _UNITS = np.uint64(0x000F424000000064), np.uint64(0x0000271000000001)
_TEN, _EIGHT, _SIXTEEN, _HALF, _WORD = np.uint64(10), np.uint64(8), np.uint64(16), np.uint64(32), np.uint64(64)


@numba.njit(cache=True, nogil=True, inline="always")
def _digits(word):  # type: ignore[no-untyped-def]
    """How many of a word's lowest bytes are digits; `word` less eight times the digit zero."""
    return trailing_zeros(((word + _OVER) | word) & _HIGH) >> 3


@numba.njit(cache=True, nogil=True, inline="always")
def _joined(word, count):  # type: ignore[no-untyped-def]
    """The number that the lowest 1 to 8 bytes, digits all, make."""
    word <<= _WORD - (np.uint64(count) << np.uint64(3))
    word = word * _TEN + (word >> _EIGHT)
    return np.int64(((word & _FOURS) * _HUNDREDS + ((word >> _SIXTEEN) & _FOURS) * _UNITS) >> _HALF)


@numba.njit(cache=True, nogil=True)
def parse_numbers(data: np.ndarray, fields: int, out: np.ndarray) -> int:
    """Lines of exactly `fields` plain decimal numbers.

    Parameters
    ----------
    data : (b,) bytes of the text; lines end with a line feed, with or without a carriage return before it, the last one need not
    out : (fields, n) to fill, n at least the number of lines; an empty field becomes NaN

    Returns
    -------
    how many lines were read; -1 where a line has another number of fields or a field is anything but digits with at most one
    point and a minus sign before them (then `out` means nothing)
    """
    row = 0
    field = 0
    size = data.shape[0]
    position = 0
    while position < size:
        if field >= fields:
            return -1
        number = np.nan
        end = -1
        if position + _AHEAD <= size:
            word = load_word(data, position) ^ _ZEROS
            count = _digits(word)
            if count > 0:
                value = _joined(word, count)
                if count == 8:
                    word = load_word(data, position + 8) ^ _ZEROS
                    more = _digits(word)
                    if more > 0:
                        value = value * _WHOLE_POWERS[more] + _joined(word, more)
                        count += more
                if count < 16:
                    end = position + count
                    number = float(value)
                    if data[end] == 46:
                        word = load_word(data, end + 1) ^ _ZEROS
                        decimals = _digits(word)
                        if 0 < decimals < 8 and count + decimals < 16:
                            number = (value * _WHOLE_POWERS[decimals] + _joined(word, decimals)) / _POWERS[decimals]
                            end += decimals + 1
                    byte = data[end]
                    if byte == 13 and data[end + 1] == 10:
                        end += 1
                    elif byte != 44 and byte != 10:
                        end = -1
        if end < 0:     # byte by byte
            digits = 0
            value = 0
            decimals = -1
            negative = False
            end = position
            while end < size and data[end] != 44 and data[end] != 10:
                byte = data[end]
                if 48 <= byte <= 57:
                    value = value * 10 + (byte - 48)
                    if value > _LARGEST:
                        return -1
                    digits += 1
                    if decimals >= 0:
                        decimals += 1
                elif byte == 46 and decimals < 0:
                    decimals = 0
                elif byte == 45 and digits == 0 and not negative and decimals < 0:
                    negative = True
                elif byte != 13 or end + 1 >= size or data[end + 1] != 10:
                    return -1
                end += 1
            if digits == 0:
                if negative or decimals >= 0:
                    return -1
                number = np.nan
            else:
                if decimals > 22:
                    return -1
                number = value / _POWERS[decimals] if decimals > 0 else float(value)
                if negative:
                    number = -number
        out[field, row] = number
        field += 1
        if end >= size or data[end] == 10:
            if field != fields:
                return -1
            row += 1
            field = 0
        position = end + 1
    return row if field == 0 else -1
