"""The name of an intent, the same however often it is derived.

    client_id = last 26 digits of base36(SHA-256(canonical JSON of the list
                account, portfolio, slot, instrument, leg, attempt))

26 characters `[a-z0-9]` are 134 bits, and every venue that we know takes them as a client order id. The parts stand in
a JSON list, so no two different lists of parts share a text. Configuration and data are deliberately no part of it: a
replay of a slot finds the order that it has already placed.
"""

from __future__ import annotations

from fieldcast.ground import InvalidInput, digest

CLIENT_ID_LENGTH = 26
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def client_id(account: str, portfolio: str, slot: str, instrument: str, leg: str, attempt: int) -> str:
    """The 26-character id of one attempt at one leg of one decision.

    Parameters
    ----------
    account, portfolio : whose money
    slot : session date and name of the cycle, such as `2018-12-31/daily`
    instrument : instrument id
    leg : part of the decision; `main` where there is only one
    attempt : 1 for the first; a revision or a new price takes the next number

    Raises
    ------
    InvalidInput : a part is empty, or the attempt is below 1
    """
    parts = {"account": account, "portfolio": portfolio, "slot": slot, "instrument": instrument, "leg": leg}
    for label, part in parts.items():
        if not part:
            raise InvalidInput(f"expected a {label} to derive an order id from, found an empty one")
    if attempt < 1:
        raise InvalidInput(f"expected an attempt of at least 1, found {attempt}")
    number = int(digest([account, portfolio, slot, instrument, leg, attempt]), 16)
    letters = []
    for _ in range(CLIENT_ID_LENGTH):
        number, digit = divmod(number, 36)
        letters.append(_DIGITS[digit])
    return "".join(reversed(letters))
