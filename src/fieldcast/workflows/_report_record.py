"""The end of the report: field maps, decisions and why, the data behind it all, and what it does not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from fieldcast import plots
from fieldcast.cycle import CycleResult
from fieldcast.fields import FIELD_REGISTRY, FieldMap
from fieldcast.ground import Reason
from fieldcast.ledger import AuditReport
from fieldcast.market import Instrument
from fieldcast.trading import Decision
from fieldcast.workflows._report_markup import (
    UNKNOWN,
    Figures,
    Html,
    badge,
    day,
    details,
    heading_row,
    join,
    number,
    percent,
    quantity,
    simulated_badge,
    table,
    tag,
)
from fieldcast.workflows.results import Validation

MARKS = {"poc": "heaviest price (POC)", "val": "value area, low", "vah": "value area, high", "vwap": "VWAP, 60 sessions",
         "swing_high": "last swing high", "swing_low": "last swing low"}  # fmt: skip


def field_maps(maps: Mapping[str, FieldMap], instruments: Mapping[str, Instrument]) -> Html:
    """Landmarks first, then every quantity of the registry, one column an instrument."""
    names = list(maps)
    columns = [join([name, " ", simulated_badge(name in instruments and instruments[name].simulated)]) for name in names]
    marks = []
    for key, words in MARKS.items():
        cells = []
        for name in names:
            mark, steps = maps[name].landmarks.get(key), maps[name].steering.get(key)
            if mark is None:
                cells.append(tag("span", UNKNOWN))
                continue
            away = "" if steps is None else f"{number(steps, 1, sign=True)} ATR, "
            note = tag("span", f"{away}since {day(mark.known_since)}", class_="interval")
            cells.append(join([number(mark.price), note]))
        marks.append([words, *cells])
    numeric = range(1, len(names) + 1)
    rows: list[Sequence[object] | Html] = []
    for block in ("regime", "sentiment", "liquidity"):
        rows.append(heading_row(block, len(names) + 1))
        for full, column in FIELD_REGISTRY.items():
            if column.block == block:
                key = full.removeprefix(f"{block}.")
                label = join([key.replace("_", " "), tag("span", f"{column.unit}; {column.formula}", class_="interval")])
                rows.append([label, *(_field(maps[name], block, key, column.unit) for name in names)])
    return join([
        table(("landmark", *columns), marks, numeric=numeric),
        details("Every quantity of the field map", table(("quantity", *columns), rows, numeric=numeric)),
    ])  # fmt: skip


def _field(found: FieldMap, block: str, key: str, unit: str) -> object:
    space: Mapping[str, float] = getattr(found, block)
    if key not in space:
        reason = found.reasons.get(f"{block}.{key}")
        return tag("span", UNKNOWN, title=None if reason is None else reason.meaning)
    value = space[key]
    if unit == "price":
        return number(value)
    if unit == "bars":
        return number(value, 0)
    return f"{value:.3g}".replace("-", "−") if 0 < abs(value) < 1e-3 else number(value, 3)


def decisions(cycles: Sequence[CycleResult], instruments: Mapping[str, Instrument], figures: Figures) -> Html:
    """Portfolio by portfolio, never summed: value and decisions, the last session and why, what is pending."""
    portfolios = list(dict.fromkeys(cycle.portfolio for cycle in cycles))
    return join(_portfolio([c for c in cycles if c.portfolio == name], instruments, figures) for name in portfolios)


def _portfolio(cycles: Sequence[CycleResult], instruments: Mapping[str, Instrument], figures: Figures) -> Html:
    last = cycles[-1]
    held = [instruments[d.instrument] for d in last.decisions if d.instrument in instruments]
    simulated = bool(held) and all(instrument.simulated for instrument in held)
    navs = pl.DataFrame({"slot": [c.as_of.date() for c in cycles], "nav": [float(c.nav) for c in cycles],
                         "positions_value": [float(c.positions_value) for c in cycles]})  # fmt: skip
    made = [(c, d) for c in cycles for d in c.decisions]
    table_of = pl.DataFrame(
        {"slot": [c.as_of.date() for c, _ in made], "instrument": [d.instrument for _, d in made],
         "action": [str(d.action) for _, d in made], "why": [_brief(d) for _, d in made]},
        schema_overrides={"instrument": pl.String, "action": pl.String, "why": pl.String},
    )  # fmt: skip
    figure = plots.nav_timeline(navs, table_of, title=f"Portfolio {last.portfolio}", currency=last.currency, simulated=simulated)
    units = "notional index units, not tradable; " if any(instrument.notional for instrument in held) else ""
    facts = (f"{units}net asset value {number(last.nav)} {last.currency}, of it {number(last.cash)} in cash; "
             f"{percent(last.drawdown, 2)} below its highest")  # fmt: skip
    return tag(
        "section",
        tag("h3", f"Portfolio {last.portfolio} ", simulated_badge(simulated)),
        tag("p", f"After the session of {day(last.as_of)}: {facts}.", class_="aside"),
        figures.place(figure, f"Net asset value and decisions of the portfolio {last.portfolio}"),
        _last_session(last),
        _pending(last),
        details(f"All {len(cycles)} sessions", _history(cycles)),
        class_="portfolio",
    )


def _last_session(last: CycleResult) -> Html:
    head = ("instrument", "decision", "now", "target", "gate", "odds up / down", "volatility a year", "why")
    rows = [
        [
            decision.instrument,
            badge(str(decision.action), str(decision.action).lower()),
            quantity(decision.current_position),
            quantity(decision.target_position),
            (decision.gate_result or UNKNOWN).replace("_", " "),
            _odds(decision.sizing),
            percent(decision.sizing.get("sigma_annual")),
            tag("span", _why(decision), class_="why"),
        ]
        for decision in last.decisions
    ]
    return table(head, rows, numeric=(2, 3, 5, 6))


def _odds(sizing: Mapping[str, Any]) -> str:
    if "p_up" not in sizing:
        return UNKNOWN
    return f"{percent(sizing['p_up'], 0)} / {percent(sizing['p_down'], 0)}"


def _why(decision: Decision) -> str:
    """The registered meanings of the decision's codes; that data is simulated is said beside the portfolio's name."""
    text = "; ".join(code.meaning for code in decision.reasons if code is not Reason.SIMULATED)
    return f"{text[0].upper()}{text[1:]}." if text else UNKNOWN


def _brief(decision: Decision) -> str:
    return ", ".join(code.value.replace("_", " ") for code in decision.reasons if code is not Reason.SIMULATED)


def _pending(last: CycleResult) -> Html | None:
    if not last.pending:
        return tag("p", "No order is pending.", class_="aside")
    orders = "; ".join(
        f"{order.side} {quantity(order.quantity)} {order.instrument} at the open of {day(order.valid_for_session)}"
        for order in last.pending
    )
    count = "One order is" if len(last.pending) == 1 else f"{len(last.pending)} orders are"
    return tag("p", tag("b", f"{count} pending: "), f"{orders}. That open lies after the newest data, so nothing has filled; "
               "the order stays where it is until a session comes.", class_="callout")  # fmt: skip


def _history(cycles: Sequence[CycleResult]) -> Html:
    names = list(dict.fromkeys(d.instrument for c in cycles for d in c.decisions))
    head = ("session", *names, "net asset value", "pending after it")
    rows: list[list[object]] = []
    for cycle in reversed(cycles):
        cells = []
        for name in names:
            own = [d for d in cycle.decisions if d.instrument == name]
            cells.append(_move(own[0]) if own else tag("span", UNKNOWN))
        rows.append([day(cycle.as_of), *cells, number(cycle.nav), str(len(cycle.pending))])
    return table(head, rows, numeric=(len(names) + 1, len(names) + 2))


def _move(decision: Decision) -> Html:
    now, target = quantity(decision.current_position), quantity(decision.target_position)
    positions = target if now == target else f"{now} → {target}"
    note = tag("span", _brief(decision), class_="interval")
    return join([badge(str(decision.action), str(decision.action).lower()), f" {positions}", note])


def data(validation: Validation, datasets: pl.DataFrame | None) -> Html:
    """What is in the store, and how good the rows of each validated instrument are."""
    blocks: list[Html] = []
    if datasets is not None:
        head = ("instrument", "dataset", "provider", "rows", "first", "last", "prices")
        rows = [
            [join([row["instrument"], " ", simulated_badge(row["simulated"])]), row["dataset"], row["provider"],
             f"{row['rows']:,}", day(row["first_ts"]), day(row["last_ts"]), row["adjustment"].replace("_", " ")]
            for row in datasets.sort("simulated", maintain_order=True).iter_rows(named=True)
        ]  # fmt: skip
        blocks += [tag("h3", "Lineage"), table(head, rows, numeric=(3,))]
    head = ("instrument", "quality", "sessions present", "what was found", "history", "out of sample from", "data hash")
    rows = [
        [join([part.instrument.id, " ", simulated_badge(part.instrument.simulated)]), number(part.quality.score, 3),
         percent(part.quality.completeness / 100, 2), _found(part.quality.reasons, part.quality.costs),
         f"{day(part.first_session)} to {day(part.last_session)}", day(part.out_of_sample_from),
         tag("code", part.data_hash[:16], title=part.data_hash)]
        for part in validation.parts
    ]  # fmt: skip
    blocks += [
        tag("h3", "Quality"),
        table(head, rows, numeric=(1, 2)),
        tag("p", "Quality is 1 less what each finding costs, over the last 252 sessions; below 0.6 no position is increased.",
            class_="aside"),
    ]  # fmt: skip
    return join(blocks)


def _found(reasons: Mapping[Reason, int], costs: Mapping[Reason, float]) -> str:
    parts = [f"{count:,} × {code.meaning} (−{costs.get(code, 0.0):.3f})" for code, count in reasons.items()
             if code is not Reason.SIMULATED]  # fmt: skip
    return "; ".join(parts) or "nothing to report"


def audit_text(audit: AuditReport | None) -> str | None:
    """One sentence about the audit chain."""
    if audit is None:
        return None
    if audit.ok:
        return f"The audit chain is whole: {audit.entries:,} entries, twin and anchor agree."
    return f"The audit chain is DAMAGED: {'; '.join(problem.message for problem in audit.problems[:3])}."


def limits(validation: Validation, datasets: pl.DataFrame | None, *, traded: bool) -> Html:
    """What this page does not say, in plain words; only what concerns the data at hand."""
    parts = validation.parts
    newest = max(part.packet.as_of for part in parts)
    said = [
        f"The newest forecast was made after the close of {day(newest)}. Nothing here knows of a later day.",
        "These are daily bars. What happens within a session is seen only through its open, high, low and close.",
        "CANNOT JUDGE is not a weak pass: the sample leaves open whether there is an edge.",
        "One configuration was nominated before the first run and stands before the gate. The other models are shown beside it; "
        "none of them may be picked because it happened to score well.",
        "Cones promise how often they hold over the long run, not on a given day. After a sudden change of volatility they are "
        "too narrow until they have learned of it.",
        "Skill at threshold events is volatility skill: a market without any edge shows it too. It opens no gate.",
    ]
    if traded:
        said.append("Paper fills are simulated: market orders at the next open, with a spread and a fee, without any effect "
                    "of our own on the price.")  # fmt: skip
    if any(part.instrument.notional for part in parts):
        said.append("An index cannot be bought. Its portfolio is kept in notional units, to show the machinery at work.")
    if any(part.instrument.simulated for part in parts):
        said.append("What is marked SIMULATED comes from Fieldcast's own market. It is there to see whether a planted "
                    "edge is found and none invented where none is; it enters no claim about real markets.")  # fmt: skip
    if datasets is not None and "bundled" in datasets["provider"].to_list():
        said.append("The bundled history has no record of when each row became known: the close is assumed. In years whose opens "
                    "copy the previous close, opens are used neither as features nor for fills.")  # fmt: skip
    said.append("The dealer and elasticity fields need option chains. There are none here, and nothing stands in for them.")
    said.append("This is research software and no investment advice.")
    return tag("ul", *(tag("li", text) for text in said), class_="limits")
