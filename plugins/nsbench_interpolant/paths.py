"""Paths from the present state to the next one, and how they are followed.

    x_s = (1 − s) x_t + s x_{t+1} + (1 − s) ε W_s,   0 ≤ s ≤ 1

"linear": W_s = W, one draw from N(0, 1), so that the path is straight and starts at x_t + εW.
"bridge": W_s is a Wiener process, of variance s, so that the path starts at x_t itself.

The drift b(s, x) = E[x_{t+1} − x_t − εW_s | x_s = x, x_t] is the regression of the same target on both. At x it says
what the next state and the noise are on average,

    E[x_{t+1} | x_s] = x + (1 − s) b,   εE[W_s | x_s] = x − x_t − s b,

from which the next x is made. The last step leaves no noise; a single one ends at E[x_{t+1} | x_t], whatever path and
sampler.

"ode" follows the probability flow: with W_s = √v(s) Z, v = 1 or s, it holds Z and E[x_{t+1} | x_s] for a step, each
extrapolated to its middle from this and the step before (Adams & Bashforth's second order),

    x′ = x + (s′ − s) (E[x_{t+1}] − x_t) + ((1 − s′) √v(s′) − (1 − s) √v(s)) ε E[Z].

"sde" draws the noise partly anew, and is of first order:

    x′ = (1 − s′) x_t + s′ E[x_{t+1}] + (1 − s′) ε W′,   ξ ~ N(0, 1),
    linear  W′ = ρ E[W] + √(1 − ρ²) ξ,   ρ = (1 − s′) / (1 − s)
    bridge  W′ = E[W_s] + √(s′ − s) ξ

As steps shrink these are diffusions with the law of x_s at each s: dx = (b − ε E[W | x]) ds + ε √(2(1 − s)) dB on the
linear path, and dx = b ds + (1 − s) ε dB on the bridge, that of Chen et al. 2024 (arXiv 2403.13724).
Albergo, Boffi & Vanden-Eijnden 2023 (arXiv 2303.08797), sections 2 and 4.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nsbench_interpolant.params import InterpolantParams

Drift = Callable[[float, Tensor], Tensor]
"""A function (s, x_s) -> b, both [b, C, H, W]."""


def noise_of(path: str, s: Tensor, like: Tensor, generator: torch.Generator) -> Tensor:
    """A draw of W_s, shaped like the maps [b, C, H, W], at times s [b, 1, 1, 1]."""
    w = _drawn(like, generator)
    return w if path == "linear" else s.sqrt() * w


def follow(
    drift: Drift, present: Tensor, free: Tensor, params: InterpolantParams, generator: torch.Generator
) -> Tensor:
    """The next state at the end of the path, relaxed, in ``params.evaluations`` steps of equal length.

    present: x_t, relaxed, [b, C, H, W]. free: 1 where the next state may be another, else 0: there the drift is known.
    """
    n, noise = params.evaluations, params.noise
    x = present + noise * _drawn(present, generator) if params.path == "linear" else present

    def parts(k: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """E[x_{t+1}] − x_t and εE[W_s], given x_s at step k."""
        s = k / n
        ahead = torch.where(free > 0, x + (1 - s) * drift(s, x) - present, 0.0)
        return ahead, (x - present - s * ahead) / (1 - s)

    end = _flow if params.sampler == "ode" else _diffusion
    return torch.where(free > 0, end(parts, x, present, params, generator), present)


Parts = Callable[[int, Tensor], tuple[Tensor, Tensor]]


def _flow(parts: Parts, x: Tensor, present: Tensor, params: InterpolantParams, generator: torch.Generator) -> Tensor:
    """The end of the probability flow from x."""
    n, bridge = params.evaluations, params.path == "bridge"

    def scale(k: int) -> float:
        """(1 − s) √v(s)."""
        return float((1 - k / n) * (k / n if bridge else 1) ** 0.5)

    before: tuple[Tensor, Tensor] | None = None
    for k in range(n):
        ahead, held = parts(k, x)
        if bridge:  # at its start there is no noise yet
            held = held / (k / n) ** 0.5 if k else params.noise * _drawn(x, generator)
        now = ahead, held
        if before is not None:
            ahead, held = (1.5 * part - 0.5 * earlier for part, earlier in zip(now, before, strict=True))
        x, before = x + ahead / n + (scale(k + 1) - scale(k)) * held, now
    return x


def _diffusion(
    parts: Parts, x: Tensor, present: Tensor, params: InterpolantParams, generator: torch.Generator
) -> Tensor:
    """The end of a diffusion from x."""
    n = params.evaluations
    for k in range(n):
        ahead, held = parts(k, x)
        s, later = k / n, (k + 1) / n
        if k == n - 1:
            return present + ahead
        kept, variance = 1.0, later - s
        if params.path == "linear":
            kept = (1 - later) / (1 - s)
            variance = 1 - kept**2
        held = kept * held + params.noise * variance**0.5 * _drawn(x, generator)
        x = present + later * ahead + (1 - later) * held
    return x


def _drawn(like: Tensor, generator: torch.Generator) -> Tensor:
    """Draws from N(0, 1), float32, shaped like the maps."""
    return torch.randn(like.shape, generator=generator, device=like.device)
