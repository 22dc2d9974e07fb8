"""Fieldcast's own simulated market: known truth to hold forecasts and gates against. Never a claim about a real one."""

from fieldcast.data.simulated.market import BAYES_AUC, Simulated, SimulatedMarket, bayes_auc, simulate

__all__ = ["BAYES_AUC", "Simulated", "SimulatedMarket", "bayes_auc", "simulate"]
