"""The rules of Kobayashi's phase field, compiled: explicit Euler finite differences, one step after another.

R. Kobayashi, "Modeling and numerical simulations of dendritic crystal growth", Physica D 63, 410 (1993). With the
undercooling u = 1 − T, s(θ) = 1 + δ cos(j(θ − θ0)) and θ the angle of ∇p, a step of Δt at a spacing of Δx is

    Fx = ⟨s²⟩ Δx p − ⟨s s' ∂y p⟩,   Fy = ⟨s²⟩ Δy p + ⟨s s' ∂x p⟩          on faces; ⟨·⟩ is the mean of its two sites
    p' = p + Δt/τ · (ε̄²/Δx² · div F + p (1 − p) (p − ½ + (α/π) atan(γ u) + a χ)),   0 where that is below CUT
    u' = u + Δt/Δx² · (sum of the four neighbours' u − 4 u) − K (p' − p)

with central differences in ∂x p and ∂y p, χ uniform in (−½, ½) for each site and step, x along columns and y along
rows. No flux passes a wall: there a ghost holds the p and u of the outermost site, and the opposite of its s s' ∂p.

Where p is 0 for two sites around nothing but heat moves, and such sites are left alone row by row. The undercooling is
what is kept, since a temperature that decays to 0 far away would be computed in subnormal numbers, which are slow.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

CUT = 2.0**-20
"""Phases below it are liquid, 0. The front is pushed from behind, so that its tail does not matter."""

# Abramowitz & Stegun, formula 4.4.49: atan(x)/x on [0, 1] in powers of x², to 2e-8.
ATAN = (
    1.0,
    -0.3333314528,
    0.1999355085,
    -0.1420889944,
    0.1065626393,
    -0.0752896400,
    0.0429096138,
    -0.0161657367,
    0.0028662257,
)

FAST = {"contract", "arcp", "nsz"}


@njit(cache=True)
def random_word(key, counter):
    """The 64 random bits at a position: SplitMix64 (Steele, Lea & Flood 2014) as a counter's hash."""
    z = key + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, fastmath=FAST, error_model="numpy", inline="always")
def arctangent(x):
    """atan(x) to 3e-8."""
    kind = type(x)
    size = abs(x)
    t = min(size, kind(1) / size)
    z = t * t
    y = kind(ATAN[8])
    for k in (7, 6, 5, 4, 3, 2, 1, 0):
        y = y * z + kind(ATAN[k])
    y *= t
    y = y if size <= kind(1) else kind(np.pi / 2) - y
    return y if x >= kind(0) else -y


@njit(cache=True, fastmath=FAST, error_model="numpy")
def stiffen(p, row, first, end, square, along, across, cosine, sine, order):
    """Set s², s s' ∂x p and s s' ∂y p (differences over two sites) of the columns first <= q < end of a row.

    cosine, sine: δ times those of jθ0; order: j, 4 or 6.
    """
    kind, i, one = type(sine), np.uint64(row), np.uint64(1)
    six = order > kind(5)
    for q in range(np.uint64(first), np.uint64(end)):
        x, y = p[i, q + one] - p[i, q - one], p[i + one, q] - p[i - one, q]
        inverse = kind(1) / (x * x + y * y + kind(1e-30))
        re, im = (x * x - y * y) * inverse, kind(2) * x * y * inverse  # of exp(2iθ)
        re2, im2 = re * re - im * im, kind(2) * re * im
        re3, im3 = re2 * re - im2 * im, re2 * im + im2 * re
        c, n = (re3, im3) if six else (re2, im2)
        s = kind(1) + cosine * c + sine * n
        slope = order * s * (sine * c - cosine * n)
        square[q] = s * s
        along[q] = slope * x
        across[q] = slope * y


@njit(cache=True, fastmath=FAST, error_model="numpy")
def conduct(u, row, out, rate):
    """Set the undercooling of a row's sites after diffusion; the given rows have one more site at either end."""
    four, i, one = type(rate)(4), np.uint64(row), np.uint64(1)
    for q in range(one, np.uint64(u.shape[1] - 1)):
        v = u[i, q]
        out[i, q] = v + rate * ((u[i, q + one] + u[i, q - one]) + (u[i + one, q] + u[i - one, q]) - four * v)


@njit(cache=True, fastmath=FAST, error_model="numpy")
def solidify(p, u, ring, row, first, end, out, heat, draws, law):
    """Set the phase of a row's sites, and take the latent heat from the undercooling `heat`.

    ring: s², s s' ∂x p and s s' ∂y p of four rows, row r at r % 4: a wall's ghost leaves the two rows before it be.
    draws: uint16, a random number a site; law: (Δt/τ, ε̄²/2Δx², α/π, γ, a, K).
    """
    rate, stiffness, drive, gamma, noise, latent = law
    kind, i, one = type(rate), np.uint64(row), np.uint64(1)
    half, whole, cut = kind(0.5), kind(1), kind(CUT)
    here, above, below = np.uint64(row & 3), np.uint64((row + 1) & 3), np.uint64((row - 1) & 3)
    for q in range(np.uint64(first), np.uint64(end)):
        v, s, east, west = p[i, q], ring[0, here, q], q + one, q - one
        pulled = (ring[0, here, east] + s) * (p[i, east] - v) + (ring[0, here, west] + s) * (p[i, west] - v)
        pushed = (ring[0, above, q] + s) * (p[i + one, q] - v) + (ring[0, below, q] + s) * (p[i - one, q] - v)
        # central differences of s s' ∂p, itself over two sites: half of their difference over two sites
        turned = half * ((ring[1, above, q] - ring[1, below, q]) - (ring[2, here, east] - ring[2, here, west]))
        chi = (kind(draws[west]) + half) * kind(2.0**-16) - half
        force = v - half + drive * arctangent(gamma * u[i, q]) + noise * chi
        new = v + rate * (stiffness * (pulled + pushed + turned) + v * (whole - v) * force)
        new = new if new >= cut else kind(0)
        out[i, q] = new
        heat[i, q] -= latent * (new - v)


@njit(cache=True)
def wall(field):
    """Fill the ghosts around a field, [N + 2, N + 2], from the outermost sites."""
    last = field.shape[0] - 1
    field[0] = field[1]
    field[last] = field[last - 1]
    for i in range(last + 1):
        field[i, 0] = field[i, 1]
        field[i, last] = field[i, last - 1]


@njit(cache=True)
def reach(spans, until, first, end):
    """Set the columns `first` <= q < `end` of each row that a step may change; return whether there are any.

    spans, until: int64[N + 2, 2], the first column with p > 0 of each row, and the one after the last: now, and in the
    array that the step overwrites, where it must wipe out what lies there.
    """
    size = spans.shape[0] - 2
    some = False
    for i in range(1, size + 1):
        low, high = until[i, 0], until[i, 1]
        for r in range(max(i - 2, 1), min(i + 2, size) + 1):
            if spans[r, 0] < spans[r, 1]:
                low, high = min(low, spans[r, 0] - 2), max(high, spans[r, 1] + 2)
        first[i], end[i] = max(low, 1), min(high, size + 1)
        some |= first[i] < end[i]
    return some


@njit(cache=True)
def shrink(row, low, high, span):
    """Set span, int64[2], to the columns of a row with p > 0, which lie between `low` and `high`."""
    while low < high and row[low] == 0:
        low += 1
    while low < high and row[high - 1] == 0:
        high -= 1
    if low < high:
        span[0], span[1] = low, high
    else:
        span[0], span[1] = row.size, 0


@njit(cache=True)
def edge(p, i, first, end, ring, turn):
    """Compute s², s s' ∂x p and s s' ∂y p of row i into its place in the ring, with the ghosts at its walls."""
    size = p.shape[0] - 2
    low = min(first[max(i - 1, 1)], first[i] - 1, first[min(i + 1, size)])
    high = max(end[max(i - 1, 1)], end[i] + 1, end[min(i + 1, size)])
    low, high = max(low, 1), min(high, size + 1)
    square, along, across = ring[0, i & 3], ring[1, i & 3], ring[2, i & 3]
    stiffen(p, i, low, high, square, along, across, *turn)
    for ghost, site in ((0, 1), (size + 1, size)):
        square[ghost], across[ghost] = square[site], -across[site]
    for ghost, site in ((0, 1), (size + 1, size)):
        if i == site:
            for q in range(low, high):
                ring[0, ghost & 3, q], ring[1, ghost & 3, q] = square[q], -along[q]


@njit(cache=True)
def advance(p, u, key, step, work, law, rate, turn):
    """Take one step from p[now], u[now], now = step % 2, to the other halves of p and u, [2, N + 2, N + 2]."""
    spans, first, end, ring, words = work
    now = step % 2
    here, there, heat, cold = p[now], p[1 - now], u[now], u[1 - now]
    size = here.shape[0] - 2
    wall(heat)
    for i in range(1, size + 1):
        conduct(heat, i, cold, rate)
    if not reach(spans[now], spans[1 - now], first, end):
        return
    wall(here)
    draws, noisy = words.view(np.uint16), law[4] > 0
    done = 0
    for i in range(1, size + 1):
        a, b = first[i], end[i]
        if a >= b:
            spans[1 - now, i, 0], spans[1 - now, i, 1] = size + 2, 0
            continue
        for r in range(max(done + 1, i - 1), min(i + 1, size) + 1):
            edge(here, r, first, end, ring, turn)
        done = i + 1
        if noisy:
            for w in range((a - 1) >> 2, (b + 2) >> 2):
                words[w] = random_word(key, np.uint64((step * size + i - 1) * words.size + w))
        solidify(here, heat, ring, i, a, b, there, cold, draws, law)
        shrink(there[i], a, b, spans[1 - now, i])


@njit(cache=True)
def grow_one(p, u, law, turn, rate, key, steps, frames):
    """Fill frames, float32[T, 2, H, W], `steps` steps apart, the first of them p and u [N, N] themselves, and p and u
    with their last states.
    """
    size, kind, step = p.shape[0], p.dtype, 0
    ps, us = np.zeros((2, size + 2, size + 2), kind), np.ones((2, size + 2, size + 2), kind)
    ps[0, 1:-1, 1:-1] = p
    us[0, 1:-1, 1:-1] = u
    spans = np.zeros((2, size + 2, 2), np.int64)
    spans[:, :, 0] = size + 2
    for i in range(1, size + 1):
        shrink(ps[0, i], 1, size + 1, spans[0, i])
    first, end = np.empty(size + 2, np.int64), np.empty(size + 2, np.int64)
    ring = np.zeros((3, 4, size + 2), kind)
    words = np.zeros((size + 3) >> 2, np.uint64)
    work = (spans, first, end, ring, words)
    for k in range(frames.shape[0]):
        for _ in range(steps if k else 0):
            advance(ps, us, key, step, work, law, rate, turn)
            step += 1
        show(ps[step % 2], us[step % 2], frames[k])
    p[:] = ps[step % 2, 1:-1, 1:-1]
    u[:] = us[step % 2, 1:-1, 1:-1]


@njit(cache=True)
def show(p, u, frame):
    """Set a frame, float32[2, H, W], to the means of blocks of p and of T = 1 − u."""
    side = frame.shape[1]
    block = (p.shape[0] - 2) // side
    for i in range(side):
        for j in range(side):
            total, cold = 0.0, 0.0
            for r in range(1 + i * block, 1 + (i + 1) * block):
                for q in range(1 + j * block, 1 + (j + 1) * block):
                    total += p[r, q]
                    cold += u[r, q]
            frame[0, i, j] = total / block**2
            frame[1, i, j] = 1.0 - cold / block**2


@njit(cache=True, parallel=True)
def grow_all(p, u, laws, turns, fixed, keys, steps, frames):
    """Grow n crystals, each by itself, a thread a crystal: fill float32[n, T, 2, H, W], and p and u with the last.

    p, u: [n, N, N]; laws: [n, 2], K and a; turns: [n, 2], δ times the cosine and the sine of jθ0, all of one type.
    fixed: (Δt/τ, ε̄²/2Δx², α/π, γ, Δt/Δx², j).
    """
    for k in prange(p.shape[0]):
        law = (fixed[0], fixed[1], fixed[2], fixed[3], laws[k, 1], laws[k, 0])
        turn = (turns[k, 0], turns[k, 1], fixed[5])
        grow_one(p[k], u[k], law, turn, fixed[4], keys[k], steps, frames[k])
