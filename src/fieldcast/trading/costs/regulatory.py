"""Section 31 and Trading Activity Fee: what the SEC and FINRA take of each sale of US shares and options, by day.

Only spans whose rate a notice of the regulator (or a broker who passes it on) states are on record; a day between them is not
known and is refused. Both are charged to members and passed on by nearly every broker.

    section 31        dollars for each dollar sold
    activity fee      dollars a share sold, and the most for one trade; of options dollars a contract sold

Section 31 is of the value of a sale, of an option its premium times the multiplier; options on indices, the narrow ones apart,
pay none (15 U.S.C. 78ee(b), (c)).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from fieldcast.ground import MissingData


@dataclass(frozen=True, slots=True)
class RegulatoryRate:
    """A rate and the days, both included, on which it is known to have held."""

    first: date
    last: date
    rate: Decimal
    most: Decimal | None
    source: str


SECTION_31 = (
    RegulatoryRate(
        date(2014, 3, 18), date(2014, 9, 30), Decimal("0.0000221"), None,
        "FINRA Information Notice 3/3/14: 22.10 a million from 2014-03-18 until 2014-09-30 or later",
    ),
    RegulatoryRate(
        date(2016, 2, 25), date(2016, 9, 30), Decimal("0.0000218"), None,
        "FINRA Information Notice 3/15/16: stays at 21.80 a million until 2016-09-30 or later",
    ),
    RegulatoryRate(
        date(2018, 5, 7), date(2018, 5, 21), Decimal("0.0000231"), None,
        "FINRA Information Notice 5/7/18: 23.10 a million at its date, until 2018-05-21",
    ),
    RegulatoryRate(
        date(2018, 5, 22), date(2019, 4, 15), Decimal("0.0000130"), None,
        "FINRA Information Notice 5/7/18: 13.00 a million from 2018-05-22; SEC Fee Rate Advisory #2 for fiscal year 2019: until "
        "2019-04-15",
    ),
    RegulatoryRate(
        date(2019, 4, 16), date(2020, 2, 17), Decimal("0.0000207"), None,
        "SEC Fee Rate Advisory #2 for fiscal year 2019: 20.70 a million from 2019-04-16; FINRA Information Notice 2/3/20: until "
        "2020-02-17",
    ),
    RegulatoryRate(
        date(2020, 2, 18), date(2021, 2, 24), Decimal("0.0000221"), None,
        "FINRA Information Notices 2/3/20 and 2/16/21: 22.10 a million from 2020-02-18 to 2021-02-24",
    ),
    RegulatoryRate(
        date(2021, 2, 25), date(2022, 5, 13), Decimal("0.0000051"), None,
        "FINRA Information Notice 2/16/21: 5.10 a million from 2021-02-25; MEMX Trader Alert 22-11: until 2022-05-13",
    ),
    RegulatoryRate(
        date(2022, 5, 14), date(2023, 2, 26), Decimal("0.0000229"), None,
        "MEMX Trader Alert 22-11, of SEC Fee Rate Advisory #1 for fiscal year 2022: 22.90 a million from 2022-05-14; SEC, "
        "2023-01-23 (88 FR 5051): until 2023-02-26",
    ),
    RegulatoryRate(
        date(2023, 2, 27), date(2024, 5, 21), Decimal("0.0000080"), None,
        "SEC, 2023-01-23 (88 FR 5051): 8.00 a million from 2023-02-27; SEC, 2024-04-17 (89 FR 29402): until 2024-05-21",
    ),
    RegulatoryRate(
        date(2024, 5, 22), date(2025, 5, 13), Decimal("0.0000278"), None,
        "SEC, 2024-04-17 (89 FR 29402): 27.80 a million from 2024-05-22; FINRA Information Notice 4/24/25: until 2025-05-13",
    ),
    RegulatoryRate(
        date(2025, 5, 14), date(2026, 3, 3), Decimal(0), None,
        "FINRA Information Notice 4/24/25: 0.00 a million from 2025-05-14; the next order is of 2026-02-27, published 2026-03-04 "
        "(91 FR 10643)",
    ),
)  # fmt: skip
"""Known spans; where a notice says `or later`, the span ends with the day that is certain."""

ACTIVITY_FEE = (
    RegulatoryRate(
        date(2011, 7, 1), date(2012, 2, 29), Decimal("0.000090"), Decimal("4.50"),
        "FINRA Regulatory Notices 11-27 and 12-06: from 2011-07-01 to the increase of 2012-03-01",
    ),
    RegulatoryRate(
        date(2024, 11, 1), date(2025, 12, 31), Decimal("0.000166"), Decimal("8.30"),
        "alpaca.markets/support/regulatory-fees and tradestation.com, both before and after 2025-05-14; the next change is that "
        "of 2026 (SR-FINRA-2024-019, 89 FR 93709)",
    ),
)  # fmt: skip

OPTION_ACTIVITY_FEE = (
    RegulatoryRate(
        date(2024, 11, 1), date(2025, 12, 31), Decimal("0.00279"), None,
        "brokerage-review.com/account-fee/taf-fee.aspx, beside the rate of shares of these days; Tiger Brokers, "
        "itigerup.com/en/help/detail/67485414, beside the section 31 of 2024-05-22 to 2025-05-13; whether one trade has a most "
        "neither says",
    ),
)  # fmt: skip
"""Dollars a contract. FINRA sets it together with that of shares, so that both hold on the same days."""


def section_31_rate(day: date) -> Decimal:
    """Dollars for each dollar of a sale on that day.

    Raises
    ------
    MissingData : the rate of that day is not on record
    """
    return _on(day, SECTION_31, "section 31 fee").rate


def trading_activity_fee(day: date) -> tuple[Decimal, Decimal | None]:
    """Dollars a share sold on that day, and the most for one trade.

    Raises
    ------
    MissingData : the rate of that day is not on record
    """
    found = _on(day, ACTIVITY_FEE, "trading activity fee")
    return found.rate, found.most


def option_activity_fee(day: date) -> Decimal:
    """Dollars a contract sold on that day.

    Raises
    ------
    MissingData : the rate of that day is not on record
    """
    return _on(day, OPTION_ACTIVITY_FEE, "trading activity fee of options").rate


def _on(day: date, known: tuple[RegulatoryRate, ...], what: str) -> RegulatoryRate:
    for one in known:
        if one.first <= day <= one.last:
            return one
    spans = ", ".join(f"{one.first} to {one.last}" for one in known)
    raise MissingData(
        f"expected a day with a {what} on record ({spans}), found {day}; give the rates yourself "
        "(section_31=, activity_per_unit=, activity_maximum= of FeeSchedule), or leave them out with without_regulatory()"
    )
