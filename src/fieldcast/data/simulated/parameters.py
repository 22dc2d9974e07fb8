"""What a simulated market of bars is made of: price process, seasons of the day, volume, instruments, correlation.

The log price of an instrument runs on *business time*, measured in sessions. With S^2 = annual_volatility^2 / sessions a year,

    d log P = (mu - comp - s^2 / 2) dt + s dW + dJ
    s^2     = S^2 (1 - jump share) season(t) exp(2 h - 2 E h^2),        h = h_slow + h_fast
    d h_j   = - kappa_j h_j dt + v_j sqrt(2 kappa_j) dB_j,              corr(dW, dB_j) = leverage,   kappa_j = log 2 / half-life

J is compound Poisson; its sizes are normal with the standard deviation jump_size S sqrt(season(t)) exp(h - E h^2), so that jumps
grow with the volatility of their time; jump share = jumps_per_session * jump_size^2. The price is a martingale where
annual_drift = 0.
Between sessions the price makes one step with the share gap_share of all variance (nights, weekends); how long the market was
closed does not matter, as on real markets it hardly does.

Sources: two-factor log-normal stochastic volatility as in Alizadeh, Brandt and Diebold (2002), Journal of Finance 57; the
leverage of Harvey and Shephard (1996), JBES 14; jumps of Merton (1976); variance of closed hours after French and Roll (1986),
JFE 17.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from fieldcast.ground import InvalidInput
from fieldcast.market import Instrument, Kind, default_instrument

SESSION = "session"
INTERVAL_SECONDS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600}
_NAME = re.compile(r"[^\s\x00-\x1f:]{1,32}")


@dataclass(frozen=True)
class PriceProcess:
    """Parameters of one instrument's price; see the module for the equations.

    Parameters
    ----------
    annual_volatility : root of the mean yearly variance of the log return, jumps and gaps included
    annual_drift : mean growth rate of the price a year
    slow_volatility_sd, fast_volatility_sd : v, stationary standard deviations of the two parts of log volatility
    slow_half_life, fast_half_life : in sessions
    leverage : correlation of a price shock with the shock of both parts of log volatility, in (-1, 1)
    gap_share : share of all variance that falls between sessions; 0 where the market never closes
    jumps_per_session : mean number in one session of business time
    jump_size : standard deviation of a jump, in those of a session at the volatility of its time
    """

    annual_volatility: float
    annual_drift: float = 0.0
    slow_volatility_sd: float = 0.35
    slow_half_life: float = 40.0
    fast_volatility_sd: float = 0.30
    fast_half_life: float = 0.5
    leverage: float = 0.0
    gap_share: float = 0.0
    jumps_per_session: float = 0.0
    jump_size: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if not math.isfinite(getattr(self, name)):
                raise InvalidInput(f"expected a finite {name}, found {getattr(self, name)}")
        for name in ("annual_volatility", "slow_half_life", "fast_half_life"):
            if getattr(self, name) <= 0:
                raise InvalidInput(f"expected {name} above zero, found {getattr(self, name)}")
        for name in ("slow_volatility_sd", "fast_volatility_sd", "jumps_per_session", "jump_size"):
            if getattr(self, name) < 0:
                raise InvalidInput(f"expected {name} at or above zero, found {getattr(self, name)}")
        if not -1 < self.leverage < 1:
            raise InvalidInput(f"expected a leverage in (-1, 1), found {self.leverage}")
        if not 0 <= self.gap_share < 1:
            raise InvalidInput(f"expected a gap_share in [0, 1), found {self.gap_share}")
        if self.jump_share >= 1:
            raise InvalidInput(f"expected jumps_per_session * jump_size^2 below 1, found {self.jump_share:.3f}")

    @property
    def jump_share(self) -> float:
        """Share of all variance that comes from jumps."""
        return self.jumps_per_session * self.jump_size**2

    @property
    def log_volatility_variance(self) -> float:
        """E h^2."""
        return self.slow_volatility_sd**2 + self.fast_volatility_sd**2


@dataclass(frozen=True)
class Season:
    """How volatility and volume move with the time of day: constant within each of equal bins.

    Parameters
    ----------
    clock : `session` (bins of the session from its open to its usual length) or a time zone (bins of its day)
    volatility, volume : relative level of each bin; only ratios count
    """

    clock: str
    volatility: tuple[float, ...] = (1.0,)
    volume: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.clock != SESSION:
            try:
                ZoneInfo(self.clock)
            except (ZoneInfoNotFoundError, ValueError):
                raise InvalidInput(f"expected the clock session or a time zone such as UTC, found {self.clock!r}") from None
        for name in ("volatility", "volume"):
            values = getattr(self, name)
            if not values or not all(math.isfinite(value) and value > 0 for value in values):
                raise InvalidInput(f"expected a positive level of {name} for each bin, found {values}")

    def variance_levels(self) -> NDArray[np.float64]:
        """Variance of each bin, 1 on average."""
        squares = np.square(np.array(self.volatility))
        found: NDArray[np.float64] = squares / squares.mean()
        return found

    def volume_levels(self) -> NDArray[np.float64]:
        """Volume of each bin, 1 on average."""
        levels = np.array(self.volume)
        found: NDArray[np.float64] = levels / levels.mean()
        return found


@dataclass(frozen=True)
class VolumeProcess:
    """Volume of a bar: log-normal around its season, rising with volatility and with the size of the move.

        log V = log(mean of the bar) + a h + b (|z| - E|z|) + c u - normaliser,      z, u standard normal

    Parameters
    ----------
    per_session : mean volume of a usual session, in the instrument's units
    volatility_elasticity : a
    move_elasticity : b
    noise_sd : c
    """

    per_session: float
    volatility_elasticity: float = 0.8
    move_elasticity: float = 0.35
    noise_sd: float = 0.4

    def __post_init__(self) -> None:
        if not (math.isfinite(self.per_session) and self.per_session > 0):
            raise InvalidInput(f"expected a volume per session above zero, found {self.per_session}")
        for name in ("volatility_elasticity", "move_elasticity", "noise_sd"):
            if not math.isfinite(getattr(self, name)):
                raise InvalidInput(f"expected a finite {name}, found {getattr(self, name)}")
        if self.noise_sd < 0:
            raise InvalidInput(f"expected a noise_sd at or above zero, found {self.noise_sd}")

    def log_normaliser(self, log_volatility_variance: float) -> float:
        """Log of the mean of exp(a h + b (|z| - E|z|) + c u)."""
        a, b, c = self.volatility_elasticity, self.move_elasticity, self.noise_sd
        cdf = 0.5 * (1 + math.erf(b / math.sqrt(2)))
        of_move = b * b / 2 + math.log(2 * cdf) - b * math.sqrt(2 / math.pi)
        return a * a * log_volatility_variance / 2 + of_move + c * c / 2


@dataclass(frozen=True)
class SimulatedInstrument:
    """One instrument of a simulated market; its id is `SIM:` and its name.

    Parameters
    ----------
    volume : None where the market reports none (foreign exchange); rows then say `volume_not_reported`
    loadings : what of its price shock is due to each common factor; their squares sum to at most 1, the rest is its own
    tick, calendar, currency : none = as usual for the kind
    """

    name: str
    kind: Kind
    process: PriceProcess
    season: Season
    volume: VolumeProcess | None
    first_price: float = 100.0
    loadings: tuple[float, ...] = ()
    tick: Decimal | None = None
    calendar: str | None = None
    currency: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInput(f"expected a name of up to 32 characters without space or colon, found {self.name!r}")
        if sum(loading * loading for loading in self.loadings) > 1 + 1e-12:
            raise InvalidInput(f"expected loadings of {self.name} whose squares sum to at most 1, found {self.loadings}")
        if not (math.isfinite(self.first_price) and self.first_price > 0):
            raise InvalidInput(f"expected a first price of {self.name} above zero, found {self.first_price}")

    @property
    def id(self) -> str:
        return f"SIM:{self.name}"

    def described(self, seed: int) -> Instrument:
        """The instrument as the catalogue holds it; its name states that it is simulated, and the seed."""
        usual = default_instrument(self.id, self.kind, calendar=self.calendar, currency=self.currency, tick=self.tick)
        return Instrument(
            id=usual.id, kind=usual.kind, currency=usual.currency, calendar=usual.calendar, tick=usual.tick, lot=usual.lot,
            multiplier=usual.multiplier, tradable=usual.tradable, notional=usual.notional, simulated=True,
            name=f"SIMULATED {self.name} (seed {seed})",
        )  # fmt: skip


@dataclass(frozen=True)
class BarMarket:
    """A simulated market: the same seed gives the same bars in every process.

    Each instrument draws from streams of its own, named by its id, and from the streams of the common factors: adding or removing
    an instrument changes no other, and a later `last` only appends. Daily and minute bars of one seed are two different
    histories; `SimulatedBars.daily()` gives the daily bars of a simulated intraday history.

    Parameters
    ----------
    first, last : the sessions that have one of these dates or one between them get bars
    interval : 1m, 5m, 15m, 30m, 1h or 1d
    degrees_of_freedom : of the innovations, common to all instruments at a time (multivariate t, unit variance); none = normal
    steps : sub-steps of a bar; none = 2 within the day and 16 for daily bars. Between two steps the extremes of the path are
        drawn from the law of a Brownian bridge, so that high and low do not depend on their number
    """

    seed: int
    instruments: tuple[SimulatedInstrument, ...]
    first: date
    last: date
    interval: str = "1m"
    degrees_of_freedom: float | None = None
    steps: int | None = None
    factors: int = field(init=False)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InvalidInput(f"expected a seed of at least 0, found {self.seed}")
        if self.interval != "1d" and self.interval not in INTERVAL_SECONDS:
            raise InvalidInput(f"expected an interval out of {', '.join((*INTERVAL_SECONDS, '1d'))}, found {self.interval!r}")
        names = [item.name for item in self.instruments]
        if not names or len(set(names)) != len(names):
            raise InvalidInput(f"expected at least one instrument and different names, found {names}")
        if self.first > self.last:
            raise InvalidInput(f"expected first at or before last, found {self.first} and {self.last}")
        if self.degrees_of_freedom is not None and not 2 < self.degrees_of_freedom < math.inf:
            raise InvalidInput(f"expected more than 2 degrees of freedom, found {self.degrees_of_freedom}")
        if self.steps is not None and self.steps < 1:
            raise InvalidInput(f"expected at least one step, found {self.steps}")
        object.__setattr__(self, "factors", max(len(item.loadings) for item in self.instruments))

    @property
    def table(self) -> str:
        return f"bars/{self.interval}"

    def correlation(self) -> NDArray[np.float64]:
        """(n, n) correlation of the instruments' price shocks, in their order."""
        loadings = np.zeros((len(self.instruments), self.factors))
        for row, item in enumerate(self.instruments):
            loadings[row, : len(item.loadings)] = item.loadings
        found: NDArray[np.float64] = loadings @ loadings.T
        np.fill_diagonal(found, 1.0)
        return found


def loadings_of(correlation: Sequence[Sequence[float]] | NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    """Loadings with exactly this correlation: the rows of its Cholesky factor, so that row i needs the factors up to i.

    Raises
    ------
    InvalidInput : not a symmetric, positive definite matrix with ones on its diagonal
    """
    matrix = np.array(correlation, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise InvalidInput(f"expected a square matrix of correlations, found the shape {matrix.shape}")
    if not np.allclose(matrix, matrix.T) or not np.allclose(np.diag(matrix), 1.0):
        raise InvalidInput("expected a symmetric matrix of correlations with ones on its diagonal")
    try:
        lower = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise InvalidInput("expected a positive definite matrix of correlations; shrink it towards the identity") from None
    return tuple(tuple(float(value) for value in row[: place + 1]) for place, row in enumerate(lower))
