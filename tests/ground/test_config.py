"""Settings come from the file and the environment, and are valid or name their bad key; a secret is never printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldcast.ground import ConfigError, Settings, load_settings

PASSWORD = "open-sesame-4711"  # pragma: allowlist secret


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for key in Settings.model_fields:
        monkeypatch.delenv(f"FIELDCAST_{key.upper()}", raising=False)


def test_without_file_and_environment_the_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.home == Path()
    assert settings.data_dir == Path("data")
    assert settings.database_url == f"sqlite:///{tmp_path / 'fieldcast.db'}"


def test_the_file_is_read_and_the_environment_wins_and_an_argument_beats_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("fieldcast.toml").write_text('workers = 3\nhome = "kept"\n', encoding="utf-8")
    assert load_settings().workers == 3
    monkeypatch.setenv("FIELDCAST_WORKERS", "5")
    assert load_settings().workers == 5
    assert load_settings().home == Path("kept")
    assert load_settings(workers=7, home=tmp_path).workers == 7


@pytest.mark.parametrize(
    ("key", "value"), [("workers", "0"), ("workers", "many"), ("ledger_url", "mysql://x/y")]
)
def test_a_bad_value_in_the_environment_names_its_key(key: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"FIELDCAST_{key.upper()}", value)
    with pytest.raises(ConfigError, match=rf"\b{key}: "):
        load_settings()


@pytest.mark.parametrize("url", ["u:sec@ret:tail@host/db", "u:sec@ret@host/db", "u@host/db?password=sec", "u:sec@host:port/db"])
def test_an_odd_ledger_url_is_refused_without_a_part_of_its_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDCAST_LEDGER_URL", f"postgresql+psycopg://{url}")
    with pytest.raises(ConfigError, match=r"ledger_url: ") as caught:
        load_settings()
    assert "sec" not in str(caught.value)
    assert "tail" not in str(caught.value)


@pytest.mark.parametrize("line", ["workers = 0", 'ledger_url = "oracle:"'])
def test_a_bad_value_in_the_file_names_its_key(line: str) -> None:
    Path("fieldcast.toml").write_text(line, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"\b{line.split()[0]}: "):
        load_settings()


def test_an_unknown_key_in_the_file_is_refused_by_name() -> None:
    Path("fieldcast.toml").write_text("wrokers = 2", encoding="utf-8")
    with pytest.raises(ConfigError, match="wrokers"):
        load_settings()


def test_a_file_that_is_no_toml_is_one_clear_error() -> None:
    Path("fieldcast.toml").write_text("workers = = 2", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"fieldcast\.toml"):
        load_settings()


def test_a_secret_is_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"postgresql+psycopg://trader:{PASSWORD}@127.0.0.1/ledger"
    monkeypatch.setenv("FIELDCAST_LEDGER_URL", url)
    settings = load_settings()
    assert settings.database_url == url
    for shown in (repr(settings), str(settings), settings.model_dump_json(), f"{settings.ledger_url}"):
        assert PASSWORD not in shown


def test_a_bad_secret_is_named_but_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDCAST_LEDGER_URL", f"mysql://trader:{PASSWORD}@127.0.0.1/ledger")
    with pytest.raises(ConfigError, match="ledger_url") as caught:
        load_settings()
    text = repr(caught.value) + str(caught.value)
    chain: BaseException | None = caught.value
    while chain is not None and not chain.__suppress_context__:
        chain = chain.__cause__ or chain.__context__
        text += repr(chain)
    assert PASSWORD not in text


def test_settings_cannot_be_told_what_they_do_not_know() -> None:
    with pytest.raises(ConfigError, match="colour"):
        load_settings(colour="green")
