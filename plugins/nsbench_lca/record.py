"""One crystal grown again with its masses, which files of the CGNE authors' layout hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench_lca.formats import Record
from nsbench_lca.kernel import check, stream
from nsbench_lca.layout import layout
from nsbench_lca.rules import advance, memory, random_word, seed_crystal


def record(
    laws: NDArray[np.float64], position: int, *, size: int, seed: int, stop_margin: int, max_steps: int
) -> Record:
    """Grow the crystal that ``kernel.grow`` with `seed` grows at `position`, and keep its masses.

    laws: float64[8], in the order of ``kernel.LAWS``. size: N, sites along an axis of the quadrant.
    """
    check(laws[None], size, stop_margin, max_steps)
    lattice = layout(size, "quadrant", stop_margin)
    compiled, law = memory(lattice), laws.astype(np.float32)
    key = np.uint64(random_word(stream(seed), np.uint64(position)))
    crystal, front = seed_crystal(law[6], compiled)
    arrival = np.full(lattice.length, -1, np.int32)
    arrival[lattice.centre] = 0
    ice, steps, step, stopped = [], [], 0, False
    while step < max_steps and not stopped:
        step += 1
        front, count = advance(crystal, compiled, law, key, step, front)
        if count:
            born = crystal.born[:count]
            arrival[born] = step
            ice.append(lattice.map(crystal.crystal_mass).copy())
            steps.append(step)
            stopped = bool(lattice.stop[born].any())
    fields = (arrival >= 0, crystal.boundary_mass, crystal.crystal_mass, crystal.vapour[step % 2])
    final = np.stack([lattice.map(field).astype(np.float32) for field in fields], axis=-1)
    masses = np.stack(ice) if ice else np.empty((0, size, size), np.float32)
    return Record(lattice.map(arrival).copy(), masses, np.array(steps, np.int32), final)
