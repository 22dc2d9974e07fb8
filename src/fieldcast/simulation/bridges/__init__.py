"""Bridges to other engines: the same positions through each and through the simulated venue, to the cent.

None of these engines is needed by anything else, and none is imported before its bridge is asked to play.
"""

from fieldcast.simulation.bridges import _backtesting, _backtrader, _vectorbt
from fieldcast.simulation.bridges.elsewhere import PeerFailed, elsewhere, python_of
from fieldcast.simulation.bridges.job import Job, Peer, PeerRun, round_trips
from fieldcast.simulation.bridges.parity import Parity, beside, compare, our_fills, our_run
from fieldcast.simulation.bridges.samples import sample_jobs

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer(
            "backtesting.py", "backtesting", "AGPL-3.0-or-later", _backtesting.play,
            "with trade_on_close=False market orders fill at the next open",
        ),
        Peer(
            "backtrader", "backtrader", "GPL-3.0-or-later", _backtrader.play,
            "market orders fill at the next open; the leverage set only lifts its check of cash",
        ),
        Peer(
            "vectorbt", "vectorbt", "Apache-2.0 WITH Commons-Clause", _vectorbt.play,
            "fills an order in the bar that holds it: orders are given one bar later, at the open",
        ),
        Peer(
            "zipline", "zipline-reloaded", "Apache-2.0", elsewhere("zipline"),
            "fills in the next session, at its close by default; a slippage model of ours fills at its open",
        ),
        Peer(
            "nautilus", "nautilus_trader", "LGPL-3.0-or-later", elsewhere("nautilus"),
            "on bars alone it fills at the close that was decided on, and splits an order above a quarter of the bar's volume; "
            "it is given a quote at each open instead; it rounds money to the cent",
            fee_decimals=2,
        ),
        Peer(
            "lumibot", "lumibot", "GPL-3.0-or-later", elsewhere("lumibot"),
            "iterates at the open and fills at that open: what the close before decided is sent then",
        ),
    )
}  # fmt: skip

__all__ = ["PEERS", "Job", "Parity", "Peer", "PeerFailed", "PeerRun", "beside", "compare", "elsewhere", "our_fills", "our_run",
           "python_of", "round_trips", "sample_jobs"]  # fmt: skip
