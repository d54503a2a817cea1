"""What growth cannot do: sites that melt, and sites that attach to nothing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Lattice
from nsbench.trajectories.ensembles import ensembles
from nsbench.trajectories.lattices import OFFSETS, attached_neighbours
from nsbench_metrics.bootstrap import bootstrap_ensembles
from nsbench_metrics.diagnostic_params import PhysicsParams

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]


def melted(before: Mask, now: Mask) -> Mask:
    """Sites that were attached and are not any more, bool[n, H, W]."""
    return before & ~now


def orphans(before: Mask, now: Mask, lattice: Lattice) -> Mask:
    """Sites that attach in a piece of crystal in which no site was attached before, bool[n, H, W].

    Within a frame a chain of sites may attach one after the other: what counts is whether it hangs together with
    what was there. At the mirrors of a quadrant a site's neighbours are neighbours in the plane already.
    """
    from scipy.ndimage import label

    structure = np.zeros((3, 3, 3), bool)  # within a state, along the lattice's neighbours
    structure[1, 1, 1] = True
    for i, j in OFFSETS[lattice]:
        structure[1, 1 + i, 1 + j] = True
    pieces, count = label(now, structure)
    held = np.zeros(count + 1, bool)
    held[pieces[before & now]] = True
    return now & ~held[pieces]


class Violations(Metric):
    """A share of sites that did what growth cannot do, over all rollouts and frames."""

    direction = "min"
    unit = "share"
    zero = "climatology"
    params: PhysicsParams

    @abstractmethod
    def counted(self, before: Mask, now: Mask, lattice: Lattice) -> dict[str, Counts]:
        """Of one transition, int64[n]: "wrong" sites, "all" that could be, and by name further shares of these."""

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        rollouts = evidence.rollouts
        sums: dict[str, Counts] = {}
        for valid, before, now in transitions(rollouts, self.params.threshold):
            for name, counts in self.counted(before, now, rollouts.domain.lattice).items():
                sums[name] = sums.get(name, 0) + counts * valid
        if not sums or not sums["all"].any():
            raise NotApplicable("nothing happens in any rollout")
        found = [index for e in ensembles(reference, evidence.members) for index in e.rollouts]
        wrong, of = (np.array([sums[name][index].sum() for index in found]) for name in ("wrong", "all"))

        def share(times: NDArray[np.int64]) -> float:
            return float((wrong * times).sum() / max((of * times).sum(), 1))

        further = {name: float(c.sum() / sums["all"].sum()) for name, c in sums.items() if name not in ("wrong", "all")}
        return Score(
            value=share(np.ones(len(found), np.int64)),
            interval=bootstrap_ensembles(share, len(found), self.params.resamples, rng),
            items=sums["wrong"] / np.maximum(sums["all"], 1),
            extras=further | {"rollouts": float((sums["wrong"] > 0).mean())},
        )


def transitions(trajectories: Trajectories, threshold: float) -> Iterator[tuple[Mask, Mask, Mask]]:
    """(not ended yet bool[n], states bool[n, H, W] at t − 1, and at t), for every t."""
    before = trajectories.frame(0)[:, 0] > threshold
    for t in range(1, int(trajectories.lengths.max(initial=1))):
        now = trajectories.frame(t)[:, 0] > threshold
        yield trajectories.lengths > t, before, now
        before = now


class Melting(Violations):
    """Share of attached sites that are not attached in the next frame.

    Extras: rollouts, the share of rollouts in which any site melts. Items: share by rollout.
    """

    def counted(self, before: Mask, now: Mask, lattice: Lattice) -> dict[str, Counts]:
        return {"wrong": summed(melted(before, now)), "all": summed(before)}


class Orphans(Violations):
    """Share of sites that attach in a piece of crystal that touches nothing attached before.

    Extras: alone, the share without any attached neighbour in the same frame; rollouts, the share of rollouts in which
    any site is an orphan. Items: share by rollout.
    """

    def counted(self, before: Mask, now: Mask, lattice: Lattice) -> dict[str, Counts]:
        new = now & ~before
        alone = new & (attached_neighbours(now, lattice) == 0)
        return {"wrong": summed(orphans(before, now, lattice)), "all": summed(new), "alone": summed(alone)}


def summed(mask: Mask) -> Counts:
    return mask.sum(axis=(1, 2), dtype=np.int64)
