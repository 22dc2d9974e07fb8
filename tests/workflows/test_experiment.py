"""One TOML file is one experiment: every key is checked, and the hash names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldcast.ground import ConfigError, digest
from fieldcast.workflows import load_experiment


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "experiment.toml"
    path.write_text(text)
    return path


def _demo() -> str:
    from importlib.resources import files

    return files("fieldcast.workflows").joinpath("demo.toml").read_text()


def test_the_demo_nominates_the_logistic_sign_over_one_day() -> None:
    experiment = load_experiment()
    assert experiment.nominated.model_dump() == {"model": "logistic", "label": "sign", "horizon": 1}
    assert experiment.walk_forward.initial == 756
    assert experiment.walk_forward.test == experiment.walk_forward.step == 21


def test_the_hash_follows_the_values_and_not_the_comments(tmp_path: Path) -> None:
    same = load_experiment(_write(tmp_path, "# another comment\n" + _demo()))
    assert same.hash == load_experiment().hash
    other = load_experiment(_write(tmp_path, _demo().replace("l2 = 10.0", "l2 = 11.0")))
    assert other.hash != same.hash


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("initial = 756", "initial = 7", "walk_forward.initial"),
        ("draws = 1000", "drawz = 1000", "intervals.drawz"),
        ('model = "logistic"', 'model = "oracle"', "nominated.model"),
        ("horizon = 1\n", "horizon = 2\n", "nominated"),
        ("block = 21", "block = 5", "intervals.block"),
    ],
)
def test_a_bad_value_is_named_with_its_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    assert old in _demo()
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        load_experiment(_write(tmp_path, _demo().replace(old, new, 1)))


def test_the_field_map_can_be_named_and_its_columns_are_part_of_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fieldcast.fields.table as field_table

    text = _demo().replace('["a20", "volatility"]', '["a20", "volatility", "fields"]')
    named = load_experiment(_write(tmp_path, text))
    assert named.features.blocks == ("a20", "volatility", "fields")
    before, demo = named.hash, load_experiment().hash
    assert before != demo
    monkeypatch.setattr(field_table, "FORMULAS", field_table.FORMULAS + 1)      # another field map is another run
    assert named.hash != before
    assert load_experiment().hash == demo
    for wrong in ('["a20", "feelds"]', '["fields", "fields.regime"]'):
        with pytest.raises(ConfigError, match=r"features\.blocks: .*at most once out of the blocks a20"):
            load_experiment(_write(tmp_path, _demo().replace('["a20", "volatility"]', wrong)))


def test_an_option_of_the_cones_names_a_run_only_where_it_is_used(tmp_path: Path) -> None:
    plain = load_experiment().model_dump(mode="json")
    assert (plain["cones"].pop("regressors"), plain["cones"].pop("drift")) == ([], "cone")
    assert plain["cones"].pop("forecaster") == "conformal"
    assert plain.pop("preregistered") is False
    assert load_experiment().hash == digest(plain)               # as it was before there were these options
    text = _demo().replace('["a20", "volatility"]', '["a20", "volatility", "fields.regime"]')
    without = load_experiment(_write(tmp_path, text))
    drift = load_experiment(_write(tmp_path, text.replace('sigma = "log_har"', 'drift = "odds"')))
    regressors = text.replace('sigma = "log_har"', 'regressors = ["regime.efficiency"]')
    wider = load_experiment(_write(tmp_path, regressors))
    assert wider.cones.regressors == ("regime.efficiency",)
    assert len({without.hash, drift.hash, wider.hash}) == 3
    for wrong in ('["sentiment.trend"]', '["regime.efficiency", "regime.efficiency"]', '["liquidity.poc"]'):
        with pytest.raises(ConfigError, match=r"cones\.regressors: expected distinct columns of features\.blocks"):
            load_experiment(_write(tmp_path, regressors.replace('["regime.efficiency"]', wrong)))


def test_a_missing_or_broken_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found none at"):
        load_experiment(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="valid TOML"):
        load_experiment(_write(tmp_path, "= ="))
