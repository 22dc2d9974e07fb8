"""What may not be done: limits on each proposal and on the whole portfolio, and the kill switch."""

from fieldcast.risk.kill_switch import KillSwitch
from fieldcast.risk.limits import Limits, Proposal, check_limits

__all__ = ["KillSwitch", "Limits", "Proposal", "check_limits"]
