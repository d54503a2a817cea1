"""The rules of the q-state Potts model with a heat bath, compiled.

    H = Σ_⟨ij⟩ J_ij (1 − δ(s_i, s_j)),    p(s_i = a | neighbours) ∝ exp(Σ_j J_ij δ(a, s_j) / T)

over eight neighbours on a periodic square lattice: J_ij is one number along rows, one along columns, one along
diagonals. Sites that are in every second row and every second column have no bonds among each other: the four
sublattices of such sites are redrawn one after the other, each at once, in an order that is drawn anew for each sweep,
so that no translation or reflection of the lattice changes the law.

How a random number u in [0, 1) chooses a label. Let x_m = exp(J_m / T) be the factor of neighbour m = 0, …, 7, and

    g_m = (x_m − 1) · Π_{m' < m, s_m' = s_m} x_m'

The sum of g_m over the neighbours with label a is exp(Σ J_m / T) − 1: so with Z = q + Σ_m g_m, the number u·Z chooses
neighbour m's label where it lies in m's share g_m of [q, Z), and any label, the present one shifted by ⌊u·Z⌋, where it
lies in [0, q). No label need be counted, and sites are alike for the compiler, which does eight at a time.

Each sublattice is a flat array with a ring of ghosts around it, so that the neighbours of all sites are at fixed
distances: the site in row 2i + a and column 2j + b is in array 2a + b, at (i + 1)·stride + j + 1. A row and a column of
two such sublattices differ in one bit of their numbers. Labels are kept as float32, what the factors are.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numba import njit, prange, types
from numba.extending import intrinsic

ORDERS = np.array(list(permutations(range(4))), np.uint8)
"""The orders in which a sweep may visit the sublattices, uint8[24, 4]."""

LANES = 16
"""Sites that are redrawn together; the number of a sublattice's sites is rounded up to whole lanes."""


@njit(cache=True)
def random_word(key, counter):
    """A word of 64 random bits: a hash of (key, counter), SplitMix64 at that position."""
    z = key + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, inline="always")
def random_number(word, place):
    """A random number in [0, 1], float32 of 31 bits: a hash of (word, place), one half of the word before each round.

    Every operation is on 32 bits, of which a processor does eight at a time; the constants are Ettinger's for
    two rounds (github.com/skeeto/hash-prospector).
    """
    x = np.uint32(place ^ np.uint32(word >> np.uint64(32)))
    x = np.uint32(x ^ np.uint32(x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x21F0AAAD))
    x = np.uint32(x ^ np.uint32(x >> np.uint32(15)))
    x = np.uint32(x + np.uint32(word))
    x = np.uint32(x * np.uint32(0xD35A2D97))
    x = np.uint32(x ^ np.uint32(x >> np.uint32(15)))
    return np.float32(np.int32(x >> np.uint32(1))) * np.float32(2.0**-31)


@intrinsic
def _where(typing_context, condition, yes, no):
    """The one number or the other, without a branch, which would keep the compiler from doing several sites at once."""

    def generate(context, builder, signature, args):
        return builder.select(*args)

    return yes(types.boolean, yes, yes), generate


@njit(cache=True)
def _if_same(a, b, factor):
    """The factor where two labels are the same, else 1."""
    return _where(a == b, factor, type(factor)(1))


@njit(cache=True, inline="always")
def shares(n, x_row, x_column, x_diagonal, q):
    """The upper ends of the shares of [0, Z): q, then one for each of the neighbours n, nine numbers.

    n: eight labels, of left, right, above, below, above left, above right, below left, below right. x: exp(J / T).
    """
    one = type(x_row)(1)
    row, column, diagonal = x_row - one, x_column - one, x_diagonal - one
    e0 = q + row
    e1 = e0 + _if_same(n[1], n[0], x_row) * row
    g2 = _if_same(n[2], n[0], x_row) * _if_same(n[2], n[1], x_row)
    e2 = e1 + g2 * column
    g3 = _if_same(n[3], n[0], x_row) * _if_same(n[3], n[1], x_row) * _if_same(n[3], n[2], x_column)
    e3 = e2 + g3 * column
    g4 = _beside(n, 4, x_row, x_column)
    e4 = e3 + g4 * diagonal
    g5 = _beside(n, 5, x_row, x_column) * _if_same(n[5], n[4], x_diagonal)
    e5 = e4 + g5 * diagonal
    g6 = _beside(n, 6, x_row, x_column) * _if_same(n[6], n[4], x_diagonal) * _if_same(n[6], n[5], x_diagonal)
    e6 = e5 + g6 * diagonal
    g7 = _beside(n, 7, x_row, x_column) * _if_same(n[7], n[4], x_diagonal) * _if_same(n[7], n[5], x_diagonal)
    e7 = e6 + g7 * _if_same(n[7], n[6], x_diagonal) * diagonal
    return q, e0, e1, e2, e3, e4, e5, e6, e7


@njit(cache=True)
def _beside(n, m, x_row, x_column):
    """Π x over the neighbours in row and column that have the label of neighbour m, a diagonal one."""
    rows = _if_same(n[m], n[0], x_row) * _if_same(n[m], n[1], x_row)
    return rows * _if_same(n[m], n[2], x_column) * _if_same(n[m], n[3], x_column)


@njit(cache=True, inline="always")
def chosen(r, label, n, ends):
    """The label that r in [0, Z] chooses, the present one being `label`. n, ends: as in ``shares``."""
    q = ends[0]
    shifted = label + np.floor(r)
    choice = _where(shifted >= q, shifted - q, shifted)
    choice = _where(r >= q, n[0], choice)
    choice = _where(r >= ends[1], n[1], choice)
    choice = _where(r >= ends[2], n[2], choice)
    choice = _where(r >= ends[3], n[3], choice)
    choice = _where(r >= ends[4], n[4], choice)
    choice = _where(r >= ends[5], n[5], choice)
    choice = _where(r >= ends[6], n[6], choice)
    return _where(r >= ends[7], n[7], choice)


@njit(cache=True)
def _around(planes, k, stride, first, count):
    """The labels of the neighbours of `count` sites of sublattice k, eight views in the order of ``shares``."""
    row, column, both = planes[k ^ 1], planes[k ^ 2], planes[k ^ 3]
    up = first + ((k >> 1) - 1) * stride
    down = up + stride
    left, right = (k & 1) - 1, k & 1
    return (
        row[first + left : first + left + count],
        row[first + right : first + right + count],
        column[up : up + count],
        column[down : down + count],
        both[up + left : up + left + count],
        both[up + right : up + right + count],
        both[down + left : down + left + count],
        both[down + right : down + right + count],
    )


@njit(cache=True)
def _redraw(planes, places, k, rows, stride, word, factors, q):
    """Redraw sublattice k by the heat bath. factors: float32[3], exp(J / T) of row, column, diagonal."""
    first = stride + 1
    count = planes.shape[1] - 2 * first
    a, b, c, d, e, f, g, h = _around(planes, k, stride, first, count)
    labels, place = planes[k][first : first + count], places[k][first : first + count]
    x_row, x_column, x_diagonal = factors[0], factors[1], factors[2]
    for s in range(count):
        n = (a[s], b[s], c[s], d[s], e[s], f[s], g[s], h[s])
        ends = shares(n, x_row, x_column, x_diagonal, q)
        labels[s] = chosen(random_number(word, place[s]) * ends[8], labels[s], n, ends)
    _wrap(planes[k], rows, stride)


@njit(cache=True)
def _settle(planes, k, rows, stride, couplings):
    """Set each site of sublattice k to the label of lowest energy: its own if none is lower, else the first one.

    couplings: float64[3], of row, column, diagonal. The first one in the order of ``shares``.
    """
    first = stride + 1
    count = planes.shape[1] - 2 * first
    a, b, c, d, e, f, g, h = _around(planes, k, stride, first, count)
    labels = planes[k][first : first + count]
    for s in range(count):
        n = (a[s], b[s], c[s], d[s], e[s], f[s], g[s], h[s])
        best, most = labels[s], _bound(labels[s], n, couplings)
        for label in n:
            bound = _bound(label, n, couplings)
            if bound > most:
                best, most = label, bound
        labels[s] = best
    _wrap(planes[k], rows, stride)


@njit(cache=True)
def _bound(label, n, couplings):
    """Σ J of a site's bonds to neighbours with that label. Numbers of bonds are counted first, so that ties are."""
    rows = (n[0] == label) + (n[1] == label)
    columns = (n[2] == label) + (n[3] == label)
    diagonals = (n[4] == label) + (n[5] == label) + (n[6] == label) + (n[7] == label)
    return rows * couplings[0] + columns * couplings[1] + diagonals * couplings[2]


@njit(cache=True)
def _wrap(plane, rows, stride):
    """Fill the ghosts of a sublattice from its other ends. Ghosts that were redrawn hold what does not count."""
    width = stride - 2
    for i in range(1, rows + 1):
        plane[i * stride] = plane[i * stride + width]
        plane[i * stride + width + 1] = plane[i * stride + 1]
    for j in range(stride):
        plane[j] = plane[rows * stride + j]
        plane[(rows + 1) * stride + j] = plane[stride + j]


@njit(cache=True)
def _split(labels):
    """The sublattices of labels uint8[H, W]: (float32[4, length], the places i·W + j of sites, rows, stride)."""
    height, width = labels.shape
    rows, stride = height // 2, width // 2 + 2
    count = (rows * stride - 2 + LANES - 1) // LANES * LANES
    planes = np.zeros((4, 2 * (stride + 1) + count), np.float32)
    places = np.zeros(planes.shape, np.uint32)
    for i in range(height):
        for j in range(width):
            k, s = 2 * (i & 1) + (j & 1), (i // 2 + 1) * stride + j // 2 + 1
            planes[k, s] = labels[i, j]
            places[k, s] = i * width + j
    for k in range(4):
        _wrap(planes[k], rows, stride)
    return planes, places, rows, stride


@njit(cache=True)
def _merge(planes, stride, labels):
    """Write the sublattices' sites into labels uint8[H, W]."""
    for i in range(labels.shape[0]):
        row = (i // 2 + 1) * stride + 1
        even, odd = planes[2 * (i & 1)], planes[2 * (i & 1) + 1]
        for j in range(labels.shape[1] // 2):
            labels[i, 2 * j] = np.uint8(even[row + j])
            labels[i, 2 * j + 1] = np.uint8(odd[row + j])


@njit(cache=True)
def _coarsen(frames, couplings, factors, q, key, every):
    """Fill frames uint8[T, H, W] after the first, `every` sweeps apart. factors: all 0 for the limit T → 0."""
    planes, places, rows, stride = _split(frames[0])
    for sweep in range(every * (frames.shape[0] - 1)):
        word = np.uint64(8 * sweep)
        order = ORDERS[random_word(key, word) % np.uint64(24)]
        for visit in range(4):
            if factors[0] == 0:
                _settle(planes, visit, rows, stride, couplings)
            else:
                number = random_word(key, word + np.uint64(visit + 1))
                _redraw(planes, places, order[visit], rows, stride, number, factors, q)
        if (sweep + 1) % every == 0:
            _merge(planes, stride, frames[(sweep + 1) // every])


@njit(cache=True, parallel=True)
def coarsen_all(frames, couplings, factors, q, key, first, every):
    """Fill the frames uint8[n, T, H, W] after the first of n trajectories, each by itself, a thread a trajectory.

    couplings: float64[n, 3]; factors: float32[n, 3].
    """
    for t in prange(frames.shape[0]):
        _coarsen(frames[t], couplings[t], factors[t], q, random_word(key, np.uint64(first + t)), every)
