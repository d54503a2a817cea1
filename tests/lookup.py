"""A look-up over the training data as a simulator, and the energy distance of ensembles: what a suite is proved with.

On a benchmark whose cases can be looked up, memory scores as well as the truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nsbench.trajectories.ensembles import ensembles


def looked_up(train, cases, members):
    """The `members` training trajectories nearest to each case, without replacement: those of the first case, then …

    Distance: of the varying parameters, in standard deviations, and of the start states, in units of their mean
    distance from each other. Starts count as much as one parameter; all weigh nothing where all start alike.
    """
    varying = list(train.domain.varying)
    centre, spread = train.params[:, varying].mean(0), train.params[:, varying].std(0)
    known, asked = ((t.params[:, varying] - centre) / spread for t in (train, cases))
    starts, begins = (np.ascontiguousarray(t.frame(0).reshape(len(t), -1)) for t in (train, cases))
    unit = ((starts - np.roll(starts, 1, axis=0)) ** 2).sum(1).mean() or 1.0
    chosen = []
    for y, x in zip(asked, begins, strict=True):
        distance = ((known - y) ** 2).sum(1) + ((starts - x) ** 2).sum(1) / unit
        chosen.append(np.argsort(distance, kind="stable")[:members])
    return train.select(np.concatenate(chosen))


@dataclass(frozen=True)
class Distance:
    """The mean over ensembles of an energy distance, and its standard error."""

    mean: float
    error: float

    def __str__(self):
        return f"{self.mean:.3f} ± {self.error:.3f}"


def energy_distance(truth, simulated, leads):
    """D² = 2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖ of each ensemble, without bias: 0 in expectation for the truth itself.

    X, Y: the domain's observables at those frames, in units of the truth's standard deviation within an ensemble.
    simulated: as many trajectories as truths, in the truths' order of cases. Székely & Rizzo 2013.
    """
    x, y = (np.concatenate([t.domain.observe(t.frame(k)) for k in leads], axis=1) for t in (truth, simulated))
    groups = [cases for group in ensembles(truth, 1) for cases in group.cases]
    within = np.sqrt(np.mean([x[cases].var(axis=0, ddof=1) for cases in groups], axis=0))
    x, y = x / np.where(within > 0, within, 1.0), y / np.where(within > 0, within, 1.0)

    def apart(a, b):
        return np.linalg.norm(a[:, None] - b[None], axis=-1)

    def among(a):
        return apart(a, a).sum() / (len(a) * (len(a) - 1))

    found = [2 * apart(x[g], y[g]).mean() - among(x[g]) - among(y[g]) for g in groups]
    return Distance(float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(len(found))))
