"""Which tests of the simulator are slow: all that play bars, because the venue's kernels take most of a minute to compile."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
QUICK = {
    "test_fee_parity.py", "test_kernels_wide.py", "test_market_days.py", "test_option_margin.py", "test_performance.py",
    "test_venue.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.path.name not in QUICK:
            item.add_marker(pytest.mark.slow)
