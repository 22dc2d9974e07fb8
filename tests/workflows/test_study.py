"""The share of a row's inputs that were known: of the columns that the model in force has, and of no others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import polars as pl
import pytest

from fieldcast.projection.walk_forward import Fit, OddsWalk
from fieldcast.workflows.prepare import Prepared
from fieldcast.workflows.study import data_coverage

NAN = float("nan")


def fit(first: int, *columns: str) -> Fit:
    return Fit(first, 100, 60, columns, "platt", "digest")


def coverage(*fits: Fit) -> list[float]:
    table = pl.DataFrame({
        "a": [1.0, 1.0, 1.0, 1.0, NAN, 1.0],
        "b": [1.0, 1.0, NAN, NAN, 1.0, 1.0],
        "rare": [NAN, NAN, NAN, NAN, 1.0, NAN],
    })  # fmt: skip
    features = lambda: table.to_numpy()  # noqa: E731
    prepared = cast("Prepared", SimpleNamespace(names=tuple(table.columns), features=features))
    none = np.full(6, np.nan)
    walk = OddsWalk("SIM:A", "sign", 1, "logistic", none, none, np.zeros(6, dtype=np.bool_), fits)
    return data_coverage(prepared, walk).tolist()


def test_an_optional_column_that_the_fold_left_out_is_no_gap() -> None:
    assert coverage(fit(1, "a", "b"))[1:] == [1.0, 0.5, 0.5, 0.5, 1.0]


def test_each_rows_share_is_that_of_the_fit_in_force() -> None:
    assert coverage(fit(2, "a", "b"), fit(4, "b"), fit(5, "b", "rare"))[2:] == [0.5, 0.5, 1.0, 0.5]


def test_a_model_without_inputs_lacks_none_and_before_a_fit_all_columns_count() -> None:
    assert coverage(fit(4)) == pytest.approx([2 / 3, 2 / 3, 1 / 3, 1 / 3, 1.0, 1.0])
