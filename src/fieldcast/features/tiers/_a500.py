"""Tier a500 adds 250 columns, first half: averages, oscillators, volatility, volume, trend and levels.

What the study's list repeats of a lower tier under a second name is another period here.
"""

from __future__ import annotations

from fieldcast.features.tiers import _a500_shapes
from fieldcast.features.tiers._words import (
    ADX,
    ATR,
    ATR_SHARE,
    LOWER,
    ROGERS,
    RSI,
    TR_SHARE,
    UPPER,
    VOLUME_RATIO,
    VWAP,
    WIDTH,
    YEAR,
    Group,
    bend,
    both,
    change,
    mean_of_those,
    ratio,
    score,
    since_cross,
    streak,
)

STUDY = "ts-scaling, tier a500"
_SLOW = "xma(C, 200, 800)"
_STOCH5 = "within(C, min(L, 5), max(H, 5))"
_KELTNER = "(ema(C, 20) + 2 * atr(10))"
_KELTNER_LOW = "(ema(C, 20) - 2 * atr(10))"
# k = 0.34 / (1.34 + (n + 1) / (n - 1)), and deviations with the divisor n - 1, n = 20
_K = "0.34 / (1.34 + 21 / 19)"
_YANG_ZHANG = (
    f"sqrt((std(GAP, 20) * std(GAP, 20) + {_K} * std(BODY, 20) * std(BODY, 20)) * 20 / 19 + (1 - {_K}) * mean({ROGERS}, 20))"
)
_NVI, _PVI = "sum(where(V < lag(V, 1), R, 0), 20)", "sum(where(V > lag(V, 1), R, 0), 20)"
_RISING = "(mean(C, 20) > mean(C, 50)) + (mean(C, 50) > mean(C, 200)) + (C > mean(C, 20))"
_RANGE_44 = "within(C, min(L, 44), max(H, 44))"
_COUNTED = {"ema_9": "ema(C, 9)", "ema_50": "ema(C, 50)", "sma_21": "mean(C, 21)", "sma_63": "mean(C, 63)"}

GROUPS: tuple[Group, ...] = (
    # averages
    Group(
        "log ratio",
        STUDY,
        {
            **{f"close_to_sma_{p}": ratio("C", f"mean(C, {p})") for p in (5, 14, 21, 63, 126)},
            **{f"close_to_ema_{p}": ratio("C", f"ema(C, {p})") for p in (5, 9, 50, 100)},
            "close_to_ema_200": ratio("C", _SLOW),
            **{f"sma_{p}_change_5": ratio(f"mean(C, {p})", f"lag(mean(C, {p}), 5)") for p in (5, 21, 63)},
            **{f"ema_{p}_change_5": ratio(f"ema(C, {p})", f"lag(ema(C, {p}), 5)") for p in (9, 50, 100)},
            **{f"sma_{a}_to_sma_{b}": ratio(f"mean(C, {a})", f"mean(C, {b})") for a, b in ((5, 21), (21, 50), (63, 200))},
            "ema_9_to_ema_50": ratio("ema(C, 9)", "ema(C, 50)"),
            "ema_50_to_ema_200": ratio("ema(C, 50)", _SLOW),
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
            "since_cross_sma_5_21": since_cross("mean(C, 5)", "mean(C, 21)"),
            "since_cross_sma_21_63": since_cross("mean(C, 21)", "mean(C, 63)"),
            "since_cross_ema_9_sma_50": since_cross("ema(C, 9)", "mean(C, 50)"),
        },
    ),
    Group("log ratio", STUDY, {f"{name}_bend_5": bend(f"log({line} / lag({line}, 5))") for name, line in _COUNTED.items()}),
    # oscillators
    Group(
        "fraction",
        STUDY,
        {
            "rsi_5": "rsi(C, 5)",
            "rsi_21": "rsi(C, 21)",
            "stochastic_k_5": _STOCH5,
            "stochastic_d_5": f"mean({_STOCH5}, 3)",
            "rsi_5_change_5": change("rsi(C, 5)"),
            "rsi_21_change_5": change("rsi(C, 21)"),
            "stochastic_k_5_change_5": change(_STOCH5),
            "rsi_5_less_rsi_21": "rsi(C, 5) - rsi(C, 21)",
            "rsi_2": "rsi(C, 2)",
            "rsi_14_place_60": f"place({RSI}, 60)",
        },
    ),
    Group("log return", STUDY, {f"return_{k}": ratio("C", f"lag(C, {k})") for k in (2, 3, 10, 42, 126)}),
    # volatility
    Group("fraction of price", STUDY, {"atr_5_to_close": "atr(5) / C", "atr_21_to_close": "atr(21) / C"}),
    Group(
        "log ratio",
        STUDY,
        {
            "atr_5_to_atr_21": ratio("atr(5)", "atr(21)"),
            "atr_14_to_lag_5": ratio(ATR, f"lag({ATR}, 5)"),
        },
    ),
    Group("fraction of price", STUDY, {"atr_share_bend_5": bend(ATR_SHARE), "true_range_to_close": TR_SHARE}),
    Group("fraction", STUDY, {"atr_share_rank_20": f"rank({ATR_SHARE}, 20)", "true_range_rank_60": f"rank({TR_SHARE}, 60)"}),
    Group("standard deviations", STUDY, {"true_range_score_20": score(TR_SHARE, 20)}),
    Group("rows", STUDY, {"wild_streak": streak(f"{TR_SHARE} > 1.5 * mean({TR_SHARE}, 20)")}),
    Group("standard deviation a year", "Rogers and Satchell 1991", {"rogers_satchell_20": f"sqrt(mean({ROGERS}, 20)) * {YEAR}"}),
    Group("standard deviation a year", "Yang and Zhang 2000", {"yang_zhang_20": f"{_YANG_ZHANG} * {YEAR}"}),
    Group(
        "standard deviation a year",
        STUDY,
        {
            "volatility_10": f"std(R, 10) * {YEAR}",
            "volatility_63": f"std(R, 63) * {YEAR}",
            "volatility_252": f"std(R, 252) * {YEAR}",
            "downside_volatility_63": f"sqrt(mean(where(R < 0, R * R, 0), 63)) * {YEAR}",
        },
    ),
    Group("fraction of price", STUDY, {"bollinger_width_change_5": change(WIDTH), "bollinger_width_bend_5": bend(WIDTH)}),
    Group(
        "fraction", STUDY, {"bollinger_width_rank_20": f"rank({WIDTH}, 20)", "bollinger_width_place_252": f"place({WIDTH}, 252)"}
    ),
    Group(
        "log ratio",
        "Keltner",
        {"keltner_width": ratio(_KELTNER, "ema(C, 20)"), "bollinger_to_keltner": ratio("std(C, 20)", "atr(10)")},
    ),
    Group("fraction of band width", "Keltner", {"keltner_place": f"(C - {_KELTNER_LOW}) / (4 * atr(10))"}),
    Group("class", "Keltner", {"squeeze_in_keltner": both(f"{UPPER} < {_KELTNER}", f"{LOWER} > {_KELTNER_LOW}")}),
    Group(
        "log ratio",
        STUDY,
        {
            "volatility_change_20": ratio("std(R, 20)", "lag(std(R, 20), 20)"),
            "range_to_close_volatility_20": ratio("sqrt(mean(REACH * REACH, 20))", "std(R, 20)"),
        },
    ),
    Group("correlation", STUDY, {"volatility_clustering_60": "corr(R * R, lag(R * R, 1), 60)"}),
    # volume
    Group(
        "fraction a row", STUDY, {"volume_trend_3": "slope(V, 3) / mean(V, 20)", "volume_trend_20": "slope(V, 20) / mean(V, 20)"}
    ),
    Group(
        "log ratio",
        STUDY,
        {"volume_5_to_20": ratio("mean(V, 5)", "mean(V, 20)"), "volume_20_to_120": ratio("mean(V, 20)", "mean(V, 120)")},
    ),
    Group("rows", STUDY, {"volume_fall_streak": streak("V < lag(V, 1)")}),
    Group("ratio", STUDY, {"volume_ratio_change_5": change(VOLUME_RATIO)}),
    Group(
        "log ratio",
        STUDY,
        {
            "vwap_20_change_5": ratio(VWAP, f"lag({VWAP}, 5)"),
            "vwap_20_change_1": ratio(VWAP, f"lag({VWAP}, 1)"),
            "vwap_20_to_sma_20": ratio(VWAP, "mean(C, 20)"),
        },
    ),
    Group("rows, signed", STUDY, {"since_cross_vwap_20": since_cross("C", VWAP)}),
    Group("fraction", "Chaikin", {"chaikin_flow_10": "sum(AD, 10) / sum(V, 10)", "chaikin_flow_60": "sum(AD, 60) / sum(V, 60)"}),
    Group(
        "plain", "Arms, ease of movement", {"ease_of_movement_14": "mean(log(MID / lag(MID, 1)) * REACH * mean(V, 14) / V, 14)"}
    ),
    Group("log return", "Dysart", {"falling_volume_return_20": _NVI, "rising_volume_return_20": _PVI}),
    Group("log return", STUDY, {"price_volume_trend_change_5": change("(sum(V * R, 20) / sum(V, 20))")}),
    Group(
        "class",
        STUDY,
        {
            "heavy_and_still": both(f"{VOLUME_RATIO} > 1.5", "abs(R) < 0.5 * std(R, 20)"),
            "heavy_and_moving": both(f"{VOLUME_RATIO} > 1.5", "abs(R) > 1.5 * std(R, 20)"),
            "volume_build_up": both("V > lag(V, 1)", "lag(V, 1) > lag(V, 2)", "lag(V, 2) > lag(V, 3)"),
            "heavy_breakout": both("C > lag(max(H, 20), 1)", f"{VOLUME_RATIO} > 1.5"),
        },
    ),
    Group("fraction", STUDY, {"volume_rank_20": "rank(V, 20)", "volume_rank_252": "rank(V, 252)"}),
    Group("standard deviations", STUDY, {"volume_score_20": score("V", 20)}),
    Group(
        "log ratio",
        STUDY,
        {"up_to_down_volume_20": ratio(mean_of_those("V", "R > 0", 20), f"({mean_of_those('V', 'R < 0', 20)})")},
    ),
    # trend
    Group(
        "fraction",
        "Wilder 1978",
        {"plus_di_14": "plus_di(14)", "minus_di_14": "minus_di(14)", "adx_bend_5": bend(ADX), "adx_5": "adx(5)"},
    ),
    Group("rows, signed", "Wilder 1978", {"since_di_cross": since_cross("plus_di(14)", "minus_di(14)")}),
    Group("log return", STUDY, {"mean_loss_20": mean_of_those("R", "R < 0", 20)}),
    Group(
        "log return", STUDY, {"mean_gain_60": mean_of_those("R", "R > 0", 60), "mean_loss_60": mean_of_those("R", "R < 0", 60)}
    ),
    Group(
        "fraction",
        STUDY,
        {
            "return_persistence_20": "mean(sign(R) * sign(lag(R, 1)), 20)",
            "gain_share_20": "sum(where(R > 0, R, 0), 20) / sum(abs(R), 20)",
            "signed_efficiency_60": "log(C / lag(C, 60)) / sum(abs(R), 60)",
        },
    ),
    Group("class", STUDY, {"trending": f"({ADX} > 0.25) + ({ADX} > 0.4)", "trend_alignment": _RISING}),
    Group("rows", STUDY, {"trend_age": streak(f"{ADX} > 0.25"), "aligned_days": streak(f"{_RISING} >= 3")}),
    Group(
        "ratio",
        STUDY,
        {
            "trend_to_volatility_10": "log(C / lag(C, 10)) / (std(R, 10) * sqrt(10))",
            "trend_to_volatility_63": "log(C / lag(C, 63)) / (std(R, 63) * sqrt(63))",
        },
    ),
    Group("fraction of price a row", STUDY, {f"line_slope_{n}": f"slope(C, {n}) / C" for n in (20, 60)}),
    Group("fraction", STUDY, {f"line_fit_{n}": f"r_squared(C, {n})" for n in (20, 60)}),
    Group("fraction of price", STUDY, {f"off_line_{n}": f"off_line(C, {n}) / C" for n in (20, 60)}),
    Group("fraction of price", STUDY, {"around_line_20": "around_line(C, 20) / C"}),
    Group(
        "fraction", "Chande, Aroon", {"aroon_up_25": "1 - age_of_max(H, 26) / 25", "aroon_down_25": "1 - age_of_min(L, 26) / 25"}
    ),
    # levels
    Group(
        "fraction",
        STUDY,
        {
            "range_place_50": "within(C, min(L, 50), max(H, 50))",
            "range_place_126": "within(C, min(L, 126), max(H, 126))",
            "close_place_252": "place(C, 252)",
        },
    ),
    Group(
        "log ratio",
        STUDY,
        {
            "close_to_high_50": ratio("C", "max(H, 50)"),
            "close_to_low_50": ratio("C", "min(L, 50)"),
            "close_to_low_252": ratio("C", "min(L, 252)"),
            "channel_width_252": ratio("max(H, 252)", "min(L, 252)"),
        },
    ),
    Group(
        "rows",
        STUDY,
        {
            "since_high_20": "age_of_max(H, 20)",
            "since_low_20": "age_of_min(L, 20)",
            "since_high_50": "age_of_max(H, 50)",
            "since_low_50": "age_of_min(L, 50)",
        },
    ),
    Group("class", STUDY, {"breakout_20": "C > lag(max(H, 20), 1)", "breakdown_20": "C < lag(min(L, 20), 1)"}),
    Group(
        "mean true ranges",
        STUDY,
        {"breakout_size_20": f"(C - lag(max(H, 20), 1)) / {ATR}", "breakdown_size_20": f"(C - lag(min(L, 20), 1)) / {ATR}"},
    ),
    Group(
        "rows", STUDY, {"new_high_streak": streak("H > lag(max(H, 20), 1)"), "new_low_streak": streak("L < lag(min(L, 20), 1)")}
    ),
    Group(
        "log ratio",
        STUDY,
        {"range_10_to_60": ratio("mean(REACH, 10)", "mean(REACH, 60)"), "range_1_to_10": ratio("TR", "mean(TR, 10)")},
    ),
    Group(
        "fraction",
        STUDY,
        {
            "support_tests_20": "mean(L <= 1.01 * lag(min(L, 20), 1), 20)",
            "resistance_tests_20": "mean(H >= 0.99 * lag(max(H, 20), 1), 20)",
        },
    ),
    Group(
        "fraction",
        "Fibonacci shares",
        {
            "to_half_of_range_44": "abs(within(C, min(L, 44), max(H, 44)) - 0.5)",
            "to_nearest_share_44": f"least(abs({_RANGE_44} - 0.382), abs({_RANGE_44} - 0.618))",
        },
    ),
    *_a500_shapes.GROUPS,
)
