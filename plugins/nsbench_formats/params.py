"""Parameters of the dataset that reads files, and of its formats."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from nsbench.components.component import Params
from nsbench.trajectories.domain import Lattice


class Fractions(Params):
    """The fractions of the distinct parameter sets that val and test get; train gets the rest.

    The sets are drawn by `seed`; repeats of one set never straddle splits. Where all trajectories have the same
    parameters, the splits are blocks in the files' order, because neighbours may be windows of one simulation; `gap` of
    them are left out between two blocks: 0 if they are independent, more than 1 if windows overlap.
    """

    val: float = Field(0.1, gt=0, lt=1)
    test: float = Field(0.1, gt=0, lt=1)
    seed: int = Field(0, ge=0)
    gap: int = Field(1, ge=0)

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.val + self.test >= 1:
            raise ValueError(f"val + test must be < 1, got {self.val + self.test:g}")
        return self


class TrajectoriesParams(Params):
    """Trajectories that lie in files.

    path         a folder, or a file; from the current directory if it is relative.
    format       the format of the files: see `nsbench list formats`.
    options      parameters of the format: see `nsbench info FORMAT`.
    split        null: train, val (or valid) and test lie apart below `path`. Else how to cut them.
    limit        at most so many trajectories a split, the first ones; all if null.
    """

    path: str = Field(min_length=1)
    format: str = Field(min_length=1)
    options: dict[str, Any] = Field({})
    split: Fractions | None = None
    limit: int | None = Field(None, ge=1)


class WellParams(Params):
    """The meaning of files of The Well that nsbench did not write; those that it wrote hold it themselves.

    fields       names of the fields that are channels of a state; null: all of them. A vector is a channel an axis,
                 <name>_x and <name>_y; a tensor four, <name>_xx to <name>_yy; a field that is constant in time is a
                 channel that stays as it is.
    parameters   names of the scalars that condition a trajectory; null: all of them, and then none may look like a
                 label, such as a seed or a trajectory's number.
    condition    the scalar over whose range distributions are compared; null: the first that varies.
    lattice      neighbourhood of a site.
    """

    fields: tuple[str, ...] | None = Field(None, min_length=1)
    parameters: tuple[str, ...] | None = None
    condition: str | None = None
    lattice: Lattice = "square"
