"""Diagnostic: sites that attach to nothing, which growth cannot do."""

from __future__ import annotations

import numpy as np

from nsbench.components.component import Params
from nsbench.trajectories.domain import Boundary, Domain, Lattice
from nsbench.trajectories.lattices import attached_neighbours
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.pieces import connected_pieces
from nsbench_metrics.shared.spec import metric_spec
from nsbench_metrics.shared.violations import Counts, Mask, Violations, sites


class OrphansParams(Params):
    """The state in which a site has attached."""

    threshold: float = fields.threshold()
    resamples: int = fields.resamples()


def orphans(
    before: Mask, now: Mask, lattice: Lattice, boundaries: tuple[Boundary, Boundary] = ("open", "open")
) -> Mask:
    """Sites that attach in a piece of crystal in which no site was attached before, bool[n, H, W].

    Within a frame a chain of sites may attach one after the other: what counts is whether it hangs together with
    what was there. At the mirrors of a quadrant a site's neighbours are neighbours in the plane already.
    """
    pieces, count = connected_pieces(now, lattice, boundaries)
    held = np.zeros(count + 1, bool)
    held[pieces[before & now]] = True
    return now & ~held[pieces]


class Orphans(Violations):
    """Share of sites that attach in a piece of crystal that touches nothing attached before.

    Extras: alone, the share without any attached neighbour in the same frame; rollouts, the share of rollouts in which
    any site is an orphan. Items: share by rollout.
    """

    params: OrphansParams

    def counted(self, before: Mask, now: Mask, domain: Domain) -> dict[str, Counts]:
        new, place = now & ~before, (domain.lattice, domain.boundaries)
        alone = new & (attached_neighbours(now, *place) == 0)
        return {"wrong": sites(orphans(before, now, *place)), "all": sites(new), "alone": sites(alone)}


SPEC = metric_spec(Orphans, OrphansParams, "diagnostic: sites that attach to nothing")
