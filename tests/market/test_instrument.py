"""An instrument's id is valid or refused, its file name keeps it whole, its usual properties follow from its kind."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument, Kind, default_instrument, file_name, from_file_name

VENUES = st.from_regex(r"[A-Z0-9]{2,12}", fullmatch=True)
SYMBOLS = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x24F, exclude_characters=":", exclude_categories=("Z", "C")),
    min_size=1,
    max_size=32,
)
IDS = st.builds("{}:{}".format, VENUES, SYMBOLS)


@given(IDS)
def test_a_file_name_gives_the_id_back_and_is_one_plain_name(id: str) -> None:
    name = file_name(id)
    assert from_file_name(name) == id
    assert Instrument(id, Kind.INDEX).id == id
    assert Path(name).name == name
    assert name.isascii()
    assert not set(name) & set('/\\:*?"<>| ')


@given(IDS, IDS)
def test_two_ids_never_share_a_file(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (one == other)


@pytest.mark.parametrize(
    "id", ["XCBO:^VIX", "COINBASE:BTC/USD", "XNYS:NA", "XNYS:BRK.B", "XNAS:100%", "XNAS:..", "XNAS:é"]
)
def test_real_tickers_survive(id: str) -> None:
    assert from_file_name(file_name(id)) == id
    assert Instrument(id, Kind.EQUITY).symbol == id.split(":")[1]


@pytest.mark.parametrize(
    "id",
    ["", "AAPL", ":AAPL", "XNAS:", "xnas:AAPL", "X:AAPL", "XNAS:AA PL", "XNAS:AA\n", "XNAS:A:B", "XNAS:" + "A" * 33],
)
def test_what_is_no_id_is_refused_by_name(id: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Instrument(id, Kind.EQUITY)
    assert repr(id) in str(caught.value)


@pytest.mark.parametrize("field", ["tick", "lot", "multiplier"])
@pytest.mark.parametrize("value", ["0", "-0.01", "NaN", "Infinity"])
def test_a_step_that_is_not_positive_and_finite_is_refused(field: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=rf"positive {field} for XNAS:AAPL"):
        Instrument("XNAS:AAPL", Kind.EQUITY, **{field: Decimal(value)})


def test_an_instrument_cannot_be_changed() -> None:
    apple = Instrument("XNAS:AAPL", Kind.EQUITY)
    with pytest.raises(AttributeError):
        apple.tick = Decimal(1)  # type: ignore[misc]
    assert apple == Instrument("XNAS:AAPL", Kind.EQUITY)


@pytest.mark.parametrize(
    ("kind", "calendar", "tradable"),
    [
        ("equity", "XNYS", True),
        ("etf", "XNYS", True),
        ("index", "XNYS", False),
        ("fx", "24/5", True),
        ("crypto", "24/7", True),
    ],
)
def test_the_usual_properties_follow_from_the_kind(kind: str, calendar: str, tradable: bool) -> None:
    made = default_instrument("XXXX:ONE", kind)
    assert (made.calendar, made.tradable, made.kind) == (calendar, tradable, Kind(kind))


def test_what_is_given_beats_the_usual() -> None:
    made = default_instrument("XETR:SAP", "equity", calendar="XETR", currency="EUR", tick=Decimal("0.02"))
    assert (made.calendar, made.currency, made.tick) == ("XETR", "EUR", Decimal("0.02"))


def test_a_tick_of_zero_is_refused_and_not_replaced_by_the_usual_one() -> None:
    with pytest.raises(InvalidInput, match="tick"):
        default_instrument("XNAS:AAPL", "equity", tick=Decimal(0))


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"equity.*crypto.*'bond'"):
        default_instrument("XNAS:AAPL", "bond")
