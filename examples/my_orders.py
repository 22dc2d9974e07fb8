"""A strategy that places its own orders: fieldcast backtest ARCX:MINE --strategy examples/my_orders.py

After a fall of `fall` in one bar it bids a little below the close for what a tenth of the equity buys, with a stop and a target
around it. `on_bar` is called at the end of every bar; `now` knows nothing later.
"""


class Dip:
    def __init__(self, fall: float = 0.02) -> None:
        self.fall = fall
        self.bid: int | None = None

    def on_bar(self, now) -> None:
        closes = now.history(n=2)
        if closes.size < 2 or now.position():
            return
        if self.bid is not None:
            now.cancel(self.bid)
            self.bid = None
        last = float(closes[-1])
        if last < closes[0] * (1 - self.fall):
            quantity = int(0.1 * now.equity / last)
            if quantity:
                self.bid = now.buy(
                    quantity,
                    limit=round(last * 0.995, 2),
                    stop_loss=round(last * 0.96, 2),
                    take_profit=round(last * 1.04, 2),
                )
