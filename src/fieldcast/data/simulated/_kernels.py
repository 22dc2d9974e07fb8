"""The path of one instrument's price, bar by bar: state in, draws in, bars out, state advanced.

The readable twin stands in tests/data/test_simulated_bars.py.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

STATE = 4  # log price, slow and fast log volatility, place of the next jump


@njit(cache=True)
def walk(  # type: ignore[no-untyped-def]
    state, process, grid, dt, variance, gap, gap_shock, shock, own, bridge, extremes, mix, jump_bar, jump_step, jump_size,
    offset, log_volume, volume_shape, volume_noise, prices, volumes, latent,
):  # fmt: skip
    """Walk over n bars.

    state (STATE,) : see above; advanced
    process (9,) : session variance without jumps; drift and number of jumps a session; v slow, kappa slow, v fast, kappa fast;
        leverage; standard deviation of a jump at mean volatility
    grid (2,) : prices a unit of currency where the tick divides it (else 0), and the tick
    dt, variance (n,) : business time and variance weight of each bar
    gap (n,) : row in `gap_shock` of the step before the bar, -1 where there is none
    gap_shock (m, 5) : business time, price shock, own shocks of slow and fast log volatility, mix of variance
    shock (n,) : price shock of each bar, standard normal
    own (n, 2) : own shocks of slow and fast log volatility
    bridge (n, k) : standard normals of the k sub-steps
    extremes (n, 2 k) : standard exponentials for the highs and the lows
    mix (n,) : variance of the t innovation; (0,) = normal
    jump_bar, jump_step, jump_size (j,) : ascending; step -1 is in the gap before the bar; sizes in log price at mean volatility
    offset : number of the first of these bars
    log_volume (n,) : log mean volume of each bar; (0,) = no volume
    volume_shape (3,) : elasticities to h and to the move, sd of the noise
    prices (n, 4), volumes (n,) : outputs
    """
    base, drift, rate = process[0], process[1], process[2]
    v_slow, kappa_slow, v_fast, kappa_fast = process[3], process[4], process[5], process[6]
    leverage, jump_sd = process[7], process[8]
    alone = math.sqrt(1.0 - leverage * leverage)
    mean_h2 = v_slow * v_slow + v_fast * v_fast
    k = bridge.shape[1]
    root_k = math.sqrt(k)
    mean_move = math.sqrt(2.0 / math.pi)
    x, slow, fast = state[0], state[1], state[2]
    jump = int(state[3])
    last_dt, keep_slow, keep_fast, new_slow, new_fast = -1.0, 0.0, 0.0, 0.0, 0.0
    for row in range(dt.shape[0]):
        bar = row + offset
        level = base * math.exp(2.0 * (slow + fast) - 2.0 * mean_h2)
        place = gap[row]
        if place >= 0:
            g = gap_shock[place]
            s2 = level * g[0] * g[4]
            scale = math.sqrt(level / base)
            compensator = rate * math.expm1(0.5 * jump_sd * jump_sd * level / base) if rate > 0.0 else 0.0
            x += (drift - compensator) * g[0] - 0.5 * s2 + math.sqrt(s2) * g[1]
            while jump < jump_bar.shape[0] and jump_bar[jump] == bar and jump_step[jump] < 0:
                x += scale * jump_size[jump]
                jump += 1
            keep = math.exp(-kappa_slow * g[0])
            slow = keep * slow + v_slow * math.sqrt(1.0 - keep * keep) * (leverage * g[1] + alone * g[2])
            keep = math.exp(-kappa_fast * g[0])
            fast = keep * fast + v_fast * math.sqrt(1.0 - keep * keep) * (leverage * g[1] + alone * g[3])
            level = base * math.exp(2.0 * (slow + fast) - 2.0 * mean_h2)
        busy = level / base * variance[row] / dt[row]
        scale = math.sqrt(busy)
        compensator = rate * math.expm1(0.5 * jump_sd * jump_sd * busy) if rate > 0.0 else 0.0
        s2 = level * variance[row]
        if mix.shape[0] > 0:
            s2 *= mix[row]
        s = math.sqrt(s2)
        opened = x
        high, low = x, x
        total = 0.0
        for step in range(k):
            total += bridge[row, step]
        lift = (shock[row] - total / root_k) / k          # brings the sub-steps to the bar's own shock
        along = ((drift - compensator) * dt[row] - 0.5 * s2) / k
        for step in range(k):
            before = x
            move = along + s * (bridge[row, step] / root_k + lift)
            x += move
            spread = 2.0 * s2 / k
            top = 0.5 * (before + x + math.sqrt(move * move + spread * extremes[row, 2 * step]))
            bottom = 0.5 * (before + x - math.sqrt(move * move + spread * extremes[row, 2 * step + 1]))
            while jump < jump_bar.shape[0] and jump_bar[jump] == bar and jump_step[jump] == step:
                x += scale * jump_size[jump]
                jump += 1
                top = max(top, x)
                bottom = min(bottom, x)
            high = max(high, top)
            low = min(low, bottom)
        if grid[0] > 0.0:
            prices[row, 0] = max(1.0, np.rint(math.exp(opened) * grid[0])) / grid[0]
            prices[row, 1] = max(1.0, np.rint(math.exp(high) * grid[0])) / grid[0]
            prices[row, 2] = max(1.0, np.rint(math.exp(low) * grid[0])) / grid[0]
            prices[row, 3] = max(1.0, np.rint(math.exp(x) * grid[0])) / grid[0]
        else:
            prices[row, 0] = max(1.0, np.rint(math.exp(opened) / grid[1])) * grid[1]
            prices[row, 1] = max(1.0, np.rint(math.exp(high) / grid[1])) * grid[1]
            prices[row, 2] = max(1.0, np.rint(math.exp(low) / grid[1])) * grid[1]
            prices[row, 3] = max(1.0, np.rint(math.exp(x) / grid[1])) * grid[1]
        if log_volume.shape[0] > 0:
            surprise = abs(shock[row]) - mean_move
            volumes[row] = math.exp(
                log_volume[row] + volume_shape[0] * (slow + fast) + volume_shape[1] * surprise
                + volume_shape[2] * volume_noise[row]
            )
        if dt[row] != last_dt:
            last_dt = dt[row]
            keep_slow, keep_fast = math.exp(-kappa_slow * last_dt), math.exp(-kappa_fast * last_dt)
            new_slow = v_slow * math.sqrt(1.0 - keep_slow * keep_slow)
            new_fast = v_fast * math.sqrt(1.0 - keep_fast * keep_fast)
        slow = keep_slow * slow + new_slow * (leverage * shock[row] + alone * own[row, 0])
        fast = keep_fast * fast + new_fast * (leverage * shock[row] + alone * own[row, 1])
        latent[row, 0], latent[row, 1] = slow, fast
    state[0], state[1], state[2], state[3] = x, slow, fast, float(jump)
