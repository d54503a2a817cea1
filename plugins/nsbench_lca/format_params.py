"""Parameters of the format cgne, apart from those of the dataset, which does not depend on them."""

from __future__ import annotations

from pydantic import Field

from nsbench.components.component import Params


class CGNEFormatParams(Params):
    """The parameters that files in the CGNE authors' layout do not hold.

    sigma        relative noise of the vapour in each step; the authors' is the default.
    stop_margin  growth ends when a site of row or column N − stop_margin attaches.
    """

    sigma: float = Field(5e-5, ge=0, lt=1)
    stop_margin: int = Field(5, ge=2)
