"""First passage of Brownian paths between two barriers, exact in law however long the steps are.

Within a step a path with known ends is a Brownian bridge. Let it run from x to y in an interval (0, L), with variance v. The
chance that it meets levels in a given order is a reflected Gaussian density over the unreflected one:

    weight(e) = exp(-((e - x)² - (y - x)²) / 2v)          e = image of y

and the chance that the upper barrier is met first is the alternating sum over the orders U, LU, ULU, … (images of y at
2L - y, then those behind further reflections), the lower one likewise from L, UL, LUL, … Where y itself lies beyond a barrier, an
order that ends on that barrier needs no last reflection.

Source: Anderson, "A modification of the sequential probability ratio test to reduce the sample size", Annals of Mathematical
Statistics 31 (1960) 165-197, section 4; Borodin and Salminen, *Handbook of Brownian Motion* (2002).
"""

from __future__ import annotations

import math

from fieldcast.ground.compiler import njit

TERMS = 400
NEGLIGIBLE = 1e-14
UPPER, LOWER, NEITHER = 1, -1, 0


@njit(cache=True)
def first_met(x, y, length, variance):  # type: ignore[no-untyped-def]
    """(chance that the upper barrier is met first, chance that the lower one is) of a bridge from x to y.

    x in (0, length); y any; variance > 0
    """
    straight = (y - x) * (y - x)
    upper = 0.0
    lower = 0.0
    sign = 1.0
    for k in range(1, TERMS):
        begins_up = _order(k, x, y, length, straight, variance, True)
        begins_down = _order(k, x, y, length, straight, variance, False)
        # P(first is U) = [U] - [LU] + [ULU] - [LULU] …: orders of k levels that end on U
        ends_up = begins_up if k % 2 == 1 else begins_down
        ends_down = begins_down if k % 2 == 1 else begins_up
        upper += sign * ends_up
        lower += sign * ends_down
        if ends_up < NEGLIGIBLE and ends_down < NEGLIGIBLE:
            break
        sign = -sign
    return min(max(upper, 0.0), 1.0), min(max(lower, 0.0), 1.0)


@njit(cache=True)
def _order(levels, x, y, length, straight, variance, begins_up):  # type: ignore[no-untyped-def]
    """Chance that a bridge meets `levels` alternating barriers, the first of them the upper one where `begins_up`."""
    if not begins_up:  # mirrored in the middle, an order that begins below begins above
        x = length - x
        y = length - y
    if (levels % 2 == 1 and y >= length) or (levels % 2 == 0 and y <= 0.0):  # it meets the last one anyway
        levels -= 1
    if levels == 0:
        return 1.0
    image = y + levels * length if levels % 2 == 0 else (levels + 1) * length - y
    gap = (image - x) * (image - x) - straight
    return math.exp(-0.5 * gap / variance) if gap > 0.0 else 1.0


@njit(cache=True)
def first_passages(ends, normals, uniforms, lower, upper, variance, outcome, step):  # type: ignore[no-untyped-def]
    """Which barrier each path meets first, and in which step.

    ends : (n,) log return over all steps; normals : (n, m - 1); uniforms : (n, m)
    lower, upper : log barriers, lower < 0 < upper; variance : of a step
    outcome : (n,) UPPER, LOWER or NEITHER; step : (n,) from 1, m where neither was met
    """
    steps = uniforms.shape[1]
    length = upper - lower
    for path in range(ends.shape[0]):
        at = 0.0
        outcome[path] = NEITHER
        step[path] = steps
        for k in range(steps):
            left = steps - k
            if left == 1:
                to = ends[path]
            else:  # next point of a bridge to the end
                mean = at + (ends[path] - at) / left
                to = mean + math.sqrt(variance * (left - 1) / left) * normals[path, k]
            up, down = first_met(at - lower, to - lower, length, variance)
            if uniforms[path, k] < up:
                outcome[path] = UPPER
            elif uniforms[path, k] < up + down:
                outcome[path] = LOWER
            if outcome[path] != NEITHER:
                step[path] = k + 1
                break
            at = to


@njit(cache=True)
def first_closes(returns, lower, upper, outcome, step, end):  # type: ignore[no-untyped-def]
    """Which barrier the ends of steps lie beyond first.

    returns : (n, m) log returns of steps; outcome, step as in `first_passages`; end : (n,) log return at that step
    """
    steps = returns.shape[1]
    for path in range(returns.shape[0]):
        at = 0.0
        outcome[path] = NEITHER
        step[path] = steps
        for k in range(steps):
            at += returns[path, k]
            if at >= upper:
                outcome[path] = UPPER
            elif at <= lower:
                outcome[path] = LOWER
            if outcome[path] != NEITHER:
                step[path] = k + 1
                break
        end[path] = at
