"""Scores of pictures: how alike do two of them look? Improper: the truth's distribution need not score best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import ensembles
from nsbench_metrics.bootstrap import bootstrap_ensembles
from nsbench_metrics.leads import last_lead, state_at
from nsbench_metrics.params import SSIMParams

Array = NDArray[np.float64]


def ssim(x: Array, y: Array, value_range: float, window: int = 7) -> float:
    """Structural similarity of two states float64[C, H, W], the mean over channels; 1: equal.

    value_range: largest minus smallest value that states take. Wang et al. 2004, doi 10.1109/TIP.2003.819861;
    computed by scikit-image, with a square window of so many sites.
    """
    from skimage.metrics import structural_similarity

    return float(structural_similarity(x, y, win_size=window, data_range=value_range, channel_axis=0))


class SSIM(Metric):
    """Mean structural similarity between a truth and its case's first rollout, over lead times and some cases.

    Improper, and labelled so: of a random process even the truth's own members look unlike, and a blurred mean
    of them may look liker. Extras: mean, the similarity to the ensemble's mean, to be held against the value.
    Items: by lead time.
    """

    direction = "max"
    unit = "1"
    zero = "climatology"
    columns = (("mean", "ensemble mean's"),)
    params: SSIMParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        window = self.params.window
        if min(reference.domain.shape) < window:
            raise NotApplicable(f"states must be at least {window} sites wide and high")
        chosen = np.sort(rng.permutation(len(reference))[: self.params.cases])
        member, blurred = similarities(evidence, reference, chosen, window)  # [cases, L]

        def mean(times: NDArray[np.int64]) -> float:
            return float(np.average(member.mean(axis=1), weights=times))

        return Score(
            value=float(member.mean()),
            interval=bootstrap_ensembles(mean, len(chosen), self.params.resamples, rng),
            items=member.mean(axis=0),
            extras={"mean": float(blurred.mean()), "cases": float(len(chosen))},
            label="improper",
        )


def similarities(
    evidence: Evidence, reference: Trajectories, cases: NDArray[np.int64], window: int
) -> tuple[Array, Array]:
    """Similarity of each truth to its first rollout and to its ensemble's mean, two float64[cases, L]."""
    fellows = {
        case: own
        for e in ensembles(reference, evidence.members)
        for alike, own in zip(e.cases.tolist(), e.rollouts, strict=True)
        for case in alike
    }
    final = reference.final()
    value_range = float(final.max() - final.min()) or 1.0
    both = np.empty((2, len(cases), last_lead(reference)))
    for row, case in enumerate(cases.tolist()):
        first = int(np.flatnonzero(fellows[case] == case * evidence.members)[0])
        for lead in range(both.shape[2]):
            truth = state_at(reference, np.array([case]), lead + 1)[0]
            members = state_at(evidence.rollouts, fellows[case], lead + 1)
            pair = members[first], members.mean(axis=0)
            both[:, row, lead] = [ssim(truth, other, value_range, window) for other in pair]
    return both[0], both[1]
