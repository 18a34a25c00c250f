"""How often an audit trusts scores, by the number of networks that it trains.

    python -m benchmarks.audit_power      about half an hour; writes results/audit_power.json

Scores and results of training are drawn from a bivariate normal distribution whose Kendall's tau
is known (tau = 2/pi arcsin r; W. H. Greiner, Zeitschrift für Mathematik und Physik 57, 1909), and
trusted where tau and its interval lie above 0: the rule of fewshot_core/trust/verdict.py for
networks of exactly equal cost. The rule asks for LEAST networks; fewer are tried, too, which shows
why.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.studies.record import write_results
from benchmarks.studies.tables import Table
from fewshot_core.trust.ranking import bootstrap_tau, kendall

NETWORKS = (4, 6, 8, 12, 16, 24, 32)
TAUS = (0.0, 0.3, 0.5, 0.7)
AUDITS = 500
RESAMPLES = 400
SEED = 0


def main() -> None:
    shares = {}
    for networks in NETWORKS:
        for tau in TAUS:
            generator = np.random.default_rng([SEED, networks, round(100 * tau)])
            trusted = [_trusted(networks, tau, generator) for _ in range(AUDITS)]
            shares[f"{networks} networks, tau {tau:g}"] = sum(trusted) / AUDITS
    lines = [
        [str(n), *(f"{100 * shares[f'{n} networks, tau {tau:g}']:.0f} %" for tau in TAUS)]
        for n in NETWORKS
    ]
    Table("trusted audits", ("networks", *(f"tau {tau:g}" for tau in TAUS)), lines).show()
    figures = {"audits": AUDITS, "resamples": RESAMPLES, "share_trusted": shares}
    print(f"wrote {write_results('audit_power', figures, [SEED])}")


def _trusted(networks: int, tau: float, generator: np.random.Generator) -> bool:
    r = math.sin(math.pi * tau / 2)
    scores, noise = generator.normal(size=(2, networks))
    truth = r * scores + math.sqrt(1 - r * r) * noise
    low, _ = bootstrap_tau(scores, truth, samples=RESAMPLES)
    return kendall(scores, truth) > 0 and low > 0


if __name__ == "__main__":
    main()
