"""Metrics: those of the paper, proper scores, calibration, distances, pictures, trajectories; diagnostics.

docs/metrics.md, docs/ablations.md.
"""

from nsbench import hookimpl
from nsbench.components.metric import MetricSpec

_METRICS = {
    "ewd": (
        "ewd:EWD",
        "EWDParams",
        "expected Wasserstein distance of final observables at like conditioning parameter",
    ),
    "elbo": (
        "elbo:ELBO",
        "ELBOParams",
        "teacher-forced log-likelihood of test transitions, or a bound on it",
    ),
    "wall_clock": (
        "wall_clock:WallClock",
        "WallClockParams",
        "milliseconds a simulated trajectory, and what else a simulator costs",
    ),
    "crps": (
        "proper:CRPS",
        "CRPSParams",
        "fair CRPS of the observables over time",
    ),
    "brier": (
        "brier:Brier",
        "BrierParams",
        "fair Brier score by site, with its decomposition",
    ),
    "energy_score": (
        "proper:EnergyScore",
        "FieldScoreParams",
        "fair energy score of the whole state",
    ),
    "variogram_score": (
        "proper:VariogramScore",
        "VariogramParams",
        "fair variogram score over neighbouring sites",
    ),
    "spread_skill": (
        "calibration:SpreadSkill",
        "SpreadSkillParams",
        "do ensembles spread as much as they err?",
    ),
    "rank_histogram": (
        "calibration:RankHistogram",
        "RankHistogramParams",
        "flatness of the truth's ranks in its ensemble",
    ),
    "coverage": (
        "calibration:Coverage",
        "CoverageParams",
        "coverage of central intervals of the observables",
    ),
    "reliability": (
        "brier:ReliabilityDiagram",
        "ReliabilityParams",
        "do sites attach as often as they are said to?",
    ),
    "mmd": (
        "distances:MMD",
        "MMDParams",
        "maximum mean discrepancy at equal parameters, unbiased",
    ),
    "sliced_wasserstein": (
        "distances:SlicedWasserstein",
        "SlicedParams",
        "sliced Wasserstein distance at equal parameters",
    ),
    "frechet_descriptors": (
        "frechet:FrechetDescriptors",
        "FrechetParams",
        "Fréchet distance on descriptors of shape",
    ),
    "fid": (
        "fid:FID",
        "FIDParams",
        "Fréchet distance on features of an image network of yours",
    ),
    "ssim": (
        "pictures:SSIM",
        "SSIMParams",
        "structural similarity of frames; improper",
    ),
    "arrival_error": (
        "trajectories:ArrivalError",
        "ArrivalParams",
        "mean absolute difference of growth maps",
    ),
    "growth_rate": (
        "growth:GrowthRate",
        "GrowthRateParams",
        "difference of the curves of growth",
    ),
    "divergence": (
        "trajectories:Divergence",
        "DivergenceParams",
        "first lead time at which rollouts have left the truth",
    ),
    "autocorrelation": (
        "growth:Autocorrelation",
        "AutocorrelationParams",
        "memory of the fluctuations of growth",
    ),
    "spectrum": (
        "spectrum:Spectrum",
        "SpectrumParams",
        "log spectral distance of states",
    ),
}
"""Name -> class, parameters, summary. Nothing is imported before it is used."""

_DIAGNOSTICS = {
    "posterior_collapse": (
        "latent_use:PosteriorCollapse",
        "PosteriorCollapseParams",
        "diagnostic: KL of the posterior from the prior, share of active latents",
    ),
    "latent_neglect": (
        "latent_use:LatentNeglect",
        "LatentNeglectParams",
        "diagnostic: sites that decide otherwise when z is drawn again",
    ),
    "identity_collapse": (
        "deadlock:IdentityCollapse",
        "IdentityCollapseParams",
        "diagnostic: transitions in which nothing attaches, rollouts that are deadlocked",
    ),
    "melting": (
        "physics:Melting",
        "PhysicsParams",
        "diagnostic: attached sites that melt",
    ),
    "orphans": (
        "physics:Orphans",
        "PhysicsParams",
        "diagnostic: sites that attach to nothing",
    ),
    "conditioning": (
        "conditioning:Conditioning",
        "ConditioningParams",
        "diagnostic: does the final area follow the parameter as the truth's does?",
    ),
}
"""The same of the diagnostics, whose parameters are in a module of their own."""


@hookimpl
def nsbench_metrics() -> list[MetricSpec]:
    return [
        MetricSpec(name, f"nsbench_metrics.{target}", f"nsbench_metrics.{module}:{params}", summary)
        for module, metrics in (("params", _METRICS), ("diagnostic_params", _DIAGNOSTICS))
        for name, (target, params, summary) in metrics.items()
    ]
