"""Runs the test world's history from its first day, in processes that can be killed.

    python cycle_driver.py trace HOME      one run; the fault points that it passes go to HOME/trace, one a line
    python cycle_driver.py kill ROOT       for line n of ROOT/points: a run in ROOT/n that is killed there, then a whole one;
                                           the two wait statuses go to line n of ROOT/statuses

Each run of `kill` is a process of its own, forked before polars has started its threads: importing anew would cost more
than the run.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from datetime import date
from pathlib import Path
from typing import Any

MONDAY, TUESDAY, THURSDAY = date(2018, 12, 3), date(2018, 12, 4), date(2018, 12, 6)
STEPS = ((MONDAY, 0, False), (TUESDAY, 0, False), (TUESDAY, 5, True), (THURSDAY, 0, False))


def load_world() -> Any:
    name = "fieldcast_test_world"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "cycle" / "world.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def play(home: Path) -> list[Any]:
    """Purchases, a sale, a restated bar with its revision, and a last day whose orders stay pending."""
    world = load_world().World(home)
    share, index, _ = world.config.instruments
    try:
        world.source.p_up[("XNAS:SHARE", TUESDAY)] = 0.2
        close = world.bar(index, TUESDAY)["close"]
        world.market.restate(index, TUESDAY, world.at(TUESDAY, minutes=5).clock.now(), close=round(close * 1.1, 2))
        results = []
        for session, minutes, revise in STEPS:
            results.append(world.at(session, minutes).run(revise=revise))
        assert share.id in {order.instrument for order in results[-1].pending}
        return results
    finally:
        world.close()


def trace(home: Path) -> None:
    """One run that notes the fault points instead of heeding them."""
    import fieldcast.execution._paper_store
    import fieldcast.ledger._twin
    import fieldcast.ledger.database

    with (home / "trace").open("w", encoding="utf-8") as file:
        for module in (fieldcast.execution._paper_store, fieldcast.ledger._twin, fieldcast.ledger.database):
            module.fail_point = lambda name: file.write(name + "\n")  # type: ignore[attr-defined]
        play(home)


def forked(home: Path, fault: str | None) -> int:
    """Play in a child; its wait status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    status = 1
    try:
        os.environ.pop("FIELDCAST_FAULT", None)
        if fault is not None:
            os.environ["FIELDCAST_FAULT"] = fault
        play(home)
        status = 0
    except BaseException:  # noqa: BLE001 (the child must end here, whatever happened, and say what it was)
        traceback.print_exc()
    finally:
        os._exit(status)


def _load_kernels() -> None:
    """The kernel of an open, from its cache or compiled: the children find it loaded, and polars has not been asked anything."""
    from datetime import UTC, datetime
    from decimal import Decimal

    from fieldcast.market import Instrument, Kind
    from fieldcast.simulation import OpeningPrint, fill_at_open
    from fieldcast.trading import CostModel, Order, Side, client_id

    share = Instrument("XNAS:SHARE", Kind.EQUITY)
    order = Order(client_id("a", "p", "s", share.id, "main", 1), share.id, Side.BUY, Decimal(1), TUESDAY)
    moments = (datetime(2018, 12, 4, 14, 30, tzinfo=UTC), datetime(2018, 12, 4, 21, tzinfo=UTC))
    opening = OpeningPrint(share.id, TUESDAY, *moments, 100.0, trusted=True)
    fill_at_open([order], [opening], {share.id: share}, cash=Decimal(1000), held={}, costs=CostModel())


def kill(root: Path) -> None:
    """Kill a run at each point and run again."""
    import exchange_calendars

    from fieldcast.market.sessions import FIRST_SESSION

    exchange_calendars.get_calendar("XNYS", start=FIRST_SESSION)  # pandas alone; the children find it made
    load_world()
    _load_kernels()
    statuses = []
    for number, point in enumerate((root / "points").read_text(encoding="utf-8").splitlines()):
        home = root / str(number)
        home.mkdir()
        statuses.append(f"{forked(home, point)} {forked(home, None)}")
    (root / "statuses").write_text("\n".join(statuses), encoding="utf-8")


if __name__ == "__main__":
    {"trace": trace, "kill": kill}[sys.argv[1]](Path(sys.argv[2]))
