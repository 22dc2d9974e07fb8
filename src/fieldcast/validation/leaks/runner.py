"""Running the user's code: a file in a process of its own, or a function in this one.

    FileRunner   a process with the file loaded once; each computation has a time limit, after which the process is killed
    CallRunner   a function that exists only here, such as in a notebook; the limit is an alarm, which needs the main thread

Both give name → (n,) float64 for bars that are name → (n,) arrays with `ts` as microseconds (int64).
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any, BinaryIO, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.validation.leaks import _child
from fieldcast.validation.leaks.faults import BY_KIND, CodeDied, CodeNotFound, TookTooLong

Bars = Mapping[str, NDArray[Any]]
Columns = dict[str, NDArray[np.float64]]
LIMIT = 60.0  # seconds a computation may take
LOADING = 30.0  # seconds that loading the file may take at least: it imports what it needs


class Runner(Protocol):
    """One computation of the user's columns; raises a `CodeFault`."""

    function: str
    form: str | None

    def run(self, bars: Bars) -> Columns: ...


class _Alarm(BaseException):
    """Raised inside the user's code; no `except Exception` there can stop it."""


class CallRunner:
    """A function of this process.

    Parameters
    ----------
    function : bars table → columns
    form : polars, pandas or arrays; None = as declared, else the first that works
    limit : seconds a computation may take; it holds where this is the main thread, and `limited` says whether it does
    """

    def __init__(self, function: Callable[[Any], Any], *, form: str | None = None, limit: float = LIMIT) -> None:
        if not callable(function):
            raise InvalidInput(f"expected a function from bars to columns, found {type(function).__name__}")
        self._call, self._asked, self._limit = function, _form(form), _seconds(limit)
        self.function = getattr(function, "__name__", type(function).__name__)
        self.form: str | None = None
        self.limited = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")

    def run(self, bars: Bars) -> Columns:
        try:
            with self._alarm():
                self.form = self.form or _child.choose(self._call, bars, self._asked)
                return _child.evaluate(self._call, bars, self.form)
        except _child.Refused as refusal:
            raise BY_KIND[refusal.kind](f"{self.function}: {refusal.text}") from None

    @contextlib.contextmanager
    def _alarm(self) -> Iterator[None]:
        if not self.limited:
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            raise _Alarm

        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, self._limit)
        try:
            yield
        except _Alarm:
            raise TookTooLong(f"expected {self.function} to end within {self._limit:g} s a computation; it was stopped") from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            signal.signal(signal.SIGALRM, before)


class FileRunner:
    """A function of a file, in a process of its own; use it as a context.

    Raises
    ------
    CodeNotFound : no such file, no such function, or several and none named
    CodeRaised, TookTooLong, CodeDied : while the file is loaded
    """

    limited = True

    def __init__(self, path: Path, *, name: str | None = None, form: str | None = None, limit: float = LIMIT) -> None:
        if not path.is_file() or path.suffix != ".py":
            raise CodeNotFound(f"expected a Python file, found none at {path}")
        self._path, self._limit, self.form = path, _seconds(limit), None
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the process
        command = [sys.executable, _child.__file__, str(path.resolve()), name or "", _form(form) or ""]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
        )
        self._answers: queue.Queue[tuple[dict[str, Any], dict[str, Any]] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.function = str(self._answer("loading", max(self._limit, LOADING))[0]["function"])
        except BaseException:
            self.close()
            raise

    form: str | None

    def __enter__(self) -> FileRunner:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def run(self, bars: Bars) -> Columns:
        assert self._process.stdin is not None
        try:
            _child.send(cast(BinaryIO, self._process.stdin), {}, {name: _sendable(values) for name, values in bars.items()})
        except BrokenPipeError:
            raise self._died("before it was given bars") from None
        head, columns = self._answer("computing", self._limit)
        self.form = str(head["form"])
        return columns

    def close(self) -> None:
        """End the process, and those that it started."""
        self._kill()
        self._process.wait()
        self._reader.join(timeout=5.0)
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _kill(self) -> None:
        """Kill the process, and what it started and left in its session; its number is its own until it is waited for."""
        if self._process.returncode is None and hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError, OSError):  # `close` shuts the pipe; whoever waits gets None, and a typed fault of it
            while (message := _child.receive(cast(BinaryIO, self._process.stdout))) is not None:
                self._answers.put(message)
        self._answers.put(None)

    def _answer(self, what: str, limit: float) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            message = self._answers.get(timeout=limit)
        except queue.Empty:
            self._kill()
            raise TookTooLong(
                f"expected {what} {self._path.name} to end within {limit:g} s; it was stopped; raise --limit, or give "
                "fewer rows, if it is merely slow"
            ) from None
        if message is None:
            raise self._died(f"while {what}")
        if "refused" in message[0]:
            raise BY_KIND[message[0]["refused"]](f"{self._path.name}: {message[0]['text']}")
        return message

    def _died(self, when: str) -> CodeDied:
        try:
            code = self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:  # it closed its side and goes on
            self._kill()
            code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read()[-400:].decode("utf-8", "replace").strip().splitlines()
        tail = f"; its last words: {said[-1]}" if said else ""
        return CodeDied(f"expected {self._path.name} to return columns; its process ended with {code} {when}{tail}")


def _sendable(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(str) if values.dtype.kind == "O" else values


def _form(form: str | None) -> str | None:
    if form is not None and form not in _child.FORMS:
        raise InvalidInput(f"expected a form of table out of {', '.join(_child.FORMS)}, found {form!r}")
    return form


def _seconds(limit: float) -> float:
    if not (np.isfinite(limit) and limit > 0):
        raise InvalidInput(f"expected a time limit above 0 s, found {limit}")
    return float(limit)
