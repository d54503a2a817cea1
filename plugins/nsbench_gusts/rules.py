"""The rules of growth in gusts of wind, compiled: see ``nsbench_gusts.law``.

A lattice is one flat array with a rim of one site, so that neighbours are at fixed distances. The front is a list of
the unattached sites beside a cluster, kept from step to step; nothing else is looked at, and neighbours' masks change
when something attaches.

A random number is a hash of (seed, trajectory, step, place): the same for any number of threads, and in any parts. The
place of the wind is 0, which is beyond the lattice.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from nsbench_gusts.law import DIRECTIONS, WINDS

CLOSED = np.uint8(64)
"""The bit of a mask that says that the site is attached, or beyond the lattice."""

HALF = np.log(2.0)
"""The load with which a site is ripe: −log of a chance of ½ to stay unattached."""


class Cluster(NamedTuple):
    """The state of a system while it grows: flat arrays [(size + 2)²], the site (i, j) at (i + 1)·stride + j + 1.

    masks        uint8: attached neighbours, and CLOSED.
    front, born  uint32[.]: places of the front's sites, and of those that attach in a step.
    arrival      int32: the step in which a site attached, −1 while it has not.
    distances    int64[6], to the neighbours in DIRECTIONS.
    """

    masks: NDArray[np.uint8]
    front: NDArray[np.uint32]
    born: NDArray[np.uint32]
    arrival: NDArray[np.int32]
    distances: NDArray[np.int64]
    stride: int


@njit(cache=True)
def random_word(key, counter):
    """The 64 random bits at a position: SplitMix64 (Steele, Lea & Flood 2014) as a counter's hash."""
    z = key + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def below(word, count):
    """A whole number in [0, count) from 32 of 64 random bits, each as likely as the others to count · 2⁻³²."""
    return np.int64(((word >> np.uint64(32)) * np.uint64(count)) >> np.uint64(32))


@njit(cache=True)
def between(word, low, high):
    """A whole number in [low, high] from a random word."""
    return low + below(word, high - low + 1)


@njit(cache=True)
def empty_lattice(size):
    """A lattice on which nothing is attached."""
    stride = size + 2
    masks = np.zeros(stride * stride, np.uint8)
    for p in range(stride):
        masks[p] = masks[(stride - 1) * stride + p] = masks[p * stride] = masks[p * stride + stride - 1] = CLOSED
    front, born = np.empty(stride * stride, np.uint32), np.empty(stride * stride, np.uint32)
    distances = np.empty(6, np.int64)
    for k in range(6):
        distances[k] = DIRECTIONS[k][0] * stride + DIRECTIONS[k][1]
    return Cluster(masks, front, born, np.full(stride * stride, -1, np.int32), distances, stride)


@njit(cache=True)
def attach(cluster, count, step, front_size):
    """Attach the sites in ``born``, which are not in the front; return the size of the front with its new sites."""
    masks, front, born, distances = cluster.masks, cluster.front, cluster.born, cluster.distances
    for g in range(count):
        masks[born[g]] |= CLOSED
        cluster.arrival[born[g]] = step
    for g in range(count):
        s = born[g]
        for k in range(6):
            r = np.uint32(s + distances[k])
            front[front_size] = r
            front_size += masks[r] == 0
            masks[r] |= np.uint8(1 << (k + 3) % 6)
    return front_size


@njit(cache=True)
def draw(cluster, thresholds, key, front_size):
    """Draw which sites of the front attach; return (front sites left, sites that attach, these being in ``born``).

    thresholds: uint64[masks], the chances to attach in units of 2⁻⁵³. key: of the step.
    """
    masks, front, born = cluster.masks, cluster.front, cluster.born
    kept = count = 0
    for f in range(front_size):
        s = front[f]
        attaches = random_word(key, np.uint64(s)) >> np.uint64(11) < thresholds[masks[s]]
        born[count] = s
        front[kept] = s
        count += attaches
        kept += not attaches
    return kept, count


@njit(cache=True)
def ripen(cluster, loads, ripeness, front_size):
    """Attach what is ripe, as ``draw`` does by chance.

    loads: float64[masks], −log of the chance to stay unattached for a step; ripeness: their sum for each site so far.
    """
    masks, front, born = cluster.masks, cluster.front, cluster.born
    kept = count = 0
    for f in range(front_size):
        s = front[f]
        ripeness[s] += loads[masks[s]]
        if ripeness[s] >= HALF:
            born[count] = s
            count += 1
        else:
            front[kept] = s
            kept += 1
    return kept, count


@njit(cache=True)
def plant(cluster, attached):
    """Attach the sites of a start, bool[size, size], in step 0, and return the size of the front."""
    count, born = 0, cluster.born
    for i in range(attached.shape[0]):
        for j in range(attached.shape[1]):
            if attached[i, j]:
                born[count] = (i + 1) * cluster.stride + j + 1
                count += 1
    return attach(cluster, count, 0, 0)


@njit(cache=True)
def copy_map(cluster, arrival):
    """Copy the steps in which sites attached into a map [size, size]."""
    for i in range(arrival.shape[0]):
        first = (i + 1) * cluster.stride + 1
        arrival[i] = cluster.arrival[first : first + arrival.shape[1]]


@njit(cache=True)
def grow_one(attached, chances, situation, key, steps, arrival):
    """Grow a start, bool[size, size], in gusts of wind for a number of steps into `arrival`, int32[size, size].

    chances: uint64[situations], to attach, in units of 2⁻⁵³. situation: uint8[winds, masks].
    """
    cluster = empty_lattice(attached.shape[0])
    front_size = plant(cluster, attached)
    thresholds = chances[situation.ravel()].reshape(situation.shape)
    for step in range(1, steps + 1):
        own = random_word(key, np.uint64(step))
        wind = below(random_word(own, np.uint64(0)), WINDS)
        front_size, count = draw(cluster, thresholds[wind], own, front_size)
        front_size = attach(cluster, count, step, front_size)
    copy_map(cluster, arrival)


@njit(cache=True, parallel=True)
def grow_all(attached, chances, situation, key, first, steps, arrival):
    """Grow each start, bool[n, size, size], into `arrival`, int32[n, size, size]; a thread takes some of them each."""
    for k in prange(len(attached)):
        own = random_word(key, np.uint64(first + k))
        grow_one(attached[k], chances[k], situation, own, steps, arrival[k])


@njit(cache=True, parallel=True)
def ripen_all(attached, loads, steps, arrival):
    """Grow each start without noise, as ``grow_all`` does in gusts. loads: float64[n, masks]."""
    for k in prange(len(attached)):
        cluster = empty_lattice(attached.shape[1])
        front_size = plant(cluster, attached[k])
        ripeness = np.zeros(len(cluster.masks))
        for step in range(1, steps + 1):
            front_size, count = ripen(cluster, loads[k], ripeness, front_size)
            front_size = attach(cluster, count, step, front_size)
        copy_map(cluster, arrival[k])


@njit(cache=True)
def start_one(key, clusters, age, thresholds, attached):
    """Draw a start into bool[size, size].

    Seeds fall one after another at random places of the lattice's inner hexagon, that is at most a sixth of its side
    from the centre; after each of them all clusters grow for a random number of steps without wind, with chances to
    attach of thresholds, uint64[masks].
    """
    size = attached.shape[0]
    reach, cluster = size // 6, empty_lattice(size)
    front_size = step = 0
    for c in range(between(random_word(key, np.uint64(0)), clusters[0], clusters[1])):
        seed = random_word(key, np.uint64(1 + c))
        front_size = drop(cluster, seed, size // 2, reach, front_size)
        for _ in range(between(random_word(seed, np.uint64(0)), age[0], age[1])):
            step += 1
            front_size, count = draw(cluster, thresholds, random_word(seed, np.uint64(step)), front_size)
            front_size = attach(cluster, count, step, front_size)
    for i in range(size):
        for j in range(size):
            attached[i, j] = cluster.arrival[(i + 1) * cluster.stride + j + 1] >= 0


@njit(cache=True)
def drop(cluster, key, centre, reach, front_size):
    """Attach a seed at a random site at most `reach` steps from the centre; return the size of the front.

    A place that is taken holds no other seed.
    """
    i = j = reach + 1
    draws = np.uint64(1) << np.uint64(32)  # beyond the counters of the steps that follow
    while max(abs(i), abs(j), abs(i - j)) > reach:
        word = random_word(key, draws)
        i = below(word, 2 * reach + 1) - reach
        j = below(word << np.uint64(32), 2 * reach + 1) - reach
        draws += np.uint64(1)
    s = (centre + i + 1) * cluster.stride + centre + j + 1
    if cluster.masks[s] & CLOSED:
        return front_size
    kept = 0
    for f in range(front_size):
        if cluster.front[f] != s:
            cluster.front[kept] = cluster.front[f]
            kept += 1
    cluster.born[0] = s
    return attach(cluster, 1, 0, kept)


@njit(cache=True, parallel=True)
def start_all(key, places, clusters, age, thresholds, attached):
    """Draw the starts number `places`, int64[n], into bool[n, size, size]."""
    for k in prange(len(places)):
        start_one(random_word(key, np.uint64(places[k])), clusters, age, thresholds, attached[k])
