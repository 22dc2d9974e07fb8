"""The sections of a tear sheet: each takes what the report found and lays it out; nothing is computed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from fieldcast import plots
from fieldcast.market import STAMP
from fieldcast.market.instrument import Kind
from fieldcast.simulation.report import BacktestReport, Figure, trades_in_base
from fieldcast.simulation.result import SimulationResult
from fieldcast.validation.gate import GateOutcome
from fieldcast.workflows._option_sections import contract_name, options_of
from fieldcast.workflows._report_markup import (
    UNKNOWN,
    Figures,
    Html,
    badge,
    day,
    details,
    interval,
    join,
    number,
    percent,
    table,
    tag,
)
from fieldcast.workflows.backtest_gate import RunGate

MOST_CHARTS = 3  # instruments whose bars are drawn: those traded most
MOST_CALLS = 200  # newest calls in the table
MOST_TRADES = 200
MONTHS_WIDTH = 600  # pixels at which the names of the months and their figures stand apart
_SHARES = frozenset({
    "total_return", "cagr", "volatility", "max_drawdown", "value_at_risk", "expected_shortfall", "best_day", "worst_day",
    "days_up", "psr",
})  # fmt: skip
_NAMES = {
    "total_return": "Return, whole span",
    "cagr": "Return by the year (CAGR)",
    "volatility": "Volatility by the year",
    "sharpe": "Sharpe ratio",
    "sortino": "Sortino ratio",
    "calmar": "Calmar ratio",
    "max_drawdown": "Deepest drawdown",
    "skewness": "Skewness of days",
    "kurtosis": "Kurtosis of days (3 = normal)",
    "value_at_risk": "Value at risk, a day in twenty",
    "expected_shortfall": "Mean of the worst twentieth of days",
    "best_day": "Best day",
    "worst_day": "Worst day",
    "days_up": "Days that rose",
    "psr": "Probability that the Sharpe ratio is above 0",
    "min_track_record_days": "Days needed to be 95 % sure of that",
}


def convention(report: BacktestReport) -> str:
    """How its market orders were filled."""
    if report.fill_convention == "next_open":
        return "Decisions at the end of a bar, market orders at the next open."
    return "Market orders filled at the close that they were decided on."


def sections_of(
    result: SimulationResult, report: BacktestReport, figures: Figures, gate: RunGate | None, asked: Mapping[str, Any]
) -> Iterator[tuple[str, str, str, Html]]:
    """Id, title, introduction and body of every section that has something to show."""
    yield (
        "equity", "Equity", "The account at each close, and below it how far it stood under its highest value so far.",
        _equity(result, report, figures),
    )  # fmt: skip
    yield (
        "figures", "Figures",
        "Each with its 95 % interval from a bootstrap over blocks of days, which keeps what neighbouring days share. A wide "
        "interval is the finding: the span is too short to say more.",
        _performance(report),
    )  # fmt: skip
    if gate is not None:
        yield (
            "gate", "The economic gate",
            "Whether what it earned from open to open is still there after its costs, and is more than the market's own. It "
            "judges fairly only on a span that nothing was chosen on.",
            _gate(gate),
        )  # fmt: skip
    yield (
        "market", "Beside the market",
        "What it is put beside was bought once, at the first close and at this run's costs, and held; it pays nothing else.",
        _benchmark(report),
    )  # fmt: skip
    yield (
        "trials", "After so many trials",
        "The best of many tries looks good by chance alone. The deflated Sharpe ratio is the probability that this one is better "
        "than the best of as many worthless ones.",
        _deflation(report),
    )  # fmt: skip
    if report.monthly.height:
        yield "months", "Months", "", _months(report, figures)
    if report.drawdowns.height:
        yield "drawdowns", "Drawdowns", "The deepest first.", _drawdowns(report)
    yield "trades", "Trades", "", _trades(result, report, figures)
    if any(one.kind is Kind.OPTION for one in result.market.instruments):
        yield (
            "options", "Options", "Each contract that was traded, exercised or assigned, or that expired. What is exercised or "
            "assigned moves the underlying at the strike.", options_of(result),
        )  # fmt: skip
    if report.attribution is not None:
        yield (
            "sources", "Who earned it",
            "The profit of each trade, shared among the signals that asked for it by their shares at its entry. The rows sum to "
            "the whole profit.",
            _attribution(report, figures),
        )  # fmt: skip
    yield "costs", "What it cost", "", _costs(report, figures)
    if report.hits is not None:
        yield (
            "calls", "Calls and hits",
            f"Each call is judged from the next open to the open {report.hits.horizon} bar(s) later, then laid beside the trades "
            "that followed it.",
            _hits(report),
        )  # fmt: skip
    yield "run", "The run", "", _run(result, report, asked)


def _equity(result: SimulationResult, report: BacktestReport, figures: Figures) -> Html:
    curve = result.equity.select("ts", "equity").join(report.underwater, on="ts")
    beside = None
    if report.benchmark is not None:
        noon = pl.col("date").cast(STAMP) + pl.duration(hours=21)
        beside = report.benchmark.curve.select(ts=noon, benchmark=pl.col("benchmark") * report.start_equity)
    chart = plots.equity_chart(
        curve,
        title="Equity and drawdown",
        currency=report.currency,
        simulated=report.simulated,
        benchmark=beside,
        benchmark_name="" if report.benchmark is None else report.benchmark.name,
    )
    return figures.place(chart, "Equity over time, with the drawdown below it")


def _performance(report: BacktestReport) -> Html:
    whole = {"min_track_record_days": 0}
    rows = [_figure_row(_NAMES[name], getattr(report.performance, name), name in _SHARES, whole.get(name)) for name in _NAMES]
    activity = report.activity
    held = [
        _figure_row("Exposure, mean of closes", activity.mean_exposure, True),
        _figure_row("Net exposure, mean of closes", activity.mean_net_exposure, True),
        _figure_row("Exposure, largest", activity.largest_exposure, True),
        _figure_row("Closes with a position", activity.bars_in_market, True),
        _figure_row("Turnover by the year, × equity", activity.turnover, False),
    ]
    return tag("div", _figure_table(rows), _figure_table(held), class_="pairs")


def _gate(gate: RunGate) -> Html:
    word = {GateOutcome.PASS: "pass", GateOutcome.FAIL: "fail", GateOutcome.CANNOT_JUDGE: "unknown"}[gate.outcome]
    said = tag("p", badge(str(gate.outcome).replace("_", " "), word), f" {gate.why}", class_="callout")
    found = gate.result
    if found is None:
        return said
    net = "" if found.net is None else interval(1e4 * found.net.low, 1e4 * found.net.high, 2)
    beyond = "" if found.excess is None else interval(1e4 * found.excess.low, 1e4 * found.excess.high, 2)
    slope = "" if found.beta is None else interval(found.beta.low, found.beta.high, 2)
    rows = [
        ("Earned a session after costs, bps", number(1e4 * (found.gross_mean - found.cost_mean), 2, sign=True), net),
        ("Before costs, bps", number(1e4 * found.gross_mean, 2, sign=True), ""),
        ("Costs a session, bps", number(1e4 * found.cost_mean, 2), ""),
        ("Probability that the Sharpe ratio is above 0; 95 % is asked for",
         UNKNOWN if found.psr is None else percent(found.psr), ""),
        ("Beyond the market at equal volatility, bps a session",
         UNKNOWN if found.excess is None else number(1e4 * found.excess.estimate, 2, sign=True), beyond),
        ("Beta", UNKNOWN if found.beta is None else number(found.beta.estimate, 2), slope),
        ("Sessions", f"{found.n:,}", ""),
    ]  # fmt: skip
    return join([said, tag("div", _figure_table(rows), class_="pairs")])


def _benchmark(report: BacktestReport) -> Html:
    found = report.benchmark
    if found is None:
        return _absent(report, "benchmark")
    account = report.performance
    shown = ("total_return", "cagr", "volatility", "sharpe", "max_drawdown")
    rows = [
        (_NAMES[name], _value(getattr(account, name), name in _SHARES), _value(getattr(found.own, name), name in _SHARES))
        for name in shown
    ]
    own = [
        _figure_row("Beyond it at equal volatility, by the year", found.excess_at_equal_volatility, True),
        _figure_row("Alpha by the year", found.alpha, True),
        _figure_row("Beta", found.beta, False),
        _figure_row("Correlation", found.correlation, False),
        _figure_row("Tracking error by the year", found.tracking_error, True),
        _figure_row("Information ratio", found.information_ratio, False),
    ]
    return tag(
        "div",
        table(("", "account", found.name), rows, numeric=[1, 2]),
        _figure_table(own),
        class_="pairs",
    )


def _deflation(report: BacktestReport) -> Html:
    found = report.deflation
    if found.family is None or found.effective_trials is None:
        return tag("p", f"Unknown: {found.dsr.why}.", class_="aside")
    rows = [
        _figure_row("Probability of a Sharpe ratio above 0 (PSR)", found.psr, True),
        _figure_row(f"Deflated by all {found.trials} trials (DSR)", found.dsr, True),
        _figure_row(f"Deflated by the {number(found.effective_trials, 1)} they are worth", found.dsr_effective, True),
        _figure_row("Sharpe ratio a day of the best of as many worthless ones", found.best_of_worthless, False, 4),
        _figure_row("Days needed to be 95 % sure", found.min_track_record_days, False, 0),
    ]
    times = "once" if found.looks == 1 else f"{found.looks} times"
    note = tag("p", f"Family “{found.family}”; this configuration was looked at {times}.", class_="aside")
    return join([tag("div", _figure_table(rows), class_="pairs"), note])


def _months(report: BacktestReport, figures: Figures) -> Html:
    chart = plots.monthly_heat_map(report.monthly, title="Return by month, %", simulated=report.simulated)
    return figures.place(chart, "Return of each month, and of each year", least_width=MONTHS_WIDTH)


def _drawdowns(report: BacktestReport) -> Html:
    rows = [
        (percent(row["depth"]), number(row["amount"], 0), day(row["peak_ts"]), day(row["trough_ts"]),
         "not yet" if row["recovery_ts"] is None else day(row["recovery_ts"]), f"{row['bars_down']:,}",
         UNKNOWN if row["bars_back"] is None else f"{row['bars_back']:,}")
        for row in report.drawdowns.to_dicts()
    ]  # fmt: skip
    head = ("depth", report.currency, "from", "lowest", "made good", "bars down", "bars back")
    return table(head, rows, numeric=[0, 1, 5, 6])


def _trades(result: SimulationResult, report: BacktestReport, figures: Figures) -> Html:
    found = report.trades
    if not found.closed:
        return tag("p", f"No trade was closed; positions open at the end: {found.open}.", class_="aside")
    money = [
        _figure_row("Won", found.win_rate, True),
        _figure_row("Profit factor", found.profit_factor, False),
        _figure_row(f"Mean profit of a trade, {report.currency}", found.expectancy, False),
        _figure_row("Mean win", found.mean_win, False),
        _figure_row("Mean loss", found.mean_loss, False),
        _figure_row("Mean win / mean loss", found.payoff, False),
        _figure_row("Largest win", found.largest_win, False),
        _figure_row("Largest loss", found.largest_loss, False),
        _figure_row("Losses in a row, most", found.losses_in_a_row, False, 0),
    ]
    moves = [
        _figure_row("Bars held, mean", found.bars_held, False, 1),
        _figure_row("Furthest against, mean (MAE)", found.mean_mae, True, 2),
        _figure_row("Furthest for, mean (MFE)", found.mean_mfe, True, 2),
        _figure_row("MAE of winners", found.mae_of_winners, True, 2),
        _figure_row("MFE of losers", found.mfe_of_losers, True, 2),
        _figure_row("MFE / MAE", found.edge_ratio, False),
    ]
    scatter = plots.excursion_scatter(result.trades, title="How far trades went either way", simulated=report.simulated)
    most = result.trades.group_by("instrument").len().sort("len", "instrument", descending=[True, False])["instrument"]
    parts: list[object] = [
        tag("div", _figure_table(money), _figure_table(moves), class_="pairs"),
        *(_trade_chart(result, report, name, figures) for name in most.head(MOST_CHARTS)),
        figures.place(scatter, "Each trade's furthest move against and for its holder"),
        _groups("By direction", found.by_direction, report.currency, open_=True),
    ]
    if found.by_instrument.height > 1:
        parts.append(_groups("By instrument", found.by_instrument, report.currency))
    if found.by_tag.height > 1:
        parts.append(_groups("By tag", found.by_tag, report.currency))
    parts.append(_trade_table(result, report))
    if found.open:
        count = "1 position is" if found.open == 1 else f"{found.open} positions are"
        parts.append(tag("p", f"{count} still open and in none of these figures.", class_="aside"))
    return join(parts)


def _trade_chart(result: SimulationResult, report: BacktestReport, name: str, figures: Figures) -> Html:
    market = result.market
    row = market.row(name)
    columns = {column: pl.Series(getattr(market, column)[row]).fill_nan(None) for column in ("open", "high", "low", "close")}
    bars = pl.DataFrame({"ts": pl.Series(market.ts).cast(STAMP), **columns}).filter(pl.col("close").is_not_null())
    chart = plots.trade_chart(
        bars,
        result.trades.filter(pl.col("instrument") == name),
        title=f"Trades of {contract_name(name)}",
        currency=market.instruments[row].currency,
        simulated=report.simulated,
    )
    return figures.place(chart, f"Entries and exits on the bars of {name}")


def _groups(title: str, groups: pl.DataFrame, currency: str, *, open_: bool = False) -> Html:
    rows = [
        (row["group"], f"{row['n']:,}", percent(row["win_rate"], 0),
         interval(row["win_rate_low"], row["win_rate_high"], 0, share=True), number(row["total_profit"]),
         number(row["mean_profit"]), number(row["profit_factor"]))
        for row in groups.to_dicts()
    ]  # fmt: skip
    head = ("", "trades", "won", "95 %", f"profit, {currency}", "a trade", "profit factor")
    return details(title, table(head, rows, numeric=[1, 2, 3, 4, 5, 6]), open_=open_)


def _trade_table(result: SimulationResult, report: BacktestReport) -> Html:
    newest = trades_in_base(result).tail(MOST_TRADES)
    rows = [
        (row["instrument"], row["direction"], f"{row['entry_ts']:%Y-%m-%d %H:%M}", f"{row['exit_ts']:%Y-%m-%d %H:%M}",
         f"{row['quantity']:,.8g}", f"{row['entry_price']:,.8g}", f"{row['exit_price']:,.8g}", number(row["costs"]),
         number(row["net"], sign=True), percent(row["mae"], 2), percent(row["mfe"], 2))
        for row in newest.to_dicts()
    ]  # fmt: skip
    head = (
        "instrument",
        "side",
        "entry",
        "exit",
        "quantity",
        "entry price",
        "exit price",
        "costs",
        f"net, {report.currency}",
        "MAE",
        "MFE",
    )
    word = f"All {newest.height:,} trades" if newest.height == result.trades.height else f"The newest {newest.height:,} trades"
    return details(word, table(head, rows, numeric=range(4, 11)))


def _attribution(report: BacktestReport, figures: Figures) -> Html:
    found = report.attribution
    assert found is not None
    chart = plots.contribution_bars(
        found.table.select("source", "amount"), title="Profit by source", currency=report.currency, simulated=report.simulated
    )
    rows = [
        (
            row["source"],
            row["kind"],
            number(row["trades"], 1),
            number(row["closed"]),
            number(row["open"]),
            number(row["amount"], sign=True),
        )
        for row in found.table.to_dicts()
    ]
    total = ("all", "", "", "", "", tag("b", number(found.profit, sign=True)))
    head = ("source", "kind", "trades", "closed", "open", f"profit, {report.currency}")
    drawn = figures.place(chart, "Profit of each source") if found.table.height > 1 else None
    return join([drawn, table(head, [*rows, total], numeric=[2, 3, 4, 5])])


def _costs(report: BacktestReport, figures: Figures) -> Html:
    found = report.costs
    if found is None:
        return _absent(report, "costs")
    chart = plots.cost_waterfall(
        found.steps, title="From before costs to what was left", currency=report.currency, simulated=report.simulated
    )
    rows = [
        (f"Everything that trading cost, {report.currency}", number(found.total)),
        (f"Traded value, {report.currency}", number(found.traded_value, 0)),
        ("Cost of what was traded, bps", _value(found.cost_of_traded_bps, False)),
        ("Share of what was earned before costs", _value(found.share_of_gross, True)),
    ]
    return join(
        [
            figures.place(chart, "Profit before costs, each cost, and what was left"),
            tag("div", table(("", "value"), rows, numeric=[1]), class_="pairs"),
        ]
    )


def _hits(report: BacktestReport) -> Html:
    found = report.hits
    assert found is not None
    figures = [
        _figure_row("Hit rate", found.hit_rate, True),
        _figure_row("Share of rises among judged calls", found.base_rate, True),
    ]
    counts = [
        ("calls", f"{found.table.height:,}"), ("judged", f"{found.judged:,}"), ("hits", f"{found.hits:,}"),
        ("called no side", f"{found.sideless:,}"), ("did not move", f"{found.level:,}"),
        ("outcome not known yet", f"{found.unknown:,}"), ("belong to a trade", f"{found.traded:,}"),
        *((f"no trade: {why.replace('_', ' ')}", f"{n:,}") for why, n in found.untraded.items()),
        ("trades without a call", f"{len(found.uncalled):,}"),
    ]  # fmt: skip
    word = "Calls and trades agree." if found.reconciles else "Calls and trades do not agree; see the list."
    newest = found.table.tail(MOST_CALLS)
    rows = [
        (f"{row['ts']:%Y-%m-%d %H:%M}", row["instrument"], {1: "up", -1: "down", 0: "neither"}[row["predicted"]],
         percent(row["probability"]), percent(row["realised"], 2, sign=True),
         {True: badge("HIT", "pass"), False: badge("MISS", "fail"), None: UNKNOWN}[row["hit"]],
         UNKNOWN if row["trade"] is None else str(row["trade"]), (row["reason"] or "").replace("_", " "))
        for row in newest.to_dicts()
    ]  # fmt: skip
    head = ("bar", "instrument", "called", "probability", "came", "", "trade", "why none")
    return join([
        tag("div", _figure_table(figures), table(("", "calls"), counts, numeric=[1]), class_="pairs"),
        tag("p", word, class_="aside"),
        details(f"The newest {newest.height:,} calls", table(head, rows, numeric=[3, 4, 6])),
    ])  # fmt: skip


def _run(result: SimulationResult, report: BacktestReport, asked: Mapping[str, Any]) -> Html:
    activity = report.activity
    rows = [
        ("instruments", ", ".join(one.id for one in result.market.instruments)),
        ("orders, fills, refused", f"{activity.orders:,}, {activity.fills:,}, {activity.rejected:,}"),
        ("fills", convention(report)),
        *((name.replace("_", " "), _plain(value)) for name, value in (*asked.items(), *result.settings.items())),
    ]
    parts: list[object] = [details("Settings", table(("", ""), rows), open_=False)]
    if activity.rejected:
        why = result.rejections.group_by("reasons").len().sort("len", descending=True)
        refused = [((reason or "").replace("_", " "), f"{count:,}") for reason, count in why.iter_rows()]
        parts.append(details("Refused orders, by reason", table(("reason", "orders"), refused, numeric=[1]), open_=True))
    return join(parts)


# -- cells ---------------------------------------------------------------------------------------------------------------


def _figure_table(rows: Sequence[tuple[object, ...]]) -> Html:
    """Name, value and interval; the last only where a row has one."""
    doubts = any(row[2] != "" for row in rows)
    shown = rows if doubts else [row[:2] for row in rows]
    return table(("", "value", "95 % interval")[: 3 if doubts else 2], shown, numeric=[1, 2])


def _figure_row(name: str, figure: Figure, share: bool, digits: int | None = None) -> tuple[object, ...]:
    places = (1 if share else 2) if digits is None else digits
    if figure.value is None:
        return name, tag("span", UNKNOWN, title=figure.why), tag("span", figure.why, class_="interval")
    doubt = interval(figure.low, figure.high, places, share=share) if figure.low is not None else ""
    return name, _value(figure, share, places), doubt


def _value(figure: Figure, share: bool, digits: int | None = None) -> Html:
    places = (1 if share else 2) if digits is None else digits
    text = percent(figure.value, places) if share else number(figure.value, places)
    return tag("span", text, title=figure.why or None)


def _absent(report: BacktestReport, name: str) -> Html:
    return tag("p", f"Unknown: {report.absent.get(name, 'not asked for')}.", class_="aside")


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return UNKNOWN if value is None else str(value).replace("_", " ")
