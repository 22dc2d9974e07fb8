"""Numbers between commas, the whole file at once: LEAN's files have neither header nor quotes."""

from __future__ import annotations

import numba
import numpy as np

_LARGEST = 9007199254740991  # 2**53 - 1: whole numbers up to here are exact in float64
_POWERS = 10.0 ** np.arange(23)  # exact in float64, so that digits / power is rounded once, as strtod does


@numba.njit(cache=True, nogil=True)
def parse_numbers(data: np.ndarray, fields: int, out: np.ndarray) -> int:
    """Lines of exactly `fields` plain decimal numbers.

    Parameters
    ----------
    data : (b,) bytes of the text; lines end with a line feed, with or without a carriage return before it
    out : (fields, n) to fill, n at least the number of lines; an empty field becomes NaN

    Returns
    -------
    how many lines were read; -1 where a line has another number of fields or a field is anything but digits with at most one
    point and a minus sign before them (then `out` means nothing)
    """
    row = 0
    field = 0
    digits = 0
    value = 0
    decimals = -1
    negative = False
    size = data.shape[0]
    position = 0
    while position < size:
        byte = data[position]
        if 48 <= byte <= 57:
            value = value * 10 + (byte - 48)
            if value > _LARGEST:
                return -1
            digits += 1
            if decimals >= 0:
                decimals += 1
        elif byte == 44 or byte == 10:
            if field >= fields:
                return -1
            if digits == 0:
                if negative or decimals >= 0:
                    return -1
                out[field, row] = np.nan
            else:
                if decimals > 22:
                    return -1
                number = value / _POWERS[decimals] if decimals > 0 else float(value)
                out[field, row] = -number if negative else number
            field += 1
            if byte == 10:
                if field != fields:
                    return -1
                row += 1
                field = 0
            digits = 0
            value = 0
            decimals = -1
            negative = False
        elif byte == 46:
            if decimals >= 0:
                return -1
            decimals = 0
        elif byte == 45:
            if digits > 0 or negative or decimals >= 0:
                return -1
            negative = True
        elif byte == 13:
            if position + 1 >= size or data[position + 1] != 10:
                return -1
        else:
            return -1
        position += 1
    return row if field == 0 and digits == 0 and decimals < 0 and not negative else -1
