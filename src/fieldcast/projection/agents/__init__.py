"""Alpha agents: small forecasters of one idea each, which say how much, how unsure and how well founded; and their ensemble."""

from fieldcast.projection.agents.contract import AgentPath, from_projection, null_agent
from fieldcast.projection.agents.ensemble import Ensemble, combine, disagreement, mad_z
from fieldcast.projection.agents.price_agents import AGENTS, price_agents, signals

__all__ = [
    "AGENTS",
    "AgentPath",
    "Ensemble",
    "combine",
    "disagreement",
    "from_projection",
    "mad_z",
    "null_agent",
    "price_agents",
    "signals",
]
