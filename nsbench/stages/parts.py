"""The parts of evidence that is being made: batches that one sitting finished, kept in the work folder for the next.

A part is a file `<series>-<number of its first batch>.h5` with a checksum at its end. It holds consecutive batches of a
series, such as rollouts, and the state of the generator after them, so that what follows has the same bits in any
number of sittings. None is written for work that is over soon.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nsbench.stages.costs import Postponed
from nsbench.stages.keeper import Batch, Keeper
from nsbench.store.checked import set_file_aside, verify_checked, whole_checked
from nsbench.store.files import make_folder
from nsbench.store.manifest import Damaged
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.kinds import trajectories_of
from nsbench.trajectories.stored import LARGE_BYTES, Place, StoredFields, in_files

SECONDS = 30.0
"""Seconds of work after which a part is written."""

WRITING_SHARE = 0.05
"""The largest share of the time that goes into writing: after a part that took long, the next is written later."""

if TYPE_CHECKING:
    import h5py

State = dict[str, Any]
"""The state of a generator, as JSON knows it."""


@dataclass
class _Series:
    """How far a series is. first: the first batch that no part holds. state: the generator after the last batch."""

    first: int
    state: State | None = None


class Parts(Keeper):
    """The keeper of batches in the parts of a folder, around the work that they come from.

    domain: that of all trajectories. made_on: what must be equal here and where a part was made, or it is made again.
    hold: called before a part is written; raises if it must not be. stopping: whether the run is to end. notify: called
    with a message for every part that is not used.
    """

    def __init__(
        self,
        folder: Path,
        domain: Domain,
        made_on: Mapping[str, str],
        hold: Callable[[], None],
        stopping: Callable[[], bool],
        notify: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._folder, self._domain, self._made_on = folder, domain, dict(made_on)
        self._hold, self._stopping, self._notify = hold, stopping, notify
        self._series: dict[str, _Series] = {}
        self._dense_bytes = 0  # of the dense fields that no part holds
        self._due = time.monotonic() + SECONDS

    def earlier(self, series: str, rng: np.random.Generator | None = None) -> int:
        batches: list[Batch] = []
        state: State | None = None
        while (path := self._path(series, len(batches))).exists() and (part := self._read(path)):
            more, state = part
            batches += more
        if rng is not None and state is not None:
            _restore(rng, state)
        self._batches[series], self._series[series] = batches, _Series(len(batches))
        return len(batches)

    def keep(self, series: str, batch: Batch, rng: np.random.Generator | None = None, *, more: bool) -> None:
        """Take the next batch of a series; what is in no part yet is written when it is time, or large.

        Raises KeyboardInterrupt where the run is to end and more batches follow.
        """
        super().keep(series, batch, rng, more=more)
        self._series[series].state = None if rng is None else _state(rng)
        self._dense_bytes += sum(fields.values.nbytes for fields in _dense(batch))
        if more and self._stopping():
            raise KeyboardInterrupt
        if time.monotonic() >= self._due or self._dense_bytes > LARGE_BYTES:
            self._write_all()

    def batches(self, series: str) -> list[Batch]:
        """All batches of a series; where some dense fields lie in parts, all do."""
        batches = self._batches[series]
        if any(in_files(fields.values) is not None for batch in batches for fields in _dense(batch)):
            self._write_all()
        return batches

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what is in no part yet, if the work within was stopped, or its costs are postponed."""
        if kind is not None and issubclass(kind, KeyboardInterrupt | Postponed):
            self._write_all()

    def _write_all(self) -> None:
        unwritten = [name for name, series in self._series.items() if len(self._batches[name]) > series.first]
        if not unwritten:
            return
        import h5py

        self._hold()
        before = time.monotonic()
        for name in unwritten:
            series, batches = self._series[name], self._batches[name]
            path, new = self._path(name, series.first), batches[series.first :]
            self._write_in_spite_of_others(path, new, series.state)
            if any(map(_dense, new)):
                with h5py.File(path, "r", locking=False) as file:
                    batches[series.first :] = self._stored(path, file)
            series.first = len(batches)
        self._dense_bytes = 0
        now = time.monotonic()
        self._due = now + max(SECONDS, (now - before) / WRITING_SHARE)

    def _write_in_spite_of_others(self, path: Path, batches: list[Batch], state: State | None) -> None:
        """Write a part; again, if another process, which no lock holds back, has just removed the folder.

        HDF5 does not say that a file is gone, so that every error of the disk has two more tries.
        """
        for _ in range(2):
            with suppress(OSError):
                make_folder(self._folder)
                self._write(path, batches, state)
                return
        self._write(path, batches, state)

    def _path(self, series: str, first: int) -> Path:
        return self._folder / f"{series}-{first:06d}.h5"

    def _write(self, path: Path, batches: list[Batch], state: State | None) -> None:
        import h5py

        facts = {"made on": self._made_on, "state": state}
        with whole_checked(path) as draft, h5py.File(draft, "x", locking=False) as file:
            file.attrs["facts"] = json.dumps(facts)
            for k, batch in enumerate(batches):
                for name, value in batch.items():
                    arrays = value.arrays() if isinstance(value, Trajectories) else {"": value}
                    for inner, array in arrays.items():
                        _put(file, f"{k}/{name}/{inner}".rstrip("/"), np.asarray(array))

    def _read(self, path: Path) -> tuple[list[Batch], State | None] | None:
        """The batches of a part, and the state after them; None for a part that is of no use here."""
        import h5py

        try:
            verify_checked(path)
            file = h5py.File(path, "r", locking=False)
        except FileNotFoundError:
            return None  # another process, which no lock held back, has just finished the evidence
        except Damaged as damage:
            self._notify(f"{damage}; moved to {set_file_aside(path).name}, the part is made again")
            return None
        with file:
            facts = json.loads(file.attrs["facts"])
            if facts["made on"] != self._made_on:
                there, here = _in_words(facts["made on"]), _in_words(self._made_on)
                self._notify(
                    f"{path} was made on {there}, this is {here}: the part is made again, for times and last bits"
                )
                return None
            return self._stored(path, file), facts["state"]

    def _stored(self, path: Path, file: h5py.File) -> list[Batch]:
        """The batches in a part's file, in which dense fields stay."""
        groups = (file[str(k)] for k in range(len(file)))
        return [{name: self._value(path, item) for name, item in group.items()} for group in groups]

    def _value(self, path: Path, item: Any) -> Any:
        """A number, an array, or the trajectories of a group of arrays."""
        import h5py

        if isinstance(item, h5py.Group):
            arrays: dict[str, Any] = {name: np.asarray(array) for name, array in item.items() if name != "values"}
            if "values" in item:
                n, frames, *sites = item["values"].shape
                place = Place(path, (f"{item.name}/values",))
                arrays["values"] = StoredFields.of(place, np.arange(n), frames, (sites[0], sites[1], sites[2]))
            return trajectories_of(self._domain, arrays)
        return np.asarray(item) if item.shape else item[()].item()


def _dense(batch: Batch) -> list[FieldTrajectories]:
    """The dense fields of a batch."""
    return [value for value in batch.values() if isinstance(value, FieldTrajectories)]


def _put(file: Any, name: str, array: np.ndarray[Any, Any]) -> None:
    """Write an array, packed in the way that costs least time."""
    packing = {"compression": "lzf", "shuffle": True} if array.size > 1 else {}
    file.create_dataset(name, data=array, **packing)


def _state(rng: np.random.Generator) -> State:
    """The state of a generator: its bits, and how many children it has spawned."""
    bits: Any = rng.bit_generator
    return {"bits": bits.state, "children": bits.seed_seq.n_children_spawned}


def _restore(rng: np.random.Generator, state: State) -> None:
    """Put a generator, as it was when it was made, into a state that it had later."""
    bits: Any = rng.bit_generator
    bits.seed_seq.spawn(state["children"] - bits.seed_seq.n_children_spawned)
    bits.state = state["bits"]


def _in_words(made_on: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(made_on.items()))
