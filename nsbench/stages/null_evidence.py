"""The evidence of null models and of the truth drawn once more: rollouts without likelihood and cost.

The artifact holds rollouts.h5, as that of the simulate stage does.
"""

from __future__ import annotations

import numpy as np

from nsbench.components.evidence import Evidence
from nsbench.stages.agreement import Code
from nsbench.stages.fit import fit
from nsbench.stages.nulls import Redraw, null_rollouts, redrawing
from nsbench.stages.prepare import prepare
from nsbench.stages.simulate import ROLLOUTS, read_evidence, write_evidence
from nsbench.stages.workshop import Workshop, Write
from nsbench.suite.planner import NULLS_MADE
from nsbench.suite.seeds import generator
from nsbench.suite.trials import NullPlan
from nsbench.trajectories.base import Trajectories


def null_evidence(workshop: Workshop, job: str, null: NullPlan, test: Trajectories) -> Evidence:
    """The evidence of a null model, from the store or made now. Raises NotApplicable where the data allows none."""

    def make() -> Write:
        train = None if null.train is None else prepare(workshop, job, null.train, "train")
        rng, members = generator(null.seed), null.data.protocol.members
        redraw_rng, rng = rng.spawn(2)
        redraw = _redraw(workshop, null, redraw_rng)
        rollouts = null_rollouts(null.name, test, members, rng, train=train, redraw=redraw, draws=null.draws)
        return lambda draft: write_evidence(draft, Evidence(rollouts, members))

    artifact = workshop.obtain(
        job, null.evidence, f"rollouts of {null.name}", make, {ROLLOUTS}, null_code(workshop, null)
    )
    return read_evidence(artifact, test.domain)


def null_code(workshop: Workshop, null: NullPlan) -> list[Code]:
    """The code in the key of a null model's evidence."""
    agreement = workshop.agreement
    recipe = Code("the null models", (NULLS_MADE,), null.evidence.fields["source"])
    truth = [] if null.truth is None else [agreement.of(null.truth.part)]
    train = () if null.train is None else agreement.of_data(null.train)
    return [recipe, *truth, *train, *agreement.of_data(null.data)]


def _redraw(workshop: Workshop, null: NullPlan, rng: np.random.Generator) -> Redraw | None:
    """The function that draws from the ground truth, for a null model that needs it."""
    if null.truth is None:
        return None
    simulator, _ = fit(workshop, null.truth)
    return redrawing(simulator, null.data.protocol, rng)
