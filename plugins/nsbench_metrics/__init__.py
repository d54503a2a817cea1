"""The metrics of nsbench, one a file: docs/metrics.md and docs/ablations.md.

shared/    code that several metrics have in common
"""

from importlib import import_module

from nsbench import hookimpl
from nsbench.components.metric import MetricSpec

METRICS = (
    "energy_distance",
    "ewd",
    "elbo",
    "wall_clock",
    "crps",
    "brier",
    "energy_score",
    "variogram_score",
    "spread_skill",
    "rank_histogram",
    "coverage",
    "reliability",
    "mmd",
    "sliced_wasserstein",
    "sliced_energy",
    "nearest_neighbour",
    "time_asymmetry",
    "frechet_descriptors",
    "fid",
    "ssim",
    "arrival_error",
    "growth_rate",
    "divergence",
    "autocorrelation",
    "spectrum",
    "posterior_collapse",
    "latent_neglect",
    "identity_collapse",
    "melting",
    "orphans",
    "conditioning",
)
"""The names of the metrics, which are those of their files, in the order of the documentation."""


@hookimpl
def nsbench_metrics() -> list[MetricSpec]:
    """The spec of each metric, from its file. The files import NumPy and pydantic, and nothing that is slower."""
    return [import_module(f"{__name__}.{name}").SPEC for name in METRICS]
