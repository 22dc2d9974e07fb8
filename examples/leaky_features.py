"""Three columns as they are often written: two of them look ahead. `fieldcast leaks examples/leaky_features.py` finds them."""

import polars as pl


def features(bars: pl.DataFrame) -> pl.DataFrame:
    ret = pl.col("close").pct_change()
    month = pl.col("ts").dt.truncate("1mo")
    return bars.select(
        "ts",
        momentum=pl.col("close") / pl.col("close").shift(20) - 1,
        z=(ret - ret.mean()) / ret.std(),
        room=pl.col("close") / pl.col("high").max().over(month) - 1,
    )
