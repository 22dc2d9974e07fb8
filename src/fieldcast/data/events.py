"""What is scheduled: earnings, ex-dividend dates, expiries, macro releases; as far as it was announced by a moment.

A row of table `events` is an announcement: `ts` is when it was made, `happens_at` what it announces. The same item can be
announced again with another date; the newest announcement that was out at `as_of` counts, and one whose note is `cancelled` takes
the item off the calendar. Before its announcement an event does not exist.

Expiries follow from the exchange's rules and calendar, so their dates are known long before; the announcement is assumed (reason
`availability_assumed`) at the exchange's usual listing lead. A rule date on a holiday moves to the session before it.
Sources: Cboe, "Weekly and quarterly expirations", VIX contract specifications (final settlement date); OCC, standard expiration
calendar; futures: `data.contracts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from fieldcast.data.actions import DIVIDEND
from fieldcast.data.contracts import contracts
from fieldcast.data.releases import midnight
from fieldcast.data.store import Store
from fieldcast.ground import InvalidInput, MissingData, Reason, utc
from fieldcast.market import sessions
from fieldcast.market.tables import EVENTS

KINDS = ("earnings", "ex_dividend", "expiry", "macro_release", "roll")
CANCELLED = "cancelled"
DAY_ONLY = "day only"  # begins the note of an event whose time of day is not known: `happens_at` is the end of its day
_DAY = timedelta(days=1)


# reading ------------------------------------------------------------------------------------------------------------


def upcoming(
    source: Store | pl.DataFrame,
    instrument: str | Sequence[str],
    as_of: datetime,
    horizon: timedelta | datetime,
    *,
    kinds: Sequence[str] = KINDS,
    dataset: str | None = None,
) -> pl.DataFrame:
    """What was on the calendar at `as_of`, from then to the horizon.

    Parameters
    ----------
    source : a store, or announcements (schema of `events`, all versions)
    instrument : one id or several; those of which the store has no events have none
    horizon : how far to look, or until when (included); an event that began at or before `as_of` is over
    kinds : out of `KINDS`

    Returns
    -------
    schema of `events`, by `happens_at`; one row for each item, in its newest announcement

    Raises
    ------
    InvalidInput : an unknown kind, or a horizon before `as_of`
    """
    moment = utc(as_of)
    end = moment + horizon if isinstance(horizon, timedelta) else utc(horizon)
    if end < moment:
        raise InvalidInput(f"expected a horizon after {moment.isoformat()}, found {end.isoformat()}")
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise InvalidInput(f"expected kinds of events out of {', '.join(KINDS)}, found {', '.join(unknown)}")
    ids = [instrument] if isinstance(instrument, str) else list(instrument)
    rows = known_events(_announcements(source, ids, moment, dataset), moment)
    vague = pl.col("note").fill_null("").str.starts_with(DAY_ONLY)
    begins = pl.when(vague).then(pl.col("happens_at") - _DAY).otherwise(pl.col("happens_at"))
    wanted = pl.col("event").is_in(list(kinds)) & (pl.col("happens_at") > moment) & (begins <= end)
    return rows.filter(wanted).sort("happens_at", "instrument", "event", "item")


def known_events(announcements: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """One row for each item: its newest announcement that was out at `as_of`; cancelled items are gone."""
    moment = utc(as_of)
    out = announcements.filter((pl.col("ts") <= moment) & (pl.col("available_at") <= moment))
    newest = out.sort("ts", "available_at", maintain_order=True).unique(
        ["instrument", "event", "item"], keep="last", maintain_order=True
    )
    return newest.filter(pl.col("note").fill_null("") != CANCELLED)


def _announcements(source: Store | pl.DataFrame, ids: list[str], as_of: datetime, dataset: str | None) -> pl.DataFrame:
    if isinstance(source, pl.DataFrame):
        return source.filter(pl.col("instrument").is_in(ids))
    found = [EVENTS.empty()]
    for id in ids:
        try:
            found.append(source.read(id, table=EVENTS.name, as_of=as_of, dataset=dataset))
        except MissingData:
            continue      # nothing was ever announced for it
    return pl.concat(found)


# making -------------------------------------------------------------------------------------------------------------


def ex_dividends(actions: pl.DataFrame) -> pl.DataFrame:
    """Dividends of table `actions` as events; the announcement is the action's own `ts`.

    Where the source did not say when a dividend was announced, its `ts` is the ex-date and the event is never upcoming.
    """
    paid = actions.filter(pl.col("action") == DIVIDEND)
    return _rows(
        paid.select(
            "instrument", "ts", "available_at", "reasons",
            happens_at="effective_at",
            event=pl.lit("ex_dividend"),
            item=(pl.col("effective_at") + pl.duration(hours=13)).dt.date().cast(pl.String),  # the day, from UTC-10 to UTC+13
            value="amount",
        )
    )


@dataclass(frozen=True)
class ExpiryRule:
    """When contracts of a kind expire.

    Parameters
    ----------
    cycle : `monthly` (third Friday), `weekly` (the other Fridays), `quarterly` (last session of the quarter), `vix` (the
        Wednesday 30 days before the third Friday of the next month)
    settlement : `AM` (at the open) or `PM` (at the close)
    months : calendar months in which contracts expire
    lead_days : how long before the exchange has listed them
    """

    cycle: str
    settlement: str
    months: tuple[int, ...] = tuple(range(1, 13))
    lead_days: int = 365
    calendar: str = "XNYS"


_QUARTERS = (3, 6, 9, 12)
EXPIRY_RULES = {
    "equity-monthly": ExpiryRule("monthly", "PM"),
    "equity-weekly": ExpiryRule("weekly", "PM", lead_days=35),
    "equity-quarterly": ExpiryRule("quarterly", "PM", _QUARTERS),
    "spx-monthly": ExpiryRule("monthly", "AM"),
    "spxw-weekly": ExpiryRule("weekly", "PM", lead_days=35),
    "vix-monthly": ExpiryRule("vix", "AM", lead_days=180),
}
_FUTURES_LEAD = timedelta(days=365)


def expiries(instrument: str, rule: str, first: date, last: date) -> pl.DataFrame:
    """Expiries of options or futures on an instrument by the exchange's rule.

    Parameters
    ----------
    rule : name in `EXPIRY_RULES`
    first, last : the rule dates, both included

    Returns
    -------
    schema of `events`: event `expiry`, item the rule and its date, `happens_at` the settlement

    Raises
    ------
    InvalidInput : no such rule, or a span beyond the calendar
    """
    if rule not in EXPIRY_RULES:
        raise InvalidInput(f"expected an expiry rule out of {', '.join(EXPIRY_RULES)}, found {rule!r}")
    how = EXPIRY_RULES[rule]
    days = sessions(how.calendar).select("session", "open", "close")
    if not days["session"][0] <= first <= last <= days["session"][-1]:
        span = f"{days['session'][0]} to {days['session'][-1]}"
        raise InvalidInput(f"expected first <= last within {span}, found {first} to {last}")
    wanted = pl.DataFrame({"rule_date": rule_dates(how, first, last)}, schema={"rule_date": pl.Date()})
    placed = wanted.join_asof(days, left_on="rule_date", right_on="session", strategy="backward")
    happens = pl.col("open" if how.settlement == "AM" else "close")
    return _rows(
        placed.select(
            instrument=pl.lit(instrument),
            ts=happens - pl.duration(days=how.lead_days),
            happens_at=happens,
            event=pl.lit("expiry"),
            item=pl.format("{} {}", pl.lit(rule), pl.col("session")),
            reasons=pl.lit(str(Reason.AVAILABILITY_ASSUMED)),
        )
    )


def future_expiries(root: str, first: date, last: date) -> pl.DataFrame:
    """Last trading days of a root's contracts, as `data.contracts` has the exchanges' rules.

    Returns
    -------
    schema of `events` about the root: event `expiry`, item the contract's id, `happens_at` the end of its last trading day in the
    calendar's zone (the note says `day only`: hours of the last day differ by contract)

    Raises
    ------
    InvalidInput : the root has no rule
    """
    found = contracts(root, first, last)
    ends = midnight(pl.col("expiry").dt.offset_by("1d"))
    frame = pl.DataFrame({"item": [item.id for item in found], "expiry": [item.expiry for item in found]},
                         schema={"item": pl.String(), "expiry": pl.Date()})
    return _rows(
        frame.select(
            "item",
            instrument=pl.lit(root),
            ts=ends - pl.duration(days=_FUTURES_LEAD.days),
            happens_at=ends,
            event=pl.lit("expiry"),
            note=pl.lit(DAY_ONLY),
            reasons=pl.lit(str(Reason.AVAILABILITY_ASSUMED)),
        )
    )


def rule_dates(rule: ExpiryRule, first: date, last: date) -> list[date]:
    """The dates that a rule names within a span, ascending; some may be holidays (see `expiries`)."""
    if rule.cycle == "weekly":
        fridays = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        return [day for day in fridays if day.weekday() == 4 and day != third_friday(day.year, day.month)]
    months = [(year, month) for year in range(first.year, last.year + 1) for month in rule.months]
    found = sorted(_in_month(rule, year, month) for year, month in months)
    return [day for day in found if first <= day <= last]


def _in_month(rule: ExpiryRule, year: int, month: int) -> date:
    after = date(year + month // 12, month % 12 + 1, 1)
    if rule.cycle == "monthly":
        return third_friday(year, month)
    if rule.cycle == "quarterly":
        return after - _DAY
    if rule.cycle != "vix":
        raise InvalidInput(f"expected the cycle monthly, weekly, quarterly or vix, found {rule.cycle!r}")
    friday = third_friday(after.year, after.month)
    wednesday = friday - timedelta(days=30)
    # where the Friday on which the S&P options expire is a holiday, the contract settles a day earlier
    open_days = sessions(rule.calendar)["session"]
    return wednesday if friday in open_days or friday > open_days[-1] else wednesday - _DAY


def third_friday(year: int, month: int) -> date:
    """The third Friday of a month."""
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


def _rows(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` in the schema of `events`; what it lacks is null, known when announced."""
    if "available_at" not in frame.columns:
        frame = frame.with_columns(available_at="ts")
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in EVENTS.schema.items() if name not in frame.columns]
    return frame.with_columns(absent).select(pl.col(name).cast(dtype) for name, dtype in EVENTS.schema.items())
