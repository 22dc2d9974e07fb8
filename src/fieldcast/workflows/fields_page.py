"""The page of charts of one instrument's fields: what a trader would look at, in one file, offline.

Sections without data are left out. Nothing is computed here: figures come from `plots`, values from the engines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fieldcast import plots
from fieldcast.data import Severity
from fieldcast.data.rules import SEVERITY
from fieldcast.fields import NAMESPACES, build_field_table
from fieldcast.fields.books import slippage_field
from fieldcast.fields.liquidity import WINDOW, Profile, profile_of
from fieldcast.ground import write_whole
from fieldcast.workflows._report_markup import Figures, Html, details, join, number, percent, simulated_badge, table, tag

if TYPE_CHECKING:
    from fieldcast.workflows.fields import FieldsRead

RIBBON = 500  # sessions in the regime ribbon
LADDER = 24  # sizes in the slippage chart
WALLS = {"call_wall": "call wall", "put_wall": "put wall", "max_pain": "max pain"}


def write_fields_page(found: FieldsRead, path: Path | str) -> Path:
    """Write the page; a reader sees the old file or the whole new one, never half of it."""
    from plotly.offline import get_plotlyjs

    figures = Figures()
    sections = [
        tag("section", tag("h2", title), tag("p", intro, class_="intro"), body)
        for title, intro, body in _sections(found, figures)
    ]
    when = f"{found.map.as_of:%Y-%m-%d %H:%M} UTC"
    page = Template(_template("page.html")).substitute(
        title=f"{found.instrument.id} fields, {when}",
        style=_template("report.css"),
        library=get_plotlyjs(),
        figures=figures.script(),
        script=_template("report.js"),
        headline=join([f"{found.instrument.id} ", simulated_badge(found.map.simulated)]),
        what=tag("p", f"How the market lay at {when}, price {number(found.map.close)}: only what was known then.", class_="what"),
        lead="",
        glance=_words(found),
        navigation="",
        sections=join(sections),
        colophon=tag("p", "Field map ", tag("code", found.map.hash[:16])),
    )
    return write_whole(Path(path), page.encode())


def _template(name: str) -> str:
    return files("fieldcast.workflows").joinpath("report_template", name).read_text(encoding="utf-8")


def _sections(found: FieldsRead, figures: Figures) -> Iterator[tuple[str, str, Html]]:
    """Title, introduction and body of every section that has something to show."""
    simulated, currency = found.map.simulated, found.instrument.currency
    if found.dealer is not None:
        yield (
            "Dealers",
            f"Under the convention “{found.dealer.conventions.sign_policy}”, contracts re-priced at every price with each "
            "strike's volatility held. Where net gamma is positive, hedging damps moves; where it is negative, it feeds them.",
            _dealers(found, figures, currency, simulated),
        )
    if found.elasticity is not None:
        yield (
            "Elasticity",
            "The work that hedging puts against a move from the present price, and how stiff the market would be at other prices "
            "and volatilities.",
            _elasticity(found, figures, currency, simulated),
        )
    if found.session is not None and found.session.profile is not None:
        yield "This session", "Candles beside the volume done at each price; VWAP with its bands.", _session(found, figures)
    daily = _daily(found, figures)
    if daily is not None:
        yield "The last sessions", "Where volume was done, and the levels that the field map keeps.", daily
    if found.book is not None and found.book.book is not None and found.book.book.reason is None:
        yield (
            "Order book",
            "What a market order would pay, as far as the visible book goes; beyond it nothing is known.",
            _book(found, figures, currency, simulated),
        )
    if found.regime is not None:
        yield (
            "Regime",
            "Soft memberships that sum to 1: a reading of how price moves, not odds of what comes.",
            _regime(found, figures, currency, simulated),
        )
    yield "Every figure", "", _figures_table(found)


def _dealers(found: FieldsRead, figures: Figures, currency: str, simulated: bool) -> Html:
    dealer = found.dealer
    assert dealer is not None
    spot = dealer.book.chain.spot
    marks = {words: found.map.landmarks[name].price for name, words in WALLS.items() if name in found.map.landmarks}
    profile = plots.gamma_profile_chart(
        dealer.gamma.spots, dealer.gamma.gex, spot=spot, flips=dealer.flips, walls=marks,
        title="Net gamma along the price", currency=currency, simulated=simulated,
    )  # fmt: skip
    strikes = plots.strike_chart(dealer.by_strike, spot=spot, title="Gamma by strike", currency=currency, simulated=simulated)
    moves = dealer.by_expiry.head(8)
    rows = [
        [f"{row['expiry_ts']:%Y-%m-%d %H:%M}", number(row["days"], 2), percent(row["share"]), number(row["gex"] / 1e6, 1),
         number(row["max_pain"]), percent(row["volatility"])]
        for row in moves.iter_rows(named=True)
    ]  # fmt: skip
    head = ("expiry (UTC)", "days", "share of gamma", f"net gamma (m {currency})", "max pain", "volatility")
    return join([
        figures.place(profile, "Net dealer gamma along the price axis with its flips and walls"),
        figures.place(strikes, "Gamma of calls and puts at each strike"),
        table(head, rows, numeric=range(1, 6)),
    ])  # fmt: skip


def _elasticity(found: FieldsRead, figures: Figures, currency: str, simulated: bool) -> Html:
    elastic = found.elasticity
    assert elastic is not None
    energy = plots.energy_chart(
        elastic.profile.prices, elastic.profile.energy, spot=elastic.book.spot, sigma=elastic.sigma_dollars,
        title="Work against dealers' hedging", currency=currency, simulated=simulated,
    )  # fmt: skip
    parts = [figures.place(energy, "Work that dealers' hedging puts against a move to each price")]
    if elastic.surface is not None:
        surface = plots.elasticity_surface_chart(
            elastic.surface.prices, elastic.surface.shifts, elastic.surface.elasticity[0], spot=elastic.book.spot,
            title="Elasticity over price and volatility, today", currency=currency, simulated=simulated,
        )  # fmt: skip
        parts.append(figures.place(surface, "Elasticity at each price and change of volatility"))
    return join(parts)


def _session(found: FieldsRead, figures: Figures) -> Html:
    session, minutes = found.session, found.minutes
    assert session is not None
    assert session.profile is not None
    assert minutes is not None
    developing = session.developing
    bars = minutes.filter(pl.col("ts").is_in(developing["ts"].implode()))
    names = {"VWAP": "vwap", "−1 σ": "lower_1", "+1 σ": "upper_1", "−2 σ": "lower_2", "+2 σ": "upper_2"}
    lines = {words: developing[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for words, name in names.items()}
    chart = _profiled(found, bars, session.profile, lines, f"Session of {session.session:%Y-%m-%d}")
    return figures.place(chart, "Candles of the session beside their volume profile")


def _daily(found: FieldsRead, figures: Figures) -> Html | None:
    """Daily candles beside their profile; None where no volume was reported."""
    bars = found.bars.tail(WINDOW)
    if bars.is_empty() or bars.select(pl.col("high", "low", "volume").null_count()).sum_horizontal().item():
        return None
    if not float(bars["volume"].sum()) > 0:
        return None
    chart = _profiled(found, bars, profile_of(bars), {}, f"{bars.height} sessions to {found.map.ts:%Y-%m-%d}")
    return figures.place(chart, "Daily candles beside their volume profile")


def _profiled(found: FieldsRead, bars: pl.DataFrame, profile: Profile, lines: Mapping[str, Any], title: str) -> Any:
    return plots.profile_chart(
        bars,
        profile.edges,
        profile.held,
        area=(profile.val, profile.vah),
        poc=profile.poc,
        lines=lines,
        title=title,
        currency=found.instrument.currency,
        simulated=found.map.simulated,
        quiet_reasons=frozenset(str(code) for code, severity in SEVERITY.items() if severity is Severity.NOTE),
    )


def _book(found: FieldsRead, figures: Figures, currency: str, simulated: bool) -> Html:
    assert found.book is not None
    ladders = found.book.book
    assert ladders is not None
    deepest = max(float((ladders.bid_price * ladders.bid_size).sum()), float((ladders.ask_price * ladders.ask_size).sum()))
    smallest = max(1.0, deepest / 1e3)
    field = slippage_field(ladders, notionals=tuple(np.geomspace(smallest, deepest, LADDER)))
    chart = plots.slippage_chart(field.table, title="Slippage by size", currency=currency, simulated=simulated)
    return figures.place(chart, "Slippage of market orders by size and side")


def _regime(found: FieldsRead, figures: Figures, currency: str, simulated: bool) -> Html:
    table = build_field_table(found.bars).tail(RIBBON)
    ribbon = plots.regime_ribbon(table, title=f"Regime, {table.height} sessions", currency=currency, simulated=simulated)
    return figures.place(ribbon, "Price and the four regime memberships over time")


def _words(found: FieldsRead) -> Html:
    """The labels, as a line of words under the headline."""
    words = [f"{name.partition('.')[2].replace('_', ' ')}: {word.replace('_', ' ')}" for name, word in found.map.labels.items()]
    return tag("p", " · ".join(words), class_="what") if words else Html("")


def _figures_table(found: FieldsRead) -> Html:
    parts = []
    for space in NAMESPACES:
        values = getattr(found.map, space)
        if values:
            rows = [[name.replace("_", " "), f"{value:,.6g}".replace("-", "−")] for name, value in values.items()]
            parts.append(details(space, table(("quantity", "value"), rows, numeric=[1])))
    reasons = [[name, reason.value, reason.meaning] for name, reason in found.map.reasons.items()]
    if reasons:
        parts.append(details("What is not known, and why", table(("quantity", "code", "meaning"), reasons)))
    if found.map.conventions:
        parts.append(details("Conventions", table(("of", "convention"), list(found.map.conventions.items()))))
    return join(parts)
