"""The loop over the bars: events, open, inside, close, mark, margin; and the fused run of a table of targets.

    for each bar:  events up to its open -> orders at the open -> orders inside -> orders at the close -> marks at the close
                   -> events up to its end -> one point of the curve -> margin call
    (a strategy or a table of targets acts after that, at the bar's end, and its market orders wait for the next open)

A bar without working orders and events costs the mark alone. Before each bar the tables must have room for the most
that it can write; else the kernel returns and is called again from that bar.
"""

from __future__ import annotations

from fieldcast.simulation import _state as s
from fieldcast.simulation._compiled import kernel
from fieldcast.simulation._compiled_tables import fetch
from fieldcast.simulation._kernels_account import begin_volume
from fieldcast.simulation._kernels_events import apply_event
from fieldcast.simulation._kernels_fill import TOO_MANY, lots_for_weight, price_units, weight_e8
from fieldcast.simulation._kernels_matching import SEGMENT, at_close, at_open, in_bar
from fieldcast.simulation._kernels_option_margin import OP_GROUP, OP_MARGIN
from fieldcast.simulation._kernels_orders import add, fill, refuse, sweep_ended
from fieldcast.simulation._kernels_wide import mul_div_floor

FILL_POSTINGS = 4
COMPLETE, NEEDS_ROOM, FAILED, BAD_TARGET = range(4)
WEIGHT, LOTS = 0, 1  # what a target is
LARGEST_TARGET = 1e9


@kernel
def events_until(state, step, t):  # type: ignore[no-untyped-def]
    """Apply the events that are due."""
    counters, events = state.counters, state.events
    moved = False
    while counters[s.N_CURSOR] < len(events) and events[counters[s.N_CURSOR], s.EV_STEP] <= step:
        apply_event(state, counters[s.N_CURSOR], t)
        counters[s.N_CURSOR] += 1
        moved = True
    if moved:
        s.mark_all(state)


@kernel
def due(state, step):  # type: ignore[no-untyped-def]
    """How many events come up to a step of the clock (2 t: the open of bar t, 2 t + 1: its end)."""
    at = state.counters[s.N_CURSOR]
    while at < len(state.events) and state.events[at, s.EV_STEP] <= step:
        at += 1
    return at - state.counters[s.N_CURSOR]


@kernel
def next_event_bar(state):  # type: ignore[no-untyped-def]
    """The bar in which the next event comes up."""
    at = state.counters[s.N_CURSOR]
    return state.events[at, s.EV_STEP] // 2 if at < len(state.events) else s.NEVER


@kernel
def has_room(state, bars, first, t, new_orders):  # type: ignore[no-untyped-def]
    """True where the tables hold the most that bar t and `new_orders` at its end can write."""
    counters = state.counters
    working = counters[s.N_WORKING]
    segments = 3 + (first[t + 1] - first[t] if len(first) > 0 else 0)
    events = due(state, 2 * t + 1)
    fills = (working + new_orders) * segments + events * s.EVENT_FILLS
    orders = len(state.position) + new_orders
    return (
        counters[s.N_FILLS] + fills <= len(state.fills)
        and counters[s.N_JOURNAL] + fills * FILL_POSTINGS + events * s.EVENT_POSTINGS <= len(state.journal)
        and counters[s.N_ORDERS] + orders <= len(state.orders)
        and working + orders <= len(state.working)
    )


@kernel
def begin_session(state, bars, t):  # type: ignore[no-untyped-def]
    """Count trading days and keep the equity with which each began."""
    if t == 0 or bars.session[t] != bars.session[t - 1]:
        state.counters[s.C_SESSION] += 1
        state.totals[s.S_SESSION_EQUITY] = state.totals[s.S_CASH] + state.totals[s.S_VALUE]


@kernel
def mark(state, bars, t):  # type: ignore[no-untyped-def]
    """Value everything at the close of bar t."""
    position, held = state.position, False
    for n in range(len(position)):
        close = bars.close[n, t]
        if close > 0.0:
            position[n, s.P_MARK] = price_units(close, state.scale[n, 0])
        held = held or position[n, s.P_LOTS] != 0 or position[n, s.P_VALUE] != 0
    if held:
        s.mark_all(state)


@kernel
def write_curve(state, t):  # type: ignore[no-untyped-def]
    """The account as it stands, as the point of bar t."""
    totals, curve = state.totals, state.curve
    curve[0, t], curve[1, t] = totals[s.S_CASH], totals[s.S_VALUE]
    if len(curve) > s.CURVE_MONEY:
        curve[2, t], curve[3, t] = totals[s.S_GROSS], totals[s.S_NET]


@kernel
def margin_call(state, t, ts):  # type: ignore[no-untyped-def]
    """Close whole positions at the next open, the largest first, until the rest carries its maintenance margin.

    Options go together with their underlying and all others on it: one leg of a spread covers another.
    """
    totals = state.totals
    equity, needed = totals[s.S_CASH] + totals[s.S_VALUE], totals[s.S_MAINTENANCE]
    called = False
    for _ in range(len(state.position)):
        if equity >= needed:
            break
        largest, at = 0, -1
        for n in range(len(state.position)):
            size = abs(s.to_base(state, state.position[n, s.P_NOTIONAL], state.instrument[n, s.I_CURRENCY]))
            if size > largest and state.position[n, s.P_PENDING] == 0:
                largest, at = size, n
        if at < 0:
            break
        group = s.group_of(state, at)
        if group < 0:
            needed -= state.position[at, s.P_MAINTENANCE]
            called = liquidate(state, at, ts) or called
            continue
        needed -= state.options[group, OP_MARGIN]
        for n in range(len(state.position)):
            if state.options[n, OP_GROUP] == group and state.position[n, s.P_LOTS] != 0:
                needed -= state.position[n, s.P_MAINTENANCE]
                called = liquidate(state, n, ts) or called
    state.position[:, s.P_PENDING] = 0
    return called


@kernel
def liquidate(state, n, ts):  # type: ignore[no-untyped-def]
    """Order the whole position of instrument n to be closed; False where that is under way."""
    state.position[n, s.P_PENDING] = 1
    if liquidates(state, n):
        return False
    lots = state.position[n, s.P_LOTS]
    order = add(state, n, s.MARKET, -1 if lots > 0 else 1, abs(lots), ts, ts)
    state.orders[order, s.O_FLAGS] = s.LIQUIDATION | s.REDUCE_ONLY
    state.orders[order, s.O_REASON] = s.W_MARGIN_CALL
    state.counters[s.C_LIQUIDATIONS] += 1
    return True


@kernel
def liquidates(state, n):  # type: ignore[no-untyped-def]
    """True where an order of a margin call works for instrument n already."""
    for at in range(state.counters[s.N_WORKING]):
        row = state.orders[state.working[at]]
        if row[s.O_INSTRUMENT] == n and row[s.O_FLAGS] & s.LIQUIDATION and row[s.O_STATUS] == s.WORKING:
            return True
    return False


@kernel
def play_bar(state, bars, finer, first, t, events):  # type: ignore[no-untyped-def]
    """Everything that happens between the end of bar t - 1 and the end of bar t; events: None without any."""
    counters = state.counters
    counters[s.C_BAR_OPEN], counters[s.C_BAR_END] = bars.open_ts[t], bars.ts[t]
    begin_volume(state, bars.volume, t)
    if events is not None:
        events_until(state, 2 * t, t)
    begin_session(state, bars, t)
    if counters[s.N_WORKING] > 0:
        at_open(state, bars, t)
        sweep_ended(state)
    if counters[s.N_WORKING] > 0:
        in_bar(state, bars, finer, first, t)
        at_close(state, bars, t)
        sweep_ended(state)
    mark(state, bars, t)
    if events is not None:
        events_until(state, 2 * t + 1, t)
    write_curve(state, t)
    if state.totals[s.S_MAINTENANCE] > state.totals[s.S_CASH] + state.totals[s.S_VALUE]:
        margin_call(state, t, bars.ts[t])
    counters[s.N_BAR] = t


@kernel
def quiet_until(state, bars, t, stop):  # type: ignore[no-untyped-def]
    """Play bars from t on in which nothing can happen but a change of price, for one instrument in one currency.

    Returns the first bar that has not been played: the one at `stop`, of an event, or after a margin call. Needs: no working
    order, no event in bar t, one instrument paid in full, room for one order more.
    """
    stop = min(stop, next_event_bar(state))
    counters, totals, position = state.counters, state.totals, state.position[0]
    closes, sessions, curve = bars.close[0, t:stop], bars.session[t:stop], state.curve
    cash_points, value_points = curve[0, t:stop], curve[1, t:stop]
    lots, scale, factor = position[s.P_LOTS], state.scale[0, 0], state.instrument[0, s.I_FACTOR]
    initial, maintenance = state.instrument[0, s.I_INITIAL], state.instrument[0, s.I_MAINTENANCE]
    cash, value, price, days = totals[s.S_CASH], position[s.P_VALUE], position[s.P_MARK], counters[s.C_SESSION]
    day_equity, day = totals[s.S_SESSION_EQUITY], bars.session[t - 1] if t > 0 else bars.session[0] - 1
    exposed = len(curve) > s.CURVE_MONEY
    owes = maintenance > 0 or lots < 0 or cash < 0  # else the equity cannot fall below what is needed
    played = 0
    for i in range(len(closes)):
        if sessions[i] != day:
            day = sessions[i]
            days += 1
            day_equity = cash + value
        close = closes[i]
        if close > 0.0:
            price = price_units(close, scale)
            value = lots * price * factor
        cash_points[i], value_points[i] = cash, value
        if exposed:
            curve[2, t + i], curve[3, t + i] = abs(value), value
        played = i + 1
        if owes and s.margin_share(abs(value), maintenance) > cash + value:
            break
    t += played
    if played > 0:
        position[s.P_MARK], position[s.P_VALUE], position[s.P_NOTIONAL] = price, value, value
        totals[s.S_VALUE], totals[s.S_NET], totals[s.S_GROSS] = value, value, abs(value)
        totals[s.S_INITIAL] = s.margin_share(abs(value), initial)
        totals[s.S_MAINTENANCE] = s.margin_share(abs(value), maintenance)
        position[s.P_INITIAL], position[s.P_MAINTENANCE] = totals[s.S_INITIAL], totals[s.S_MAINTENANCE]
        totals[s.S_SESSION_EQUITY] = day_equity
        counters[s.C_SESSION], counters[s.N_BAR] = days, t - 1
        begin_volume(state, bars.volume, t - 1)
        if totals[s.S_MAINTENANCE] > cash + value:
            margin_call(state, t - 1, bars.ts[t - 1])
    return t


@kernel
def fetch_decision(bars, targets, t):  # type: ignore[no-untyped-def]
    """Bring near what a decision at the end of bar t and a fill at the next open read of the first instrument.

    Bars in which nothing happens read the close alone, so that the other arrays are far away when something does.
    """
    fetch(targets, t)
    fetch(bars.close, t)
    fetch(bars.ts, t)
    fetch(bars.ts, t + 1)
    fetch(bars.open_ts, t + 1)
    fetch(bars.open, t + 1)
    fetch(bars.trusted_open, t + 1)
    fetch(bars.volume, t + 1)


@kernel
def is_single(state):  # type: ignore[no-untyped-def]
    """True where `quiet_until` applies: one instrument paid in full, one currency, margins that are shares of the value."""
    row = state.instrument[0]
    by_share = row[s.I_INITIAL_LOT] == 0 and row[s.I_MAINTENANCE_LOT] == 0
    return len(state.position) == 1 and len(state.cash) == 1 and row[s.I_STYLE] == s.PAID and by_share


@kernel
def advance(state, bars, finer, first, stop, events):  # type: ignore[no-untyped-def]
    """Play bars N_BAR + 1 .. stop - 1; COMPLETE, NEEDS_ROOM (call again) or FAILED (C_ERROR says how).

    events : True, or None where the run has none: what they do is then left out of what is compiled, a third of it
    """
    counters = state.counters
    t = counters[s.N_BAR] + 1
    single = is_single(state)
    while t < stop:
        if not has_room(state, bars, first, t, 0):
            return NEEDS_ROOM
        if single and counters[s.N_WORKING] == 0 and next_event_bar(state) > t:
            t = quiet_until(state, bars, t, stop)
            continue
        play_bar(state, bars, finer, first, t, events)
        if counters[s.C_ERROR] != s.NO_ERROR:
            return FAILED
        t += 1
    return COMPLETE


@kernel
def fill_at_same_close(state, bars, order, t):  # type: ignore[no-untyped-def]
    """A market order made at the end of bar t fills at the close of bar t: asked for by the run, marked on the fill."""
    n, moment = state.orders[order, s.O_INSTRUMENT], bars.ts[t]
    if state.orders[order, s.O_STATUS] != s.WORKING:
        return
    if not bars.close[n, t] > 0.0:
        return
    state.counters[s.C_BAR_OPEN], state.counters[s.C_BAR_END] = bars.open_ts[t], moment
    close = price_units(bars.close[n, t], state.scale[n, 0])
    fill(state, order, t, close, 0, bars.volume[n, t], moment, moment, s.AT_SAME_CLOSE, t * SEGMENT + SEGMENT - 1)


@kernel
def wanted_lots(state, n, target, kind):  # type: ignore[no-untyped-def]
    """Signed lots of a target, from the equity and the mark of now; kind LOTS: the target is lots."""
    if kind == LOTS:
        return int(target) if abs(target) < 2e18 else (TOO_MANY if target > 0.0 else -TOO_MANY)
    equity = state.totals[s.S_CASH] + state.totals[s.S_VALUE]
    currency = state.instrument[n, s.I_CURRENCY]
    if currency != 0:
        equity, ok = mul_div_floor(equity, state.fx[currency, 1], state.fx[currency, 0])
        if not ok:
            s.fail(state, s.OVERFLOW, n)
            return 0
    price = state.position[n, s.P_MARK]
    if price == 0:
        return 0
    return lots_for_weight(weight_e8(target), equity, price, state.instrument[n, s.I_FACTOR])


@kernel
def order_targets(state, bars, targets, last, now, t, kind, buffer):  # type: ignore[no-untyped-def]
    """Orders for the differences between targets and holdings at the end of bar t: reductions first, then increases, by row."""
    position, counters, rules = state.position, state.counters, state.rules
    rows = len(position)
    position[:, s.P_PENDING] = 0
    for at in range(counters[s.N_WORKING]):
        row = state.orders[state.working[at]]
        if row[s.O_STATUS] == s.WORKING:
            position[row[s.O_INSTRUMENT], s.P_PENDING] += row[s.O_SIDE] * row[s.O_LEFT]
    for n in range(rows):
        buffer[n] = 0
        if not bars.close[n, t] > 0.0:
            continue
        target = targets[n, t]
        if not now and target == last[n]:
            continue
        last[n] = target
        buffer[n] = wanted_lots(state, n, target, kind) - position[n, s.P_LOTS] - position[n, s.P_PENDING]
    moment = bars.ts[t]
    before = counters[s.N_ORDERS]
    for turn in range(2):
        for n in range(rows):
            difference = buffer[n]
            if difference == 0:
                continue
            expected = position[n, s.P_LOTS] + position[n, s.P_PENDING]
            reduces = expected * difference < 0
            if reduces != (turn == 0):
                continue
            order = add(state, n, s.MARKET, 1 if difference > 0 else -1, abs(difference), moment, moment + rules[s.R_LATENCY])
            if abs(difference) > state.instrument[n, s.I_MOST_LOTS]:
                refuse(state, order, s.W_TOO_LARGE, moment)
    position[:, s.P_PENDING] = 0
    if rules[s.R_SAME_CLOSE] != 0 and counters[s.N_ORDERS] > before:
        for order in range(before, counters[s.N_ORDERS]):
            fill_at_same_close(state, bars, order, t)
        write_curve(state, t)
    if counters[s.N_ORDERS] > before:
        sweep_ended(state)


@kernel
def next_decision(bars, targets, last, by_change, following, t, stop):  # type: ignore[no-untyped-def]
    """The first bar from t on at whose end the target of the one instrument is acted on, or `stop`.

    following : the first bar from t on that is listed as one of a decision
    """
    if not by_change:
        return following
    ahead = t if targets[0, t] != last[0] else following  # a change in a bar without a close waits for the next one that has it
    while ahead < stop and (targets[0, ahead] == last[0] or not bars.close[0, ahead] > 0.0):
        ahead += 1
    return ahead


@kernel
def play_targets(  # type: ignore[no-untyped-def]
    state, bars, finer, first, targets, schedule, decisions, last, buffer, kind, stop, events
):
    """Play bars N_BAR + 1 .. stop - 1, placing orders for the targets at the end of each; (code, row, bar).

    targets (N, T), last (N,) the target as last acted on, schedule (T,) bars at which to rebalance to the targets,
    or (0,): whenever one changes; decisions (D,) the bars of the schedule, or those in which a target is another than in the bar
    before, with `stop` as the last; events as in `advance`. BAD_TARGET: a target is not a finite number in a bar that the
    instrument has, and in which targets are looked at.
    """
    counters, rows = state.counters, len(state.position)
    t, at = counters[s.N_BAR] + 1, 0
    single, by_change = is_single(state), len(schedule) == 0
    while t < stop:
        if not has_room(state, bars, first, t, rows):
            return NEEDS_ROOM, 0, t
        if single and counters[s.N_WORKING] == 0 and next_event_bar(state) > t:
            while decisions[at] < t:
                at += 1
            fetch_decision(bars, targets, decisions[min(at + 1, len(decisions) - 1)])  # the one after the next
            ahead = next_decision(bars, targets, last, by_change, decisions[at], t, stop)
            t = quiet_until(state, bars, t, min(ahead + 1, stop))
            if t <= ahead:  # the end, an event or a margin call came first
                continue
            t = ahead
        else:
            play_bar(state, bars, finer, first, t, events)
        if by_change or schedule[t]:
            for n in range(rows):
                target = targets[n, t]
                if not abs(target) <= (LARGEST_TARGET if kind == WEIGHT else 1e300) and bars.close[n, t] > 0.0:
                    return BAD_TARGET, n, t
            order_targets(state, bars, targets, last, not by_change, t, kind, buffer)
        if counters[s.C_ERROR] != s.NO_ERROR:
            return FAILED, counters[s.C_ERROR_AT], t
        t += 1
    return COMPLETE, 0, t
