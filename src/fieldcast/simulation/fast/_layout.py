"""Where things stand in the arrays that the kernels of the fast engine share; money in minimal units, shares in e8."""

from fieldcast.simulation._kernels_fill import FEE_COLUMNS

PER_FILL = -2  # the shift of a fill depends on its bar or its size

# -- terms of an account (int64) -------------------------------------------------------------------------------------------
(T_CASH, T_FACTOR, T_TICK, T_MOST_LOTS, T_SHORTS, T_CUT, T_BORROWS, T_INITIAL, T_MAINTENANCE, T_SIZING, T_UNIT, T_RISK, T_STOP,
 T_TARGET, T_TRAIL, T_POLICY, T_TOUCH, T_WAITS, T_FEES) = range(19)  # fmt: skip
TERMS = T_FEES + FEE_COLUMNS  # from T_FEES on: a row of fees, see `_kernels_fill`
WEIGHT, LOTS, VOLATILITY, RISK = range(4)  # T_SIZING

# -- what a run leaves: whole numbers and sums --------------------------------------------------------------------------------
(W_EQUITY, W_CASH, W_LOTS, W_TRADES, W_WINS, W_FILLS, W_BARS_HELD, W_FEES, W_SHIFT_COST, W_REJECTED, W_CUT, W_MARGIN_BAR,
 W_STOPPED, W_TARGETS, W_UNPRICED) = range(15)  # fmt: skip
WHOLES = 15
R_SUM, R_SQUARES, R_DOWN, R_EQUITY, R_PEAK, R_DRAWDOWN, R_TRADED, R_LEAST = range(8)
REALS = 8

# -- fills (int64) ------------------------------------------------------------------------------------------------------------
X_BAR, X_SIDE, X_LOTS, X_PRICE, X_PRINT, X_FEE, X_KIND, X_CASH, X_POSITION, X_DECIDED = range(10)
FILL_COLUMNS = 10
BY_TARGET, BY_STOP, BY_LIMIT = range(3)  # X_KIND
