"""May scores be trusted to choose among networks of equal cost? The one rule, and its sentence.

The evidence is an audit: Kendall's tau between the scores of a few networks of about equal cost and
what these networks reach when each is trained from scratch, with its 95 % bootstrap interval.

    open     the trained networks came out equal, or are fewer than LEAST, or differ in cost
    refuted  tau is 0 or less; or counting a cost has a tau as high; or the interval ends at WEAK
    trusted  the interval lies above 0
    open     the interval includes 0

The first line that holds decides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fewshot_core.trust.equal_cost import STEPS

BASELINES = {
    "connected_params": "connected parameters",
    "connected_flops": "connected FLOPs",
}
"""Costs that order networks for nothing, so scores have to order them better."""

LEAST = 8
"""Fewer networks show nothing: benchmarks/results/audit_power.json has the chances."""

ADVISED = 12
"""Networks that are advised where there were too few."""

MOST = 100
"""More networks than this are no advice."""

WEAK = 0.2
"""With a tau of 0.2 the better of two networks has the higher score in 60 % of the pairs."""

_TO_CHOOSE = "to choose among networks of about equal cost"


@dataclass(frozen=True)
class Evidence:
    """What an audit measured.

    Attributes:
        networks: Number of trained networks.
        tau, low, high: Kendall's tau of the scores and its 95 % interval.
        baselines: Tau of each cost that can be counted; one or more.
        lowest, highest: Least and greatest cost of the trained networks.
        middle: Cost of the network that the search found, in the same unit; None: unknown.
        differ: Whether the trained networks came out different at all.
        asked: Number of networks that were to be trained; 0: unknown.
    """

    networks: int
    tau: float
    low: float
    high: float
    baselines: Mapping[str, float]
    lowest: float
    highest: float
    middle: float | None
    differ: bool = True
    asked: int = 0

    @property
    def of_equal_cost(self) -> bool:
        """Whether the networks lie within the widest window around the found one."""
        if self.middle is None:
            return False
        reach = STEPS[-1] * self.middle
        return self.middle - reach <= self.lowest and self.highest <= self.middle + reach


@dataclass(frozen=True)
class Judgement:
    """What the evidence says, as a word and as a sentence."""

    state: Literal["trusted", "refuted", "open"]
    sentence: str


def judge(evidence: Evidence) -> Judgement:
    """Apply the rule."""
    count, tau = evidence.networks, evidence.tau
    if not evidence.differ:
        return _open(
            f"the {count} trained networks came out equal, so there is no order to find; longer "
            "audit.epochs or more validation images would tell more"
        )
    if count < LEAST:
        more = (
            f"audit.networks={ADVISED} would tell more"
            if evidence.asked <= count
            else f"of the {evidence.asked} asked for no more could be compared"
        )
        return _open(f"{count} trained networks are too few to tell ({_figures(evidence)}); {more}")
    if not evidence.of_equal_cost:
        found = "" if evidence.middle is None else f", the found one {evidence.middle:,.0f}"
        return _open(
            f"the {count} trained networks differ in cost "
            f"({span(evidence.lowest, evidence.highest)} FLOPs{found})"
        )
    if tau <= 0:
        how = "puts worse networks first" if evidence.high < 0 else "is no better than chance"
        return _refuted(
            f"the order they give to {count} trained networks {how} ({_figures(evidence)})"
        )
    name, best = max(evidence.baselines.items(), key=lambda item: item[1])
    if best >= tau - 1e-9:  # two orders that are the same may differ by rounding
        return _refuted(
            f"counting {BASELINES.get(name, name)}, which costs nothing, orders the {count} "
            f"trained networks as well (τ {_number(best)} against {_number(tau)})"
        )
    if evidence.high <= WEAK:
        return _refuted(f"the order they give is hardly better than chance ({_figures(evidence)})")
    if evidence.low > 0:
        return Judgement(
            "trusted",
            f"These scores may be trusted {_TO_CHOOSE}: of two such networks the better one has "
            f"the higher score in about {_pairs(tau)} % of the pairs (95 % interval "
            f"{_pairs(evidence.low)} to {_pairs(evidence.high)} %; {count} trained networks).",
        )
    enough = _enough(evidence)
    more = f"audit.networks={enough} or longer audit.epochs would tell more"
    if enough > MOST:
        more = f"so weak an order takes more than {MOST} networks to show"
    elif evidence.asked >= enough:  # they were asked for, and are not there
        more = "longer audit.epochs would tell more"
    return _open(
        f"with {count} trained networks the interval of τ includes 0 ({_figures(evidence)}); {more}"
    )


def span(lowest: float, highest: float) -> str:
    """``1,000``, or ``1,000 to 1,200``."""
    return f"{lowest:,.0f}" if lowest == highest else f"{lowest:,.0f} to {highest:,.0f}"


def _open(why: str) -> Judgement:
    return Judgement("open", f"Not shown whether these scores may be trusted {_TO_CHOOSE}: {why}.")


def _refuted(why: str) -> Judgement:
    return Judgement("refuted", f"Do not trust these scores {_TO_CHOOSE}: {why}.")


def _enough(evidence: Evidence) -> int:
    """Networks whose interval would end above 0 if tau stayed what it is.

    The width of an interval falls with the square root of the number of networks.
    """
    needed = evidence.networks * ((evidence.tau - evidence.low) / evidence.tau) ** 2
    return max(evidence.networks + 1, math.ceil(needed))


def _pairs(tau: float) -> int:
    """The share of pairs, in %, that a tau puts in the right order."""
    return round(50 * (1 + tau))


def _figures(evidence: Evidence) -> str:
    if math.isnan(evidence.low):
        return f"τ {_number(evidence.tau)}"
    interval = f"{_number(evidence.low)} to {_number(evidence.high)}"
    return f"τ {_number(evidence.tau)}, 95 % interval {interval}"


def _number(value: float) -> str:
    return f"{value:z.2f}".replace("-", "−")
