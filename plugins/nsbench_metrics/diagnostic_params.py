"""Parameters of the diagnostics."""

from __future__ import annotations

from pydantic import Field

from nsbench.components.component import Params

_RESAMPLES = Field(200, ge=10, description="bootstrap draws for the interval")


class PosteriorCollapseParams(Params):
    """When a latent counts as active."""

    active: float = Field(0.01, gt=0, description="variance of its posterior's mean above which a latent is active")
    resamples: int = _RESAMPLES


class LatentNeglectParams(Params):
    """resamples: bootstrap draws for the interval."""

    resamples: int = _RESAMPLES


class IdentityCollapseParams(Params):
    """When a rollout counts as deadlocked."""

    patience: int = Field(5, ge=1, description="last transitions in which nothing attaches in a deadlocked rollout")
    resamples: int = _RESAMPLES


class PhysicsParams(Params):
    """When a site counts as attached."""

    threshold: float = Field(0.5, description="a site has attached where its state is above")
    resamples: int = _RESAMPLES


class ConditioningParams(Params):
    """observable: which number should follow the parameter; the domain's first if not given."""

    observable: str | None = None
    resamples: int = _RESAMPLES
