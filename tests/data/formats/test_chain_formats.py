"""Option chains of Yahoo and CBOE: true last moments, placeholders, what had expired, who the contract is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data import MemoryStore
from fieldcast.data.formats import Options
from fieldcast.data.importing import import_source
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Kind, default_instrument, has_reason

NOW = datetime(2026, 11, 1, tzinfo=UTC)
AAPL = default_instrument("XNAS:AAPL", Kind.EQUITY)
HEADER = (
    "contractSymbol,lastTradeDate,strike,lastPrice,bid,ask,change,percentChange,volume,openInterest,impliedVolatility,"
    "inTheMoney,contractSize,currency,optionType,expirationDate,days_to_expire,underlyingPrice"
)


def yahoo(
    symbol="AAPL240104C00190000",
    traded="2024-01-04 17:27:02+00:00",
    strike="190.0",
    last="2.5",
    bid="2.4",
    ask="2.6",
    volume="10.0",
    oi="7.0",
    iv="0.25",
    size="REGULAR",
    right="call",
    expires="2024-01-04",
) -> str:
    return f"{symbol},{traded},{strike},{last},{bid},{ask},0.0,0.0,{volume},{oi},{iv},True,{size},USD,{right},{expires},-1,190.5"


def put(**fields: str) -> str:
    return yahoo(**({"symbol": "AAPL240104P00190000", "right": "put"} | fields))


SIDE = "Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest"
QUOTE = "12.5,0.1,12.4,12.6,10,0.15,0.5,0.001,200"


def cboe(*lines: str, time: str = "January 4, 2024 at 10:52 AM EST", spot: str = "4697.24") -> str:
    start = [
        "",
        f"S&P 500 INDEX,Last: {spot},Change:  8.56",
        f'"Date: {time}",Bid: 1,Ask: 2,Size: 1*1,Volume: 0',
        f"Expiration Date,Calls,{SIDE},Strike,Puts,{SIDE}",
    ]
    return "\n".join([*start, *lines])


def both(day: str, stamp: str, root: str, strike: int, call: str = QUOTE, put: str = QUOTE) -> str:
    return f"{day},{root}{stamp}C{strike * 1000:08d},{call},{strike}.00,{root}{stamp}P{strike * 1000:08d},{put}"


MONTHLY = both("Fri Jan 19 2024", "240119", "SPX", 4700)
WEEKLY = both("Fri Jan 19 2024", "240119", "SPXW", 4700)


@pytest.fixture
def bring(tmp_path: Path):
    def run(content: str, name: str, **options):
        path = tmp_path / name
        path.write_text(content)
        store = MemoryStore()
        return import_source(path, Options(**({"now": NOW} | options)), store=store), store

    return run


# Yahoo --------------------------------------------------------------------------------------------------------------


def test_on_the_last_day_a_contract_lives_until_the_close(bring):
    """Yahoo's days_to_expire says -1; the contract has hours to live."""
    report, store = bring("\n".join([HEADER, yahoo(), put()]), "AAPL_options.csv", instrument=AAPL)
    found = store.read("XNAS:AAPL", table="chains")
    assert (report.format, report.removed) == ("yahoo-chain", {})
    row = found.row(0, named=True)
    assert row["contract_id"] == "AAPL  240104C00190000"
    assert row["expiry_ts"] == datetime(2024, 1, 4, 21, tzinfo=UTC)
    assert row["ts"] == datetime(2024, 1, 4, 17, 27, 2, tzinfo=UTC)  # the newest trade
    assert found["available_at"].to_list() == [NOW, NOW]  # a quote may be of any moment until the file came
    assert store.read("XNAS:AAPL", table="chains", as_of=datetime(2024, 1, 4, 18, tzinfo=UTC)).is_empty()
    assert row["oi_available_at"] == datetime(2024, 1, 4, 14, 30, tzinfo=UTC)  # counted the night before
    assert (row["exercise_style"], row["settlement"], row["multiplier"], row["right"]) == ("american", "PM", 100.0, "call")
    assert "availability_assumed" in row["reasons"]


def test_what_yahoo_does_not_know_is_null(bring):
    lines = [HEADER, yahoo(iv="1.0000000000000003e-05", volume="", oi="nan"), put(iv="0.0", bid="0.0", ask="0.0", last="0.0")]
    report, store = bring("\n".join(lines), "AAPL_options.csv", instrument=AAPL)
    found = store.read("XNAS:AAPL", table="chains")
    assert found.select("iv", "volume", "open_interest").row(0) == (None, None, None)
    assert found.select("iv", "bid", "ask", "last").row(1) == (None,) * 4
    assert report.flagged[Reason.PLACEHOLDER] == 2


def test_a_crossed_quote_is_kept_and_flagged_and_a_worthless_bid_is_a_quote(bring):
    lines = [HEADER, yahoo(bid="2.7"), put(bid="0.0")]
    report, store = bring("\n".join(lines), "AAPL_options.csv", instrument=AAPL)
    assert report.flagged[Reason.QUOTE_CROSSED] == 1
    assert store.read("XNAS:AAPL", table="chains")["bid"].to_list() == [2.7, 0.0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"strike": "195.0"},
        {"right": "put"},
        {"expires": "2024-01-05"},
        {"symbol": "AAPL"},
        {"size": "MINI"},
        {"symbol": "AAPL1240104C00190000"},
        {"symbol": "MSFT240104C00190000"},
    ],
)
def test_a_contract_that_contradicts_its_row_or_has_unknown_terms_is_refused(bring, wrong):
    lines = [HEADER, yahoo(), put(), yahoo(**wrong)]
    report, store = bring("\n".join(lines), "AAPL_options.csv", instrument=AAPL)
    assert sum(report.removed.values()) == 1
    assert store.read("XNAS:AAPL", table="chains").height == 2


def test_a_chain_that_no_trade_dates_is_refused(bring):
    for lines in ([], [yahoo(traded="")], [yahoo(traded="yesterday"), put(traded="nan")]):
        with pytest.raises(InvalidInput, match="tell when it was taken"):
            bring("\n".join([HEADER, *lines]), "a.csv", instrument=AAPL)


def test_the_root_of_a_share_class_has_no_dot(bring):
    line = yahoo(symbol="BRKB240104C00190000")
    instrument = default_instrument("XNYS:BRK.B", Kind.EQUITY)
    assert bring("\n".join([HEADER, line]), "a.csv", instrument=instrument)[0].instruments == (instrument,)


def test_a_chain_of_another_underlying_is_refused(bring):
    text = "\n".join([HEADER, yahoo(), put()])
    with pytest.raises(InvalidInput, match="ARCX:SPY"):
        bring(text, "a.csv", instrument=default_instrument("ARCX:SPY", Kind.ETF))
    with pytest.raises(InvalidInput, match="venue"):
        bring(text, "a.csv")
    assert bring(text, "a.csv", venue="XNAS")[0].instruments == (AAPL,)


# CBOE ---------------------------------------------------------------------------------------------------------------


def test_monthly_and_weekly_contracts_of_one_day_end_at_different_moments(bring):
    report, store = bring(cboe(MONTHLY, WEEKLY), "spx_quotedata.csv")
    found = store.read("XCBO:SPX", table="chains")
    assert (report.format, found.height, found["contract_id"].n_unique()) == ("cboe-quotedata", 4, 4)
    ends = dict(found.select("root", "expiry_ts").iter_rows())
    assert ends == {"SPX": datetime(2024, 1, 19, 14, 30, tzinfo=UTC), "SPXW": datetime(2024, 1, 19, 21, tzinfo=UTC)}
    assert found.select("strike", pl.col("expiry_ts").dt.date(), "right").n_unique() == 2  # the pair is no key
    row = found.row(0, named=True)
    assert row["ts"] == row["quote_ts"] == datetime(2024, 1, 4, 15, 52, tzinfo=UTC)
    assert (row["underlying_price"], row["exercise_style"], row["reasons"]) == (4697.24, "european", None)


def test_calls_and_puts_are_told_apart_by_their_place(bring):
    line = both("Fri Jan 19 2024", "240119", "SPX", 4700, "1,0,2,3,4,0.5,0.6,0.7,8", "11,0,12,13,14,0.15,-0.16,0.17,18")
    _, store = bring(cboe(line), "spx_quotedata.csv")
    columns = ["right", "last", "bid", "ask", "volume", "iv", "delta", "gamma", "open_interest"]
    assert store.read("XCBO:SPX", table="chains").select(columns).rows() == [
        ("call", 1.0, 2.0, 3.0, 4.0, 0.5, 0.6, 0.7, 8.0),
        ("put", 11.0, 12.0, 13.0, 14.0, 0.15, -0.16, 0.17, 18.0),
    ]


def test_a_volatility_of_zero_is_none_and_its_greeks_are_none_either(bring):
    line = both("Fri Jan 19 2024", "240119", "SPX", 4700, "0,0,3300.1,3319.8,0,0,0,0,0")
    report, store = bring(cboe(line, WEEKLY), "spx_quotedata.csv")
    row = store.read("XCBO:SPX", table="chains").filter(has_reason("placeholder")).row(0, named=True)
    assert (row["iv"], row["delta"], row["gamma"], row["last"]) == (None,) * 4
    assert (row["bid"], row["open_interest"], row["volume"]) == (3300.1, 0.0, 0.0)
    assert report.flagged == {Reason.PLACEHOLDER: 1}


def test_on_a_sunday_friday_s_contracts_are_dropped_and_counted(bring):
    gone = both("Fri Jan 05 2024", "240105", "SPXW", 4700)
    report, store = bring(cboe(gone, MONTHLY, WEEKLY, time="January 7, 2024 at 10:52 AM EST"), "spx_quotedata.csv")
    assert report.removed == {Reason.EXPIRED: 2}
    row = store.read("XCBO:SPX", table="chains").row(0, named=True)
    assert row["underlying_ts"] == datetime(2024, 1, 5, 21, tzinfo=UTC)  # Friday's close
    assert row["oi_available_at"] == row["ts"]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("January 4, 2024 at 10:52 AM EST", (15, 52)),
        ("January 4, 2024, 10:52 AM CST", (16, 52)),
        ("Jan 4, 2024 at 4:31 PM ET", (21, 31)),
        ("Thu Jan 04 2024, 15:52 UTC", (15, 52)),
        ("2024-01-04 at 10:52 AM EST", (15, 52)),
    ],
)
def test_the_time_is_read_in_its_various_forms(bring, time, expected):
    _, store = bring(cboe(MONTHLY, time=time), "spx_quotedata.csv")
    ts = store.read("XCBO:SPX", table="chains")["ts"][0]
    assert (ts.date(), ts.hour, ts.minute) == (date(2024, 1, 4), *expected)


def test_a_preamble_without_time_zone_or_price_is_refused(bring):
    with pytest.raises(InvalidInput, match="time with its zone"):
        bring(cboe(MONTHLY, time="January 4, 2024 at 10:52 AM"), "a.csv")
    with pytest.raises(InvalidInput, match="underlying's price"):
        bring(cboe(MONTHLY, spot="0"), "a.csv")
    with pytest.raises(InvalidInput, match="columns of CBOE"):
        bring(cboe(MONTHLY).replace("Open Interest,Strike", "Strike,Open Interest"), "a.csv")


# real files ---------------------------------------------------------------------------------------------------------


def real(realdata: Path, name: str, **options):
    store = MemoryStore()
    return import_source(realdata / "options" / name, Options(now=NOW, **options), store=store), store


def test_yahoo_s_chains_of_february_2026(realdata):
    """Rows, floors of the volatility and crossed quotes as the inventory of the files counts them."""
    expected = (
        ("AAPL_options", 2546, 44, 8, "2026-02-11 17:27:02"),
        ("NVDA_options", 3802, 607, 0, "2026-02-11 16:30:38"),
        ("QQQ_options", 6923, 186, 7, "2026-02-11 16:31:01"),
        ("SPY_options", 8778, 133, 0, "2026-02-11 16:19:32"),
        ("SPY_options_2", 9177, 239, 2, "2026-02-12 15:10:02"),
    )
    for name, rows, floors, crossed, ts in expected:
        report, store = real(realdata, f"yahoo_chain_2026-02/{name}.csv.gz", venue="USA")
        ticker = name.split("_")[0]
        found = store.read(f"USA:{ticker}", table="chains")
        assert (report.rows_kept, report.removed) == (rows, {})
        assert (found["iv"].null_count(), report.flagged.get(Reason.QUOTE_CROSSED, 0)) == (floors, crossed)
        assert found["iv"].min() > 1e-4
        assert found["ts"].unique().dt.to_string("%Y-%m-%d %H:%M:%S").to_list() == [ts]
        today = found.filter(pl.col("expiry_ts").dt.date() == found["ts"].dt.date())
        assert today.height > 70  # the file says these expired a day ago
        assert (today["expiry_ts"] > today["ts"]).all()
        assert found["contract_id"].is_unique().all()


def test_cboe_s_chains_and_their_expired_rows(realdata):
    report, store = real(realdata, "cboe_quotedata/spx_2023-09-14.csv.gz")
    found = store.read("XCBO:SPX", table="chains")
    assert found.height + report.removed[Reason.EXPIRED] == 2 * 9960
    assert (found["ts"][0], found["underlying_price"][0]) == (datetime(2023, 9, 14, 20, 31, tzinfo=UTC), 4505.1001)
    shared = found.group_by(pl.col("expiry_ts").dt.date(), "strike", "right").agg(pl.col("root").n_unique())
    assert shared.filter(pl.col("root") == 2).height > 500  # SPX and SPXW share expiry and strike
    assert found.filter(pl.col("settlement") == "AM")["expiry_ts"].dt.convert_time_zone(
        "America/New_York"
    ).dt.hour().unique().to_list() == [9]
    report, store = real(realdata, "cboe_quotedata/spx_2024-01-07.csv.gz")
    found = store.read("XCBO:SPX", table="chains")
    assert (report.removed, found.height) == ({Reason.EXPIRED: 446}, 2 * 10519 - 446)
    assert found["expiry_ts"].min() > found["ts"][0]
    assert found["underlying_ts"][0] == datetime(2024, 1, 5, 21, tzinfo=UTC)
    report, store = real(realdata, "cboe_quotedata/spy_2023-09-14.csv.gz", venue="ARCX")
    found = store.read("ARCX:SPY", table="chains")
    assert found.height + report.removed[Reason.EXPIRED] == 2 * 3646
    assert found["iv"].null_count() == report.flagged[Reason.PLACEHOLDER]
