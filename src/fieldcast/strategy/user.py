"""A user's own strategy: one Python file, loaded, checked, and put to a look-ahead test.

    def targets(bars, **settings)             one instrument at a time: (T,) weights of equity, 1 = invested, -1 = short
    def portfolio_targets(bars, **settings)   all instruments at once: every array (N, T), and `instruments`, N ids → (N, T)
    class Strategy: def on_bar(self, now)     called after each bar; places orders through `now`

`bars` has open, high, low, close, volume and ts (the bar's end, microseconds UTC): NumPy arrays by name, or a polars or pandas
table where the first parameter is declared as one. The arrays are read-only. The target of row t is traded after bar t: it may
use rows up to t and nothing later. The test computes the targets again on bars cut at sampled moments; where a target of the
past moves, the strategy looks ahead, and it is refused with the bar named. A cut says nothing about a future that the file
carries in itself (a list of dates, a fitted model); no test of this kind can.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fieldcast.ground import InvalidInput, MissingData, StrategyError

Array = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]
Kind = Literal["targets", "portfolio_targets", "events"]
CUTS = 12
ROUNDING = 1e-9      # of a target of 1 that was reckoned as a quotient
_SAME = 1e-9


@dataclass(frozen=True)
class UserStrategy:
    """A loaded strategy of a user.

    Parameters
    ----------
    path, name : the file, and the function or class in it
    kind : `targets`, `portfolio_targets` or `events` (a class with `on_bar`)
    settings : what the function or the class is called with besides the bars
    sha256 : of the file, by which a run names the code that made it
    """

    path: Path
    name: str
    kind: Kind
    settings: Mapping[str, Any]
    sha256: str
    code: Callable[..., Any] = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """How reports call it."""
        return self.path.stem

    def make(self) -> Any:
        """A fresh object of the class, for one run.

        Raises
        ------
        StrategyError : its constructor raises, or the file has a function instead
        """
        if self.kind != "events":
            raise StrategyError(f"expected a class with on_bar in {self.path.name}, found the function {self.name}")
        try:
            return self.code(**self.settings)
        except Exception as error:
            raise StrategyError(f"{self.path.name}: {self.name}(...) raised {told(error, self.path)}") from error

    def targets(self, arrays: Arrays) -> Array:
        """Targets of one instrument's bars, (T,), or of all instruments', (N, T).

        Raises
        ------
        StrategyError : it raises, gives another shape, or a target that is not finite; the bar is named
        """
        if self.kind == "events":
            raise StrategyError(f"expected a function targets in {self.path.name}, found the class {self.name}")
        try:
            found = self._call(arrays)
        except Exception as error:
            raise self._raised(error, arrays) from error
        return self._checked(found, arrays)

    def _call(self, arrays: Arrays) -> Any:
        return self.code(_form(arrays, self.code), **self.settings)

    def _raised(self, error: Exception, arrays: Arrays) -> StrategyError:
        """The error with the first bar on which it comes, found by halving."""
        text, rows = f"{self.path.name}: {self.name} raised {told(error, self.path)}", _rows(arrays)
        if rows < 2 or self._fails(arrays, 1):
            return StrategyError(text)
        works, fails = 1, rows
        while fails - works > 1:
            middle = (works + fails) // 2
            works, fails = (works, middle) if self._fails(arrays, middle) else (middle, fails)
        return StrategyError(f"{text}; it comes with bar {fails - 1} ({moment(arrays, fails - 1)})", bar=fails - 1)

    def _fails(self, arrays: Arrays, rows: int) -> bool:
        try:
            self._call(cut(arrays, rows))
        except Exception:  # noqa: BLE001  the user's code may raise anything; which bar brings it is what is asked
            return True
        return False

    def _checked(self, found: Any, arrays: Arrays) -> Array:
        where = f"{self.path.name}: {self.name}"
        if found is None:
            raise StrategyError(f"expected targets from {where}, found None; return one number a bar")
        try:
            values = np.asarray(found.to_numpy() if hasattr(found, "to_numpy") else found)
            if values.dtype == object:
                values = np.array([np.nan if value is None else value for value in values.ravel()]).reshape(values.shape)
            targets: Array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise StrategyError(f"expected numbers from {where}, found {type(found).__name__}") from None
        expected = np.asarray(arrays["close"]).shape
        if targets.shape != expected:
            raise StrategyError(f"expected targets of shape {expected} from {where}, one a bar, found {targets.shape}")
        known = np.isfinite(targets)
        if not known.all():
            bad = np.argwhere(~np.atleast_2d(known))
            first = bad[np.argmin(bad[:, -1])]
            bar, one = int(first[-1]), float(np.atleast_2d(targets)[tuple(first)])
            whose = f" of {arrays['instruments'][first[0]]}" if targets.ndim == 2 and "instruments" in arrays else ""
            raise StrategyError(
                f"expected a target for every bar from {where}, found {one}{whose} at bar {bar} ({moment(arrays, bar)}), "
                f"{len(bad)} in all; write 0 where nothing is to be held",
                bar=bar,
            )
        beyond = np.argwhere(np.abs(np.atleast_2d(targets)) > 1.0 + ROUNDING)
        if len(beyond):
            first = beyond[np.argmin(beyond[:, -1])]
            bar, one = int(first[-1]), float(np.atleast_2d(targets)[tuple(first)])
            raise StrategyError(
                f"expected targets from -1 to 1 from {where}, shares of what may be held, found {one:g} at bar {bar} "
                f"({moment(arrays, bar)}), {len(beyond)} in all; to hold more than the account, give the run a weight and margin",
                bar=bar,
            )
        return targets


def load_strategy(path: Path | str, settings: Mapping[str, Any] | None = None, *, name: str | None = None) -> UserStrategy:
    """Load a user's file.

    Parameters
    ----------
    settings : keyword arguments of the function or the class
    name : of the function or class, where the file has several

    Raises
    ------
    MissingData : no such file
    StrategyError : the file raises when it is loaded, or has neither a function nor a class that fits, or several
    InvalidInput : settings that it does not take, or a setting that it needs and was not given
    """
    file, given = Path(path), dict(settings or {})
    if not file.is_file() or file.suffix != ".py":
        raise MissingData(f"expected a Python file with a strategy, found none at {file}")
    module = _module(file)
    found, kind = _pick(module, file, name)
    _refuse_settings(found, kind, given, file)
    return UserStrategy(file, found.__name__, kind, given, hashlib.sha256(file.read_bytes()).hexdigest(), found)


@dataclass(frozen=True)
class LookAhead:
    """What the test looked at: after which bars it cut, and the cuts at which the strategy failed and nothing could be said."""

    bars: int
    cuts: tuple[int, ...]
    failed: tuple[int, ...] = ()


def refuse_look_ahead(strategy: Any, arrays: Arrays, *, cuts: int = CUTS, seed: int = 0) -> LookAhead:
    """Compute the targets again on bars cut at sampled moments; refuse a strategy whose past moves.

    Half of the cuts come right at a change of target, where a strategy that peeks gives itself away, the rest at random.

    Parameters
    ----------
    strategy : has `targets(arrays)`
    cuts : how many; each costs one computation

    Raises
    ------
    StrategyError : a target before the cut is another one than on all bars, or two computations on the same bars differ
    """
    who = getattr(strategy, "path", None)
    name = who.name if isinstance(who, Path) else getattr(strategy, "id", type(strategy).__name__)
    full, rows = np.atleast_2d(strategy.targets(arrays)), _rows(arrays)
    again = np.atleast_2d(strategy.targets(arrays))
    if _moved(full, again) is not None:
        raise StrategyError(
            f"expected the same targets from the same bars, found others when {name} ran again; seed its random numbers"
        )
    chosen, failed = _cuts(full, rows, cuts, np.random.default_rng(seed)), []
    for last in chosen:
        try:
            part = np.atleast_2d(strategy.targets(cut(arrays, last + 1)))
        except StrategyError:      # too few bars for it: says nothing about the future
            failed.append(last)
            continue
        bar = _moved(full[:, : last + 1], part)
        if bar is not None:
            whose = int(np.argmax(np.abs(full[:, bar] - part[:, bar])))
            raise StrategyError(
                f"{name} looks ahead: its target of bar {bar} ({moment(arrays, bar)}) is {full[whose, bar]:g} with the bars that "
                f"come later and {part[whose, bar]:g} without those after bar {last} ({moment(arrays, last)})",
                bar=bar,
            )
    if chosen and len(failed) == len(chosen):
        raise StrategyError(
            f"expected {name} to work on bars cut short, so that it can be tested for look-ahead, found that it fails on each of "
            f"{len(chosen)} cuts; let it return 0 where it has too few bars"
        )
    return LookAhead(rows, tuple(last for last in chosen if last not in failed), tuple(failed))


def cut(arrays: Arrays, rows: int) -> dict[str, Any]:
    """The first `rows` bars of every array; what is no array of bars stays."""
    return {key: value[..., :rows] if _is_series(key, value) else value for key, value in arrays.items()}


def moment(arrays: Arrays, bar: int) -> str:
    """The end of a bar in words."""
    if "ts" not in arrays:
        return f"row {bar}"
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(arrays["ts"][bar]))
    return f"{at:%Y-%m-%d}" if at.hour >= 12 and at.minute == 0 and _daily(arrays) else f"{at:%Y-%m-%d %H:%M}"


def told(error: BaseException, path: Path | None = None) -> str:
    """An error in one line, with the innermost line of the user's own file."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".rstrip(": ")
    if isinstance(error, SyntaxError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if path is not None and frame.filename == str(path.resolve())]
    return f"{text} (line {own[-1].lineno} of {Path(own[-1].filename).name}: {own[-1].line})" if own else text


# loading --------------------------------------------------------------------------------------------------------------


def _module(file: Path) -> ModuleType:
    name = f"_strategy_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    folder = str(file.resolve().parent)
    if folder not in sys.path:      # it may import its neighbours
        sys.path.append(folder)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise StrategyError(f"expected {file.name} to load, found {told(error, file)}") from error
    return module


def _pick(module: ModuleType, file: Path, name: str | None) -> tuple[Callable[..., Any], Kind]:
    own = {
        key: value
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", None) == module.__name__ and callable(value)
    }
    kinds: dict[str, Kind] = {}
    for key, value in own.items():
        if inspect.isclass(value):
            if callable(getattr(value, "on_bar", None)):
                kinds[key] = "events"
        elif key == "portfolio_targets":
            kinds[key] = "portfolio_targets"
        elif key == "targets" or key == name:
            kinds[key] = "targets"
    if name is not None:
        if name not in kinds:
            raise StrategyError(f"expected a function or a class with on_bar called {name} in {file.name}, found {_listed(own)}")
        return own[name], kinds[name]
    if not kinds:
        raise StrategyError(
            f"expected a function targets(bars) or portfolio_targets(bars), or a class with on_bar(self, now), in {file.name}, "
            f"found {_listed(own)}"
        )
    if len(kinds) > 1:
        raise StrategyError(f"expected one strategy in {file.name}, found {_listed(kinds)}; say which one")
    key, kind = next(iter(kinds.items()))
    return own[key], kind


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names) or "nothing of the kind"


def _refuse_settings(code: Callable[..., Any], kind: Kind, given: Mapping[str, Any], file: Path) -> None:
    try:
        taken = list(inspect.signature(code).parameters.values())
    except (TypeError, ValueError):      # compiled by the user in a way that hides it
        return
    if kind != "events":
        if not taken:
            raise StrategyError(f"expected {code.__name__}(bars) in {file.name}, found a function that takes nothing")
        taken = taken[1:]
    if any(item.kind is item.VAR_KEYWORD for item in taken):
        return
    names = [item.name for item in taken if item.kind not in (item.VAR_POSITIONAL, item.POSITIONAL_ONLY)]
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise InvalidInput(f"expected settings of {file.name} out of {', '.join(names) or 'none'}, found {', '.join(unknown)}")
    needed = [item.name for item in taken if item.default is item.empty and item.name in names and item.name not in given]
    if needed:
        raise InvalidInput(f"expected the settings {', '.join(needed)} of {file.name}, which have no default, found none")


# arrays ---------------------------------------------------------------------------------------------------------------


def _form(arrays: Arrays, code: Callable[..., Any]) -> Any:
    """Read-only arrays, or the table that the function's first parameter is declared to be."""
    declared = _declared(code)
    if "polars" in declared or declared.startswith("pl."):
        import polars as pl

        frame = pl.DataFrame({key: value for key, value in arrays.items() if _is_series(key, value) and value.ndim == 1})
        return frame.with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC"))) if "ts" in frame.columns else frame
    if "pandas" in declared or declared.startswith("pd."):
        import pandas as pd

        table = pd.DataFrame({key: value for key, value in arrays.items() if _is_series(key, value) and value.ndim == 1})
        if "ts" in table:
            table.index = pd.DatetimeIndex(pd.to_datetime(table["ts"], unit="us", utc=True), name=None)
        return table
    return {key: _read_only(value) for key, value in arrays.items()}


def _read_only(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    view = value.view()
    view.setflags(write=False)
    return view


def _declared(code: Callable[..., Any]) -> str:
    try:
        first = next(iter(inspect.signature(code).parameters.values())).annotation
    except (StopIteration, TypeError, ValueError):
        return ""
    return first if isinstance(first, str) else f"{getattr(first, '__module__', '')}.{getattr(first, '__name__', '')}"


def _is_series(key: str, value: Any) -> bool:
    return isinstance(value, np.ndarray) and key != "instruments" and value.ndim >= 1


def _rows(arrays: Arrays) -> int:
    return int(np.asarray(arrays["close"]).shape[-1])


def _daily(arrays: Arrays) -> bool:
    stamps = arrays["ts"]
    return stamps.size < 2 or int(np.median(np.diff(stamps[:1000]))) >= 43_200_000_000


def _moved(full: Array, other: Array) -> int | None:
    """The first bar whose targets differ."""
    apart = (np.abs(full - other) > _SAME * np.maximum(1.0, np.abs(full))).any(axis=0)
    return int(np.argmax(apart)) if apart.any() else None


def _cuts(full: Array, rows: int, count: int, rng: np.random.Generator) -> list[int]:
    """Bars after which to cut, ascending; the last bar of all is no cut."""
    if rows < 2:
        return []
    changes = np.flatnonzero((np.diff(full, axis=1) != 0).any(axis=0)) + 1
    changes = changes[changes < rows - 1]
    picked = rng.choice(changes, min(count // 2, changes.size), replace=False) if changes.size else np.empty(0, dtype=np.int64)
    rest = rng.integers(0, rows - 1, count - picked.size)
    return sorted({int(bar) for bar in (*picked, *rest)})
