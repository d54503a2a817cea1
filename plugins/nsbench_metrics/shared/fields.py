"""Parameters that several metrics take, each described in one place: fields of their pydantic models."""

from __future__ import annotations

from typing import Any

from pydantic import Field


def resamples(draws: int = 200) -> Any:
    """The field of the number of bootstrap draws."""
    return Field(draws, ge=10, description="bootstrap draws for the interval")


def observables() -> Any:
    """The field of the observables that count."""
    return Field(None, min_length=1, description="names of the domain's observables; all if not given")


def threshold() -> Any:
    """The field of the value that tells an attached site."""
    return Field(0.5, description="a site has attached where its state is above")


def bins() -> Any:
    """The field of the number of bins in which trajectories of like parameters are put together."""
    return Field(16, ge=1, description="equal bins of the conditioning parameter")
