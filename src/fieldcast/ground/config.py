"""Settings: `fieldcast.toml`, then the environment (`FIELDCAST_…`), validated before anything starts."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from fieldcast.ground.errors import ConfigError


class Settings(BaseSettings):
    """Where things are kept and how much of the machine is used.

    Every key can stand in `fieldcast.toml` or in the environment as `FIELDCAST_<KEY>`; the environment wins.
    """

    model_config = SettingsConfigDict(env_prefix="FIELDCAST_", toml_file="fieldcast.toml", extra="forbid")

    home: Path = Field(default=Path(), description="folder that holds data/, the ledger and reports")
    ledger_url: SecretStr | None = Field(default=None, description="SQLAlchemy URL; none = SQLite file in `home`")
    store_url: str | None = Field(
        default=None, description="where the data files are, such as s3://bucket/prefix; none = `data` in `home`"
    )
    workers: int = Field(default=2, ge=1, le=256, description="processes for model fitting")

    @field_validator("ledger_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("sqlite:", "postgresql+psycopg:")):
            raise ValueError("expected a URL that starts with sqlite: or postgresql+psycopg:")
        if value is not None:
            parts = urlsplit(value.get_secret_value())
            try:
                odd = parts.netloc.count("@") > 1 or (parts.port is not None and parts.port < 1)
            except ValueError:
                odd = True
            if odd or "password" in parse_qs(parts.query):
                raise ValueError("expected user:password@host:port with the password percent-encoded, found another form")
        return value

    @field_validator("store_url")
    @classmethod
    def _known_store(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
                raise ValueError("expected s3://bucket/prefix (endpoint and keys come from the environment, as AWS_…)")
            if "@" in parts.netloc:
                raise ValueError("expected s3://bucket/prefix without keys in it; give them as AWS_… in the environment")
        return value

    @property
    def data_dir(self) -> Path:
        return self.home / "data"

    @property
    def database_url(self) -> str:
        if self.ledger_url is not None:
            return self.ledger_url.get_secret_value()
        return f"sqlite:///{(self.home / 'fieldcast.db').absolute()}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(**overrides: object) -> Settings:
    """Validated settings; a bad value stops the start with its key named (and, for secrets, without its value)."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'settings'}: {item['msg']}" for item in error.errors()
        )
        raise ConfigError(f"expected valid settings, found {problems}; mend fieldcast.toml or FIELDCAST_…") from None
    except ValueError as error:      # TOML that does not parse
        raise ConfigError(f"expected fieldcast.toml to be valid TOML, found {error}") from None
