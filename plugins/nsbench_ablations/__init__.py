"""Variants of CGNE that differ from it in one thing, and null models. docs/ablations.md."""

from nsbench import hookimpl
from nsbench.components.simulator import SimulatorSpec

_VARIANTS = {
    "cgne-no-dropout": ("NoDropout", "the decoder always sees x"),
    "cgne-standard-sampling": ("StandardSampling", "what is decoded replaces the state, attached sites may melt"),
    "cgne-unconditional-prior": ("UnconditionalPrior", "z is standard normal, whatever x and y"),
    "cgne-no-regressor": ("NoRegressor", "nothing regresses y from z"),
    "cgne-no-annealing": ("NoAnnealing", "the KL weighs as much from the start"),
    "cgne-no-unrolling": ("NoUnrolling", "trained on single steps"),
    "cgne-vector-z": ("VectorZ", "one vector of latents instead of a lattice"),
    "cgne-bernoulli-sampling": ("BernoulliSampling", "each site is drawn, whatever the protocol's decoding"),
}
"""Name -> class, the one thing that differs from "cgne". Parameters: the class's name and "Params"."""

_NULLS = {
    "persistence": ("persistence:Persistence", None, "nothing changes"),
    "frozen-neighbour": (
        "frozen_neighbour:FrozenNeighbour",
        "nsbench_ablations.null_params:FrozenNeighbourParams",
        "a table of probabilities by attached neighbours and conditioning parameter; exact likelihood",
    ),
    **{
        f"{law}-unet": (
            f"factorised_unet:{law.title()}UNet",
            "nsbench.neural.params:UNetParams",
            f"CGNE's decoder with y and without z: independent sites of {states}; exact likelihood",
        )
        for law, states in (("bernoulli", "growth"), ("categorical", "labels"), ("gaussian", "fields"))
    },
    "stochastic-nca": (
        "stochastic_nca:StochasticNCA",
        "nsbench_ablations.null_params:StochasticNCAParams",
        "a neural cellular automaton whose sites are drawn independently; exact likelihood",
    ),
}
"""Name -> class, parameters, summary."""


@hookimpl
def nsbench_simulators() -> list[SimulatorSpec]:
    variants = [
        SimulatorSpec(
            name,
            f"nsbench_ablations.{'vector_z' if cls == 'VectorZ' else 'variants'}:{cls}",
            f"nsbench_ablations.params:{cls}Params",
            f"CGNE, but {difference}",
            decodes=name != "cgne-bernoulli-sampling",
        )
        for name, (cls, difference) in _VARIANTS.items()
    ]
    nulls = [
        SimulatorSpec(
            name,
            f"nsbench_ablations.{target}",
            params,
            f"null model: {summary}",
            decodes=name.endswith("-unet"),
        )
        for name, (target, params, summary) in _NULLS.items()
    ]
    return variants + nulls
