"""Tier a250 adds 44 columns: lags and rolling statistics. The study names the tier and never defines it.

Lags of the return, of the bar's range and of the volume; the shape of the last returns (skewness, kurtosis, quantiles, tails),
their memory (autocorrelation, of sizes as well), their relation to volume, and the deepest fall of the window.
"""

from __future__ import annotations

from fieldcast.features.tiers._words import VOLUME_RATIO, Group, ratio, score

DEFINED = "fieldcast, tier a250"
_SIZE = "abs(R)"
_DOWN, _UP = "where(R < 0, R * R, 0)", "where(R > 0, R * R, 0)"

GROUPS: tuple[Group, ...] = (
    Group("log return", DEFINED, {f"return_1_lag_{k}": f"lag(R, {k})" for k in (1, 2, 3, 4, 5, 10)}),
    Group("log range", DEFINED, {f"range_lag_{k}": f"lag(REACH, {k})" for k in (1, 2, 3, 5)}),
    Group("ratio", DEFINED, {f"volume_ratio_20_lag_{k}": f"lag({VOLUME_RATIO}, {k})" for k in (1, 2, 3, 5)}),
    Group("plain", DEFINED, {f"return_skew_{n}": f"skew(R, {n})" for n in (20, 60, 120)}),
    Group("plain", DEFINED, {f"return_kurtosis_{n}": f"kurtosis(R, {n})" for n in (20, 60, 120)}),
    Group(
        "correlation",
        DEFINED,
        {
            **{f"return_autocorrelation_{k}_of_60": f"corr(R, lag(R, {k}), 60)" for k in (1, 2, 5)},
            **{f"size_autocorrelation_{k}_of_60": f"corr({_SIZE}, lag({_SIZE}, {k}), 60)" for k in (1, 5)},
            "return_volume_correlation_60": "corr(R, V, 60)",
            "size_volume_correlation_60": f"corr({_SIZE}, V, 60)",
            "return_next_size_correlation_60": f"corr(lag(R, 1), {_SIZE}, 60)",
        },
    ),
    Group(
        "log return",
        DEFINED,
        {
            "return_quantile_05_of_120": "quantile(R, 120, 0.05)",
            "return_quantile_25_of_60": "quantile(R, 60, 0.25)",
            "return_median_60": "quantile(R, 60, 0.5)",
            "return_quantile_75_of_60": "quantile(R, 60, 0.75)",
            "return_quantile_95_of_120": "quantile(R, 120, 0.95)",
            "expected_shortfall_95_of_120": "tail(R, 120, 0.05)",
        },
    ),
    Group(
        "fraction",
        DEFINED,
        {
            "return_rank_60": "rank(R, 60)",
            "return_rank_252": "rank(R, 252)",
            "size_rank_60": f"rank({_SIZE}, 60)",
            "volume_rank_60": "rank(V, 60)",
        },
    ),
    Group("standard deviations", DEFINED, {"return_score_60": score("R", 60), "range_score_60": score("REACH", 60)}),
    Group("log ratio", DEFINED, {"down_to_up_moves_20": ratio(f"sum({_DOWN}, 20)", f"sum({_UP}, 20)")}),
    Group(
        "log ratio",
        DEFINED,
        {
            "worst_fall_60": "min(log(C / max(C, 60)), 60)",
            "best_rise_60": "max(log(C / min(C, 60)), 60)",
        },
    ),
    Group("ratio", DEFINED, {"efficiency_20": "abs(log(C / lag(C, 20))) / sum(abs(R), 20)"}),
)
