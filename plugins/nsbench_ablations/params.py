"""Parameters of CGNE's variants: those of cgne-laptop without the ones that a variant fixes. Imports no torch."""

from __future__ import annotations

from typing import Any

from pydantic import create_model, field_validator

from nsbench.components.component import Params
from nsbench.neural.schedules import Ramp
from nsbench_cgne.laptop import LaptopParams

Fixed = dict[str, Any]
"""Parameters of CGNE and the values that they are held at."""

NO_DROPOUT: Fixed = {"decoder_dropout": None}

STANDARD_SAMPLING: Fixed = {"frozen_state": False, "attached_weight": 1.0}
"""The likelihood then goes over all sites, so that attached ones weigh as much as any."""

UNCONDITIONAL_PRIOR: Fixed = {"conditional_prior": False}
NO_REGRESSOR: Fixed = {"auxiliary_weight": 0.0, "auxiliary_width": 128}
"""The width is that of a network which is not made."""

NO_ANNEALING: Fixed = {"kl_annealing": 0.0}
NO_UNROLLING: Fixed = {"unroll": 1, "unroll_from": 0.0, "unroll_mask": "guided", "start_every": 1}
"""What an unroll begins at, and is masked by, has no meaning without one."""


class Remaining(Params):
    """The base class of all variants' parameters, with the checks that CGNE's parameters have."""

    @field_validator("decoder_dropout", check_fields=False)
    @classmethod
    def _probability(cls, value: Ramp | None) -> Ramp | None:
        return LaptopParams._probability(value)


def cgne_but(name: str, fixed: Fixed) -> type[Params]:
    """A model of the parameters of cgne-laptop, with their defaults and limits, without those that are fixed."""
    fields: dict[str, Any] = {n: (f.annotation, f) for n, f in LaptopParams.model_fields.items() if n not in fixed}
    return create_model(name, __base__=Remaining, __module__=__name__, __doc__=LaptopParams.__doc__, **fields)


NoDropoutParams = cgne_but("NoDropoutParams", NO_DROPOUT)
StandardSamplingParams = cgne_but("StandardSamplingParams", STANDARD_SAMPLING)
UnconditionalPriorParams = cgne_but("UnconditionalPriorParams", UNCONDITIONAL_PRIOR)
NoRegressorParams = cgne_but("NoRegressorParams", NO_REGRESSOR)
NoAnnealingParams = cgne_but("NoAnnealingParams", NO_ANNEALING)
NoUnrollingParams = cgne_but("NoUnrollingParams", NO_UNROLLING)
VectorZParams = cgne_but("VectorZParams", {})
BernoulliSamplingParams = cgne_but("BernoulliSamplingParams", {})
