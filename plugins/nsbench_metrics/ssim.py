"""Structural similarity of frames. Improper: the truth's distribution need not score best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import ensemble_of, ensembles
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import bootstrap_mean
from nsbench_metrics.shared.lead_times import last_lead, state_at
from nsbench_metrics.shared.spec import metric_spec
from nsbench_metrics.shared.states import require_numbers

Array = NDArray[np.float64]


class SSIMParams(Params):
    """cases: that many test cases, drawn at random; window: sites along an edge, odd."""

    cases: int = Field(64, ge=1)
    window: int = Field(7, ge=3)
    resamples: int = fields.resamples()


def ssim(x: Array, y: Array, value_range: Array | float, window: int = 7) -> float:
    """Structural similarity of two states float64[C, H, W], the mean over channels; 1: equal.

    value_range: float64[C], or one number, largest minus smallest value that a channel takes. Wang et al. 2004,
    doi 10.1109/TIP.2003.819861; computed by scikit-image, with a square window of so many sites.
    """
    from skimage.metrics import structural_similarity

    channels = zip(x, y, np.broadcast_to(value_range, len(x)), strict=True)
    return float(np.mean([structural_similarity(a, b, win_size=window, data_range=span) for a, b, span in channels]))


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
        require_numbers(reference.domain)
        window = self.params.window
        if min(reference.domain.shape) < window:
            raise NotApplicable(f"states must be at least {window} sites wide and high")
        cases = np.sort(rng.permutation(len(reference))[: self.params.cases])
        member, blurred = similarities(evidence, reference, cases, window)  # [cases, L]
        interval = bootstrap_mean(member.mean(axis=1), ensemble_of(reference)[cases], self.params.resamples, rng)
        return Score(
            value=float(member.mean()),
            interval=interval,
            items=member.mean(axis=0),
            extras={"mean": float(blurred.mean()), "cases": float(len(cases))},
            label="improper",
        )


def similarities(
    evidence: Evidence, reference: Trajectories, cases: NDArray[np.int64], window: int
) -> tuple[Array, Array]:
    """Similarity of each truth to its first rollout and to its ensemble's mean, two float64[cases, L]."""
    fellows = {
        case: rollouts
        for group in ensembles(reference, evidence.members)
        for alike, rollouts in zip(group.cases.tolist(), group.rollouts, strict=True)
        for case in alike
    }
    final = reference.final()
    span = final.max(axis=(0, 2, 3)).astype(np.float64) - final.min(axis=(0, 2, 3))
    value_range = np.where(span > 0, span, 1.0)
    both = np.empty((2, len(cases), last_lead(reference)))
    for row, case in enumerate(cases.tolist()):
        first = int(np.flatnonzero(fellows[case] == case * evidence.members)[0])
        for lead in range(both.shape[2]):
            truth = state_at(reference, np.array([case]), lead + 1)[0]
            members = state_at(evidence.rollouts, fellows[case], lead + 1)
            pair = members[first], members.mean(axis=0)
            both[:, row, lead] = [ssim(truth, other, value_range, window) for other in pair]
    return both[0], both[1]


SPEC = metric_spec(SSIM, SSIMParams, "structural similarity of frames; improper")
