"""Deep ensembles: a mixture of several fits of one simulator.

    p(x' | x, y) = 1/m Σ_k p_k(x' | x, y)

Lakshminarayanan, Pritzel & Blundell 2017 (arXiv 1612.01474).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.wrapper import Wrapper
from nsbench.trajectories.base import Trajectories
from nsbench_wrappers.params import EnsembleParams


class Ensemble(Wrapper):
    """Fits of one simulator, of which one is drawn at random for each rollout and simulates all of it.

    The likelihood is of a step from a given state, by a member drawn at random. Its kind is that of the members:
    "exact"; "elbo", since each exp L_K estimates p_k without bias, and so does their mean p; "vlb", for which the mean
    of the members' bounds is taken, by Jensen's inequality a bound too, because their noise would raise a logarithm of
    a mean.
    """

    params: EnsembleParams

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> Trajectories:
        members = self.fitted()
        drawn = rng.integers(len(members), size=len(start))
        rngs = [np.random.default_rng(seed) for seed in rng.integers(2**63, size=len(members))]
        cases = [np.flatnonzero(drawn == k) for k in range(len(members))]
        parts = [
            member.rollout(start.select(chosen), steps, member_rng)
            for member, chosen, member_rng in zip(members, cases, rngs, strict=True)
            if len(chosen)
        ]
        together = type(parts[0]).joined(parts) if parts else start
        return together.select(np.concatenate(cases).argsort())

    def log_likelihood(
        self,
        x: NDArray[np.float32],
        x_next: NDArray[np.float32],
        params: NDArray[np.float64],
        samples: int,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        nats = np.stack([member.log_likelihood(x, x_next, params, samples, rng) for member in self.fitted()])
        if self.likelihood == "vlb":
            return nats.mean(axis=0)
        mixture: NDArray[np.float64] = np.logaddexp.reduce(nats, axis=0) - np.log(len(nats))
        return mixture

    def flops(self, start: Trajectories, steps: int, rng: np.random.Generator) -> float | None:
        counts = [member.flops(start, steps, rng) for member in self.fitted()]
        return _mean(counts)

    def latent_kl(
        self, x: NDArray[np.float32], x_next: NDArray[np.float32], params: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """The KL of each latent of every member, one member after the other."""
        each = [member.latent_kl(x, x_next, params) for member in self.fitted()]
        return None if any(kl is None for kl in each) else np.concatenate([kl for kl in each if kl is not None])


def _mean(counts: list[float | None]) -> float | None:
    known = [count for count in counts if count is not None]
    return sum(known) / len(known) if known and len(known) == len(counts) else None
