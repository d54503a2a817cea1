"""Ensembles for the tests of metrics: small growth maps, labels and fields whose distributions are known."""

from __future__ import annotations

import numpy as np

from nsbench.components.evidence import Cost, Evidence
from nsbench.trajectories.domain import Domain, Observable, Parameter
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.labels import LabelTrajectories

COST = Cost(ms_per_trajectory=1.0, batch=1, ms_per_trajectory_alone=1.0, threads=1, device="cpu")


def total(state):
    return state.sum(axis=(1, 2, 3)).astype(np.float64)


def peak(state):
    return state.max(axis=(1, 2, 3)).astype(np.float64)


def domain(size, states="growth", labels=0):
    return Domain(
        "square",
        (size, size),
        ("u",),
        states,
        (Parameter("rate", 0, 1),),
        "rate",
        (Observable("total", "sites", total), Observable("peak", "sites", peak)),
        stride=1,
        labels=labels,
    )


def growth_maps(rates, rng, *, frames=6, size=8):
    """Each site attaches in each frame with its trajectory's rate; the corner is the seed."""
    rates = np.asarray(rates, dtype=np.float64)
    wait = rng.geometric(np.broadcast_to(rates[:, None, None], (len(rates), size, size)))
    arrival = np.where(wait < frames, wait, -1).astype(np.int32)
    arrival[:, 0, 0] = 0
    lengths = np.full(len(rates), frames, np.int32)
    return GrowthTrajectories(rates[:, None], lengths, domain(size), arrival)


def label_maps(rates, rng, *, frames=4, size=6, labels=3):
    """In each frame each site takes a label drawn anew with its trajectory's rate, else keeps it; at first all are 0."""
    rates = np.asarray(rates, dtype=np.float64)
    drawn = rng.integers(0, labels, (len(rates), frames, size, size))
    changes = rng.random(drawn.shape) < rates[:, None, None, None]
    states = np.zeros(drawn.shape, np.uint8)
    for t in range(1, frames):
        states[:, t] = np.where(changes[:, t], drawn[:, t], states[:, t - 1])
    return LabelTrajectories(
        rates[:, None], np.full(len(rates), frames, np.int32), domain(size, "labels", labels), states
    )


def gaussian_fields(means, rng, *, frames=3, size=4, scale=1.0):
    """Independent Gaussian sites around each trajectory's mean; frame 0 is zero everywhere."""
    means = np.asarray(means, dtype=np.float64)
    values = means[:, None, None, None, None] + scale * rng.normal(size=(len(means), frames, 1, size, size))
    values[:, 0] = 0
    lengths = np.full(len(means), frames, np.int32)
    return FieldTrajectories(means[:, None], lengths, domain(size, "fields"), values.astype(np.float32))


def evidence(rollouts, members=1):
    return Evidence(rollouts, members, COST)


def generator(seed=0):
    return np.random.default_rng(seed)
