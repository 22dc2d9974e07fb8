"""Tier a500, second half: candles and gaps, slower bars, entropies, long memory, fractals and the phases of a market.

Where the study's quantity has no unique answer on a short window, the nearest that has one stands in: the shares of a window's
movement in three octaves of its Haar transform for the empirical modes, the spread of the fluctuation exponents of order 4 and
1 for the width of a multifractal spectrum, counts in add-one form for the sample entropy and the correlation dimension. The
phases of Wyckoff are shares of rows in which the price's place in its range and the volume have the values that he names.
"""

from __future__ import annotations

from fieldcast.features.tiers._words import (
    DOJI,
    DOWN_BAR,
    UP_BAR,
    VOLUME_RATIO,
    Group,
    both,
    change,
    ratio,
    since_cross,
    streak,
)

STUDY = "ts-scaling, tier a500"
NISON = "Nison 1991, as formulas"
_P = "place(C, 20)"
_LONG_BODY = "(abs(C - O) >= 0.7 * (H - L))"
_SMALL_BODY = "(abs(C - O) <= 0.3 * (H - L))"
_HAMMER = both("BOTTOM - L >= 2 * abs(C - O)", "H - TOP <= 0.3 * (BOTTOM - L)", "H > L")
_STAR = both("H - TOP >= 2 * abs(C - O)", "BOTTOM - L <= 0.3 * (H - TOP)", "H > L")
_BULL = both("C > O", "lag(C, 1) < lag(O, 1)", "C >= lag(O, 1)", "O <= lag(C, 1)")
_BEAR = both("C < O", "lag(C, 1) > lag(O, 1)", "C <= lag(O, 1)", "O >= lag(C, 1)")
_HARAMI = both("lag(abs(C - O), 1) > mean(abs(C - O), 10)", "TOP <= lag(TOP, 1)", "BOTTOM >= lag(BOTTOM, 1)")
_MORNING = both("lag(C, 2) < lag(O, 2)", f"lag({_SMALL_BODY}, 1)", "C > O", "C > (lag(O, 2) + lag(C, 2)) / 2")
_EVENING = both("lag(C, 2) > lag(O, 2)", f"lag({_SMALL_BODY}, 1)", "C < O", "C < (lag(O, 2) + lag(C, 2)) / 2")
_PIERCING = both("lag(C, 1) < lag(O, 1)", "O < lag(L, 1)", "C > (lag(O, 1) + lag(C, 1)) / 2", "C < lag(O, 1)")
_COVER = both("lag(C, 1) > lag(O, 1)", "O > lag(H, 1)", "C < (lag(O, 1) + lag(C, 1)) / 2", "C > lag(O, 1)")
_NARROW = "(H / L <= min(H / L, 7))"
_WIDE = "(H / L >= max(H / L, 7))"
_TREND_DAY = both(_LONG_BODY, "REACH > mean(REACH, 20)")
_INSIDE, _OUTSIDE = both("H < lag(H, 1)", "L > lag(L, 1)"), both("H > lag(H, 1)", "L < lag(L, 1)")
_REVERSAL = f"({_BULL} + {_BEAR} + {_MORNING} + {_EVENING} + {_PIERCING} + {_COVER})"
_ORDER = "permutation_entropy(R, 20, 3)"
_SAMPLE, _APPROX, _SPECTRAL = "sample_entropy(R, 30)", "approximate_entropy(R, 30)", "spectral_entropy(R, 32)"
_HURST, _DFA = "rescaled_range(R, 64)", "fluctuation(R, 64, 2)"
_VOL = "std(R, 20)"
_WEEK_MEAN, _WEEK_SD = "mean_apart(C, 20, 5)", "std_apart(C, 20, 5)"
_WEEK_RETURN = "log(C / lag(C, 5))"
_PLACE = "within(C, min(L, 60), max(H, 60))"
_LOUD = f"({VOLUME_RATIO} > 1.2)"


GROUPS: tuple[Group, ...] = (
    # candles and gaps
    Group(
        "class",
        NISON,
        {
            "bullish_engulfing": _BULL,
            "bearish_engulfing": _BEAR,
            "hammer": _HAMMER,
            "shooting_star": _STAR,
            "harami": _HARAMI,
            "morning_star": _MORNING,
            "evening_star": _EVENING,
            "piercing_line": _PIERCING,
            "dark_cloud_cover": _COVER,
            "three_white_soldiers": both(
                UP_BAR, f"lag({UP_BAR}, 1)", f"lag({UP_BAR}, 2)", "C > lag(C, 1)", "lag(C, 1) > lag(C, 2)"
            ),
            "three_black_crows": both(
                DOWN_BAR, f"lag({DOWN_BAR}, 1)", f"lag({DOWN_BAR}, 2)", "C < lag(C, 1)", "lag(C, 1) < lag(C, 2)"
            ),
            "tweezer_bottom": both("abs(L - lag(L, 1)) <= 0.05 * lag(mean(H - L, 14), 1)", "C > O", "lag(C, 1) < lag(O, 1)"),
            "tweezer_top": both("abs(H - lag(H, 1)) <= 0.05 * lag(mean(H - L, 14), 1)", "C < O", "lag(C, 1) > lag(O, 1)"),
            "marubozu": "where(C >= O, 1, -1) * (abs(C - O) >= 0.95 * (H - L))",
            "spinning_top": both(_SMALL_BODY, "H - TOP >= abs(C - O)", "BOTTOM - L >= abs(C - O)"),
            "doji_after_trend": both(DOJI, "abs(log(C / lag(C, 5))) > 2 * std(R, 20)"),
            "inside_day": _INSIDE,
            "outside_day": _OUTSIDE,
            "narrowest_of_7": _NARROW,
            "widest_of_7": _WIDE,
            "trend_day": f"where(C >= O, 1, -1) * {_TREND_DAY}",
            "gap_filled": "where(O > lag(C, 1), L <= lag(C, 1), H >= lag(C, 1))",
            "large_gap": "abs(GAP) > std(R, 20)",
        },
    ),
    Group(
        "ratio",
        NISON,
        {
            "engulfing_score": "(C - O) / (abs(lag(C, 1) - lag(O, 1)) + 0.1 * mean(H - L, 14))",
            "gap_to_volatility": "GAP / std(R, 20)",
        },
    ),
    Group(
        "fraction",
        NISON,
        {
            "lower_rejection_5": "mean((BOTTOM - L) / (H - L), 5)",
            "upper_rejection_5": "mean((H - TOP) / (H - L), 5)",
            "wick_balance": "((BOTTOM - L) - (H - TOP)) / (H - L)",
            "doji_share_10": f"mean({DOJI}, 10)",
            "strong_share_10": f"mean({_LONG_BODY}, 10)",
            "range_rank_20": "rank(REACH, 20)",
            "overlap_with_last": "(least(H, lag(H, 1)) - most(L, lag(L, 1))) / (most(H, lag(H, 1)) - least(L, lag(L, 1)))",
            "gap_share_20": "sum(abs(GAP), 20) / (sum(abs(GAP), 20) + sum(abs(BODY), 20))",
        },
    ),
    Group(
        "rows",
        NISON,
        {
            "inside_streak": streak(_INSIDE),
            "indecision_streak": streak(_SMALL_BODY),
            "strong_streak": streak(_LONG_BODY),
            "since_reversal_pattern": f"since({_REVERSAL} > 0, 60)",
        },
    ),
    Group(
        "count",
        NISON,
        {
            "reversal_patterns_5": f"sum({_REVERSAL}, 5)",
            "pattern_balance_5": f"sum({_BULL} + {_MORNING} + {_PIERCING} - {_BEAR} - {_EVENING} - {_COVER}, 5)",
        },
    ),
    # slower bars: five rows each, the newest ending at the row itself
    Group(
        "log ratio",
        "blocks of five rows",
        {
            "close_to_week_mean_20": ratio("C", _WEEK_MEAN),
            "week_mean_20_change_5": ratio(_WEEK_MEAN, f"lag({_WEEK_MEAN}, 5)"),
            "week_mean_10_to_40": ratio("mean_apart(C, 10, 5)", "mean_apart(C, 40, 5)"),
        },
    ),
    Group(
        "fraction",
        "blocks of five rows",
        {
            "rsi_week_change_5": change("block_rsi(C, 50)"),
            "rsi_week_bend_5": "block_rsi(C, 50) - 2 * lag(block_rsi(C, 50), 5) + lag(block_rsi(C, 50), 10)",
            "rsi_day_less_week": "rsi(C, 14) - block_rsi(C, 50)",
        },
    ),
    Group("standard deviations", "blocks of five rows", {"week_score_20": f"(C - {_WEEK_MEAN}) / {_WEEK_SD}"}),
    Group(
        "fraction of price",
        "blocks of five rows",
        {"week_width_20": f"4 * {_WEEK_SD} / {_WEEK_MEAN}", "week_width_20_change_5": change(f"(4 * {_WEEK_SD} / {_WEEK_MEAN})")},
    ),
    Group("class", "blocks of five rows", {"day_week_agreement": f"sign(C - mean(C, 20)) * sign(C - {_WEEK_MEAN})"}),
    Group(
        "log ratio",
        "Lo and MacKinlay 1988",
        {
            "variance_ratio_5_of_120": f"2 * log(std({_WEEK_RETURN}, 120) / (std(R, 120) * sqrt(5)))",
            "variance_ratio_2_of_60": "2 * log(std(log(C / lag(C, 2)), 60) / (std(R, 60) * sqrt(2)))",
            "variance_ratio_10_of_120": "2 * log(std(log(C / lag(C, 10)), 120) / (std(R, 120) * sqrt(10)))",
        },
    ),
    # entropies
    Group(
        "fraction",
        "Bandt and Pompe 2002",
        {
            "order_entropy_3_change_5": change(_ORDER),
            "order_entropy_3_of_60": "permutation_entropy(R, 60, 3)",
            "order_entropy_4_of_120": "permutation_entropy(R, 120, 4)",
            "order_entropy_3_rank_60": f"rank({_ORDER}, 60)",
            "order_entropy_3_of_weeks": f"permutation_entropy({_WEEK_RETURN}, 60, 3)",
            "size_order_entropy_3_of_60": "permutation_entropy(abs(R), 60, 3)",
            "volume_order_entropy_3_of_60": "permutation_entropy(V, 60, 3)",
            "order_entropy_spread_60": f"std({_ORDER}, 60)",
        },
    ),
    Group("nats", "Richman and Moorman 2000", {"sample_entropy_30": _SAMPLE, "sample_entropy_30_change_5": change(_SAMPLE)}),
    Group("nats", "Pincus 1991", {"approximate_entropy_30": _APPROX, "approximate_entropy_30_change_5": change(_APPROX)}),
    Group(
        "fraction",
        "Inouye 1991",
        {
            "spectral_entropy_32": _SPECTRAL,
            "spectral_entropy_32_change_5": change(_SPECTRAL),
            "spectral_entropy_32_rank_60": f"rank({_SPECTRAL}, 60)",
        },
    ),
    Group(
        "correlation",
        STUDY,
        {
            "entropy_volatility_correlation_60": f"corr({_ORDER}, {_VOL}, 60)",
            "entropy_leads_volatility_60": f"corr(lag({_ORDER}, 5), {_VOL}, 60)",
            "volatility_leads_entropy_60": f"corr({_ORDER}, lag({_VOL}, 5), 60)",
        },
    ),
    Group(
        "fraction",
        STUDY,
        {
            "entropy_less_volatility_rank_60": f"rank({_ORDER}, 60) - rank({_VOL}, 60)",
            "still_and_disordered_20": f"mean((rank({_ORDER}, 60) > 0.5) * (rank({_VOL}, 60) < 0.5), 20)",
        },
    ),
    # long memory, fractals, divergence
    Group(
        "plain",
        "Hurst 1951",
        {"rescaled_range_64": _HURST, "rescaled_range_32": "rescaled_range(R, 32)", "rescaled_range_64_change_5": change(_HURST)},
    ),
    Group(
        "plain",
        "Kantelhardt and others 2002",
        {
            "fluctuation_64": _DFA,
            "fluctuation_64_change_5": change(_DFA),
            "fluctuation_spread_64": "fluctuation(R, 64, 1) - fluctuation(R, 64, 4)",
            "size_fluctuation_64": "fluctuation(abs(R), 64, 2)",
        },
    ),
    Group("plain", "Katz 1988", {"katz_20": "katz(C, 20)", "katz_60": "katz(C, 60)", "katz_20_change_5": change("katz(C, 20)")}),
    Group("plain", "Petrosian 1995", {"petrosian_20": "petrosian(C, 20)", "petrosian_60": "petrosian(C, 60)"}),
    Group(
        "nats a row",
        "Rosenstein and others 1993",
        {"divergence_30": "divergence(R, 30)", "divergence_30_change_5": change("divergence(R, 30)")},
    ),
    Group(
        "plain",
        "Grassberger and Procaccia 1983",
        {
            "correlation_dimension_30": "correlation_slope(R, 30)",
            "correlation_dimension_30_change_5": change("correlation_slope(R, 30)"),
        },
    ),
    Group("fraction", "Haar", {f"octave_{k}_share_32": f"octave_share(R, 32, {k})" for k in (0, 1, 2)}),
    # phases
    Group(
        "fraction",
        "Wyckoff, as shares of rows",
        {
            "accumulation_phase_20": f"mean(({_PLACE} < 0.35) * {_LOUD} * (C > MID), 20)",
            "distribution_phase_20": f"mean(({_PLACE} > 0.65) * {_LOUD} * (C < MID), 20)",
            "mark_up_phase_20": f"mean(({_PLACE} > 0.65) * (C > mean(C, 20)) * (R > 0), 20)",
            "mark_down_phase_20": f"mean(({_PLACE} < 0.35) * (C < mean(C, 20)) * (R < 0), 20)",
            "spring_20": "mean((L < lag(min(L, 20), 1)) * (C > lag(min(L, 20), 1)), 20)",
            "upthrust_20": "mean((H > lag(max(H, 20), 1)) * (C < lag(max(H, 20), 1)), 20)",
            "effort_without_result_20": f"mean({_LOUD} * (abs(C - O) < 0.3 * (H - L)), 20)",
        },
    ),
    Group(
        "rows, signed",
        "Wyckoff, as shares of rows",
        {"since_cross_range_middle_60": since_cross("C", "((max(H, 60) + min(L, 60)) / 2)")},
    ),
)
