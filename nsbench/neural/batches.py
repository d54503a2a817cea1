"""The order of the transitions from which a training starts its sequences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Shuffled:
    """The numbers 0 … size − 1 in epoch after epoch, each time in a new order, a function of the seed."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self.seed = size, seed
        self.epoch, self.order = -1, np.empty(0, np.int64)

    def take(self, first: int, count: int) -> NDArray[np.int64]:
        """The numbers at places first … first + count − 1 of the endless sequence, int64[count]."""
        taken = []
        while count > 0:
            epoch, place = divmod(first, self.size)
            part = self._shuffle(epoch)[place : place + count]
            taken.append(part)
            first, count = first + len(part), count - len(part)
        return np.concatenate(taken)

    def _shuffle(self, epoch: int) -> NDArray[np.int64]:
        if epoch != self.epoch:
            # The last number keeps these draws apart from those of the iterations, (seed, iteration).
            self.order = np.random.default_rng([self.seed, epoch, 1]).permutation(self.size)
            self.epoch = epoch
        return self.order
