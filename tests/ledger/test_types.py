"""The column types keep values exactly, on both dialects, and refuse what they cannot keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, case, select, text

from fieldcast.ground import InvalidInput, Reason
from fieldcast.ledger import CanonicalJson, Database, ExactDecimal, ReasonCodes, UtcMicros, tables
from fieldcast.ledger._engine import writer

values = Table(
    "type_probe",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("amount", ExactDecimal),
    Column("moment", UtcMicros),
    Column("document", CanonicalJson),
    Column("reasons", ReasonCodes),
)
ON_A_FIXTURE = [HealthCheck.function_scoped_fixture]


def round_trip(db: Database, **row: Any) -> Any:
    """What comes back after the row was written and committed."""
    with writer(db.engine).begin() as connection:
        values.create(connection, checkfirst=True)
        connection.execute(values.delete())
        connection.execute(values.insert().values(id=1, **row))
    with db.read() as session:
        return session.execute(select(values)).one()


exact = st.builds(
    lambda sign, digits, exponent: Decimal((sign, tuple(digits), exponent)),
    st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=60),
    st.integers(-80, 40),
)


@settings(max_examples=40, suppress_health_check=ON_A_FIXTURE)
@given(amount=exact)
def test_any_decimal_comes_back_equal_and_with_its_digits(ledger: Database, amount: Decimal) -> None:
    found = round_trip(ledger, amount=amount).amount
    assert isinstance(found, Decimal)
    assert found == amount  # exact: comparison of Decimals does not round
    assert format(found, "f") == format(amount.copy_abs() if amount.is_zero() else amount, "f")


@pytest.mark.parametrize("amount", ["0.1", "1.10", "-0.00000001", "123456789012345678901234567890.123456789", "1E+20"])
def test_a_decimal_that_a_binary_float_would_bend_is_exact(ledger: Database, amount: str) -> None:
    assert round_trip(ledger, amount=Decimal(amount)).amount == Decimal(amount)


@pytest.mark.parametrize("amount", [0.1, 1.0, float("nan"), "1.5", True])
def test_what_is_not_exact_is_refused(sqlite_ledger: Database, amount: Any) -> None:
    with pytest.raises(InvalidInput, match="expected a Decimal"):
        round_trip(sqlite_ledger, amount=amount)


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_a_decimal_that_is_no_number_is_refused(sqlite_ledger: Database, amount: str) -> None:
    with pytest.raises(InvalidInput, match="finite"):
        round_trip(sqlite_ledger, amount=Decimal(amount))


@pytest.mark.parametrize("amount", [Decimal("1E+131072"), Decimal("1E-16384")])
def test_more_digits_than_postgresql_holds_are_refused_by_both(ledger: Database, amount: Decimal) -> None:
    with pytest.raises(InvalidInput, match="digits"):
        round_trip(ledger, amount=amount)


def test_the_largest_and_the_finest_decimal_are_held_by_both(ledger: Database) -> None:
    for amount in (Decimal("9E+131071"), Decimal("1E-16383")):
        assert round_trip(ledger, amount=amount).amount == amount


def test_sqlite_stores_a_decimal_as_text(sqlite_ledger: Database) -> None:
    round_trip(sqlite_ledger, amount=Decimal("1.10"))
    with sqlite_ledger.read() as session:
        assert session.execute(text("SELECT typeof(amount), amount FROM type_probe")).one() == ("text", "1.10")


@pytest.mark.parametrize(
    "use",
    [
        lambda c: c < 1,
        lambda c: c >= Decimal(1),
        lambda c: c == Decimal(1),
        lambda c: c + 1,
        lambda c: 2 * c,
        lambda c: -c,
        lambda c: c.desc(),
        lambda c: c.in_([Decimal(1)]),
        lambda c: c.between(Decimal(1), Decimal(2)),
    ],
)
def test_sql_cannot_compare_order_or_add_exact_decimals(use: Any) -> None:
    with pytest.raises(InvalidInput, match="in Python"):
        use(tables.Fill.price)


def test_sql_may_ask_whether_an_exact_decimal_is_null() -> None:
    nulls = [tables.Decision.reference_price.is_(None), tables.Decision.reference_price != None]  # noqa: E711
    assert [str(case((null, 1))).split("WHEN ")[1].split(" THEN")[0] for null in nulls] == [
        "(decision.reference_price IS NULL)",
        "(decision.reference_price IS NOT NULL)",
    ]


@settings(max_examples=40, suppress_health_check=ON_A_FIXTURE)
@given(moment=st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.timezones()))  # noqa: DTZ001
def test_any_moment_comes_back_to_the_microsecond_in_utc(ledger: Database, moment: datetime) -> None:
    found = round_trip(ledger, moment=moment).moment
    assert found == moment.astimezone(UTC)  # times of two zones compare unequal around a change of clocks (PEP 495)
    assert found.tzinfo is UTC


def test_moments_of_two_zones_that_are_one_moment_are_one_value(sqlite_ledger: Database) -> None:
    new_york = datetime(2018, 12, 31, 16, 0, tzinfo=timezone(timedelta(hours=-5)))
    round_trip(sqlite_ledger, moment=new_york)
    with sqlite_ledger.read() as session:
        assert session.execute(text("SELECT moment FROM type_probe")).scalar() == 1546290000_000000


@pytest.mark.parametrize("moment", [datetime(2018, 12, 31), "2018-12-31T21:00:00Z", 1546290000])  # noqa: DTZ001
def test_a_time_without_its_zone_is_refused(sqlite_ledger: Database, moment: Any) -> None:
    with pytest.raises(InvalidInput, match="zone"):
        round_trip(sqlite_ledger, moment=moment)


def test_moments_compare_and_sort_in_sql(ledger: Database) -> None:
    early, late = datetime(1969, 12, 31, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
    with writer(ledger.engine).begin() as connection:
        values.create(connection)
        connection.execute(values.insert(), [{"id": 1, "moment": late}, {"id": 2, "moment": early}])
    with ledger.read() as session:
        assert session.scalars(select(values.c.id).order_by(values.c.moment)).all() == [2, 1]
        assert session.scalars(select(values.c.id).where(values.c.moment > early)).all() == [1]


def test_json_is_kept_as_canonical_text_and_nan_is_refused(ledger: Database) -> None:
    row = round_trip(ledger, document={"b": [1, None, True], "a": {"x": Decimal("1.50")}})
    assert row.document == {"a": {"x": "1.5"}, "b": [1, None, True]}
    with pytest.raises(InvalidInput, match="finite"):
        round_trip(ledger, document={"a": float("nan")})


def test_reason_codes_are_registered_or_refused(ledger: Database) -> None:
    assert round_trip(ledger, reasons=(Reason.STALE, "no_data", "stale")).reasons == ["stale", "no_data"]
    assert round_trip(ledger, reasons=[]).reasons == []
    for wrong in (["made_up"], "stale"):
        with pytest.raises(InvalidInput, match="expected a"):
            round_trip(ledger, reasons=wrong)


def test_unknown_values_are_null(ledger: Database) -> None:
    assert tuple(round_trip(ledger)) == (1, None, None, None, None)
