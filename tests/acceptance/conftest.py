"""The small experiment that several rows are shown with."""

from __future__ import annotations

# 400 rows are enough for it; a row that needs its own name, or another value, replaces the line.
SMALL_EXPERIMENT = """
family = "small"
[nominated]
model = "logistic"
[features]
blocks = ["volatility"]
[walk_forward]
initial = 150
test = 63
step = 63
embargo = 2
calibration_share = 0.45
[labels]
sign = [1]
event_threshold = 0.01
flat_share = 0.3333
[models.logistic]
l2 = 10.0
refit = 63
[cones]
refit = 63
benchmark_refit = 252
[intervals]
block = 21
draws = 200
seed = 1
[cycle]
sessions = 2
volatility_target = 0.10
nav = "1000000"
"""
