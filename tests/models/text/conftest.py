"""Every scorer, ready to score: a fitted headline model on invented sentences, FinBERT with its network replaced by a rule, and a
chat service on 127.0.0.1 that speaks the documented protocol.

The FinBERT here is the adapter alone: `transformers` and real weights are not part of the test environment, so what they would
compute is given by a rule, and only what the adapter makes of it is tested.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from fieldcast.models.text import FinBert, HeadlineModel, Lexicon, LlmScorer, OpenAiChat, TextScorer

KEY = "test-key-0123"  # pragma: allowlist secret
GOOD = ("rose", "record", "won", "improved", "beat")
BAD = ("fell", "loss", "lawsuit", "warned", "cut")


def opinion(text: str) -> float:
    """What the stand-ins for models think: good words less bad ones, by hand."""
    words = text.lower().split()
    return float(np.tanh(sum(word in GOOD for word in words) - sum(word in BAD for word in words)))


def sentences() -> tuple[list[str], np.ndarray]:
    """180 invented sentences and their labels."""
    firms = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Gorse", "Hazel", "Iris", "Juniper", "Kapok", "Larch")
    good = ("profit rose in the {n} quarter", "won an order from a customer in {n}", "improved its margin to {n} percent",
            "beat every forecast of its {n} analysts", "posted a record year with {n} new shops")  # fmt: skip
    bad = ("profit fell in the {n} quarter", "warned of a loss after {n} years", "cut jobs at {n} plants",
           "faces a lawsuit over its {n} mines", "sales fell by {n} percent")  # fmt: skip
    flat = ("will publish its report on day {n}", "has {n} offices in the region", "moved its head office to street {n}",
            "named a new secretary for its {n} clubs", "makes {n} kinds of paper")  # fmt: skip
    texts, labels = [], []
    for label, forms in enumerate((bad, flat, good)):
        for n, firm in enumerate(firms):
            for form in forms:
                texts.append(f"{firm} {form.format(n=n + 2)}")
                labels.append(label)
    return texts, np.array(labels)


class Service:
    """A chat service on 127.0.0.1; `answers` are given first, then what `opinion` says."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.delay = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.requests.append(body | {"path": self.path})
                service.headers.append(dict(self.headers))
                status, headers, content = service.answers.pop(0) if service.answers else (200, {}, service.think(body))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @staticmethod
    def says(content: str) -> bytes:
        return json.dumps({"id": "1", "object": "chat.completion", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]}).encode()  # fmt: skip

    def think(self, body: dict[str, Any]) -> bytes:
        asked = json.loads(body["messages"][-1]["content"])
        found = [{"id": item["id"], "score": opinion(item["text"]), "confidence": abs(opinion(item["text"]))} for item in asked]
        return self.says(json.dumps({"scores": found}))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


@pytest.fixture
def chat(service: Service) -> Callable[..., OpenAiChat]:
    def make(**more: Any) -> OpenAiChat:
        waits: list[float] = more.pop("waits", [])
        return OpenAiChat(service.url, "test-model", SecretStr(KEY), **{"retries": 2, "sleep": waits.append} | more)

    return make


@pytest.fixture(scope="session")
def headline() -> HeadlineModel:
    return HeadlineModel.fit(*sentences())


def finbert_by_rule() -> FinBert:
    """Labels in the order of ProsusAI's model: positive, negative, neutral."""
    return FinBert(
        lambda texts: np.array([[3 * opinion(text), -3 * opinion(text), 1.0] for text in texts]).reshape(-1, 3),
        ["positive", "negative", "neutral"],
        "rule",
    )


@pytest.fixture(params=["lexicon", "headline", "finbert", "llm"])
def scorer(request: pytest.FixtureRequest) -> TextScorer:
    makers: dict[str, Callable[[], TextScorer]] = {
        "lexicon": Lexicon,
        "headline": lambda: request.getfixturevalue("headline"),
        "finbert": finbert_by_rule,
        "llm": lambda: LlmScorer(request.getfixturevalue("chat")()),
    }
    return makers[request.param]()
