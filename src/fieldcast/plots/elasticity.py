"""What it takes to move the price: work against the dealers along the price axis, and the surface over price and volatility."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from plotly.graph_objects import Figure

from fieldcast.plots._style import BAD, GOOD, HAPPENED, OURS, REFERENCE, TEXT, axis, figure, line
from fieldcast.plots.dealer import scaled, vertical

Floats = NDArray[np.float64]


def energy_chart(
    prices: Floats, energy: Floats, *, spot: float, sigma: float, title: str, currency: str, simulated: bool
) -> Figure:
    """Work that dealers' hedging puts against a move from the spot to each price.

    Parameters
    ----------
    prices : (n,) ascending
    energy : (n,) in `currency`, 0 at the spot; negative where they feed the move
    sigma : one standard deviation of a day's move, in price
    """
    scale, unit = scaled(energy, currency)
    shown = np.asarray(energy) / scale
    sides = (
        ("dealers oppose the move", np.maximum(shown, 0.0), GOOD, "rgba(47,158,99,0.28)"),
        ("dealers feed the move", np.minimum(shown, 0.0), BAD, "rgba(208,69,69,0.28)"),
    )
    traces = [line(prices, y, name, color, width=0, fill="tozeroy", fillcolor=shade) for name, y, color, shade in sides]
    traces.append(line(prices, shown, "work", OURS, showlegend=False))
    marks = [(spot - sigma, HAPPENED, "dot"), (spot, TEXT, "solid"), (spot + sigma, HAPPENED, "dot")]
    return figure(
        traces,
        title=title,
        simulated=simulated,
        xaxis=axis(f"price ({currency}); dotted: one day's sigma"),
        yaxis=axis(f"work ({unit})", zeroline=True, zerolinecolor=REFERENCE),
        height=340,
        shapes=[vertical(price, color, dash) for price, color, dash in marks],
    )


def elasticity_surface_chart(
    prices: Floats, shifts: Floats, elasticity: Floats, *, spot: float, title: str, currency: str, simulated: bool
) -> Figure:
    """How stiff the market is at each price and each change of volatility.

    Parameters
    ----------
    prices : (n,) ascending
    shifts : (m,) relative changes of every implied volatility
    elasticity : (m, n) units of the underlying that dealers trade against 1.00 of price; positive damps, negative feeds
    """
    reach = float(np.abs(elasticity).max(initial=0.0)) or 1.0
    scale, unit = scaled(elasticity, "units")
    surface = {
        "type": "heatmap",
        "x": np.asarray(prices).tolist(),
        "y": (100 * np.asarray(shifts)).tolist(),
        "z": (np.asarray(elasticity) / scale).tolist(),
        "zmid": 0.0,
        "zmin": -reach / scale,
        "zmax": reach / scale,
        "colorscale": [[0.0, BAD], [0.5, "rgba(139,147,161,0.12)"], [1.0, GOOD]],
        "colorbar": {"title": {"text": f"{unit}<br>per 1 {currency}", "side": "right", "font": {"size": 11}}, "thickness": 12},
        "hovertemplate": "price %{x:,.6g}<br>volatility %{y:+.0f} %<br>%{z:,.3g}<extra></extra>",
    }
    return figure(
        [surface],
        title=title,
        simulated=simulated,
        xaxis=axis(f"price ({currency})"),
        yaxis=axis("change of implied volatility (%)"),
        height=380,
        legend=False,
        shapes=[vertical(spot, TEXT, "solid")],
    )
