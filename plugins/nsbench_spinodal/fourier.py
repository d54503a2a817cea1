"""The Fourier transform of real fields on periodic axes, eight trajectories at a time, as vector code.

A transform along an axis of n sites gives n real numbers in "half-complex" order,

    X_k = Σ_x f_x e^(−2πikx/n):   Re X_0, …, Re X_{n/2}, Im X_{n/2−1}, …, Im X_1,

and `backward` gives n·f from them. Place j belongs to the wave number min(j, n − j), on both axes of a plane: an
operator whose symbol depends on |k_y| and |k_x| alone multiplies each of the real numbers, and white noise has
independent ones. The plane thus needs no complex numbers and no Hermitian symmetry.

Transforms are written out for each n, without a loop, in LLVM's vector type: one operation is done for eight
trajectories at once, and no trajectory's result depends on its neighbours'. Halves are split off while n is even
(Cooley & Tukey 1965), and what is left is summed as it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8
"""Trajectories in a vector."""

_FLOATS = ir.VectorType(ir.FloatType(), LANES)

Values = list[Any]
"""Vectors, as LLVM knows them."""


@intrinsic(prefer_literal=True)
def forward(typing_context, n, source, begin, step, target, to, apart):
    """Transform the n vectors at begin, begin + step, … (in floats) of `source` into those at to, to + apart, …"""
    return _transform(_forward, n, source, begin, step, target, to, apart)


@intrinsic(prefer_literal=True)
def backward(typing_context, n, source, begin, step, target, to, apart):
    """Undo `forward`, but for a factor n; the arguments are the same."""
    return _transform(_backward, n, source, begin, step, target, to, apart)


def _transform(rule: Callable[[_Lanes, Values], Values], n: Any, *rest: Any) -> Any:
    if not isinstance(n, types.IntegerLiteral):
        return None

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = _Lanes(builder)
        _, source, begin, step, target, to, apart = args
        read, write = (
            context.make_array(kind)(context, builder, array).data
            for kind, array in ((signature.args[1], source), (signature.args[4], target))
        )
        values = rule(code, [code.load(read, code.place(begin, step, k)) for k in range(n.literal_value)])
        for k, value in enumerate(values):
            code.store(write, code.place(to, apart, k), value)
        return context.get_dummy_value()

    source, _, _, target, _, _ = rest
    places = types.intp, types.intp
    return types.none(n, source, *places, target, *places), generate


def _forward(code: _Lanes, f: Values) -> Values:
    n, m = len(f), len(f) // 2
    if n % 2:
        return _summed_forward(code, f)
    even, odd = _forward(code, f[::2]), _forward(code, f[1::2])
    result = [None] * n
    result[0], result[m] = code.add(even[0], odd[0]), code.sub(even[0], odd[0])
    for k in range(1, (m + 1) // 2):
        real, imaginary = code.turned(odd[k], odd[m - k], -2 * pi * k / n)
        result[k], result[n - k] = code.add(even[k], real), code.add(even[m - k], imaginary)
        result[m - k], result[m + k] = code.sub(even[k], real), code.sub(imaginary, even[m - k])
    if m % 2 == 0:
        result[m // 2], result[n - m // 2] = even[m // 2], code.negative(odd[m // 2])
    return result


def _backward(code: _Lanes, spectrum: Values) -> Values:
    n, m = len(spectrum), len(spectrum) // 2
    if n % 2:
        return _summed_backward(code, spectrum)
    even, odd = [None] * m, [None] * m
    even[0], odd[0] = code.add(spectrum[0], spectrum[m]), code.sub(spectrum[0], spectrum[m])
    for k in range(1, (m + 1) // 2):
        a, b, c, d = spectrum[k], spectrum[n - k], spectrum[m - k], spectrum[m + k]
        even[k], even[m - k] = code.add(a, c), code.sub(b, d)
        odd[k], odd[m - k] = code.turned(code.sub(a, c), code.add(b, d), 2 * pi * k / n)
    if m % 2 == 0:
        even[m // 2] = code.scaled(2.0, spectrum[m // 2])
        odd[m // 2] = code.scaled(-2.0, spectrum[n - m // 2])
    result = [None] * n
    result[::2], result[1::2] = _backward(code, even), _backward(code, odd)
    return result


def _summed_forward(code: _Lanes, f: Values) -> Values:
    n = len(f)
    result = [code.combined([1.0] * n, f)]
    result += [code.combined([cos(2 * pi * k * x / n) for x in range(n)], f) for k in range(1, n // 2 + 1)]
    result += [code.combined([-sin(2 * pi * k * x / n) for x in range(n)], f) for k in range(n // 2, 0, -1)]
    return result


def _summed_backward(code: _Lanes, spectrum: Values) -> Values:
    n = len(spectrum)
    waves = range(1, n // 2 + 1)
    return [
        code.combined(
            [1.0, *(2 * cos(2 * pi * k * x / n) for k in waves), *(-2 * sin(2 * pi * k * x / n) for k in waves[::-1])],
            spectrum,
        )
        for x in range(n)
    ]


class _Lanes:
    """Arithmetic on vectors of LANES single-precision numbers, in LLVM."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder
        self.add, self.sub = builder.fadd, builder.fsub

    def place(self, begin: Any, step: Any, k: int) -> Any:
        return self.builder.add(begin, self.builder.mul(step, ir.Constant(step.type, k)))

    def load(self, data: Any, index: Any) -> Any:
        return self.builder.load(self._at(data, index), align=4)

    def store(self, data: Any, index: Any, value: Any) -> None:
        self.builder.store(value, self._at(data, index), align=4)

    def _at(self, data: Any, index: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(data, [index]), _FLOATS.as_pointer())

    def negative(self, value: Any) -> Any:
        return self.sub(ir.Constant(_FLOATS, [-0.0] * LANES), value)

    def scaled(self, factor: float, value: Any) -> Any:
        return self.builder.fmul(self._everywhere(factor), value)

    def fma(self, factor: float, value: Any, added: Any) -> Any:
        kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.fma.v{LANES}f32")
        return self.builder.call(function, [self._everywhere(factor), value, added])

    def turned(self, real: Any, imaginary: Any, angle: float) -> tuple[Any, Any]:
        """The product of a complex number with e^(i·angle)."""
        c, s = cos(angle), sin(angle)
        return (
            self.fma(c, real, self.scaled(-s, imaginary)),
            self.fma(s, real, self.scaled(c, imaginary)),
        )

    def combined(self, factors: list[float], values: Values) -> Any:
        """The sum Σ factor · value."""
        total = self.scaled(factors[0], values[0])
        for factor, value in zip(factors[1:], values[1:], strict=True):
            total = self.fma(factor, value, total)
        return total

    def _everywhere(self, number: float) -> Any:
        single = float(np.float32(number))
        return ir.Constant(_FLOATS, [single] * LANES)
