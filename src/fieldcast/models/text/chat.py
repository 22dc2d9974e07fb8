"""A chat service that speaks the OpenAI protocol (OpenAI, xAI's Grok, and many servers for local models).

    POST {url}/chat/completions    Authorization: Bearer KEY    {"model", "messages", "temperature": 0, "response_format"}
    200  {"choices": [{"message": {"content": TEXT}}]}

Evidence class B: the documented schema (platform.openai.com/docs/api-reference/chat; docs.x.ai/docs/api-reference), tested
against a server of our own on 127.0.0.1. The key comes from the environment, is sent to the configured address alone (no
redirect is followed), and stands in no message. Plain http is accepted for this machine only.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Protocol
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from fieldcast.ground import ConfigError, Halted

_LARGEST_ANSWER = 4 << 20  # bytes
_LONGEST_WAIT = 60.0  # seconds, whatever a Retry-After asks for
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})

Message = Mapping[str, str]


class ChatModel(Protocol):
    """Anything that answers messages with a text."""

    @property
    def identity(self) -> Mapping[str, str]:
        """What tells it from others: its address and model, and never its key."""

    def complete(self, messages: Sequence[Message]) -> str:
        """The text of its answer.

        Raises
        ------
        Halted : it did not answer
        """


class ChatSettings(BaseSettings):
    """The service, from the environment: `FIELDCAST_LLM_KEY`, `FIELDCAST_LLM_URL`, `FIELDCAST_LLM_MODEL` …"""

    model_config = SettingsConfigDict(env_prefix="FIELDCAST_LLM_", extra="ignore")

    key: SecretStr | None = Field(default=None, description="bearer key; none = no service")
    url: str = Field(default="https://api.x.ai/v1", description="address before /chat/completions")
    model: str = Field(default="grok-4", min_length=1, description="name of the model")
    timeout_seconds: float = Field(default=60.0, gt=0, le=600)
    retries: int = Field(default=3, ge=0, le=10)


def load_chat_settings(**overrides: object) -> ChatSettings:
    """Validated settings; a bad value is named by its key, without its value.

    Raises
    ------
    ConfigError : a value is bad
    """
    try:
        return ChatSettings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(f"FIELDCAST_LLM_{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"expected a valid chat service, found {problems}") from None


@dataclass(frozen=True)
class OpenAiChat:
    """A client of one model behind one address.

    Parameters
    ----------
    url : address before /chat/completions, https (or http on this machine)
    model : name of the model
    key : bearer key
    timeout_seconds : for each attempt
    retries : attempts after the first, each after twice the wait of the one before, or what the service asks for
    sleep : waits so many seconds

    Raises
    ------
    ConfigError : the address is no https address
    """

    url: str
    model: str
    key: SecretStr
    timeout_seconds: float = 60.0
    retries: int = 3
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)
        if not secure or not parts.hostname or parts.username or parts.query or parts.fragment:
            raise ConfigError("expected FIELDCAST_LLM_URL as https://host/path (http on this machine alone), found another form")

    @classmethod
    def of(cls, settings: ChatSettings) -> OpenAiChat:
        """The service of the settings.

        Raises
        ------
        ConfigError : there is no key
        """
        if settings.key is None or not settings.key.get_secret_value():
            raise ConfigError("expected a key of a chat service in FIELDCAST_LLM_KEY, found none")
        return cls(settings.url, settings.model, settings.key, settings.timeout_seconds, settings.retries)

    @property
    def identity(self) -> Mapping[str, str]:
        return {"url": self.url, "model": self.model}

    def complete(self, messages: Sequence[Message]) -> str:
        body = {
            "model": self.model,
            "messages": [dict(message) for message in messages],
            "temperature": 0,
            "response_format": {"type": "json_object"},
        }
        wait = 1.0
        for attempt in range(self.retries + 1):
            answer, trouble, asked = self._ask(json.dumps(body).encode())
            if answer is not None:
                return answer
            if asked is None or attempt == self.retries:
                raise Halted(f"expected {self.model} to answer, found {trouble} after {attempt + 1} attempt(s); try again later")
            self.sleep(min(max(wait, asked), _LONGEST_WAIT))
            wait *= 2.0
        raise Halted(f"expected {self.model} to answer, found no attempt allowed")

    def _ask(self, body: bytes) -> tuple[str | None, str, float | None]:
        """The answer; or what went wrong, and how long the service asks to wait (None = asking again will not help)."""
        request = urllib.request.Request(
            f"{self.url.rstrip('/')}/chat/completions",
            data=body,
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.key.get_secret_value()}"},
            method="POST",
        )
        try:
            with _OPENER.open(request, timeout=self.timeout_seconds) as response:
                content = response.read(_LARGEST_ANSWER + 1)
        except urllib.error.HTTPError as error:
            error.close()
            again = _asked_to_wait(error.headers.get("Retry-After")) if error.code in _AGAIN else None
            return None, f"status {error.code}", again
        except (urllib.error.URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            return None, f"no connection ({type(reason).__name__})", 0.0
        if len(content) > _LARGEST_ANSWER:
            return None, "an answer of more than 4 MiB", None
        text = _content_of(content)
        return (text, "", None) if text is not None else (None, "an answer of another form than documented", 0.0)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another address."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _asked_to_wait(text: str | None) -> float:
    """Seconds of a Retry-After header; 0 where there is none, or a date."""
    return float(text) if text is not None and text.strip().isdigit() else 0.0


def _content_of(answer: bytes) -> str | None:
    """The text of the first choice; None where the answer has another form."""
    try:
        text = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
    return text if isinstance(text, str) else None
