"""Fee schedules of venues, each as the venue itself published it, with the page and the time of it.

Fees change, and depend on the account's tier: each preset is the lowest tier of a plan, at the time that it names, and a
run whose days lie elsewhere uses it as an assumption. `note` says what a preset leaves out. A venue whose own page could not be
seen has a preset only where two who read that page independently state the same figures; `source` then says who they are
(one of two may be told by its kind alone), and `published` when they read it. For any other venue write a
`FeeSchedule` from your agreement.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from fieldcast.ground import MissingData
from fieldcast.trading.costs.fees import FeeSchedule, Traded

_IBKR = "https://www.interactivebrokers.co.uk/en/pricing/commissions-stocks.php?re=amer"
_IBKR_TIME = "between 2024-11 and 2025-05 (by the section 31 and CAT fees that it lists)"
_COIN = Decimal("0.00000001")
_KRAKEN = "https://www.kraken.com/features/fee-schedule"
_TRADIER = "https://tradier.com/individuals/pricing"
_TRADIER_PLANS = (
    f"{_TRADIER}, as https://newsdirect.com/news/driving-price-innovation-unlimited-commission-free-option-trades-why-serious-"
    "options-traders-choose-tradier-857164320 (paid for by Tradier) states it; the same in a public repository's survey of "
    "brokers"
)
_TRADIER_TIME = "2024-12-05; the survey has rates of 2026-03"

_ALL = (
    FeeSchedule(
        "alpaca",
        section_31=Decimal(0),
        activity_per_unit=Decimal("0.000166"),
        activity_maximum=Decimal("8.30"),
        passed_per_unit=Decimal("0.0000265"),
        source="https://alpaca.markets/support/regulatory-fees, https://alpaca.markets/support/commission-clearing-fees",
        published="after 2025-05-14 (section 31 at 0; CAT fee 2025-2)",
        note="US listed equities of a self-directed account; rounded for each fill, where Alpaca rounds the sum of a day",
    ),
    FeeSchedule(
        "ibkr_fixed",
        per_unit=Decimal("0.005"),
        minimum=Decimal("1.00"),
        maximum_share=Decimal("0.01"),
        section_31=Decimal("0.0000278"),
        activity_per_unit=Decimal("0.000166"),
        activity_maximum=Decimal("8.30"),
        passed_per_unit=Decimal("0.000072"),
        source=_IBKR,
        published=_IBKR_TIME,
        note="US stocks, whole shares; the page's footnote on the most of the activity fee was not seen, FINRA's stands there",
    ),
    FeeSchedule(
        "ibkr_tiered",
        per_unit=Decimal("0.0035"),
        minimum=Decimal("0.35"),
        maximum_share=Decimal("0.01"),
        section_31=Decimal("0.0000278"),
        activity_per_unit=Decimal("0.000166"),
        activity_maximum=Decimal("8.30"),
        passed_per_unit=Decimal("0.000272"),  # CAT 0.000072 and clearing 0.00020
        passed_of_commission=Decimal("0.000738"),  # NYSE 0.000175 and FINRA 0.000563
        source=_IBKR,
        published=_IBKR_TIME,
        note="US stocks, up to 300,000 shares a month; the exchange's own fee or rebate, which depends on the route, is left out",
    ),
    FeeSchedule(
        "schwab",
        source="https://international.schwab.com/costs-of-investing",
        published="undated page, seen in a stored copy",
        note="US listed stocks and ETFs, online; regulatory fees come on top and are not on the page: with_regulatory_on",
    ),
    FeeSchedule(
        "schwab_options",
        traded=Traded.OPTIONS,
        per_unit=Decimal("0.65"),
        source="https://international.schwab.com/costs-of-investing",
        published="undated page, seen in a stored copy",
        note="online, a contract; exchange, clearing and regulatory fees are left out",
    ),
    FeeSchedule(
        "tradier",
        source="https://github.com/QuantConnect/Lean/issues/6085, of https://brokerage.tradier.com/pricing; for the plans Pro "
        "and Pro Plus the same in https://github.com/larry-goyeau/broker-scraping, of https://tradier.com/pricing",
        published="read on 2021-11-30 (one account for all) and 2026-09-17 (plans Pro and Pro Plus)",
        note="US stocks and ETFs; the reader of 2026 has 0.35 an order for the plan Lite, which no second one states; a plan's "
        "monthly subscription is left out; regulatory fees come on top: with_regulatory_on; so does Tradier's fee for reporting",
    ),
    FeeSchedule(
        "tradier_lite_options",
        traded=Traded.OPTIONS,
        per_unit=Decimal("0.35"),
        source=f"{_TRADIER_PLANS}; in 2021 the one account had it (https://github.com/QuantConnect/Lean/issues/6085)",
        published=f"{_TRADIER_TIME}; 2021-11-30",
        note="the plan without a subscription, options on stocks, ETFs and indices, a contract; exchange, clearing and "
        "regulatory fees, and those of an exercise, are left out; with_regulatory_on charges section 31 as of stocks and "
        "ETFs, of which an index's option pays none",
    ),
    FeeSchedule(
        "tradier_pro_options",
        traded=Traded.OPTIONS,
        source=_TRADIER_PLANS,
        published=_TRADIER_TIME,
        note="options on stocks and ETFs, plans Pro (10 dollars a month) and Pro Plus (35), which are left out, as are exchange, "
        "clearing and regulatory fees, and those of an exercise",
    ),
    FeeSchedule(
        "tradier_pro_index_options",
        traded=Traded.INDEX_OPTIONS,
        per_unit=Decimal("0.35"),
        source=_TRADIER_PLANS,
        published=_TRADIER_TIME,
        note="options on indices, a contract, plan Pro; its 10 dollars a month, what the index's exchange takes, clearing and "
        "regulatory fees are left out",
    ),
    FeeSchedule(
        "tradier_pro_plus_index_options",
        traded=Traded.INDEX_OPTIONS,
        per_unit=Decimal("0.10"),
        source=_TRADIER_PLANS,
        published=_TRADIER_TIME,
        note="options on indices, a contract, plan Pro Plus; its 35 dollars a month, what the index's exchange takes, clearing "
        "and regulatory fees are left out",
    ),
    FeeSchedule(
        "kraken",
        value_bps=Decimal(80),
        maker_bps=Decimal(40),
        step=_COIN,
        traded=Traded.COINS,
        source=f"{_KRAKEN}, as https://github.com/alqahtanis0001/ACSOE "
        "(tests/fixtures/replay/kraken_fee_schedule_2026-09-19.json, with the page itself) and "
        "https://github.com/kylegjordan/DawnTraderV3 (a watch over the page) state it",
        published="read on 2026-09-12 and 2026-09-19; tiers of 2026-07-09",
        note="spot, first tier; stable coins and currencies are others; before 2026-07-09 it was less",
    ),
    FeeSchedule(
        "kraken_from_2015_08",
        value_bps=Decimal(26),
        maker_bps=Decimal(16),
        step=_COIN,
        traded=Traded.COINS,
        source="https://blog.kraken.com/news/reduced-trade-fees-coming-august-1st; the same in LEAN's KrakenFeeModel and in ccxt",
        published="2015-07, from 2015-08-01 on; when it ended is not on record",
        note="spot, first tier, bitcoin against currencies; other pairs could be others",
    ),
    FeeSchedule(
        "coinbase_exchange",
        value_bps=Decimal(60),
        maker_bps=Decimal(40),
        step=_COIN,
        traded=Traded.COINS,
        source="https://help.coinbase.com/en/exchange/trading-and-funding/exchange-fees",
        published="2023-08",
        note="up to 10,000 USD in 30 days; stable pairs are others",
    ),
    FeeSchedule(
        "binance_spot",
        value_bps=Decimal(10),
        step=_COIN,
        traded=Traded.COINS,
        source="https://www.binance.com/en-GB/support/faq/what-is-binance-spot-trading-fee-and-how-to-calculate-"
        "e85d6e703b874674840122196b89780a",  # pragma: allowlist secret
        published="2022-03-24",
        note="regular user, not paid in BNB; Binance takes the fee of a purchase in the coin, here it is in the quote currency",
    ),
    FeeSchedule(
        "binance_usd_margined",
        value_bps=Decimal(5),
        maker_bps=Decimal(2),
        step=_COIN,
        traded=Traded.COINS,
        source="https://babianfox.com/en/kb/binance-futures-fee/ and http://br-binance.com/en/article/"
        "binance-futures-maker-taker-fee.html, both of Binance's schedule of USDT contracts",
        published="undated pages, seen in stored copies; later than binance_usd_margined_2022",
        note="regular user, USDT contracts, not paid in BNB; USDC contracts are others; funding is no fee and is left out",
    ),
    FeeSchedule(
        "binance_usd_margined_2022",
        value_bps=Decimal(4),
        maker_bps=Decimal(2),
        step=_COIN,
        traded=Traded.COINS,
        source="https://github.com/QuantConnect/Lean (BinanceFuturesFeeModel) and https://github.com/ccxt/ccxt "
        "(js/binanceusdm.js), both of https://www.binance.com/en/fee/futureFee",
        published="read in 2022 (LEAN's model and its tests); ccxt's table is undated",
        note="regular user, USDT contracts, not paid in BNB; BUSD contracts are others; funding is no fee and is left out",
    ),
    FeeSchedule(
        "binance_coin_margined",
        value_bps=Decimal(4),
        maker_bps=Decimal("1.5"),
        step=_COIN,
        traded=Traded.COINS,
        source="https://www.binance.com/en-ZA/support/faq/binance-futures-fee-structure-fee-calculations-360033544231",
        published="undated page, seen in a stored copy",
        note="regular user, not paid in BNB; funding is no fee and is left out",
    ),
)

VENUES: Mapping[str, FeeSchedule] = MappingProxyType({schedule.name: schedule for schedule in _ALL})


def fee_schedule(name: str) -> FeeSchedule:
    """The preset of that name.

    Raises
    ------
    MissingData : there is none
    """
    try:
        return VENUES[name]
    except KeyError:
        raise MissingData(
            f"expected fees out of {', '.join(VENUES)}, found {name!r}; other venues take a FeeSchedule of your own"
        ) from None
