"""Tier a100 adds 50 columns: accelerations, oscillators, tail risk, averages, volatility of volatility, trend, flow, levels.

Cumulative lines (OBV, accumulation, price-volume trend) enter as their change over a window divided by its volume; averages that
the study has as prices enter against the close. Its two premia of VIX are the ratio of 5 to 60 rows' volatility and its
change; the DeMarker less one half and the signed direction of the Supertrend's own distance are other periods instead of copies.
"""

from __future__ import annotations

from fieldcast.features.tiers._words import (
    ADX,
    ATR_SHARE,
    PARKINSON,
    QQE,
    STC,
    STOCH,
    WIDTH,
    YEAR,
    Group,
    change,
    klinger,
    mean_of_those,
    ratio,
    sharpe,
    since_cross,
    sortino,
)

STUDY = "ts-scaling, tier a100"
_TREND = "supertrend(10, 3, 60)"


def _demarker(rows: int) -> str:
    up, down = "most(H - lag(H, 1), 0 * H)", "most(lag(L, 1) - L, 0 * L)"
    return f"mean({up}, {rows}) / (mean({up}, {rows}) + mean({down}, {rows}))"


def _money_flow(rows: int) -> str:
    up, down = "where(TP > lag(TP, 1), TP * V, 0 * TP * V)", "where(TP < lag(TP, 1), TP * V, 0 * TP * V)"
    return f"sum({up}, {rows}) / (sum({up}, {rows}) + sum({down}, {rows}))"


GROUPS: tuple[Group, ...] = (
    Group("log return", STUDY, {"return_1_change_1": change("R", 1), "return_5_change_1": change("log(C / lag(C, 5))", 1)}),
    Group(
        "fraction",
        STUDY,
        {
            "qqe_fast_change_5": change(QQE),
            "qqe_fast_to_extreme": f"least(abs({QQE} - 0.2), abs({QQE} - 0.8))",
            "schaff_change_5": change(STC),
            "schaff_to_extreme": f"least(abs({STC} - 0.25), abs({STC} - 0.75))",
            "demarker_14": _demarker(14),
            "demarker_5": _demarker(5),
            "stochastic_k_14": STOCH,
            "stochastic_d_14": f"mean({STOCH}, 3)",
            "stochastic_to_extreme": f"least(abs({STOCH} - 0.2), abs({STOCH} - 0.8))",
            "money_flow_14": _money_flow(14),
            "williams_r_14": "within(C, min(L, 14), max(H, 14)) - 1",
        },
    ),
    Group("mean distances / 0.015", STUDY, {"cci_14": "(TP - mean(TP, 14)) / (0.015 * mean_distance(TP, 14))"}),
    Group(
        "log ratio",
        STUDY,
        {
            "volatility_5_to_60": ratio("std(R, 5)", "std(R, 60)"),
            "volatility_5_to_60_change_1": change(ratio("std(R, 5)", "std(R, 60)"), 1),
        },
    ),
    Group(
        "ratio a year",
        STUDY,
        {
            "sharpe_252": sharpe(252),
            "sortino_252": sortino(252),
            "sharpe_20_change_1": change(sharpe(20), 1),
            "sortino_20_change_1": change(sortino(20), 1),
        },
    ),
    Group(
        "log return",
        STUDY,
        {
            "value_at_risk_95": "quantile(R, 20, 0.05)",
            "value_at_risk_99": "quantile(R, 20, 0.01)",
            "expected_shortfall_90": "tail(R, 20, 0.1)",
        },
    ),
    Group(
        "log ratio",
        STUDY,
        {
            "sma_9_to_sma_50": ratio("mean(C, 9)", "mean(C, 50)"),
            "sma_50_change_5": ratio("mean(C, 50)", "lag(mean(C, 50), 5)"),
            "sma_200_change_5": ratio("mean(C, 200)", "lag(mean(C, 200), 5)"),
        },
    ),
    Group(
        "rows, signed",
        STUDY,
        {
            "since_cross_sma_50": since_cross("C", "mean(C, 50)"),
            "since_cross_sma_200": since_cross("C", "mean(C, 200)"),
        },
    ),
    Group("log ratio", STUDY, {"close_to_ema_12": ratio("C", "ema(C, 12)"), "close_to_ema_26": ratio("C", "ema(C, 26)")}),
    Group(
        "fraction",
        STUDY,
        {
            "atr_share_rank_60": f"rank({ATR_SHARE}, 60)",
            "bollinger_width_rank_60": f"rank({WIDTH}, 60)",
        },
    ),
    Group(
        "standard deviation a year",
        STUDY,
        {
            "parkinson_year_20": f"{PARKINSON} * {YEAR}",
            "garman_klass_year_20": f"sqrt(mean(0.5 * REACH * REACH - (2 * log(2) - 1) * BODY * BODY, 20)) * {YEAR}",
            "volatility_of_volatility_20": f"std(std(R, 20), 20) * {YEAR}",
        },
    ),
    Group(
        "fraction",
        STUDY,
        {
            "adx_14_change_5": change(ADX),
            "directional_spread_14": "plus_di(14) - minus_di(14)",
            "aroon_oscillator_25": "(age_of_min(L, 26) - age_of_max(H, 26)) / 25",
        },
    ),
    Group("log ratio", STUDY, {"close_to_supertrend": ratio("C", _TREND)}),
    Group("rows, signed", STUDY, {"since_supertrend_turn": since_cross("C", _TREND)}),
    Group(
        "fraction",
        STUDY,
        {
            "obv_5": "sum(FLOW, 5) / sum(V, 5)",
            "accumulation_20": "sum(AD, 20) / sum(V, 20)",
        },
    ),
    Group("log return", STUDY, {"price_volume_trend_20": "sum(V * R, 20) / sum(V, 20)"}),
    Group("rows of mean volume", STUDY, {"klinger_histogram": f"({klinger()} - ema({klinger()}, 13)) / mean(V, 60)"}),
    Group(
        "log return",
        STUDY,
        {
            "mean_gain_20": mean_of_those("R", "R > 0", 20),
        },
    ),
    Group(
        "fraction",
        STUDY,
        {
            "win_rate_20": "mean(R > 0, 20)",
            "buying_pressure": "within(C, L, H)",
            "range_place_44": "within(C, min(L, 44), max(H, 44))",
        },
    ),
    Group(
        "log ratio",
        STUDY,
        {
            "close_to_high_20": ratio("C", "max(H, 20)"),
            "close_to_low_20": ratio("C", "min(L, 20)"),
        },
    ),
)
