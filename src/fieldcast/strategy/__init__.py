"""From a projection to the position that is wanted: sizing, with its reasons and figures."""

from fieldcast.strategy.sizing import DEFAULT_TARGET, SizedTarget, volatility_target

__all__ = ["DEFAULT_TARGET", "SizedTarget", "volatility_target"]
