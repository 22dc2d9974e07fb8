"""Indicator formulas as text: read once, checked for unit, look-back and bounds, and run together over the same bars.

    log(C / ema(C, 50))                      distance of the close from its average
    run(C > lag(max(H, 20), 1), 20)          rows in a row of new highs

A formula is Python's arithmetic over the words of `_language` and the abbreviations of `SHORT`. Many formulas are run
as one graph: a part that several share is computed once and dropped after its last use, the words that look back are kernels over
whole series, and everything between them goes slice by slice through the cache, so that no intermediate is larger than it need
be.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import inf, isnan, log, sqrt
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from fieldcast.features.tiers._language import (
    CALENDAR_LEAVES,
    LINES,
    POINTS,
    PRICE_LEAVES,
    VOLUME_LEAF,
    Bounds,
)
from fieldcast.ground import InvalidInput

Array = npt.NDArray[np.float64]
SLICE = 8192  # rows of one go: what is between two lines stays in the cache
TIE = 1e-9  # prices lie on ticks: what a comparison finds nearer than this share of the larger is equal, whatever rounding says

SHORT: Mapping[str, str] = MappingProxyType({
    "R": "log(C / lag(C, 1))",
    "TP": "((H + L + C) / 3)",
    "MID": "((H + L) / 2)",
    "TR": "(most(H, lag(C, 1)) - least(L, lag(C, 1)))",
    "BODY": "log(C / O)",
    "GAP": "log(O / lag(C, 1))",
    "REACH": "log(H / L)",
    "TOP": "most(O, C)",
    "BOTTOM": "least(O, C)",
    "AD": "(where(H > L, (2 * C - H - L) / (H - L), 0) * V)",
    "FLOW": "(sign(R) * V)",
})  # fmt: skip
"""Abbreviations: return, typical and middle price, true range, body, gap and range of a bar (logs), the upper and lower end of
its body, accumulated volume of the bar and volume signed by the return."""

_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARE = {ast.Gt: ">", ast.GtE: ">=", ast.Lt: "<", ast.LtE: "<="}


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One part of a formula; equal parts are the same object.

    warmup : rows before its value counts; slow : of these, the rows a recursion within takes to fall by 1e-6
    price, volume : powers of its unit
    low, high : bounds of its values; leaves : what it reads of a bar
    """

    word: str
    parts: tuple[Node, ...]
    numbers: tuple[float, ...]
    warmup: int
    slow: int
    price: float
    volume: float
    low: float
    high: float
    leaves: frozenset[str]

    @property
    def looks_back(self) -> bool:
        return self.word in LINES

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns of bars it reads; a date is read with the close."""
        names = {"O": "open", "H": "high", "L": "low", "C": "close", "V": "volume"}
        found = tuple(name for leaf, name in names.items() if leaf in self.leaves)
        return found or ("close",)


@cache
def read(text: str) -> Node:
    """The formula as a graph.

    Raises
    ------
    InvalidInput : no formula, an unknown word, a wrong number of arguments, or a sum or comparison of unlike units
    """
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise InvalidInput(f"expected a formula, found {text!r}: {error.msg}") from None
    return _build(tree, text)


def _build(tree: ast.expr, text: str) -> Node:
    if isinstance(tree, ast.Constant) and isinstance(tree.value, int | float):
        return _constant(float(tree.value))
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        inner = _build(tree.operand, text)
        return _constant(-inner.numbers[0]) if inner.word == "constant" else _point("*", (_constant(-1.0), inner), text)
    if isinstance(tree, ast.Name):
        return read(SHORT[tree.id]) if tree.id in SHORT else _leaf(tree.id, text)
    if isinstance(tree, ast.BinOp) and type(tree.op) in _BINARY:
        return _point(_BINARY[type(tree.op)], (_build(tree.left, text), _build(tree.right, text)), text)
    if isinstance(tree, ast.Compare) and len(tree.ops) == 1 and type(tree.ops[0]) in _COMPARE:
        return _point(_COMPARE[type(tree.ops[0])], (_build(tree.left, text), _build(tree.comparators[0], text)), text)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.keywords:
        parts = tuple(_build(argument, text) for argument in tree.args)
        if tree.func.id in LINES:
            return _line(tree.func.id, parts, text)
        if POINTS.get(tree.func.id) == len(parts):
            return _point(tree.func.id, parts, text)
    raise InvalidInput(f"expected known words, found {ast.unparse(tree)!r} in {text!r}")


_KNOWN: dict[tuple[object, ...], Node] = {}


def _node(word: str, parts: tuple[Node, ...], numbers: tuple[float, ...], *rest: object) -> Node:
    key = (word, *map(id, parts), *numbers)
    if key not in _KNOWN:
        _KNOWN[key] = Node(word, parts, numbers, *rest)  # type: ignore[arg-type]
    return _KNOWN[key]


def _constant(value: float) -> Node:
    return _node("constant", (), (value,), 0, 0, 0.0, 0.0, value, value, frozenset())


def _leaf(name: str, text: str) -> Node:
    if name in PRICE_LEAVES:
        return _node(name, (), (), 0, 0, 1.0, 0.0, 0.0, inf, frozenset(name))
    if name == VOLUME_LEAF:
        return _node(name, (), (), 0, 0, 0.0, 1.0, 0.0, inf, frozenset(name))
    if name in CALENDAR_LEAVES:
        return _node(name, (), (), 0, 0, 0.0, 0.0, *CALENDAR_LEAVES[name], frozenset((name,)))
    raise InvalidInput(f"expected O, H, L, C, V, the calendar or an abbreviation, found {name!r} in {text!r}")


def _line(word: str, given: tuple[Node, ...], text: str) -> Node:
    line = LINES[word]
    implied = tuple(_leaf(name, text) for name in line.implied)
    parts, last = (*implied, *given[: line.series]), given[line.series :]
    if len(given) != line.series + line.numbers or any(part.word != "constant" for part in last):
        raise InvalidInput(f"expected {line.series} series and {line.numbers} numbers for {word}, found {len(given)} in {text!r}")
    numbers = tuple(part.numbers[0] for part in last)
    if numbers[0] != int(numbers[0]) or numbers[0] < 1:
        raise InvalidInput(f"expected a whole number of rows of at least 1 for {word}, found {numbers[0]} in {text!r}")
    before = max(part.warmup + (part.slow if line.jumps else 0) for part in parts)
    slow = max(line.slow(numbers), 0 if line.jumps else max(part.slow for part in parts))
    same = line.unit == "same"
    low, high = line.bounds(tuple((part.low, part.high) for part in parts), numbers)
    return _node(
        word, parts, numbers, before + line.rows(numbers), slow,
        parts[0].price if same else 0.0, parts[0].volume if same else 0.0, low, high,
        frozenset().union(*(part.leaves for part in parts)),
    )  # fmt: skip


def _point(word: str, parts: tuple[Node, ...], text: str) -> Node:
    alike = {"+", "-", ">", ">=", "<", "<=", "least", "most", "within", "known"}
    compared = parts[1:] if word == "where" else parts if word in alike else ()
    sized = [part for part in compared if part.word != "constant" or part.numbers[0] != 0.0]
    if any((part.price, part.volume) != (sized[0].price, sized[0].volume) for part in sized):
        raise InvalidInput(f"expected like units on both sides of {word}, found a mixture in {text!r}")
    price, volume = (sized[0].price, sized[0].volume) if sized else (0.0, 0.0)
    if word in ("*", "/"):
        sign = 1.0 if word == "*" else -1.0
        price, volume = parts[0].price + sign * parts[1].price, parts[0].volume + sign * parts[1].volume
    elif word == "abs":
        price, volume = parts[0].price, parts[0].volume
    elif word == "sqrt":
        price, volume = parts[0].price / 2.0, parts[0].volume / 2.0
    elif word in (">", ">=", "<", "<=", "sign", "within"):
        price, volume = 0.0, 0.0
    if word == "log" and (parts[0].price or parts[0].volume):
        raise InvalidInput(f"expected the logarithm of a plain number, found one of a price or a volume in {text!r}")
    jumps = word in (">", ">=", "<", "<=", "sign", "within")
    warmup = max(part.warmup + (part.slow if jumps else 0) for part in parts)
    slow = 0 if jumps else max(part.slow for part in parts)
    low, high = _bounds(word, [(part.low, part.high) for part in parts])
    leaves = frozenset().union(*(part.leaves for part in parts))
    return _node(word, parts, (), warmup, slow, price, volume, low, high, leaves)


def _bounds(word: str, of: list[Bounds]) -> Bounds:
    """Interval arithmetic; what cannot be bounded is unbounded."""
    (a, b), (c, d) = of[0], of[-1]
    if word == "+":
        return a + c, b + d
    if word == "-":
        return a - d, b - c
    if word == "*":
        ends = [0.0 if x == 0.0 or y == 0.0 else x * y for x in (a, b) for y in (c, d)]
        return min(ends), max(ends)
    if word == "/":
        if c < 0.0:
            return -inf, inf
        low = a / d if a >= 0.0 and d < inf else 0.0 if a >= 0.0 else a / c if c > 0.0 else -inf
        high = b / c if c > 0.0 and b > 0.0 else inf if b > 0.0 else 0.0
        return (-inf if isnan(low) else low), (inf if isnan(high) else high)
    if word in (">", ">=", "<", "<=", "within"):
        return 0.0, 1.0
    if word == "log":
        return (log(a) if a > 0.0 else -inf), (log(b) if 0.0 < b < inf else inf)
    if word == "sqrt":
        return sqrt(max(a, 0.0)), sqrt(b) if b < inf else inf
    if word == "abs":
        return (0.0 if a <= 0.0 <= b else min(abs(a), abs(b))), max(abs(a), abs(b))
    if word == "sign":
        return (-1.0 if a < 0.0 else 0.0), (1.0 if b > 0.0 else 0.0)
    if word == "known":
        return min(a, c), max(b, d)
    if word == "where":
        (c, d), (e, f) = of[1], of[2]
        return min(c, e), max(d, f)
    return (min(a, c), min(b, d)) if word == "least" else (max(a, c), max(b, d))


def run(formulas: Mapping[str, str], leaves: Mapping[str, Array]) -> dict[str, Array]:
    """Every formula over the same bars.

    Parameters
    ----------
    formulas : text by name
    leaves : (n,) arrays by leaf (O, H, L, C, V and the calendar, as far as they are read), finite

    Returns
    -------
    (n,) by name, in the order given; NaN where not defined, also in the first rows
    """
    roots = {name: read(text) for name, text in formulas.items()}
    n = next(iter(leaves.values())).size
    made = _Run(n, leaves)
    for root in roots.values():
        made.count(root)
    with np.errstate(all="ignore"):
        return {name: made.take(root) for name, root in roots.items()}


_NEEDED: dict[int, tuple[Node, ...]] = {}  # nodes live as long as the process


def _needed(node: Node) -> tuple[Node, ...]:
    """The whole series that one node is made from: its own where it looks back, else those of the nearest words that do."""
    if id(node) not in _NEEDED:
        if node.looks_back:
            found = [part for part in node.parts if part.parts]
        else:
            found = []
            for part in node.parts:
                found += [part] if part.looks_back else list(_needed(part))
        _NEEDED[id(node)] = tuple(dict.fromkeys(found))
    return _NEEDED[id(node)]


class _Run:
    """Series made so far, and how often each is still needed."""

    def __init__(self, n: int, leaves: Mapping[str, Array]) -> None:
        self.n, self.leaves = n, leaves
        self.held: dict[int, Array] = {}
        self.uses: dict[int, int] = {}

    def count(self, root: Node) -> None:
        """One more use of this node, and of what it is made from if it is the first."""
        self.uses[id(root)] = self.uses.get(id(root), 0) + 1
        if self.uses[id(root)] == 1:
            for part in _needed(root):
                self.count(part)

    def take(self, root: Node) -> Array:
        """The series of a root as an array of its own; dropped here if this was its last use."""
        line = self.series(root)
        self.uses[id(root)] -= 1
        if root.parts and not self.uses[id(root)]:
            del self.held[id(root)]
            return line
        return line.copy()

    def release(self, node: Node) -> None:
        for part in _needed(node):
            self.uses[id(part)] -= 1
            if not self.uses[id(part)]:
                del self.held[id(part)]

    def series(self, node: Node) -> Array:
        if not node.parts:
            return self.leaves[node.word] if node.word != "constant" else np.full(self.n, node.numbers[0])
        if id(node) not in self.held:
            line = np.empty(self.n)
            self.fill(node, line)
            self.held[id(node)] = line
            self.release(node)
        return self.held[id(node)]

    def fill(self, node: Node, out: Array) -> None:
        if node.looks_back:
            from fieldcast.indicators.lines import RUNS

            RUNS[node.word](tuple(self.series(part) for part in node.parts), node.numbers, out)
        else:
            for part in _needed(node):
                self.series(part)
            for start in range(0, self.n, SLICE):
                rows = slice(start, min(start + SLICE, self.n))
                out[rows] = self.at(node, rows, {})

    def at(self, node: Node, rows: slice, seen: dict[int, Array | float]) -> Array | float:
        """One slice of a node, from series that are there."""
        if node.word == "constant":
            return node.numbers[0]
        if not node.parts:
            return self.leaves[node.word][rows]
        if id(node) in self.held:
            return self.held[id(node)][rows]
        if id(node) not in seen:
            seen[id(node)] = _apply(node.word, [self.at(part, rows, seen) for part in node.parts])
        return seen[id(node)]


def _apply(word: str, parts: list[Array | float]) -> Array | float:
    x = parts[0]
    y = parts[-1]
    match word:
        case "+":
            return np.add(x, y)
        case "-":
            return np.subtract(x, y)
        case "*":
            return np.multiply(x, y)
        case "/":
            quotient = np.divide(x, y)
            if not isinstance(y, float):
                quotient[y == 0.0] = np.nan
            return quotient
        case ">" | ">=" | "<" | "<=":
            gap, tie = np.subtract(x, y), TIE * np.maximum(np.abs(x), np.abs(y))
            truth = {">": gap > tie, ">=": gap >= -tie, "<": gap < -tie, "<=": gap <= tie}[word]
            return np.where(np.isnan(gap), np.nan, truth)
        case "log":
            return np.log(np.where(np.greater(x, 0.0), x, np.nan))
        case "sqrt":
            return np.sqrt(np.maximum(x, 0.0))
        case "abs":
            return np.abs(x)
        case "sign":
            return np.sign(x)
        case "least":
            return np.minimum(x, y)
        case "most":
            return np.maximum(x, y)
        case "known":
            return np.where(np.isnan(x), y, x)
        case "where":
            return np.where(np.isnan(x), np.nan, np.where(np.not_equal(x, 0.0), parts[1], parts[2]))
        case _:
            from fieldcast.indicators.lines import share_of_range

            return share_of_range(np.asarray(x), np.asarray(parts[1]), np.asarray(y))
