"""Tier a50 adds 30 columns: returns, QQE, Schaff trend cycle, risk ratios, averages, volatility, gaps, volume.

The study's three premia of VIX over realised volatility need a second instrument and are ratios of short to long realised
volatility here; its copies of other columns (the trend cycle less 50, ATR per cent, the close against SMA 50 and 200, which a20
has) are the raw trend cycle, ATR against its own mean, and the same distances in units of ATR.
"""

from __future__ import annotations

from fieldcast.features.tiers._words import (
    ATR,
    ATR_SHARE,
    MACD,
    QQE,
    RSI,
    STC,
    STC_RAW,
    WIDTH,
    Group,
    change,
    klinger,
    ratio,
    sharpe,
    sortino,
)

STUDY = "ts-scaling, tier a50"

GROUPS: tuple[Group, ...] = (
    Group("log return", STUDY, {f"return_{k}": ratio("C", f"lag(C, {k})") for k in (1, 5, 21, 63, 252)}),
    Group(
        "fraction",
        STUDY,
        {
            "qqe_fast": QQE,
            "qqe_slow": f"ema({RSI}, 14)",
            "qqe_spread": f"{QQE} - ema({RSI}, 14)",
            "schaff_trend_cycle": STC,
            "schaff_trend_cycle_raw": STC_RAW,
        },
    ),
    Group(
        "log ratio",
        STUDY,
        {
            f"volatility_{short}_to_{long}": ratio(f"std(R, {short})", f"std(R, {long})")
            for short, long in ((5, 21), (10, 63), (21, 63))
        },
    ),
    Group(
        "ratio a year",
        STUDY,
        {
            "sharpe_20": sharpe(20),
            "sharpe_60": sharpe(60),
            "sortino_20": sortino(20),
            "sortino_60": sortino(60),
        },
    ),
    Group(
        "fraction",
        STUDY,
        {
            "rsi_14_change_5": change(RSI),
            "rsi_14_to_extreme": f"least(abs({RSI} - 0.3), abs({RSI} - 0.7))",
        },
    ),
    Group(
        "mean true ranges",
        STUDY,
        {
            "sma_50_gap_in_atr": f"(C - mean(C, 50)) / {ATR}",
            "sma_200_gap_in_atr": f"(C - mean(C, 200)) / {ATR}",
        },
    ),
    Group(
        "log ratio",
        STUDY,
        {
            "sma_50_to_sma_200": ratio("mean(C, 50)", "mean(C, 200)"),
            "atr_to_mean_63": ratio(ATR, f"mean({ATR}, 63)"),
        },
    ),
    Group("fraction of price", STUDY, {"atr_share_change_5": change(ATR_SHARE), "bollinger_width_20": WIDTH}),
    Group("log return", STUDY, {"overnight_gap": "GAP", "open_to_close": "BODY"}),
    Group("ratio", STUDY, {"volume_ratio_20": "V / mean(V, 20)"}),
    Group("rows of mean volume", STUDY, {"klinger_signal": f"ema({klinger()}, 13) / mean(V, 60)"}),
    Group("fraction of price", STUDY, {"macd_histogram_to_close": f"({MACD} - ema({MACD}, 9)) / C"}),
)
