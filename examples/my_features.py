"""Three columns of daily bars that rest on nothing later: `fieldcast leaks examples/my_features.py` says so."""

import polars as pl


def features(bars: pl.DataFrame) -> pl.DataFrame:
    ret = pl.col("close").pct_change()
    return bars.select(
        "ts",
        momentum=pl.col("close") / pl.col("close").shift(20) - 1,
        z=(ret - ret.rolling_mean(60)) / ret.rolling_std(60),
        room=pl.col("close") / pl.col("high").rolling_max(60) - 1,
    )
