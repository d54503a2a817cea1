"""The rules of ``nsbench_lca.rules`` on a GPU: a block of threads a crystal, from its seed to its last step.

numba.cuda rather than Triton: the rules are scattered work on single sites with barriers between, not products
of tiles; the random numbers are the very function that the CPU compiles; and numba's simulator runs the kernel
where there is no GPU. Vapour and weights lie in shared memory where they fit (up to N = 64 in float32), the
masses, which only the front touches, in global memory.

The numbers are those of the CPU bit for bit: the same counters make the random signs, sums have the same order,
and where a product is added to, both round once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda, from_dtype, int8
from numpy.typing import NDArray

from nsbench.components.component import Unavailable
from nsbench_lca import rules
from nsbench_lca.layout import GHOST, RESERVOIR, Layout
from nsbench_lca.vectors import LANES

THREADS = 256
"""Threads of a block; their number changes no result."""

SHARED_BYTES = 48 * 1024
"""The bytes of shared memory that every CUDA device grants a block without being told to grant more."""

SCRATCH_BYTES = 2**30
"""The bytes of global memory for crystals that grow at the same time."""

random_word = cuda.jit(device=True)(rules.random_word.py_func)
mirrored_site = cuda.jit(device=True)(rules.mirrored_site.py_func)


def grow_all(
    laws: NDArray[np.floating],
    key: np.uint64,
    first: int,
    lattice: Layout,
    max_steps: int,
    arrival: NDArray[np.int32],
    steps: NDArray[np.int32],
) -> None:
    """Grow a crystal for each row of `laws`, float[n, 8], into `arrival` and `steps`.

    Raises Unavailable where numba finds no CUDA device.
    """
    if not cuda.is_available():
        raise Unavailable("numba finds no CUDA device: pip install 'nsbench[cuda]', or set compute.device to cpu")
    bytes_each = lattice.length * (4 * laws.itemsize + 2) + arrival[:1].nbytes
    at_once = max(1, SCRATCH_BYTES // bytes_each)
    weight, stop = cuda.to_device(lattice.weight), cuda.to_device(lattice.stop)
    for k in range(0, len(laws), at_once):
        rows = slice(k, k + at_once)
        grown, taken = cuda.to_device(arrival[rows]), cuda.to_device(steps[rows])
        _launch(cuda.to_device(laws[rows]), key, first + k, lattice, weight, stop, max_steps, grown, taken)
        grown.copy_to_host(arrival[rows])
        taken.copy_to_host(steps[rows])


def _launch(laws, key, first, lattice, weight, stop, max_steps, arrival, steps):
    """Start the kernel that suits the lattice's size, a block a crystal."""
    n, length, dtype = len(laws), lattice.length, laws.dtype
    masses = cuda.to_device(np.zeros((n, 2, length), dtype))
    marks = cuda.to_device(np.zeros((n, length), np.int8))
    shape = (lattice.stride, lattice.top, lattice.centre)
    shared = length * (2 * dtype.itemsize + 1)
    if shared <= SHARED_BYTES:
        kernel = _in_shared_memory(dtype.name)
        kernel[n, THREADS, 0, shared](laws, key, first, shape, weight, stop, max_steps, masses, marks, arrival, steps)
    else:
        vapour, weights = cuda.device_array((n, 2 * length), dtype), cuda.device_array((n, length), np.int8)
        _in_global_memory[n, THREADS](
            laws, key, first, shape, weight, stop, max_steps, masses, marks, arrival, steps, vapour, weights
        )


_compiled: dict[str, Any] = {}


def _in_shared_memory(dtype):
    """The kernel for lattices that fit into shared memory. Dynamic shared memory is [vapour, vapour, weight]."""
    if dtype in _compiled:
        return _compiled[dtype]
    kind, size = from_dtype(np.dtype(dtype)), np.dtype(dtype).itemsize

    @cuda.jit
    def kernel(laws, key, first, shape, weight, stop, max_steps, masses, marks, arrival, steps):
        k, length = cuda.blockIdx.x, weight.size
        vapour = cuda.shared.array(0, kind)[: 2 * length]
        weights = cuda.shared.array(0, int8)[2 * length * size : 2 * length * size + length]
        crystal_key = random_word(key, np.uint64(first + k))
        taken = grow_one(
            laws[k], crystal_key, shape, weight, stop, max_steps, masses[k], marks[k], arrival[k], vapour, weights
        )
        if cuda.threadIdx.x == 0:
            steps[k] = taken

    _compiled[dtype] = kernel
    return kernel


@cuda.jit
def _in_global_memory(laws, key, first, shape, weight, stop, max_steps, masses, marks, arrival, steps, vapour, weights):
    """The kernel for lattices that do not fit into shared memory."""
    k = cuda.blockIdx.x
    crystal_key = random_word(key, np.uint64(first + k))
    taken = grow_one(
        laws[k], crystal_key, shape, weight, stop, max_steps, masses[k], marks[k], arrival[k], vapour[k], weights[k]
    )
    if cuda.threadIdx.x == 0:
        steps[k] = taken


@cuda.jit(device=True)
def grow_one(law, key, shape, template, stop, max_steps, masses, marks, arrival, vapour, weight):
    """Grow a crystal into `arrival`; return its steps. All threads of a block work together.

    masses: [2, length], boundary and crystal mass; marks: int8[length], sites that attach in a step.
    vapour: [2·length], both buffers; weight: int8[length].
    """
    stride, top, centre = shape
    length = weight.size
    for s in range(cuda.threadIdx.x, length, cuda.blockDim.x):
        weight[s] = template[s]
        vapour[s] = vapour[length + s] = law[6]
        marks[s] = 1 if s == centre else 0
        masses[0, s] = 0
        masses[1, s] = 1 if s == centre else 0
    cuda.syncthreads()
    attach(weight, marks, vapour, stop, stride, top, 0, arrival)
    for step in range(1, max_steps + 1):
        before, after = length * (1 - step % 2), length * (step % 2)
        mirror(vapour, before, weight, stride)
        cuda.syncthreads()
        diffuse(vapour, before, after, weight, stride)
        cuda.syncthreads()
        attaching = react(vapour, after, weight, masses, marks, stride, law)
        reached = 0
        if cuda.syncthreads_or(attaching):
            reached = attach(weight, marks, vapour, stop, stride, top, step, arrival)
        if law[7] > 0:
            shake(vapour, after, weight, law[7], key, step)
        cuda.syncthreads()
        if reached:
            return step
    return max_steps


@cuda.jit(device=True)
def mirror(vapour, at, weight, stride):
    """Fill the ghosts of the buffer at `at` from the sites that they mirror."""
    for s in range(cuda.threadIdx.x, weight.size, cuda.blockDim.x):
        if weight[s] == GHOST:
            vapour[at + s] = vapour[at + mirrored_site(stride, s)]


@cuda.jit(device=True)
def diffuse(vapour, before, after, weight, stride):
    """Diffuse the buffer at `before` into the one at `after`: (Σ of the six neighbours + (k + 1)·vapour) / 7."""
    for s in range(cuda.threadIdx.x, weight.size, cuda.blockDim.x):
        if weight[s] > 0:
            here = before + s
            up, down = here - stride, here + stride
            around = (vapour[up - 1] + vapour[up]) + (vapour[here - 1] + vapour[here + 1])
            around = around + (vapour[down] + vapour[down + 1])
            kind = vapour.dtype.type
            vapour[after + s] = cuda.fma(kind(weight[s]), vapour[here], around) * kind(1 / 7)


@cuda.jit(device=True)
def react(vapour, at, weight, masses, marks, stride, law):
    """Freeze, attach and melt on the front: mark the sites that attach, return whether this thread has one."""
    alpha, beta, gamma, theta, kappa, mu = law[0], law[1], law[2], law[3], law[4], law[5]
    one = vapour.dtype.type(1)
    attaching = 0
    for s in range(cuda.threadIdx.x, weight.size, cuda.blockDim.x):
        k = weight[s] - 1
        if k < 1:
            continue
        density = vapour[at + s]
        b = cuda.fma(one - kappa, density, masses[0, s])
        c = cuda.fma(kappa, density, masses[1, s])
        if k >= 4:
            attaches = True
        elif k == 3:
            attaches = b >= one or (b >= alpha and vapour_around(vapour, at, weight, stride, s) < theta)
        else:
            attaches = b >= beta
        if attaches:
            masses[0, s], masses[1, s] = 0, c + b
            marks[s] = attaching = 1
        else:
            vapour[at + s] = cuda.fma(mu, b, gamma * c)
            masses[0, s], masses[1, s] = cuda.fma(-mu, b, b), cuda.fma(-gamma, c, c)
    return attaching


@cuda.jit(device=True)
def vapour_around(vapour, at, weight, stride, s):
    """Σ of a site's neighbours' vapour after freezing: front and attached sites hold none."""
    total = vapour[at + s] * 0
    for distance in (-stride - 1, -stride, -1, 1, stride, stride + 1):
        r = s + distance
        if weight[r] == GHOST:
            r = mirrored_site(stride, r)
        if weight[r] == 1 or weight[r] == RESERVOIR:
            total += vapour[at + r]
    return total


@cuda.jit(device=True)
def attach(weight, marks, vapour, stop, stride, top, step, arrival):
    """Attach the marked sites; return to all threads alike whether one of them ends growth."""
    length = weight.size
    for s in range(cuda.threadIdx.x, length, cuda.blockDim.x):
        if weight[s] > 0 and marks[s] == 0:
            for distance in (-stride - 1, -stride, -1, 1, stride, stride + 1):
                r = s + distance
                if weight[r] == GHOST:
                    r = mirrored_site(stride, r)
                weight[s] += marks[r]
    cuda.syncthreads()
    reached = 0
    for s in range(cuda.threadIdx.x, length, cuda.blockDim.x):
        if marks[s]:
            marks[s] = weight[s] = 0
            vapour[s] = vapour[length + s] = 0
            arrival[s // stride - top, s % stride - LANES] = step
            reached |= stop[s]
    return cuda.syncthreads_or(reached)


@cuda.jit(device=True)
def shake(vapour, at, weight, sigma, key, step):
    """Multiply the vapour of all free sites by 1 ± σ, by the bits that the CPU draws for them."""
    one, words = vapour.dtype.type(1), (weight.size + 63) // 64
    for s in range(cuda.threadIdx.x, weight.size, cuda.blockDim.x):
        if weight[s] > 0:
            bits = random_word(key, np.uint64(step * words + s // 64))
            up = (bits >> np.uint64(s % 64)) & np.uint64(1)
            vapour[at + s] *= one + sigma if up else one - sigma
