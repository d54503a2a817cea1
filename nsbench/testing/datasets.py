"""Checks of a dataset: the same seed gives the same data, splits are apart, and the domain says what is true."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsbench.components.contracts.dataset import require_parts, require_recorded
from nsbench.components.contracts.simulator import require_rollout
from nsbench.components.dataset import SPLITS, Dataset, DatasetSpec, Split
from nsbench.registry.loading import build
from nsbench.registry.registry import BrokenComponent, Registry, UnknownComponent
from nsbench.suite.seeds import data_seed, generator
from nsbench.testing.findings import Blocked, Check, Finding, LeftOut, Raised, calling, place_of
from nsbench.testing.global_randomness import GENERATOR_RIGHT, changes, watched
from nsbench.testing.other_process import data_job, elsewhere
from nsbench.testing.small_data import Data, Source, bits
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain
from nsbench.trajectories.hdf5 import read_trajectories, write_trajectories


@dataclass
class DatasetSubject:
    """A dataset under check. params: such that it is made in seconds; module: of its plugin."""

    registry: Registry
    spec: DatasetSpec
    params: dict[str, Any]
    module: str = ""

    @cached_property
    def dataset(self) -> Dataset:
        dataset = build("dataset", self.spec, self.params)
        assert isinstance(dataset, Dataset)
        return dataset

    def prepare(self, split: Split, seed: int = 0) -> Trajectories:
        """A split, made with the seed that a suite of that seed gives it. Raises Raised, with a finding."""
        rng = generator(data_seed(seed, split, self.spec.name))
        with calling(self.dataset, "prepare", "return the trajectories of the split"):
            trajectories = self.dataset.prepare(split, rng)
            return require_recorded(self.dataset, trajectories, self.dataset.domain, "prepare", split)

    @cached_property
    def _splits(self) -> dict[Split, Trajectories] | None:
        try:
            return {split: self.prepare(split) for split in SPLITS}
        except Raised:
            return None

    @property
    def splits(self) -> dict[Split, Trajectories]:
        """All splits. Raises Blocked where one cannot be made, which the check `can_be_made` reports."""
        if self._splits is None:
            raise Blocked
        return self._splits

    def repeatable(self) -> dict[Split, Trajectories]:
        """All splits. Raises Blocked where another call makes other data, which the check `repeats` reports."""
        if bits(self.prepare("test")) != bits(self.splits["test"]):
            raise Blocked("no two calls make the same")
        return self.splits


def can_be_made(subject: DatasetSubject) -> Iterator[Finding]:
    """The dataset makes trajectories of its own domain, for every split."""
    dataset = subject.dataset
    with calling(dataset, "domain", "return a nsbench.Domain"):
        domain: object = dataset.domain
    if not isinstance(domain, Domain):
        yield Finding(place_of(dataset, "domain"), f"is {type(domain).__name__}", "a nsbench.Domain")
        raise Blocked
    if domain.stride is not None:
        yield Finding(
            place_of(dataset, "domain"), f"has stride {domain.stride}", "stride=None: frames are the protocol's"
        )
    if domain.space != (subject.spec.space or ""):
        yield Finding(
            place_of(dataset, "domain"),
            f"names the state space {domain.space!r}, its spec {subject.spec.space!r}",
            "the same in both: the spec's is how the space's code gets into keys",
        )
    if domain.condition not in [p.name for p in domain.parameters]:
        names = ", ".join(p.name for p in domain.parameters) or "none"
        yield Finding(
            place_of(dataset, "domain"), f"condition is {domain.condition!r}", f"one of its parameters: {names}"
        )
    elif domain.parameters[domain.column(domain.condition)].hidden:
        yield Finding(
            place_of(dataset, "domain"),
            f"condition is {domain.condition!r}, which is hidden",
            "a parameter that the law depends on: tables and pictures go by it",
        )
    for split in SPLITS:
        subject.prepare(split)


def repeats(subject: DatasetSubject) -> Iterator[Finding]:
    """The same generator gives the same bits, whatever the global generators are; another one gives other data."""
    where, changed, results = place_of(subject.dataset, "prepare"), set[str](), []
    with watched(set(), 1):
        first = bits(subject.splits["test"])
    for seed, global_seed in ((0, 1), (0, 2), (1, 1)):
        with watched(changed, global_seed):
            results.append(bits(subject.prepare("test", seed)))
    yield from changes(where, changed)
    if len({first, *results[:2]}) > 1:
        yield Finding(where, "two calls with generators in the same state give different data", GENERATOR_RIGHT)
    elif results[2] == first and subject.spec.reading is None:
        yield Finding(
            where,
            "gives the same data whatever the seed",
            "nothing, if it reads files (then its spec names `reading`); else draw from the generator given",
            "note",
        )


def splits_are_apart(subject: DatasetSubject) -> Iterator[Finding]:
    """No trajectory stands in two splits, and no parameters that vary do."""
    where, splits = place_of(subject.dataset, "prepare"), subject.splits
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        a, b = splits[first], splits[second]  # type: ignore[index]
        shared = len(_digests(a) & _digests(b))
        if shared:
            yield Finding(
                where,
                f"{shared} trajectories of {second} are in {first} too",
                "splits share no case: draw each from its generator, or cut files by their parameters",
            )
        elif a.domain.varying and (same := len(varying_parameters(a) & varying_parameters(b))):
            yield Finding(
                where,
                f"{same} parameter sets of {second} are in {first} too, with other trajectories",
                "better parameters of its own for each split: repeats of one tell much of each other",
                "note",
            )


def _digests(trajectories: Trajectories) -> set[bytes]:
    arrays = [array for _, array in sorted(trajectories.arrays().items())]
    return {
        blake2b(b"".join(np.ascontiguousarray(a[n]).tobytes() for a in arrays)).digest()
        for n in range(len(trajectories))
    }


def varying_parameters(trajectories: Trajectories) -> set[bytes]:
    """The distinct values of the parameters that vary and are not hidden, as bytes."""
    return {row.tobytes() for row in trajectories.params[:, list(trajectories.domain.varying)]}


def facts_are_true(subject: DatasetSubject) -> Iterator[Finding]:
    """The domain's statements are true of the data: ranges, growth, the stop rule, observables."""
    where = place_of(subject.dataset, "domain")
    for split, trajectories in subject.splits.items():
        with calling(subject.dataset, "domain", "state facts and observables that can be read off every state"):
            untrue = list(untrue_statements(trajectories))
        yield from (Finding(where, f"{wrong} ({split})", right) for wrong, right in untrue)


def untrue_statements(trajectories: Trajectories) -> Iterator[tuple[str, str]]:
    """The domain's untrue statements about a record: (what is wrong, what would be right) of each."""
    domain = trajectories.domain
    for column, parameter in enumerate(domain.parameters):
        low, high = trajectories.params[:, column].min(), trajectories.params[:, column].max()
        if not parameter.low <= low <= high <= parameter.high:
            yield (
                f"says {parameter.name} is in [{parameter.low:g}, {parameter.high:g}], data have [{low:g}, {high:g}]",
                "a range that holds all values: networks are standardised and metrics binned by it",
            )
    states = np.stack([trajectories.frame(t) for t in _some_frames(trajectories)])  # [k, n, C, H, W]
    if not np.isfinite(states).all():
        yield "states are NaN or infinite", "finite numbers"
    elif domain.states == "growth":
        if not np.isin(states, (0, 1)).all():
            yield "says that its states are growth, and they hold numbers other than 0 and 1", "attached, 1, or not, 0"
        if (np.diff(states, axis=0) < 0).any():
            yield "says that its states are growth, and sites melt", "states='fields', or growth that is monotone"
    beyond = trajectories.lengths - trajectories.stopped().lengths
    if (beyond > 0).any():
        yield (
            f"has stop_margin={domain.stop_margin}, and {int((beyond > 0).sum())} trajectories go on after that",
            "trajectories.stopped(), or no stop_margin",
        )
    yield from _unobservable(trajectories)


def _unobservable(trajectories: Trajectories) -> Iterator[tuple[str, str]]:
    final = trajectories.final()
    images = dict(_symmetric_images(final, trajectories.domain))
    for observable in trajectories.domain.observables:
        values = observable.function(final)
        if not isinstance(values, np.ndarray) or values.shape != (len(trajectories),) or values.dtype != np.float64:
            got = f"{getattr(values, 'dtype', type(values).__name__)}{list(getattr(values, 'shape', ()))}"
            yield f"observable {observable.name} returns {got}", f"float64[n], here float64[{len(trajectories)}]"
        elif not np.isfinite(values).all():
            yield f"observable {observable.name} is NaN or infinite", "a finite number for every state"
        else:
            for symmetry, image in images.items():
                if not np.allclose(observable.function(image), values, rtol=1e-4, atol=1e-4 * np.abs(values).max()):
                    yield (
                        f"claims the symmetry {symmetry!r}, under which observable {observable.name} changes",
                        "observables that are the same for states that the law takes for the same, or no such claim",
                    )
    if not trajectories.domain.observables:
        yield "names no observable", "at least one number that is read off a state: metrics compare its distributions"


def _symmetric_images(states: NDArray[np.float32], domain: Domain) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """States moved along periodic axes, and with labels renamed, as far as the domain claims these symmetries."""
    periodic = [axis for axis, boundary in zip((2, 3), domain.boundaries, strict=True) if boundary == "periodic"]
    if "translations" in domain.symmetries and periodic:
        yield "translations", np.roll(states, [1 + domain.shape[axis - 2] // 3 for axis in periodic], axis=periodic)
    if "labels" in domain.symmetries:
        yield "labels", (states + 1) % domain.labels


def _some_frames(trajectories: Trajectories) -> list[int]:
    return sorted({int(t) for t in np.linspace(0, int(trajectories.lengths.max()) - 1, 32)})


def parts_join(subject: DatasetSubject) -> Iterator[Finding]:
    """The parts of a split, joined, are the split."""
    dataset = subject.dataset
    if type(dataset).part is Dataset.part and type(dataset).parts is Dataset.parts:
        raise LeftOut("it is made in one")
    for split, whole in subject.repeatable().items():
        with calling(dataset, "part", "return part k of the split"):
            count = require_parts(dataset, dataset.parts(split))
            seed = data_seed(0, split, subject.spec.name)
            parts = [dataset.part(split, generator(seed), k) for k in range(count)]
            joined = type(parts[0]).joined(parts)
        if bits(joined) != bits(whole):
            yield Finding(
                place_of(dataset, "part"),
                f"the {count} parts of {split}, joined, differ from what prepare makes of the same generator state",
                "every part starts from that state and skips what the parts before it draw",
            )
            return


def can_be_stored(subject: DatasetSubject) -> Iterator[Finding]:
    """A split that was written and read is the same, and can be cut into frames."""
    dataset, trajectories = subject.dataset, subject.splits["test"]
    with tempfile.TemporaryDirectory() as folder, calling(dataset, "prepare", "return what the store can hold"):
        write_trajectories(Path(folder) / "trajectories.h5", trajectories)
        restored = read_trajectories(Path(folder) / "trajectories.h5", dataset.domain)
    if bits(restored) != bits(trajectories):
        yield Finding(place_of(dataset, "prepare"), "is not the same after it was stored", "plain NumPy arrays")
    with calling(dataset, "prepare", "return a record that can be cut into frames"):
        framed = trajectories.framed(2, 8)
    if not framed.lengths.max() > 1:
        yield Finding(
            place_of(dataset, "prepare"), "nothing happens: no trajectory has a second frame", "some dynamics"
        )


def anchors_run(subject: DatasetSubject) -> Iterator[Finding]:
    """The simulators that the spec names as ground truth are there, and simulate its cases."""
    dataset = subject.dataset
    data = Data(Source.of(subject.spec, subject.params))
    for role in ("floor", "noise_free"):
        reference = getattr(subject.spec, role)
        if reference is None:
            continue
        where = f"{role} of {subject.spec.name!r} in {subject.module or 'its spec'}"
        try:
            simulator: Any = build("simulator", subject.registry.spec("simulator", reference.name), reference.params)
        except (UnknownComponent, BrokenComponent, ValueError) as error:
            yield Finding(
                where, f"cannot be made: {error}", "a simulator that is installed, with parameters that it takes"
            )
            continue
        start = data.starts()
        with calling(simulator, "rollout", "simulate the dataset's own cases"):
            require_rollout(simulator, simulator.rollout(start, data.horizon, generator([0])), start, data.horizon)
    if subject.spec.floor is None:
        yield Finding(
            place_of(dataset, "prepare"),
            "has no floor: scores stand without the ground truth's own score beside them",
            "DatasetSpec(floor=SimulatorReference(…)), if the process can be run as a simulator",
            "note",
        )


def works_elsewhere(subject: DatasetSubject) -> Iterator[Finding]:
    """A process that knows only names and parameters makes the same bits."""
    expected = bits(subject.repeatable()["test"])
    answer = elsewhere(data_job(subject.spec, subject.params, subject.module))
    if answer.heavy:
        yield Finding(
            subject.module,
            f"imports {', '.join(answer.heavy)} as soon as it is listed",
            "name the class as text and import such things in the class's own module",
            "note",
        )
    if answer.error or answer.bits != expected:
        wrong = f"fails in a process of its own: {answer.error}"
        wrong = wrong if answer.error else "other bits in a process of its own"
        yield Finding(place_of(subject.dataset, "prepare"), wrong, "depend on parameters and generator alone")


DATASET_CHECKS: tuple[Check[DatasetSubject], ...] = (
    Check("makes trajectories of its domain for every split", can_be_made),
    Check("same seed, same bits; other seed, other data", repeats),
    Check("splits are apart", splits_are_apart),
    Check("the domain's facts are true of the data", facts_are_true),
    Check("parts joined are the split", parts_join),
    Check("can be stored and framed", can_be_stored),
    Check("its ground truth simulates its cases", anchors_run),
    Check("works in a process of its own", works_elsewhere),
)
