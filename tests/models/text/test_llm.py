"""The language model: what is sent, what is accepted as an answer, and what happens when there is none."""

from __future__ import annotations

import json
import socket

import pytest
from pydantic import SecretStr

from fieldcast.ground import ConfigError, Halted
from fieldcast.models.text import LlmScorer, OpenAiChat, load_chat_settings
from fieldcast.models.text.llm import BATCH, LONGEST, parsed_answer

from .conftest import KEY, Service

ANSWER = {"scores": [{"id": 0, "score": 0.5, "confidence": 1}, {"id": 1, "score": -1, "confidence": 0.25}]}


def changed(**more) -> str:
    first = {name: value for name, value in (ANSWER["scores"][0] | more).items() if value is not ...}
    return json.dumps({"scores": [first, ANSWER["scores"][1]]})


def test_what_is_sent_is_the_documented_request(service: Service, chat) -> None:
    LlmScorer(chat()).score(["Alder profit rose"])
    (request,), (headers,) = service.requests, service.headers
    assert request["path"] == "/v1/chat/completions"
    assert (request["model"], request["temperature"], request["response_format"]) == ("test-model", 0, {"type": "json_object"})
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert json.loads(request["messages"][1]["content"]) == [{"id": 0, "text": "Alder profit rose"}]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Content-Type"] == "application/json"


def test_texts_go_in_batches_blank_ones_stay_and_long_ones_are_cut(service: Service, chat) -> None:
    texts = ["rose"] * BATCH + ["", "fell " * LONGEST]
    found = LlmScorer(chat()).score(texts)
    sent = [json.loads(request["messages"][1]["content"]) for request in service.requests]
    assert [len(part) for part in sent] == [BATCH, 1]
    assert len(sent[1][0]["text"]) == LONGEST
    assert found.confidence[BATCH] == 0.0
    assert found.score[-1] < 0 < found.score[0]


def test_an_exact_answer_is_taken_in_the_order_of_its_ids() -> None:
    turned = {"scores": ANSWER["scores"][::-1]}
    assert parsed_answer(json.dumps(turned), 2).tolist() == [[0.5, 1.0], [-1.0, 0.25]]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I think it is good.",
        f"```json\n{json.dumps(ANSWER)}\n```",
        "[" * 100_000,
        json.dumps(ANSWER["scores"]),
        json.dumps(ANSWER | {"note": "done"}),
        json.dumps({"scores": ANSWER["scores"][:1]}),
        json.dumps({"scores": [*ANSWER["scores"], ANSWER["scores"][0]]}),
        changed(id=1),
        changed(id=2),
        changed(id="0"),
        changed(id=False),
        changed(score=1.01),
        changed(score="0.5"),
        changed(score=None),
        changed(score=True),
        changed(score=float("nan")),
        changed(confidence=-0.1),
        changed(confidence=float("inf")),
        changed(confidence=...),
        changed(reason="since"),
    ],
)
def test_any_other_answer_is_none(answer: str) -> None:
    assert parsed_answer(answer, 2) is None


def test_a_bad_answer_is_asked_for_again_and_then_refused(service: Service, chat) -> None:
    service.answers = [(200, {}, service.says("good"))]
    assert LlmScorer(chat()).score(["rose"]).score[0] > 0
    service.answers = [(200, {}, service.says("good"))] * 3
    with pytest.raises(Halted, match="keeps to the form"):
        LlmScorer(chat()).score(["rose"])
    assert len(service.requests) == 5


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_service_is_asked_again_after_a_wait_that_doubles(service: Service, chat, status: int) -> None:
    waits: list[float] = []
    service.answers = [(status, {}, b""), (status, {"Retry-After": "7"}, b"")]
    assert LlmScorer(chat(waits=waits)).score(["rose"]).score[0] > 0
    assert waits == [1.0, 7.0]
    service.answers = [(status, {}, b"")] * 3
    with pytest.raises(Halted, match=f"status {status} after 3 attempt"):
        chat().complete([])


def test_no_wait_is_longer_than_a_minute(service: Service, chat) -> None:
    waits: list[float] = []
    service.answers = [(429, {"Retry-After": "86400"}, b"")]
    LlmScorer(chat(waits=waits)).score(["rose"])
    assert waits == [60.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_not_asked_again_and_does_not_tell_the_key(service: Service, chat, status: int) -> None:
    service.answers = [(status, {}, KEY.encode())]
    with pytest.raises(Halted) as refused:
        chat().complete([])
    assert KEY not in str(refused.value)
    assert len(service.requests) == 1


def test_a_redirect_is_not_followed_with_the_key(service: Service, chat) -> None:
    service.answers = [(302, {"Location": f"{service.url}/elsewhere"}, b"")]
    with pytest.raises(Halted, match="status 302"):
        chat().complete([])
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": null}}]}', b"\xff\xfe"]
)
def test_an_answer_of_another_form_is_asked_for_again(service: Service, chat, content: bytes) -> None:
    service.answers = [(200, {}, content)] * 3
    with pytest.raises(Halted, match="another form"):
        chat().complete([])
    assert len(service.requests) == 3


def test_an_endless_answer_is_cut_off(service: Service, chat) -> None:
    service.answers = [(200, {}, b"x" * (5 << 20))]
    with pytest.raises(Halted, match="4 MiB"):
        chat().complete([])


def test_a_service_that_is_silent_or_not_there_is_given_up(chat) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Halted, match="no connection"):
            OpenAiChat(address, "m", SecretStr(KEY), timeout_seconds=0.2, retries=0).complete([])
    with pytest.raises(Halted, match="no connection"):
        OpenAiChat(address, "m", SecretStr(KEY), timeout_seconds=0.2, retries=1, sleep=lambda _: None).complete([])


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/v1",
        "ftp://example.com",
        "https://",
        "https://user:pw@example.com/v1",  # pragma: allowlist secret
        "https://h/v1?k=1",
        "file:///etc",
    ],
)
def test_an_address_that_would_show_the_key_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="https"):
        OpenAiChat(url, "m", SecretStr(KEY))


def test_the_key_comes_from_the_environment_and_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch, chat) -> None:
    monkeypatch.delenv("FIELDCAST_LLM_KEY", raising=False)
    with pytest.raises(ConfigError, match="FIELDCAST_LLM_KEY"):
        OpenAiChat.of(load_chat_settings())
    monkeypatch.setenv("FIELDCAST_LLM_KEY", KEY)
    monkeypatch.setenv("FIELDCAST_LLM_MODEL", "grok-test")
    made = OpenAiChat.of(load_chat_settings())
    assert made.model == "grok-test"
    assert KEY not in repr(made)
    assert KEY not in str(made.identity)
    monkeypatch.setenv("FIELDCAST_LLM_RETRIES", "many")
    with pytest.raises(ConfigError, match="FIELDCAST_LLM_RETRIES"):
        load_chat_settings()


def test_another_model_or_address_is_another_version(service: Service, chat) -> None:
    versions = {LlmScorer(chat()).version, LlmScorer(OpenAiChat("https://h/v1", "test-model", SecretStr(KEY))).version,
                LlmScorer(OpenAiChat(service.url, "other", SecretStr(KEY))).version}  # fmt: skip
    assert len(versions) == 3
    assert LlmScorer(OpenAiChat(service.url, "test-model", SecretStr("another"))).version == LlmScorer(chat()).version
