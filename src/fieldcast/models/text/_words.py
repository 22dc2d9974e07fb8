"""The words of the lexicon, written for it. A word stands here where it says the same about most companies.

`WORDS` and `PAIRS` have a sign of their own; `CHANGES` say that something went up or down, and take their sign from what did:
from `BETTER_HIGH` (profit, sales) their own, from `BETTER_LOW` (costs, losses) the opposite.
"""

from __future__ import annotations

from typing import Any

_GOOD = """
accelerated accelerates accretive achieve achieved achievement advantage advantageous advantages approval approved approves
attractive award awarded awards beat beating beats benefit benefited benefits best better boom booming breakthrough bullish
buyback celebrates collaboration compelling confidence confident delighted delivers dividend efficient efficiency enhance
enhanced enhances excellent exceed exceeded exceeding exceeds exceptional favorable favourable flourishing gains great happy
healthy ideal impressive improve improved improvement improvements improves improving innovative leader leading lucrative
milestone momentum optimism optimistic outpace outpaced outperform outperformed outperforming outperforms outstanding overweight
partnership pleased positive positively profitability profitable profitably progress promising prosper prosperous rallied
rallies rally rallying rebound rebounded rebounds record recover recovered recovering recovers recovery resilient resolved
rewarded robust satisfied secured secures solid stabilise stabilised stabilize stabilized strength strengthen strengthened
strengthening strengthens strong stronger strongest succeed succeeded success successful successfully superior surge surged
surges surging surpass surpassed surpasses thrive thriving tops topped triumph turnaround unbeaten undervalued upbeat upgrade
upgraded upgrades upside uptick upturn upward welcome welcomed win winner winning wins won soar soared soaring soars
skyrocket skyrocketed
"""
_BAD = """
abandon abandoned abandons accident accused adverse adversely alleged allegation allegations bad bankrupt bankruptcy bearish
blow bottleneck breach breached burden caution cautious challenging collapse collapsed collapses collapsing complaint
complaints concern concerned concerns condemned contraction corruption crash crashed crashes crisis crises criticised
criticism criticized damage damaged damages decelerated default defaulted defaults deficit delay delayed delays deteriorate
deteriorated deteriorating deterioration difficult difficulties dilution dilutive disappoint disappointed disappointing
disappointment disappoints dismal dispute disputes disruption disruptions distress doubt doubts downbeat downgrade downgraded
downgrades downside downturn downward exodus fail failed failing fails failure failures fear fears fine fined fines fraud
fraudulent halt halted halts headwind headwinds hurt hurting hurts illegal impairment impairments inadequate insolvency
insolvent investigated investigation investigations lacklustre lackluster lag lagged lagging lags lawsuit lawsuits layoff
layoffs litigation lose loses losing lost misconduct miss missed misses missing negative negatively outage panic penalties
penalty pessimism pessimistic plague plagued poor poorer poorly pressure pressured pressures probe problem problems recall
recalled recalls recession redundancies redundant reject rejected rejects resign resigned resigns restructuring risk risks
risky sanction sanctions scandal scrapped selloff setback setbacks severe severely shortage shortages shortfall
shutdown slowdown sluggish slump slumped slumps slumping strike strikes struggle struggled struggles struggling sue sued sues
suffer suffered suffering suffers suspend suspended suspends suspension terminate terminated termination threat threatened
threatens threats tough trouble troubled turmoil uncertain uncertainties uncertainty underperform underperformed
underperforming underperforms underweight unfavorable unfavourable unprofitable violated violation violations volatile warn
warned warning warnings warns weak weaken weakened weakening weaker weakness worries worry worrying worse worsen worsened
worsening worst writedown writeoff wrong plummet plummeted plummets plunge plunged plunges plunging tumble tumbled tumbles
tumbling nosedive nosedived
"""
_UP = """
advance advanced advances climb climbed climbing climbs doubled doubles double doubling expand expanded expanding expands
expansion gain gained gaining grew grow growing grown grows growth higher increase increased increases increasing jump jumped
jumping jumps leap leaped leapt lift lifted lifts raise raised raises raising rise risen rises rising rose swelled triple
tripled up widen widened widening widens boost boosted boosting boosts
"""
_DOWN = """
cut cuts cutting decline declined declines declining decrease decreased decreases decreasing dip dipped dips down drop dropped
dropping drops ease eased eases fall fallen falling falls fell halved lower lowered lowering lowers narrow narrowed narrowing
narrows reduce reduced reduces reducing reduction reductions retreat retreated shed shrank shrink shrinking shrinks shrunk sink
sank sinks sinking slash slashed slashes slid slide slides sliding slip slipped slips slow slowed slowing slows trim trimmed
trims eliminate eliminated
"""
_LIKED_HIGH = """
backlog bookings cash cashflow contract contracts customers deliveries demand dividend dividends earnings ebit ebita ebitda
efficiency eps exports forecast growth guidance income index margin margins market orders order outlook output passengers
popularity price prices production productivity profit profitability profits rating rent returns revenue revenues sales share
shares shipments stake stock stocks subscribers target traffic turnover users volume volumes
"""
_LIKED_LOW = """
bankruptcies capex charge charges churn claims complaints cost costs debt debts deficit delays emissions expenditure expenditures
expense expenses fees indebtedness inflation inventories layoffs liabilities loss losses overheads risk risks shortages spread
taxes tax unemployment vacancy volatility wages waste impairment impairments
"""

_NOT = """
not no never without neither nor cannot hardly barely scarcely fails failed unable despite lack lacks lacking less
"""
_VERY = """
clearly considerably dramatically drastically enormously exceptionally extremely greatly heavily highly hugely massively
markedly materially notably rapidly sharply significantly steeply strongly substantially tremendously vastly very
"""
_HARDLY = """
fairly gradually marginally mildly moderately modestly narrowly partially partly relatively slightly slowly somewhat
"""
PAIRS: dict[str, float] = {
    "all time": 1.0, "raises guidance": 1.0, "raised guidance": 1.0, "cuts guidance": -1.0, "cut guidance": -1.0,
    "profit warning": -1.0, "price target": 0.0, "going concern": -1.0, "chapter eleven": -1.0, "record high": 1.0,
    "record low": -1.0, "short seller": -1.0, "class action": -1.0, "job cuts": -1.0, "cost savings": 1.0,
    "cost cutting": 0.0, "risk management": 0.0, "credit risk": 0.0, "better than": 1.0, "worse than": -1.0,
    "lower than": -1.0, "higher than": 1.0, "below expectations": -1.0, "above expectations": 1.0,
    "missed expectations": -1.0, "beat expectations": 1.0, "net loss": -0.6, "operating loss": -0.6, "pretax loss": -0.6,
    "laid off": -1.0, "lay off": -1.0, "lay offs": -1.0, "personnel negotiations": -0.8, "to buy": 0.3, "sell off": -1.0,
    "write down": -1.0, "written off": -1.0, "swung to": 0.0, "turned to": 0.0, "to profit": 0.8, "to loss": -0.8,
    "strong buy": 1.0, "buy rating": 0.8, "sell rating": -0.8, "step up": 0.3, "market share": 0.0, "best practices": 0.0,
    "shares outstanding": 0.0, "outstanding shares": 0.0, "new order": 0.7, "new orders": 0.7, "good news": 1.0,
    "bad news": -1.0, "no change": 0.0, "set up": 0.0, "made up": 0.0, "start up": 0.0, "up to": 0.0, "follow up": 0.0,
    "based on": 0.0, "cut off": 0.0, "slow down": -0.8, "shut down": -1.0, "broke even": 0.2, "fell short": -1.0,
    "falls short": -1.0, "breaks down": -0.6, "breaks out": 0.8, "breaking out": 0.8, "going down": -1.0, "going up": 1.0,
}  # fmt: skip

WORDS: dict[str, float] = dict.fromkeys(_GOOD.split(), 1.0) | dict.fromkeys(_BAD.split(), -1.0)
CHANGES: dict[str, float] = dict.fromkeys(_UP.split(), 1.0) | dict.fromkeys(_DOWN.split(), -1.0)
NEGATIONS, STRONG, WEAK = (frozenset(text.split()) for text in (_NOT, _VERY, _HARDLY))
BETTER_HIGH = frozenset(_LIKED_HIGH.split())
BETTER_LOW = frozenset(_LIKED_LOW.split())


def everything() -> dict[str, Any]:
    """All of it, for the version."""
    return {
        "words": WORDS,
        "changes": CHANGES,
        "pairs": PAIRS,
        **{name: sorted(found) for name, found in (("high", BETTER_HIGH), ("low", BETTER_LOW), ("not", NEGATIONS),
                                                   ("strong", STRONG), ("weak", WEAK))},
    }  # fmt: skip
