"""Kobayashi's constants, and the bounds within which his equations can be solved step by step."""

from __future__ import annotations

import math

WIDTH = 0.01
"""ε̄, which sets the width of the interface."""
RELAXATION = 0.0003
"""τ, the time in which a phase relaxes."""
DRIVE = 0.9
"""α: the driving force is (α/π) atan(γ u) at the undercooling u, so that |m| < ½ and liquid alone never freezes."""
SHARPNESS = 10.0
"""γ."""


def strongest_anisotropy(order: int) -> float:
    """The δ = 1/(j² − 1) from which on s + s'' is not above 0 everywhere: an interface there has missing orientations.

    The equation then diffuses backwards along such an interface, and its solution depends on the grid.
    """
    return 1 / (order**2 - 1)


def stiffest(order: int, anisotropy: float) -> float:
    """The largest eigenvalue over θ of the Hessian of ½ s(θ)² |∇p|² by ∇p, [[s², s s'], [s s', s² + s'² + s s'']]."""
    found = 0.0
    for k in range(721):
        c, n = math.cos(math.pi * k / 720), math.sin(math.pi * k / 720)
        s, slope, bend = 1 + anisotropy * c, -order * anisotropy * n, -(order**2) * anisotropy * c
        a, b, d = s * s, s * slope, s * s + slope * slope + s * bend
        found = max(found, (a + d) / 2 + math.hypot((a - d) / 2, b))
    return found


def longest_step(spacing: float, order: int, anisotropy: float, noise: float, latent: float) -> float:
    """A time step up to which explicit Euler is stable: the smaller of two bounds, for the fastest mode of the grid.

    With the rates h = 8/Δx² of heat and μ = 8 ε̄² λ / (τ Δx²) of the phase, λ of ``stiffest``, that mode is stable

    - where hardly anything couples the two, up to 2 / (μ + (1 + α + a) / 2τ): the reaction is steepest at p = 1;
    - on the interface, where an undercooling δu grows b δu Δt of phase, b = α γ / 4π τ, and is heated by it, while
      (2 − μ Δt) (2 − h Δt) >= 2 K b Δt: neither eigenvalue of the two coupled equations is below −1. At K = 0 this is
      Δt <= Δx²/4 and Δt <= 2/μ.
    """
    heat, phase = 8 / spacing**2, 8 * WIDTH**2 * stiffest(order, anisotropy) / (RELAXATION * spacing**2)
    coupling = latent * DRIVE * SHARPNESS / (4 * math.pi * RELAXATION)
    half = phase + heat + coupling
    coupled = 4 / (half + math.sqrt(half**2 - 4 * phase * heat))
    return min(2 / (phase + (1 + DRIVE + noise) / (2 * RELAXATION)), coupled)
