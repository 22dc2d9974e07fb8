"""D20, futures chains and dated FX rates.

Done when: "A rolled series has no return at the roll that no contract had, and NAV in the base currency equals a hand case across
a rate change".

Random panels and every rule are in tests/data/test_futures.py; here stands one chain whose roll would make a false return of 10
%. The net asset value is worked by hand twice: for stored cash, and for a simulated account that buys a share in another currency
than its own. Every rule of that account stands in tests/simulation/test_currencies.py.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import polars as pl
import pytest

from fieldcast.data import Lineage, MemoryStore
from fieldcast.data.contracts import contracts
from fieldcast.data.futures import Adjustment, CalendarRoll, CrossoverRoll, continuous, read_panel, rolls
from fieldcast.data.fx_rates import FxRates
from fieldcast.ground import MissingData
from fieldcast.market import BARS, Instrument, Kind, sessions_between
from fieldcast.simulation.currencies import DatedRates
from fieldcast.simulation.events import events_of
from fieldcast.simulation.market import Market
from fieldcast.simulation.settings import VenueSettings
from fieldcast.simulation.simulator import Simulator
from fieldcast.trading import CostModel, Side
from fieldcast.trading.order_kinds import OrderKind, Ticket

pytestmark = pytest.mark.feature("D20")
OPEN_PARTS: tuple[str, ...] = ()

FETCHED = datetime(2024, 12, 31, tzinfo=UTC)
CHAIN = contracts("XCME:ES", date(2024, 1, 1), date(2024, 12, 31))
DAYS = sessions_between("CMES", date(2024, 1, 2), date(2024, 12, 31))


def bars(id: str, closes: list[tuple[datetime, float, float]]) -> pl.DataFrame:
    return pl.DataFrame(
        [(id, ts, ts, close, close, close, close, volume, None) for ts, close, volume in closes], schema=BARS, orient="row"
    )


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    """Four quarterly contracts, each 10 % above the one before, each rising by 0.1 % a session."""
    found = MemoryStore()
    for place, item in enumerate(CHAIN):
        closes = [
            (row["close"], round(4000 * 1.1**place * 1.001**number, 2), 1000.0 if place == 0 or number > 60 * place - 8 else 10.0)
            for number, row in enumerate(DAYS.iter_rows(named=True)) if row["session"] <= item.expiry
        ]  # fmt: skip
        closes = [(ts, close, volume / (1 + place / 10)) for ts, close, volume in closes]
        found.append(bars(item.id, closes), Lineage(provider="test", dataset="futures", fetched_at=FETCHED))
    return found


@pytest.mark.parametrize("rule", [CalendarRoll(5), CrossoverRoll("volume", latest_days=3)])
@pytest.mark.parametrize("adjustment", list(Adjustment))
def test_a_rolled_series_has_no_return_that_no_contract_had(store, rule, adjustment):
    panel = read_panel(store, CHAIN)
    made = rolls(panel, CHAIN, rule)
    assert [roll.new.id for roll in made] == ["XCME:ES.2024M", "XCME:ES.2024U", "XCME:ES.2024Z"]
    assert all(roll.ratio == pytest.approx(1.1, rel=1e-4) for roll in made)         # the false return
    series = continuous(panel, CHAIN, rule, adjustment)
    of = {(row["instrument"], row["ts"]): row["close"] for row in panel.iter_rows(named=True)}
    for before, row in pairwise(series.iter_rows(named=True)):
        now, then = of[row["contract"], row["ts"]], of[row["contract"], before["ts"]]
        assert now / then - 1 == pytest.approx(0.001, abs=1e-5)
        if adjustment is Adjustment.DIFFERENCE:
            assert row["close"] - before["close"] == pytest.approx(now - then, abs=1e-8)
        else:
            assert row["close"] / row["previous_close"] == pytest.approx(now / then, rel=1e-12)
        if adjustment in (Adjustment.RATIO, Adjustment.FORWARD):
            assert row["close"] / before["close"] == pytest.approx(now / then, rel=1e-10)
    assert set(series["contract"]) == {item.id for item in CHAIN}


def test_the_series_as_of_a_day_knows_only_rolls_decided_by_then(store):
    panel, rule = read_panel(store, CHAIN), CalendarRoll(5)
    whole = rolls(panel, CHAIN, rule)
    for number, roll in enumerate(whole):
        before, at = roll.ts - timedelta(microseconds=1), roll.ts
        assert rolls(panel, CHAIN, rule, as_of=before) == whole[:number]
        assert rolls(panel, CHAIN, rule, as_of=at) == whole[: number + 1]
        assert continuous(panel, CHAIN, rule, "ratio", as_of=at)["contract"][-1] == roll.old.id


def test_net_asset_value_in_the_base_currency_equals_a_hand_case_across_a_rate_change():
    """
    8 March: 250 000.00 USD + 100 000 EUR x 1.0938 + 12 000 000 JPY / 147.06 + 30 000 GBP x 1.2858
           = 250 000 + 109 380 + 81 599.3472052223... + 38 574 = 479 553.3472052223... USD
    11 March, when EURUSD closed at 1.0926 and the others had not: 120.00 less.
    """
    store = MemoryStore()
    friday, monday = datetime(2024, 3, 8, 22, tzinfo=UTC), datetime(2024, 3, 11, 21, tzinfo=UTC)
    pairs = []
    for symbol, closes in (
        ("EURUSD", [(friday, 1.0938), (monday, 1.0926)]), ("USDJPY", [(friday, 147.06)]), ("GBPUSD", [(friday, 1.2858)]),
    ):  # fmt: skip
        pairs.append(Instrument(id=f"OANDA:{symbol}", kind=Kind.FX, currency=symbol[3:], calendar="24/5"))
        rows = bars(pairs[-1].id, [(ts, close, 0.0) for ts, close in closes]).with_columns(
            volume=pl.lit(None, dtype=pl.Float64), reasons=pl.lit("volume_not_reported")
        )
        store.append(rows, Lineage(provider="test", dataset="fx", fetched_at=FETCHED))
    rates = FxRates(store, pairs)
    cash = {"USD": Decimal("250000.00"), "EUR": Decimal(100_000), "JPY": Decimal(12_000_000), "GBP": Decimal(30_000)}
    known = [rates.total(cash, "USD", moment) for moment in (friday, monday - timedelta(seconds=1), monday)]
    cents = [value.quantize(Decimal("0.0001")) for value in known]
    assert cents == [Decimal("479553.3472"), Decimal("479553.3472"), Decimal("479433.3472")]
    assert known[0] - known[2] == Decimal("120.0000")
    in_euro = rates.total(cash, "EUR", friday)
    assert (in_euro * Decimal("1.0938")).quantize(Decimal("0.0001")) == Decimal("479553.3472")
    with pytest.raises(MissingData, match="known then"):
        rates.total(cash, "USD", friday - timedelta(seconds=1))             # never a rate that was not known yet
    with pytest.raises(MissingData, match="import newer bars"):
        rates.total(cash, "USD", friday + timedelta(days=5))                # nor one that is too old


@pytest.mark.slow      # the venue's kernels take most of a minute to compile
def test_a_simulated_account_is_worth_by_hand_what_its_currencies_are_at_the_rates_known_then():
    """
    250,000.00 USD and 100,000.00 EUR; at the open of 11 March 500 shares are bought at 170.00 EUR, 85,000.00 EUR.

    close of    cash EUR     shares       rate known then       USD
    8 March     100,000.00   -            1.0950 (of 7 March)   250,000 + 109,500.00             = 359,500.00
    11 March     15,000.00   500 x 171    1.0938 (of 8 March)   250,000 + 16,407.00 + 93,519.90  = 359,926.90
    12 March     15,000.00   500 x 171    1.0926 (of 11 March)  250,000 + 16,389.00 + 93,417.30  = 359,806.30

    The shares do not move on the 12th: the change is that of the rate, -0.0012 x 100,500 EUR = -120.60 USD.
    """
    share = Instrument("XETR:SAP", Kind.EQUITY, currency="EUR", calendar="XETR")
    pair = Instrument("OANDA:EURUSD", Kind.FX, currency="USD", calendar="24/5", tick=Decimal("0.00001"))
    evenings = [datetime(2024, 3, day, 22, tzinfo=UTC) for day in (7, 8, 11)]
    fx = bars(pair.id, [(ts, close, 0.0) for ts, close in zip(evenings, (1.0950, 1.0938, 1.0926), strict=True)])
    closes = [(datetime(2024, 3, day, 16, 30, tzinfo=UTC), close) for day, close in ((8, 172.5), (11, 171.0), (12, 171.0))]
    opens = (172.0, 170.0, 171.0)
    rows = [(share.id, ts, ts, opens[n], 173.0, 170.0, close, 10_000.0, None) for n, (ts, close) in enumerate(closes)]
    market = Market.of({share.id: pl.DataFrame(rows, schema=BARS, orient="row")}, [share], bar_length_us=8 * 3_600_000_000)
    free = CostModel(half_spread_bps=Decimal(0), slippage_bps=Decimal(0), commission_bps=Decimal(0))
    settings = VenueSettings(cash={"USD": Decimal(250_000), "EUR": Decimal(100_000)}, base="USD", costs=free)
    venue = Simulator(market, settings, events=events_of(market, "USD", fx=DatedRates(fx, [pair])))
    worth = []
    for t in range(3):
        venue.advance()
        account = venue.account()
        worth.append((account.equity, account.cash["EUR"]))
        if t == 0:
            venue.submit(Ticket(share.id, Side.BUY, Decimal(500), OrderKind.MARKET))
    assert worth == [
        (Decimal("359500.00"), Decimal("100000.00")), (Decimal("359926.90"), Decimal("15000.00")),
        (Decimal("359806.30"), Decimal("15000.00")),
    ]  # fmt: skip
    assert worth[1][0] - worth[2][0] == Decimal("0.0012") * 100_500
    result = venue.result()
    result.verify()
    assert result.equity["equity_minor"].to_list() == [35_950_000, 35_992_690, 35_980_630]
    with pytest.raises(MissingData, match="give earlier bars"):
        events_of(market, "USD", fx=DatedRates(fx.tail(2), [pair]))           # no rate was known when the run begins
