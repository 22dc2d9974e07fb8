"""Tier a200 adds 106 columns, 206 in all: families of averages, counters, bands, streaks, calendar, candles, channels,
divergence, order-pattern entropy and volatility regimes.

Averages enter against the close; of two columns of which one is the other's negative or square, one is another period. Kaufman's
averages start 100 rows back, and TEMA 100 sees 300 rows three times, so that their memory is finite.
"""

from __future__ import annotations

from fieldcast.features.tiers._words import (
    ADX,
    ATR_SHARE,
    DOJI,
    LOWER,
    MACD,
    RSI,
    UPPER,
    VOLUME_RATIO,
    WIDTH,
    Group,
    change,
    hull,
    ratio,
    score,
    since_cross,
    streak,
    triple,
    vwma,
)

STUDY = "ts-scaling, tier a200"
_KAMA = "kama(C, 20, 100)"
_TENKAN, _KIJUN = "((max(H, 9) + min(L, 9)) / 2)", "((max(H, 26) + min(L, 26)) / 2)"
_SPAN_A = f"lag(({_TENKAN} + {_KIJUN}) / 2, 26)"
_SPAN_B = "lag((max(H, 52) + min(L, 52)) / 2, 26)"
_RSI_GAP = f"(rank(C, 20) - rank({RSI}, 20))"
_FLOW_GAP = "(rank(C, 20) - rank(sum(FLOW, 20) / sum(V, 20), 20))"
_ENTROPY = "permutation_entropy(R, 20, {})"
_VOL_STATE = f"(rank({ATR_SHARE}, 60) >= 0.67) - (rank({ATR_SHARE}, 60) <= 0.33)"
_SWITCH = f"(abs({change(f'({_VOL_STATE})', 1)}) > 0)"

_AVERAGES = {
    **{f"tema_{p}": f"tema(C, {p})" for p in (9, 20, 50)},
    "tema_100": triple(100, 300),
    **{f"wma_{p}": f"wma(C, {p})" for p in (10, 20, 50, 200)},
    **{f"kama_{p}": f"kama(C, {p}, 100)" for p in (10, 20, 50)},
    **{f"hull_{p}": hull(p, root) for p, root in ((9, 3), (21, 4), (50, 7))},
    **{f"vwma_{p}": vwma(p) for p in (10, 50)},
}
_COUNTED = {
    "sma_9": "mean(C, 9)",
    "sma_50": "mean(C, 50)",
    "sma_200": "mean(C, 200)",
    "tema_20": "tema(C, 20)",
    "kama_20": _KAMA,
    "vwap_20": vwma(20),
}

GROUPS: tuple[Group, ...] = (
    Group("log ratio", STUDY, {f"close_to_{name}": ratio("C", line) for name, line in _AVERAGES.items()}),
    Group(
        "log ratio",
        STUDY,
        {
            "tema_20_change_5": ratio("tema(C, 20)", "lag(tema(C, 20), 5)"),
            "kama_20_change_5": ratio(_KAMA, f"lag({_KAMA}, 5)"),
            "hull_21_change_5": ratio(hull(21, 4), f"lag({hull(21, 4)}, 5)"),
            "vwap_50_to_sma_50": ratio(vwma(50), "mean(C, 50)"),
        },
    ),
    Group(
        "rows",
        STUDY,
        {
            **{f"days_above_{name}": streak(f"C >= {line}") for name, line in _COUNTED.items()},
            **{f"days_below_{name}": streak(f"C < {line}") for name, line in _COUNTED.items()},
        },
    ),
    Group(
        "rows, signed",
        STUDY,
        {
            "since_cross_sma_9_50": since_cross("mean(C, 9)", "mean(C, 50)"),
            "since_cross_sma_50_200": since_cross("mean(C, 50)", "mean(C, 200)"),
            "since_cross_tema_20_sma_50": since_cross("tema(C, 20)", "mean(C, 50)"),
            "since_cross_kama_20_sma_50": since_cross(_KAMA, "mean(C, 50)"),
            "since_cross_sma_9_200": since_cross("mean(C, 9)", "mean(C, 200)"),
        },
    ),
    Group(
        "log ratio",
        STUDY,
        {
            "tema_20_to_sma_50": ratio("tema(C, 20)", "mean(C, 50)"),
            "kama_20_to_sma_50": ratio(_KAMA, "mean(C, 50)"),
            "sma_9_to_sma_200": ratio("mean(C, 9)", "mean(C, 200)"),
            "close_to_upper_band": ratio("C", UPPER),
            "close_to_lower_band": ratio("C", LOWER),
        },
    ),
    Group(
        "rows",
        STUDY,
        {
            "days_above_upper_band": streak(f"C > {UPPER}"),
            "days_below_lower_band": streak(f"C < {LOWER}"),
            "squeeze_days": streak(f"{WIDTH} <= quantile({WIDTH}, 60, 0.2)"),
        },
    ),
    Group("class", STUDY, {"squeeze": f"{WIDTH} <= quantile({WIDTH}, 60, 0.2)"}),
    Group("fraction", STUDY, {"rsi_14_from_middle": f"abs({RSI} - 0.5)", "rsi_14_rank_60": f"rank({RSI}, 60)"}),
    Group(
        "rows",
        STUDY,
        {
            "days_overbought": streak(f"{RSI} > 0.7"),
            "days_oversold": streak(f"{RSI} < 0.3"),
        },
    ),
    Group("standard deviations", STUDY, {"close_score_10": score("C", 10), "close_score_50": score("C", 50)}),
    Group("fraction", STUDY, {"range_place_252": "within(C, min(L, 252), max(H, 252))"}),
    Group("log ratio", STUDY, {"close_to_high_252": ratio("C", "max(H, 252)")}),
    Group("rows", STUDY, {"since_high_252": "age_of_max(H, 252)", "since_low_252": "age_of_min(L, 252)"}),
    Group("rows", STUDY, {"up_streak": streak("R > 0"), "down_streak": streak("R < 0")}),
    Group("fraction", STUDY, {"up_share_10": "mean(R > 0, 10)"}),
    Group("log ratio", STUDY, {"range_5_to_20": ratio("log(max(H, 5) / min(L, 5))", "log(max(H, 20) / min(L, 20))")}),
    Group(
        "fraction of price",
        STUDY,
        {
            "macd_signal_to_close": f"ema({MACD}, 9) / C",
            "macd_histogram_change_5": change(f"(({MACD} - ema({MACD}, 9)) / C)"),
        },
    ),
    Group("rows, signed", STUDY, {"since_macd_cross": since_cross(MACD, f"ema({MACD}, 9)")}),
    Group("mean true ranges", STUDY, {"macd_in_atr": f"{MACD} / atr(14)"}),
    Group("fraction a row", STUDY, {"volume_trend_5": "slope(V, 5) / mean(V, 20)"}),
    Group("rows", STUDY, {"volume_rise_streak": streak("V > lag(V, 1)")}),
    Group(
        "fraction",
        STUDY,
        {
            "price_volume_agreement_20": "mean(sign(R) * sign(V - lag(V, 1)), 20)",
            "heavy_day_direction_20": f"sum(where({VOLUME_RATIO} > 1, sign(R), 0), 20) / 20",
        },
    ),
    Group(
        "fraction",
        "calendar",
        {
            "weekday": "weekday",
            "month": "month",
            "month_left": "month_left",
        },
    ),
    Group(
        "class",
        "calendar",
        {"monday": "weekday <= 0", "friday": "(weekday > 0.6) * (weekday < 0.7)", "quarter_end_month": "quarter_end"},
    ),
    Group(
        "fraction",
        STUDY,
        {
            "body_to_range": "abs(C - O) / (H - L)",
            "upper_wick": "(H - TOP) / (H - L)",
            "lower_wick": "(BOTTOM - L) / (H - L)",
        },
    ),
    Group("class", STUDY, {"doji": DOJI}),
    Group("ratio", STUDY, {"range_to_mean_20": "REACH / mean(REACH, 20)", "body_to_mean_range_20": "BODY / mean(REACH, 20)"}),
    Group(
        "log ratio",
        "Hosoda, Ichimoku",
        {
            "close_to_tenkan": ratio("C", _TENKAN),
            "close_to_kijun": ratio("C", _KIJUN),
            "close_to_span_a": ratio("C", _SPAN_A),
            "close_to_span_b": ratio("C", _SPAN_B),
            "cloud_thickness": ratio(_SPAN_A, _SPAN_B),
        },
    ),
    Group("class", "Hosoda, Ichimoku", {"cloud_side": f"(C > most({_SPAN_A}, {_SPAN_B})) - (C < least({_SPAN_A}, {_SPAN_B}))"}),
    Group(
        "log ratio",
        "Donchian",
        {
            "channel_middle_20": ratio("C", "((max(H, 20) + min(L, 20)) / 2)"),
            "channel_width_20": ratio("max(H, 20)", "min(L, 20)"),
            "channel_width_55": ratio("max(H, 55)", "min(L, 55)"),
        },
    ),
    Group(
        "fraction",
        "Donchian",
        {
            "channel_place_20": "within(C, min(L, 20), max(H, 20))",
            "channel_place_55": "within(C, min(L, 55), max(H, 55))",
        },
    ),
    Group(
        "fraction",
        STUDY,
        {
            "price_rsi_divergence_20": _RSI_GAP,
            "price_flow_divergence_20": _FLOW_GAP,
            "divergence_size_20": f"most(abs({_RSI_GAP}), abs({_FLOW_GAP}))",
        },
    ),
    Group("rows", STUDY, {"divergence_streak": streak(f"abs({_RSI_GAP}) > 0.2")}),
    Group(
        "fraction",
        "Bandt and Pompe 2002",
        {
            **{f"order_entropy_{order}": _ENTROPY.format(order) for order in (3, 4, 5)},
            "order_entropy_change_5": change(_ENTROPY.format(4)),
        },
    ),
    Group(
        "fraction",
        STUDY,
        {
            "atr_share_rank_120": f"rank({ATR_SHARE}, 120)",
            "atr_share_place_60": f"place({ATR_SHARE}, 60)",
            "adx_rank_60": f"rank({ADX}, 60)",
            "adx_place_60": f"place({ADX}, 60)",
        },
    ),
    Group("class", STUDY, {"volatility_state": _VOL_STATE}),
    Group("rows", STUDY, {"volatility_state_age": f"since({_SWITCH}, 60)"}),
    Group("fraction", STUDY, {"volatility_switches_20": f"mean({_SWITCH}, 20)"}),
)
