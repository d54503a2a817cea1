"""Parameters of masked discrete diffusion. Imports no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from nsbench.neural.params import UNetParams

Schedule = Literal["linear", "cosine"]


class AbsorbingParams(UNetParams):
    """Sizes and training of the network, and how the next state is drawn.

    evaluations: rounds in which sites are drawn, each an evaluation of the network; "sites": a site a round.
    schedule: how many sites are drawn in each round. "linear": equally many; "cosine": few at first, when little is
    known of the next state, as in Chang et al. 2022 (arXiv 2202.04200).
    all_masked: the share of training transitions in which every site is masked, beside those that are so by chance.
    """

    sampling: ClassVar[frozenset[str]] = frozenset({"evaluations", "schedule"})

    evaluations: Annotated[int, Field(ge=1, le=65536)] | Literal["sites"] = 8
    schedule: Schedule = "cosine"
    all_masked: float = Field(0.1, ge=0, le=1)
