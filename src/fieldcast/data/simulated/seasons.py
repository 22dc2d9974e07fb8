"""Usual instruments of three markets. The levels are round conventional figures, fitted to nothing; `calibrate` fits a real
series.

Equity: the U of volatility and volume over the session (Wood, McInish and Ord 1985, Journal of Finance 40; Admati and Pfleiderer
1988, RFS 1). Foreign exchange: Tokyo, London and New York by the hour, in London's time (Andersen and Bollerslev 1997, Journal of
Empirical Finance 4). Crypto: busiest when New York is awake (hours of UTC).
"""

from __future__ import annotations

from decimal import Decimal

from fieldcast.data.simulated.parameters import SESSION, PriceProcess, Season, SimulatedInstrument, VolumeProcess
from fieldcast.market import Kind

EQUITY_SEASON = Season(      # half hours of a session of six and a half hours
    SESSION,
    volatility=(1.90, 1.35, 1.15, 1.00, 0.90, 0.82, 0.76, 0.74, 0.76, 0.82, 0.88, 0.96, 1.15),
    volume=(2.00, 1.35, 1.10, 0.95, 0.85, 0.75, 0.70, 0.68, 0.70, 0.80, 0.88, 1.05, 1.80),
)
FX_SEASON = Season(          # hours of London
    "Europe/London",
    volatility=(0.75, 0.80, 0.75, 0.70, 0.68, 0.72, 0.90, 1.15, 1.35, 1.25, 1.10, 1.05,
                1.20, 1.45, 1.50, 1.40, 1.20, 1.00, 0.90, 0.80, 0.75, 0.62, 0.60, 0.70),
)  # fmt: skip
CRYPTO_SEASON = Season(      # hours of UTC
    "UTC",
    volatility=(1.05, 0.95, 0.92, 0.88, 0.84, 0.82, 0.84, 0.90, 0.94, 0.92, 0.90, 0.94,
                1.05, 1.25, 1.40, 1.35, 1.25, 1.15, 1.10, 1.08, 1.05, 1.00, 0.92, 0.95),
    volume=(1.05, 0.92, 0.88, 0.80, 0.74, 0.70, 0.72, 0.82, 0.90, 0.88, 0.86, 0.92,
            1.10, 1.45, 1.70, 1.60, 1.40, 1.22, 1.12, 1.08, 1.02, 0.95, 0.85, 0.92),
)  # fmt: skip


def equity(
    name: str,
    *,
    annual_volatility: float = 0.25,
    loadings: tuple[float, ...] = (),
    first_price: float = 100.0,
    volume_per_session: float = 5e6,
    calendar: str | None = None,
) -> SimulatedInstrument:
    """A share: sessions with a night between them, leverage, jumps, the U."""
    process = PriceProcess(
        annual_volatility, leverage=-0.5, gap_share=0.25, jumps_per_session=0.03, jump_size=1.5,
        slow_volatility_sd=0.35, slow_half_life=30.0, fast_volatility_sd=0.35, fast_half_life=0.4,
    )  # fmt: skip
    return SimulatedInstrument(
        name, Kind.EQUITY, process, EQUITY_SEASON, VolumeProcess(volume_per_session), first_price, loadings, calendar=calendar
    )


def index(
    name: str,
    *,
    annual_volatility: float = 0.16,
    loadings: tuple[float, ...] = (),
    first_price: float = 5000.0,
    calendar: str | None = None,
) -> SimulatedInstrument:
    """A share index, watched and never held, without a volume of its own: calmer than a share, with more leverage."""
    process = PriceProcess(
        annual_volatility, leverage=-0.65, gap_share=0.25, jumps_per_session=0.02, jump_size=1.5,
        slow_volatility_sd=0.35, slow_half_life=35.0, fast_volatility_sd=0.25, fast_half_life=1.0,
    )  # fmt: skip
    return SimulatedInstrument(name, Kind.INDEX, process, EQUITY_SEASON, None, first_price, loadings, calendar=calendar)


def crypto(
    name: str,
    *,
    annual_volatility: float = 0.65,
    loadings: tuple[float, ...] = (),
    first_price: float = 20_000.0,
    volume_per_session: float = 2e4,
) -> SimulatedInstrument:
    """A coin against the dollar: every minute of the week, jumps, no leverage."""
    process = PriceProcess(
        annual_volatility, jumps_per_session=0.2, jump_size=0.8,
        slow_volatility_sd=0.40, slow_half_life=15.0, fast_volatility_sd=0.55, fast_half_life=0.08,
    )  # fmt: skip
    return SimulatedInstrument(
        name, Kind.CRYPTO, process, CRYPTO_SEASON, VolumeProcess(volume_per_session, noise_sd=0.7), first_price, loadings
    )


def fx(
    name: str,
    *,
    annual_volatility: float = 0.08,
    loadings: tuple[float, ...] = (),
    first_price: float = 1.10,
    currency: str = "USD",
    tick: Decimal = Decimal("0.00001"),
) -> SimulatedInstrument:
    """A currency pair: five days of 24 hours, a small gap over the weekend, no volume."""
    process = PriceProcess(
        annual_volatility, gap_share=0.02, jumps_per_session=0.05, jump_size=0.8,
        slow_volatility_sd=0.30, slow_half_life=40.0, fast_volatility_sd=0.35, fast_half_life=0.1,
    )  # fmt: skip
    return SimulatedInstrument(name, Kind.FX, process, FX_SEASON, None, first_price, loadings, tick=tick, currency=currency)
