"""How the venue's kernels are compiled.

They hand the state on many times for each fill and allocate nothing. Numba counts references at each of those
hand-overs, which was four fifths of the time of a run; without its runtime (`_nrt=False`) it does not. Whoever
calls keeps the arrays alive for as long as the call lasts. Division follows numpy's model: no divisor here can be zero.

Numba would compile a kernel anew for every literal number that it is handed (once for `cap` = 0, once for any `cap`); here
they are plain numbers to whoever is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fieldcast.ground.compiler import njit, types


def kernel(function: Callable[..., Any]) -> Any:
    """A function of numbers, arrays and `Tables`, compiled once for their types."""
    dispatcher: Any = njit(cache=True, error_model="numpy", _nrt=False)(function)
    template = dispatcher.get_call_template
    plain: Any = types.unliteral

    def for_plain_numbers(arguments: Any, named: Any) -> Any:
        return template(tuple(plain(one) for one in arguments), {name: plain(one) for name, one in named.items()})

    dispatcher.get_call_template = for_plain_numbers
    return dispatcher
