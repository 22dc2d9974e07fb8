"""What became of texts, as text: scores that were added, and what a fitted scorer is worth."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def scored_text(result: Any) -> RenderableType:
    """The text of `TextsScored`."""
    mean = "" if result.mean is None else f", mean {result.mean:+.3f}"
    lines = [
        f"{result.about}: {result.added:,} texts of {result.source} ({result.kind}) scored by {result.scorer}{mean}",
        f"  {result.said}",
    ]
    lines += [f"  {name} does not score: {why}" for name, why in result.passed_over.items()]
    lines += [f"  {result.already:,} had this score already"] if result.already else []
    lines += [f"  {result.language:,} in a language that the scorer does not read"] if result.language else []
    lines += ["  known from when their texts were: assumed, since nobody had these scores then"] if result.history else []
    return Text("\n".join(lines))


def trained_text(result: Any) -> RenderableType:
    """The text of `HeadlineTrained`."""
    table = Table(title="Labels, the same texts", title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False)
    for name in ("scorer", "accuracy", "macro F1", "negative", "neutral", "positive"):
        table.add_column(name, justify="left" if name == "scorer" else "right")
    for name, found in (("headline, out of fold", result.out_of_fold), ("lexicon", result.lexicon)):
        spread = "" if found.standard_error is None else f" ± {1.96 * found.standard_error:.1%}"
        recall = (f"{found.recall[label]:.1%}" for label in ("negative", "neutral", "positive"))
        table.add_row(name, f"{found.accuracy:.1%}{spread}", f"{found.macro_f1:.3f}", *recall)
    table.add_row("always the commonest", f"{result.out_of_fold.baseline:.1%}", *[""] * 4)
    lines = [
        f"{result.texts:,} texts in {result.groups:,} groups; {result.near_duplicates:,} have near-duplicates, in the same fold"
    ]
    for name, parts in result.transfer.items():
        lines += [f"{name}, {who}: sign {found.sign:.1%} of {found.n}, rank correlation {found.spearman:.2f}"
                  for who, found in parts.items()]  # fmt: skip
    lines += [f"model {result.version[:16]} in {result.folder}", result.note]
    return Group(table, Text("\n".join(lines)))
