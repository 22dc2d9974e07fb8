"""Files and folders into a workspace: recognised, counted, resumed, refused."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from fieldcast.data import list_instruments
from fieldcast.data.formats import Source
from fieldcast.data.formats.lean_hours import read_symbol_properties
from fieldcast.data.importing import import_sources
from fieldcast.ground import ConflictError, InvalidInput, ManualClock, Reason, Settings
from fieldcast.market import sessions_between
from fieldcast.workflows import Workspace, check_data, import_data, open_workspace, show_data

NOW = datetime(2020, 6, 1, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path):
    with open_workspace(settings=Settings(home=tmp_path / "home"), clock=ManualClock(NOW)) as opened:
        yield opened


def daily(first: date, last: date, price: float = 100.0) -> pl.DataFrame:
    days = sessions_between("XNYS", first, last)["session"]
    n = pl.int_range(len(days), eager=True)
    close = price + 0.25 * (n % 7)
    return pl.DataFrame(
        {"Date": days, "Open": close + 0.1, "High": close + 1, "Low": close - 1, "Close": close, "Volume": 1000 + n}
    )


YEAR = daily(date(2019, 1, 2), date(2019, 12, 31))


def test_a_file_of_daily_bars_is_stored_and_judged(workspace: Workspace, tmp_path: Path) -> None:
    YEAR.write_csv(tmp_path / "spy.csv")
    found = import_data(workspace, tmp_path / "spy.csv", "ARCX:SPY", kind="etf")
    (file,) = found.report.files
    assert (file.format, file.rows_read, file.rows_kept) == ("table", 252, 252)
    assert file.quality is not None
    assert file.quality.score == 1.0
    assert found.report.tables["bars/1d"].added == 252
    assert [item.id for item in list_instruments(workspace.ledger)] == ["ARCX:SPY"]
    assert "table" in found._repr_html_()


def test_the_same_file_again_is_passed_over_and_with_other_words_is_not(workspace: Workspace, tmp_path: Path) -> None:
    YEAR.write_csv(tmp_path / "spy.csv")
    import_data(workspace, tmp_path / "spy.csv", "ARCX:SPY")
    again = import_data(workspace, tmp_path / "spy.csv", "ARCX:SPY")
    assert again.passed_over == (tmp_path / "spy.csv",)
    assert again.report.files == ()
    anew = import_data(workspace, tmp_path / "spy.csv", "ARCX:SPY", again=True)
    assert anew.report.tables["bars/1d"].unchanged == 252
    other = import_data(workspace, tmp_path / "spy.csv", "ARCX:OTHER")
    assert other.report.tables["bars/1d"].added == 252


def test_a_folder_goes_on_after_a_bad_file_and_leaves_strangers_alone(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    (folder / "deep").mkdir(parents=True)
    YEAR.write_csv(folder / "a.csv")
    YEAR.with_columns(Close=-pl.col("Close")).write_csv(folder / "b.csv")
    later = daily(date(2020, 1, 2), date(2020, 3, 31))
    (folder / "deep" / "c.csv.gz").write_bytes(gzip.compress(later.write_csv().encode()))
    (folder / "readme.txt").write_text("nothing of interest")
    seen: list[tuple[str, int, int]] = []
    found = import_data(workspace, folder, "ARCX:SPY", progress=lambda *step: seen.append(step))
    assert [file.path.name for file in found.report.files] == ["a.csv", "c.csv.gz"]
    (failure,) = found.report.failures
    assert failure.path.name == "b.csv"
    assert "252 of 252" in failure.message
    assert found.exit_code == 2
    assert [path.name for path in found.unknown] == ["readme.txt"]
    assert seen[-1] == ("Files into the store", 3, 3)
    assert workspace.store.read("ARCX:SPY").height == 252 + later.height
    # what was refused is tried again, what was stored is not
    again = import_data(workspace, folder, "ARCX:SPY")
    assert (len(again.passed_over), len(again.report.files), len(again.report.failures)) == (2, 0, 1)


def test_a_folder_of_one_file_a_ticker_takes_the_tickers_from_the_names(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("brk-b_1d.csv", "AAPL.csv", "NA_daily.csv"):
        YEAR.write_csv(folder / name)
    found = import_data(workspace, folder, "XNAS:{name}")
    assert [file.instruments[0].id for file in found.report.files] == ["XNAS:AAPL", "XNAS:NA", "XNAS:BRK-B"]
    assert workspace.store.read("XNAS:NA").height == 252


def test_a_single_bad_file_raises(workspace: Workspace, tmp_path: Path) -> None:
    YEAR.with_columns(Close=-pl.col("Close")).write_csv(tmp_path / "b.csv")
    with pytest.raises(InvalidInput, match="252 of 252"):
        import_data(workspace, tmp_path / "b.csv", "ARCX:SPY")
    assert list_instruments(workspace.ledger) == ()


def test_small_files_are_stored_together_and_overlapping_ones_one_after_the_other(workspace: Workspace, tmp_path: Path) -> None:
    from fieldcast.data import Options
    from fieldcast.market import default_instrument

    appended: list[int] = []
    store = workspace.store
    append = store.append

    def counted(rows, lineage, **others):
        appended.append(rows.height)
        return append(rows, lineage, **others)

    store.append = counted  # type: ignore[method-assign]
    files = []
    for name in ("A", "B", "C"):
        YEAR.write_csv(tmp_path / f"{name}.csv")
        files.append((tmp_path / f"{name}.csv", Options(now=NOW, instrument=default_instrument(f"XNAS:{name}", "equity"))))
    report = import_sources(files, store=store)
    assert appended == [3 * 252]
    assert report.tables["bars/1d"].added == 3 * 252
    assert "3 files sha256:" in store.lineage("XNAS:A")[0].source
    restated = YEAR.with_columns(Close=pl.col("Close") + 0.01)
    restated.write_csv(tmp_path / "D.csv")
    later = Options(now=NOW.replace(hour=5), instrument=default_instrument("XNAS:A", "equity"))
    report = import_sources([(tmp_path / "A.csv", later), (tmp_path / "D.csv", later)], store=store)
    assert appended[1:] == [252, 252]                     # the second restates the first: never in one append
    assert (report.tables["bars/1d"].unchanged, report.tables["bars/1d"].restated) == (252, 252)


def test_a_file_that_changes_what_the_catalogue_was_told_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    YEAR.write_csv(tmp_path / "a.csv")
    import_data(workspace, tmp_path / "a.csv", "XETR:SAP", calendar="XETR", currency="EUR")
    with pytest.raises(ConflictError, match="as in the catalogue"):
        import_data(workspace, tmp_path / "a.csv", "XETR:SAP", currency="USD")


def test_rows_are_shown_as_they_were_known_and_plotted(workspace: Workspace, tmp_path: Path) -> None:
    YEAR.write_csv(tmp_path / "spy.csv")
    import_data(workspace, tmp_path / "spy.csv", "ARCX:SPY", kind="etf")
    june = {"first": date(2019, 6, 3), "last": date(2019, 6, 28)}
    shown = show_data(workspace, "ARCX:SPY", **june, rows=3, plot=tmp_path / "out" / "spy.html")
    assert (shown.height, shown.rows.height) == (20, 3)
    assert shown.rows["ts"].max() == datetime(2019, 6, 28, 20, tzinfo=UTC)
    page = (tmp_path / "out" / "spy.html").read_text(encoding="utf-8")
    assert "candlestick" in page
    assert "raw prices" in page
    with pytest.raises(InvalidInput, match="table of bars"):
        show_data(workspace, "ARCX:SPY", table="macro", plot=tmp_path / "x.html")
    assert check_data(workspace, "ARCX:SPY").as_dict()["interval"] == "1d"


# what one file does to the others ---------------------------------------------------------------------------------------


def test_a_file_that_contradicts_the_store_does_not_take_the_others_with_it(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    YEAR.write_csv(folder / "A.csv")
    import_data(workspace, folder / "A.csv", "XNAS:A", adjusted=True)
    YEAR.with_columns(Close=pl.col("Close") + 0.5).write_csv(folder / "A.csv")
    YEAR.write_csv(folder / "B.csv")
    dry = import_data(workspace, folder, "XNAS:{name}", dry_run=True)
    found = import_data(workspace, folder, "XNAS:{name}")
    (failure,) = found.report.failures
    assert (failure.path.name, failure.exit_code) == ("A.csv", 3)
    assert [file.path.name for file in found.report.files] == ["B.csv"]
    assert workspace.store.read("XNAS:B").height == 252
    assert [item.message for item in dry.report.failures] != []
    assert dry.report.tables == found.report.tables
    assert import_data(workspace, folder, "XNAS:{name}").passed_over == (folder / "B.csv",)


def test_a_name_that_cannot_be_an_id_fails_alone(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("A.csv", "B B.csv", "C.csv"):
        YEAR.write_csv(folder / name)
    found = import_data(workspace, folder, "XNAS:{name}")
    assert [failure.path.name for failure in found.report.failures] == ["B B.csv"]
    assert [file.path.name for file in found.report.files] == ["A.csv", "C.csv"]


def test_the_same_bytes_under_two_names_are_two_instruments(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("A_1.csv", "Z_1.csv"):
        YEAR.write_csv(tmp_path / name)
        found = import_data(workspace, tmp_path / name, "XNAS:{name}")
        assert found.passed_over == ()
    assert workspace.store.read("XNAS:Z").height == 252


def test_a_file_whose_rows_were_lost_since_is_imported_again(workspace: Workspace, tmp_path: Path) -> None:
    import shutil

    YEAR.write_csv(tmp_path / "a.csv")
    import_data(workspace, tmp_path / "a.csv", "XNAS:A")
    shutil.rmtree(workspace.home / "data" / "bars")
    workspace.store.rebuild_index()
    again = import_data(workspace, tmp_path / "a.csv", "XNAS:A")
    assert again.passed_over == ()
    assert workspace.store.read("XNAS:A").height == 252


def test_what_cannot_be_read_is_a_failure_and_not_a_stranger(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "empty.csv").touch()
    (folder / "cut.zip").write_bytes(b"PK\x03\x04 cut short")
    (folder / "linked").symlink_to(folder)
    found = import_data(workspace, folder, "XNAS:{name}")
    assert sorted(failure.path.name for failure in found.report.failures) == ["cut.zip", "empty.csv"]
    assert (found.unknown, found.exit_code) == ((), 2)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InvalidInput, match="found none"):
        import_data(workspace, tmp_path / "nothing", "XNAS:A")


def test_two_files_cannot_describe_one_id_in_two_ways(workspace: Workspace, tmp_path: Path) -> None:
    from fieldcast.data.catalogue import settled
    from fieldcast.market import default_instrument

    first = default_instrument("XYZ:A", "crypto")
    with pytest.raises(ConflictError, match="calendar"):
        settled(workspace.ledger, [default_instrument("XYZ:A", "equity")], {first.id: first})
    YEAR.write_csv(tmp_path / "a.csv")
    import_data(workspace, tmp_path / "a.csv", "XNAS:A", kind="equity")
    YEAR.with_columns(symbol=pl.lit("A")).write_csv(tmp_path / "b.csv")
    with pytest.raises(ConflictError, match="kind equity"):
        import_data(workspace, tmp_path / "b.csv", venue="XNAS", kind="etf")


# a file in parts --------------------------------------------------------------------------------------------------------


def _in_parts(monkeypatch: pytest.MonkeyPatch, *parts: pl.DataFrame, fail: bool = False) -> None:
    """Have the format `table` yield these rows of XNAS:A, one part each."""
    from dataclasses import replace

    from fieldcast.data.formats import Parsed, registry
    from fieldcast.market import default_instrument

    def read(source, options):
        for part in parts:
            yield Parsed("bars/1m", part, (default_instrument("XNAS:A", "equity"),))
        if fail:
            raise InvalidInput("expected a whole file, found its end missing")

    monkeypatch.setitem(registry.FORMATS, "table", replace(registry.FORMATS["table"], read=read))


def _minutes(first: int, n: int, close: float = 100.0) -> pl.DataFrame:
    from datetime import timedelta

    from fieldcast.market import table_of

    ts = [datetime(2020, 3, 2, 14, 30, tzinfo=UTC) + timedelta(minutes=first + k) for k in range(n)]
    columns = {"instrument": "XNAS:A", "ts": ts, "available_at": ts, "open": close, "high": close + 1, "low": close - 1}
    frame = pl.DataFrame({**columns, "close": close, "volume": 5.0, "reasons": None})
    return frame.select(pl.col(name).cast(dtype) for name, dtype in table_of("bars/1m").schema.items())


def test_rows_that_two_parts_of_a_file_share_are_stored_once(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("x")
    _in_parts(monkeypatch, _minutes(0, 60), _minutes(50, 60), _minutes(105, 60, close=101.0))
    found = import_data(workspace, tmp_path / "a.csv", format="table")
    (file,) = found.report.files
    assert file.removed == {Reason.DUPLICATE_STAMP: 10 + 5 + 5}      # ten agree, five do not: none of those can be trusted
    assert file.rows_kept == found.report.tables["bars/1m"].added == 160
    assert workspace.store.read("XNAS:A", table="bars/1m").height == 160


@pytest.mark.parametrize("batch_rows", [50, 10_000])
def test_a_file_that_fails_at_its_end_leaves_nothing_behind(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    from fieldcast.data import Options

    (tmp_path / "a.csv").write_text("x")
    parts = [_minutes(60 * k, 60) for k in range(4)]
    _in_parts(monkeypatch, *parts, fail=True)
    files = [(tmp_path / "a.csv", Options(now=NOW))]
    report = import_sources(files, store=workspace.store, format="table", batch_rows=batch_rows)
    assert len(report.failures) == 1
    assert workspace.store.datasets().is_empty()
    _in_parts(monkeypatch, *parts)
    report = import_sources(files, store=workspace.store, format="table", batch_rows=batch_rows)
    assert report.tables["bars/1m"].added == 240


# tick and lot ---------------------------------------------------------------------------------------------------------


def _klines(path: Path, *rows: tuple[str, str]) -> Path:
    """Binance's archive of futures: (price, volume) of successive days."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"]
    for day, (price, volume) in enumerate(rows):
        begin = 1_577_836_800_000 + day * 86_400_000
        lines.append(f"{begin},{price},{price},{price},{price},{volume},{begin + 86_399_999},1,1,1,1,0")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_perpetual_has_the_tick_and_lot_that_its_file_proves(workspace: Workspace, tmp_path: Path) -> None:
    """At the usual 0.01 a fill of ADA at 0.0328 would be at 0.04, and no BTC could be had below a whole one."""
    ada = _klines(tmp_path / "futures/um/daily/klines/ADAUSDT/1d/ADAUSDT-1d-2020.csv", ("0.0328", "274004"), ("0.033", "1000"))
    btc = _klines(tmp_path / "futures/um/daily/klines/BTCUSDT/1d/BTCUSDT-1d-2020.csv", ("7195.3", "12.345"), ("7200", "3.1"))
    import_data(workspace, [ada, btc])
    found = {one.id: one for one in list_instruments(workspace.ledger)}
    assert (found["BINANCE:ADAUSDT-PERP"].tick, found["BINANCE:ADAUSDT-PERP"].lot) == (Decimal("0.0001"), Decimal(1))
    assert (found["BINANCE:BTCUSDT-PERP"].tick, found["BINANCE:BTCUSDT-PERP"].lot) == (Decimal("0.01"), Decimal("0.001"))
    later = _klines(tmp_path / "futures/um/daily/klines/ADAUSDT/1d/ADAUSDT-1d-2021.csv", ("0.17512", "1.5"))
    said = import_data(workspace, later).report.files[0].notes
    assert {one.id: one for one in list_instruments(workspace.ledger)} == found     # what the catalogue has, it keeps
    assert len(said) == 2                                                           # … and says so
    assert "tick 0.0001, as in the catalogue, found 0.00001, which its numbers prove" in said[0]
    assert '[instruments."BINANCE:ADAUSDT-PERP"] lot = 0.1 in a plan' in said[1]
    assert import_data(workspace, ada, again=True).report.files[0].notes == ()
    told = import_data(workspace, ada, "BINANCE:ADAUSDT-PERP", again=True, tick="0.01").report.files[0].notes
    assert len(told) == 1
    assert "found 0.01, which was said of this file" in told[0]


def test_what_was_told_of_a_tick_stands(workspace: Workspace, tmp_path: Path) -> None:
    pl.DataFrame({"Date": ["2020-01-01", "2020-01-02"], **{key: [0.0328, 0.0331] for key in ("Open", "High", "Low", "Close")}}
                 | {"Volume": [5, 6]}).write_csv(tmp_path / "ada.csv")  # fmt: skip
    import_data(workspace, tmp_path / "ada.csv", "KRAKEN:ADAUSD", kind="crypto", tick="0.000001")
    import_data(workspace, tmp_path / "ada.csv", "BITSTAMP:ADAUSD", kind="crypto")
    import_data(workspace, tmp_path / "ada.csv", "XNAS:PENNY", kind="equity")
    assert {one.id: str(one.tick) for one in list_instruments(workspace.ledger)} == {
        "KRAKEN:ADAUSD": "0.000001", "BITSTAMP:ADAUSD": "0.0001", "XNAS:PENNY": "0.01"
    }  # fmt: skip


def test_leans_perpetual_of_ada_has_the_steps_of_its_symbol_properties(tmp_path: Path, realdata: Path) -> None:
    later = ManualClock(datetime(2023, 1, 2, tzinfo=UTC))
    with open_workspace(settings=Settings(home=tmp_path / "home"), clock=later) as opened:
        import_data(opened, realdata / "crypto/lean_cryptofuture/binance_minute_adausdt_20221213_trade.zip")
        (found,) = list_instruments(opened.ledger)
    database = Source(realdata / "reference/symbol-properties-database.csv.gz")
    told = read_symbol_properties(database, "cryptofuture", "binance", "ADAUSDT")
    assert found.id == "BINANCE:ADAUSDT-PERP"
    assert (found.tick, found.lot) == (told.tick, told.lot) == (Decimal("0.0001"), Decimal(1))
