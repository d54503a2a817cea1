"""Sixteen sites at a time: the two operations of the LCA that touch the whole lattice, as vector code.

Compilers do not find them by themselves in numba's loops (bounds and aliasing get in the way), so they are
written in LLVM's vector type, which LLVM maps to whatever the processor has: an operation on sixteen sites
is one AVX-512 instruction, or four of SSE.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16
"""Sites in a vector."""


@intrinsic
def fma(typing_context, a, b, c):
    """The sum a·b + c, rounded once."""

    def generate(context, builder, signature, args):
        return builder.fma(*args)

    return a(a, a, a), generate


@intrinsic
def diffuse_vector(typing_context, vapour, weight, out, site, stride, factor):
    """Set out[s] = (Σ of the six neighbours of s + weight[s]·vapour[s]) · factor, or 0 where weight[s] <= 0.

    For the LANES sites s that begin at `site`, rows being `stride` apart.
    """

    def generate(context, builder, signature, args):
        *arrays, site, stride, factor = args
        code = _Lanes(context, builder, vapour.dtype)
        vapour_at, weight_at, out_at = (code.data(*pair) for pair in zip(signature.args[:3], arrays, strict=True))
        one = ir.Constant(site.type, 1)
        before, after = builder.sub(site, one), builder.add(site, one)
        up, down = builder.sub(site, stride), builder.add(site, stride)
        pairs = [(builder.sub(up, one), up), (before, after), (down, builder.add(down, one))]
        sums = [builder.fadd(*(code.load(vapour_at, index) for index in pair)) for pair in pairs]
        around = builder.fadd(builder.fadd(sums[0], sums[1]), sums[2])
        weights = code.load(weight_at, site)
        total = code.fma(weights, code.load(vapour_at, site), around)
        code.store(out_at, site, code.where_positive(weights, builder.fmul(total, code.everywhere(factor))))
        return context.get_dummy_value()

    return types.none(vapour, weight, out, types.intp, types.intp, factor), generate


@intrinsic
def shake_vector(typing_context, vapour, site, signs, high, low):
    """Multiply vapour[s] by `high` where its bit of `signs` is set, else by `low`.

    signs: uint16, the lowest bit for the first site.
    """

    def generate(context, builder, signature, args):
        array, site, signs, high, low = args
        code = _Lanes(context, builder, vapour.dtype)
        data = code.data(vapour, array)
        code.store(data, site, builder.fmul(code.load(data, site), code.choose(signs, high, low)))
        return context.get_dummy_value()

    return types.none(vapour, types.intp, signs, high, low), generate


class _Lanes:
    """Vectors of LANES numbers of a numba float type, in LLVM."""

    def __init__(self, context: Any, builder: Any, dtype: Any) -> None:
        self.context, self.builder = context, builder
        self.type = ir.VectorType(context.get_data_type(dtype), LANES)
        self.bytes = dtype.bitwidth // 8
        self.zero = ir.Constant(self.type, [0.0] * LANES)

    def data(self, kind: Any, array: Any) -> Any:
        """The pointer to an array's first element."""
        return self.context.make_array(kind)(self.context, self.builder, array).data

    def _at(self, data: Any, index: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(data, [index]), self.type.as_pointer())

    def load(self, data: Any, index: Any) -> Any:
        return self.builder.load(self._at(data, index), align=self.bytes)

    def store(self, data: Any, index: Any, value: Any) -> None:
        self.builder.store(value, self._at(data, index), align=self.bytes)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        name = f"llvm.fma.v{LANES}f{8 * self.bytes}"
        kind = ir.FunctionType(self.type, [self.type] * 3)
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), [a, b, c])

    def everywhere(self, number: Any) -> Any:
        """The vector with that number in every lane."""
        undefined, first = ir.Constant(self.type, ir.Undefined), ir.Constant(ir.IntType(32), 0)
        single = self.builder.insert_element(undefined, number, first)
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(single, undefined, lanes)

    def choose(self, bits: Any, yes: Any, no: Any) -> Any:
        """The vector with `yes` in the lanes whose bit is set, `no` in the others."""
        mask = self.builder.bitcast(bits, ir.VectorType(ir.IntType(1), LANES))
        return self.builder.select(mask, self.everywhere(yes), self.everywhere(no))

    def where_positive(self, condition: Any, value: Any) -> Any:
        """The vector `value` with 0 in the lanes where the condition is not positive."""
        return self.builder.select(self.builder.fcmp_ordered(">", condition, self.zero), value, self.zero)
