"""D16, data without keys and without a network.

Done when: "On a machine with no key and no network the full demo exits 0, and every synthetic row and derived result
carries the synthetic label".

The demo itself runs on its last 400 sessions here, with the network cut and no key set; `.ci/run` runs it whole. The label of the
simulated markets (daily and intraday bars of shares, coins and currencies, option chains, order books) is on every row, delivery,
file, index entry and report that the data floor makes and cannot be taken off, and on every packet, decision, printed line and
figure that the demo derives from it, and on nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from fieldcast.data import (
    MemoryStore,
    Options,
    ParquetStore,
    SimulatedMarket,
    import_source,
    list_instruments,
    load_instrument,
    quality,
    read_bundled,
    save_instrument,
    simulate,
)
from fieldcast.data.replay import replay
from fieldcast.data.simulated import (
    INDEX_LISTINGS,
    BarMarket,
    BookMarket,
    BookProcess,
    ChainMarket,
    crypto,
    equity,
    fx,
    index,
    simulate_bars,
    simulate_book,
    simulate_chain,
)
from fieldcast.ground import ConflictError, InvalidInput, Reason
from fieldcast.ledger import open_database, tables
from fieldcast.market import DECISION_DELAY, has_reason

pytestmark = pytest.mark.feature(
    "D16", part="offline sources and demo, simulated bars, chains and books, replay, the label of simulated data"
)
OPEN_PARTS: tuple[str, ...] = (
    "per-source degradation, and missing-key versus refused-key wording (no source with a key is built)",
    "one-command data setup",
)

OFFLINE = """
import socket, sys
def refuse(*args, **kwargs):
    raise OSError("the network is cut")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from datetime import datetime, UTC
from pathlib import Path
from fieldcast.data import BUNDLED, ParquetStore, SimulatedMarket, read_bundled, simulate
from fieldcast.ledger import open_database
home = Path(sys.argv[1])
with open_database(f"sqlite:///{home / 'ledger.db'}", home) as db:
    store = ParquetStore(home / "data", db)
    for name in BUNDLED:
        _, bars, lineage = read_bundled(name)
        store.append(bars, lineage)
    for kind in ("planted", "martingale"):
        made = simulate(SimulatedMarket(seed=1, kind=kind))
        store.append(made.bars, made.lineage)
    print(store.datasets().select("instrument", "simulated").rows())
"""


@pytest.fixture
def db(tmp_path: Path):
    with open_database(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as database:
        yield database


def test_every_source_of_the_demo_works_with_no_key_and_no_network(tmp_path):
    bare = {name: value for name, value in os.environ.items() if "KEY" not in name and "TOKEN" not in name}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(tmp_path)], env=bare, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(
        [
            ("SIM:MARTINGALE", True),
            ("SIM:PLANTED", True),
            ("XCBO:SPX", False),
            ("XCBO:VIX", False),
            ("XNAS:COMP", False),
        ]
    )


@pytest.mark.parametrize("kind", ["planted", "martingale"])
def test_every_simulated_row_and_what_is_made_of_it_carries_the_label(db, tmp_path, kind):
    made = simulate(SimulatedMarket(seed=5, kind=kind))
    store = ParquetStore(tmp_path / "data", db)
    store.append(made.bars, made.lineage)
    save_instrument(db, made.instrument)
    id = made.instrument.id

    read = store.read(id)
    assert read.height == 5031
    assert read.select(has_reason("simulated").all()).item()
    assert load_instrument(db, id).simulated
    assert [item.id for item in list_instruments(db) if item.simulated] == [id]
    assert all(item.simulated and item.reasons == (Reason.SIMULATED,) for item in store.lineage(id))
    assert store.datasets().row(0, named=True)["simulated"] is True
    for path, entry in store.index().items():
        assert entry.simulated
        footer = json.loads(pq.read_metadata(store.data_dir / path).metadata[b"fieldcast"])
        assert footer["simulated"] is True
        assert {tuple(lineage.reasons) for lineage in entry.deliveries.values()} == {("simulated",)}
        assert '"reasons":["simulated"]' in json.dumps(footer, separators=(",", ":"))
    report = quality(read, made.instrument, read["ts"][-1] + DECISION_DELAY)
    assert report.reasons[Reason.SIMULATED] == report.rows == 252
    assert "SIMULATED" in made.instrument.name


DEMO = """
import socket, sys
def refuse(*args, **kwargs):
    raise OSError("the network is cut")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from fieldcast.cli import main
main()
"""
EXPERIMENT = Path(__file__).parents[1] / "workflows" / "demo_400.toml"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Folder of a demo made with no key and no network, and what it printed: as text, then as JSON."""
    home = tmp_path_factory.mktemp("demo") / "home"
    bare = {name: value for name, value in os.environ.items()
            if "KEY" not in name and "TOKEN" not in name and not name.startswith("FIELDCAST_")}  # fmt: skip
    bare |= {"FIELDCAST_WORKERS": "1", "COLUMNS": "200"}
    arguments = ["demo", "--home", str(home), "--rows", "400", "--experiment", str(EXPERIMENT)]
    shown = []
    for more in ([], ["--json"]):
        command = [sys.executable, "-c", DEMO, *arguments, *more]
        done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        shown.append(done.stdout)
    return home, *shown


@pytest.mark.slow
def test_the_demo_exits_0_with_no_key_and_no_network(demo):
    home, text, _ = demo
    assert (home / "report.html").stat().st_size > 1_000_000
    assert "audit entries" in text


@pytest.mark.slow
def test_every_derived_result_of_a_simulated_market_carries_the_label_and_no_other_does(demo):
    home, text, printed = demo
    told = json.loads(printed)
    with open_database(f"sqlite:///{home / 'fieldcast.db'}", home) as ledger:
        simulated = {item.id: item.simulated for item in list_instruments(ledger)}
        store = ParquetStore(home / "data", ledger)
        for id, label in simulated.items():
            rows = store.read(id).select(has_reason("simulated"))
            assert rows.to_series().all() if label else not rows.to_series().any()
            assert {item.simulated for item in store.lineage(id)} == {label}
        with ledger.read() as session:
            packets = session.query(tables.Packet).all()
            decisions = session.query(tables.Decision).all()
    assert sorted(id for id, label in simulated.items() if label) == ["SIM:MARTINGALE", "SIM:PLANTED"]
    assert len(packets) == len(decisions) == 8
    for packet in packets:
        assert packet.simulated is simulated[packet.instrument]
        assert json.loads(packet.json)["provenance"]["simulated"] is simulated[packet.instrument]
    for decision in decisions:
        assert (Reason.SIMULATED in decision.reasons) is simulated[decision.instrument]
        assert (decision.portfolio == "simulated") is simulated[decision.instrument]
    for path in sorted((home / "data" / "projections").rglob("*.parquet")):
        table = pl.read_parquet(path)
        assert set(table["simulated"]) == {simulated[table["instrument"][0]]}
    for part in told["validation"]["instruments"]:
        assert part["simulated"] is simulated[part["instrument"]]
    assert {row["instrument"]: row["simulated"] for row in told["data"]} == simulated
    for line in text.splitlines():
        named = [id for id in simulated if id in line]
        if named and "│" not in line:              # inside a panel, the title carries it
            assert ("SIMULATED" in line) is any(simulated[id] for id in named), line
    page = (home / "report.html").read_text()
    assert "SIMULATED" in page


def test_simulated_bars_of_every_market_carry_the_label_and_their_seed_and_replay_with_it(tmp_path):
    """Shares, coins and currencies, minute and daily: the rows, the deliveries, the instruments, and what a replay hands out."""
    store = MemoryStore()
    market = BarMarket(2024, (equity("AAA"), crypto("BTC"), fx("EURUSD")), date(2023, 11, 22), date(2023, 11, 24))
    for made in simulate_bars(market):
        for part in (made, made.daily()):
            store.append(part.bars, part.lineage, table=part.table)
            assert store.read(part.instrument.id, table=part.table).select(has_reason("simulated").all()).item()
            assert all(item.simulated and "seed 2024" in item.source for item in store.lineage(part.instrument.id,
            table=part.table))
        assert made.instrument.simulated
        assert made.instrument.id.startswith("SIM:")
        assert "SIMULATED" in made.instrument.name
        assert "seed 2024" in made.instrument.name
    assert store.datasets()["simulated"].all()
    names = ["SIM:AAA", "SIM:BTC", "SIM:EURUSD"]
    events = list(replay(store, names, "bars/1m", date(2023, 11, 22), date(2023, 11, 25)))
    minutes = {name: sum(event.instrument == name for event in events) for name in names}
    assert minutes == {"SIM:AAA": 390 + 210, "SIM:BTC": 3 * 1440, "SIM:EURUSD": 3 * 1440}      # Thanksgiving, and a half-day
    assert all(event.simulated for event in events)
    assert [event.at for event in events] == sorted(event.at for event in events)
    bare = made.bars.with_columns(reasons=pl.lit("volume_not_reported"))
    with pytest.raises(InvalidInput, match="agree on `simulated`"):
        MemoryStore().append(bare, made.lineage, table="bars/1m")
    with pytest.raises(ConflictError, match="simulated rows"):
        store.append(bare, replace(made.lineage, simulated=False, dataset="real"), table="bars/1m")


@pytest.mark.slow
def test_simulated_chains_and_books_carry_the_label_and_their_seed():
    store = MemoryStore()
    chain = simulate_chain(ChainMarket(2024, index("IDX"), date(2023, 11, 24), date(2023, 11, 24), listings=INDEX_LISTINGS))
    book = simulate_book(BookMarket(2024, equity("BOOK"), date(2023, 11, 24), date(2023, 11, 24), BookProcess(pace=0.02)))
    for session in chain.sessions():
        store.append(pl.concat([one.rows for one in session.snapshots]), chain.lineage, table="chains")
        store.append(session.open_interest, chain.lineage, table="open_interest")
    for trading in book.sessions():
        for table in ("depth", "quotes", "trades"):
            store.append(getattr(trading, table), book.lineage, table=table)
    assert store.datasets().select("table", "instrument").sort("table").rows() == [
        ("chains", "SIM:IDX"), ("depth", "SIM:BOOK"), ("open_interest", "SIM:IDX"), ("quotes", "SIM:BOOK"),
        ("trades", "SIM:BOOK"),
    ]  # fmt: skip
    assert store.datasets()["simulated"].all()
    for table, id in store.datasets().select("table", "instrument").iter_rows():
        read = store.read(id, table=table)
        assert read.height > 100
        assert read.select(has_reason("simulated").all()).item()
        assert all(item.simulated and "seed 2024" in item.source for item in store.lineage(id, table=table))
    assert all("SIMULATED" in made.instrument.name and made.instrument.simulated for made in (chain, book))


def test_no_real_row_carries_it():
    for name in ("nasdaq", "sp500", "vix"):
        instrument, bars, lineage = read_bundled(name)
        assert not bars.select(has_reason("simulated").any()).item()
        assert (instrument.simulated, lineage.simulated, lineage.reasons) == (False, False, ())


def test_the_label_cannot_be_taken_off(tmp_path):
    made, store = simulate(SimulatedMarket(seed=5, n_sessions=60)), MemoryStore()
    bare = made.bars.with_columns(reasons=pl.lit(None, dtype=pl.String))
    for bars, lineage in ((bare, made.lineage), (made.bars, replace(made.lineage, simulated=False))):
        with pytest.raises(InvalidInput, match="agree on `simulated`"):
            store.append(bars, lineage)
    store.append(made.bars, made.lineage)
    with pytest.raises(ConflictError, match="simulated rows"):
        store.append(bare, replace(made.lineage, simulated=False, dataset="real"))
    made.bars.select(Date=pl.col("ts").dt.date(), Close="close").write_csv(tmp_path / "passed_off.csv")
    options = Options(now=datetime(2024, 1, 1, tzinfo=UTC), instrument=made.instrument)
    with pytest.raises(InvalidInput, match="real market"):
        import_source(tmp_path / "passed_off.csv", options, store=MemoryStore())
