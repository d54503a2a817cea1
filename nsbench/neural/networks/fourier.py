"""The Fourier neural operator, for lattices that are periodic on both axes. Maps are [b, C, H, W].

Li et al. 2021 (arXiv 2010.08895).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nsbench.neural.networks.padding import Boundaries
from nsbench.neural.networks.unet import Modulation


def require_periodic(boundaries: Boundaries, name: str) -> None:
    """Raise ValueError for a lattice with an edge: waves that are periodic do not fit it."""
    if boundaries != ("periodic", "periodic"):
        rows, columns = boundaries
        raise ValueError(
            f"{name} works on lattices that are periodic on both axes, and this one is {rows} along rows' axis and "
            f"{columns} along columns'"
        )


def least_side(modes: int) -> int:
    """The shortest side of a lattice on which waves of wave number modes − 1 can be told from longer ones."""
    return 2 * modes - 1


class SpectralConvolution(nn.Module):
    """A convolution on a torus whose kernel is given by its Fourier coefficients R_k.

        out(s) = Re Σ_k w_k e^{2πi k·s/N} R_k x̂_k,   x̂_k = (1/HW) Σ_s x(s) e^{−2πi k·s/N}

    over rows' wave numbers −m < k₁ < m and columns' 0 ≤ k₂ < m, with w_k = 2 for k₂ > 0, which stand for −k₂ too, else
    1. The coefficients belong to waves, not sites: maps without shorter waves have the same output on every lattice.

    So few waves are kept that the transform is a product with a narrow matrix; no fast Fourier transform is needed. It
    is computed in float32 under every precision.
    """

    def __init__(self, inputs: int, outputs: int, modes: int) -> None:
        super().__init__()
        self.modes = modes
        shape = (2, 2 * modes - 1, modes, inputs, outputs)  # real and imaginary part, rows, columns
        self.weight = nn.Parameter(torch.randn(shape) / math.sqrt(2 * inputs))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self._inverse(*self._mixed(*self._transform(x.float())), x)

    def _transform(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The coefficients x̂_k, real and imaginary part, each [b, C, rows, columns]."""
        cosines, sines = self._rows(x)
        real, imaginary = (x @ self._columns(x)).chunk(2, dim=-1)  # [b, C, H, columns]
        sites = x.shape[-2] * x.shape[-1]
        return (cosines @ real + sines @ imaginary) / sites, (cosines @ imaginary - sines @ real) / sites

    def _mixed(self, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        """The products R_k x̂_k, each part [b, O, rows, columns]."""
        r, i = self.weight.float()
        matrix = torch.cat([torch.cat([r, i], dim=-1), torch.cat([-i, r], dim=-1)], dim=-2)  # [rows, columns, 2C, 2O]
        both = torch.einsum("bcrk,rkco->bork", torch.cat([real, imaginary], dim=1), matrix)
        return both.chunk(2, dim=1)  # type: ignore[return-value]

    def _inverse(self, real: Tensor, imaginary: Tensor, like: Tensor) -> Tensor:
        """The maps of those coefficients, on the sites of `like`."""
        cosines, sines = (part.T for part in self._rows(like))
        twice = torch.full((self.modes,), 2.0, device=like.device)
        twice[0] = 1.0
        lines = torch.cat([cosines @ real - sines @ imaginary, cosines @ imaginary + sines @ real], dim=-1)
        out: Tensor = lines @ (self._columns(like) * twice.repeat(2)).T
        return out

    def _rows(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The cosines and sines of 2πk₁s/H, each [rows, H]."""
        angles = _angles(torch.arange(1 - self.modes, self.modes, device=x.device), x.shape[-2]).T
        return angles.cos(), angles.sin()

    def _columns(self, x: Tensor) -> Tensor:
        """The real and then the imaginary parts of e^{−2πi k₂s/W}, [W, 2·columns]."""
        angles = _angles(torch.arange(self.modes, device=x.device), x.shape[-1])
        return torch.cat([angles.cos(), -angles.sin()], dim=1)


def _angles(numbers: Tensor, side: int) -> Tensor:
    """The angles 2πks/N at sites s of a side, for wave numbers int[m], float32[side, m]."""
    turns = torch.outer(torch.arange(side, device=numbers.device), numbers) % side  # whole, so that none is rounded
    return turns.float() * (2 * math.pi / side)


class FourierBlock(nn.Module):
    """The map h → gelu(modulated(K h + W h)): K a spectral convolution, W a 1×1 convolution."""

    def __init__(self, width: int, modes: int, vector: int) -> None:
        super().__init__()
        self.spectral = SpectralConvolution(width, width, modes)
        self.pointwise = nn.Conv2d(width, width, 1)
        self.modulation = Modulation(vector, width)

    def forward(self, h: Tensor, vector: Tensor) -> Tensor:
        return F.gelu(self.modulation(self.spectral(h) + self.pointwise(h), vector))


class FNO(nn.Module):
    """A network from maps [b, inputs, H, W] to maps [b, outputs, H, W], on periodic lattices of any size.

    Each site is lifted to `width` channels, Fourier blocks follow, and a perceptron at each site ends it. vector: the
    length of the vector that modulates the blocks.
    """

    def __init__(self, inputs: int, outputs: int, width: int, modes: int, layers: int, vector: int) -> None:
        super().__init__()
        self.lift = nn.Conv2d(inputs, width, 1)
        self.blocks = nn.ModuleList(FourierBlock(width, modes, vector) for _ in range(layers))
        self.project = nn.Sequential(nn.Conv2d(width, 2 * width, 1), nn.GELU(), nn.Conv2d(2 * width, outputs, 1))

    def forward(self, maps: Tensor, vector: Tensor) -> Tensor:
        h = self.lift(maps)
        for block in self.blocks:
            h = block(h, vector)
        out: Tensor = self.project(h)
        return out
