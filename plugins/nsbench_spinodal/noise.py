"""Gaussian numbers by position: a hash of (trajectory's key, counter), without a state.

SplitMix64 (Steele, Lea & Flood 2014) as a counter's hash gives 64 bits, which Box & Muller (1958) turn into two
Gaussian numbers,

    √(−2 ln u) · (cos 2πv, sin 2πv),   u in (0, 1], v in [−½, ½).

Logarithm and sine are polynomials, good to single precision: a compiler makes vector code of them.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""The distance of neighbouring positions: that of a key's counter k is key + (k + 1) · GOLDEN."""

_UNIT, _HALF_TURN = np.float32(2.0**-31), np.float32(np.pi * 2.0**-32)
_HALF, _ONE, _TWO, _LN_2 = np.float32(0.5), np.float32(1), np.float32(2), np.float32(np.log(2))
_ROOT_HALF, _MANTISSA, _EXPONENT = np.int32(0x3F3504F3), np.int32(0x7FFFFF), np.int32(23)
_L = tuple(
    np.float32(a)
    for a in (
        3.3333331174e-1, -2.4999993993e-1, 2.0000714765e-1, -1.6668057665e-1, 1.4249322787e-1, -1.2420140846e-1,
        1.1676998740e-1, -1.1514610310e-1, 7.0376836292e-2,
    )
)  # fmt: skip
_S = tuple(np.float32(a) for a in (-1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800))
_C = tuple(np.float32(a) for a in (-1 / 2, 1 / 24, -1 / 720, 1 / 40320, -1 / 3628800, 1 / 479001600))


@njit(cache=True, fastmath={"contract"})
def random_word(position: np.uint64) -> np.uint64:
    """The 64 random bits of a position."""
    z = (position ^ (position >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, fastmath={"contract"})
def logarithm(u: np.float32) -> np.float32:
    """ln u for 0 < u <= 1: the exponent's, and the polynomial of Cephes (Moshier 1992) on [√½, √2)."""
    bits = np.int32(np.float32(u).view(np.int32) - _ROOT_HALF)
    exponent = np.float32(np.int32(bits >> _EXPONENT))
    x = np.int32((bits & _MANTISSA) + _ROOT_HALF).view(np.float32) - _ONE
    tail = _L[6] + x * (_L[7] + x * _L[8])
    tail = _L[3] + x * (_L[4] + x * (_L[5] + x * tail))
    tail = _L[0] + x * (_L[1] + x * (_L[2] + x * tail))
    return x * x * (x * tail - _HALF) + x + exponent * _LN_2


@njit(cache=True, fastmath={"contract"})
def sine_and_cosine(angle: np.float32) -> tuple[np.float32, np.float32]:
    """(sin 2a, cos 2a) for −π/2 <= a <= π/2."""
    z = angle * angle
    s = angle + angle * z * (_S[0] + z * (_S[1] + z * (_S[2] + z * (_S[3] + z * _S[4]))))
    c = _ONE + z * (_C[0] + z * (_C[1] + z * (_C[2] + z * (_C[3] + z * (_C[4] + z * _C[5])))))
    return _TWO * s * c, _ONE - _TWO * s * s


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def draw(positions: NDArray[np.uint64], shift: np.uint64, gaussian: NDArray[np.float32]) -> None:
    """Fill `gaussian`, float32[2m], with independent standard normal numbers: a pair k, m + k for each position.

    positions: uint64[m]; shift: what is added to all of them.
    """
    count = positions.size
    first, second = gaussian[:count], gaussian[count:]
    radius_bits, angle_bits = first.view(np.int32), second.view(np.int32)
    for k in range(count):
        word = random_word(positions[k] + shift)
        radius_bits[k] = word >> np.uint64(33)
        angle_bits[k] = word & np.uint64(0xFFFFFFFF)
    for k in range(count):
        radius = np.sqrt(-_TWO * logarithm(np.float32(radius_bits[k]) * _UNIT + _HALF * _UNIT))
        sine, cosine = sine_and_cosine(np.float32(angle_bits[k]) * _HALF_TURN)
        first[k] = radius * cosine
        second[k] = radius * sine
