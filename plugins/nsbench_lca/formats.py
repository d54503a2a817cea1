"""The layout of the CGNE authors' public generator: a folder a parameter set, an HDF5 file a crystal.

    <path>/flake_<10 hexadecimal digits>/flake_<i>.h5

    attributes   alpha, beta, gamma, theta, kappa, mu, rho: the same for all files of a folder
    step_<s>     [('ice', float32), ('attachment', bool)], [N, N], attribute "step" = s: crystal mass, and whether
                 attached, after step s in which something attached. s counts from 0, so that a site which
                 attached in nsbench's step t >= 1 is first attached in step_<t − 1>; arrival 0 is the seed
    flake_final  float32[N, N, 4]: attachment (0 or 1), boundary mass, crystal mass, vapour at the end

The folder's digits are the first of a SHA-256 of the parameters. The lattice is the LCA's: one quadrant, the
seed at (0, 0). Timmer, Minartz & Menkovski 2024 (arXiv 2405.16608).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nsbench.components.format import Format, Header, naming, unreadable
from nsbench.foreign_files import require_memory
from nsbench.trajectories.domain import Domain, Parameter
from nsbench.trajectories.foreign_hdf5 import foreign_hdf5, read_all
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_lca.format_params import CGNEFormatParams
from nsbench_lca.morphology import OBSERVABLES

ATTRIBUTES = ("alpha", "beta", "gamma", "theta", "kappa", "mu", "rho")
"""The parameters in a file, in the order in which its folder's name is made of them."""

STEP = np.dtype([("ice", np.float32), ("attachment", np.bool_)])

_FOLDER = re.compile(r"^flake_[0-9a-f]{10}$")
_FILE = re.compile(r"^flake_(\d+)\.h5$")
_STEP = re.compile(r"^step_(0|[1-9]\d*)$")
_FINAL = "flake_final"


@dataclass(frozen=True, eq=False)
class Record:
    """The growth of one crystal, with its masses.

    arrival: int32[N, N]; 0 at the seed, s >= 1 where the site attached in step s, −1 for never.
    ice:     float32[E, N, N], crystal mass after each step in which something attached, in their order.
    steps:   int32[E], those steps, counted from 1.
    final:   float32[N, N, 4]: attachment, boundary mass, crystal mass, vapour at the end.
    """

    arrival: NDArray[np.int32]
    ice: NDArray[np.float32]
    steps: NDArray[np.int32]
    final: NDArray[np.float32]


def write_cgne(directory: Path, params: Mapping[str, float], records: Iterable[Record], first: int = 0) -> list[Path]:
    """Write crystals of one parameter set, flake_<first>.h5 and on, into its folder below `directory`."""
    folder = directory / folder_name(params)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i, record in enumerate(records, start=first):
        paths.append(folder / f"flake_{i}.h5")
        _write_flake(paths[-1], params, record)
    return paths


def folder_name(params: Mapping[str, float]) -> str:
    """ "flake_" and the first ten digits of the SHA-256 of the parameters, joined by hyphens."""
    text = "-".join(str(float(params[name])) for name in ATTRIBUTES)
    return f"flake_{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _write_flake(path: Path, params: Mapping[str, float], record: Record) -> None:
    with h5py.File(path, "x") as file:
        for name in ATTRIBUTES:
            file.attrs[name] = float(params[name])
        for ice, step in zip(record.ice, record.steps, strict=True):
            state = np.empty(ice.shape, STEP)
            state["ice"], state["attachment"] = ice, (record.arrival >= 0) & (record.arrival <= step)
            s = int(step) - 1
            file.create_dataset(f"step_{s}", data=state, compression="gzip").attrs["step"] = s
        file.create_dataset(_FINAL, data=record.final, compression="gzip")


def read_cgne(path: Path, *, sigma: float = 5e-5, stop_margin: int = 5) -> GrowthTrajectories:
    """The crystals of all folders below `path`, in the order of their numbers i.

    sigma, stop_margin: not in the files; the defaults are the authors'. Their generator ends growth
    by rows alone, so a crystal whose columns reached the margin first is cut there. It also leaves out the last
    step of the crystal that a batch waited for: sites that only ``flake_final`` has attached, the margin's row
    among them, count as attached in the step after the last one recorded.

    Raises UnreadableData, naming the file and the fault, for files that are damaged, foreign or contradict
    themselves or each other. One file is in memory at a time.
    """
    reader = CGNE(CGNEFormatParams(sigma=sigma, stop_margin=stop_margin))
    return reader.read(Path(path), np.arange(len(reader.header(Path(path)).params)))


class CGNE(Format):
    """The reader of a folder of such folders."""

    params: CGNEFormatParams

    def header(self, path: Path) -> Header:
        """The header, from the first file of each folder; the others are taken to be like it until they are read."""
        sets = {folder: self._parameters_of(files[0]) for folder, files in _folders(path).items()}
        params = np.array([sets[file.parent] for file in _in_order(_folders(path))])
        first = _in_order(_folders(path))[0]
        with naming(first), foreign_hdf5(first) as file:
            size = _size(file)
            if self.params.stop_margin >= size - 1:
                raise ValueError(f"{size} × {size} sites leave no room for stop_margin = {self.params.stop_margin}")
        return Header(self._domain(size, params), params)

    def read(self, path: Path, index: NDArray[np.int64]) -> GrowthTrajectories:
        header = self.header(path)
        files = [_in_order(_folders(path))[i] for i in index]
        params = header.params[index]
        with naming(path):
            require_memory(4 * len(files) * header.domain.sites, f"{len(files):,} crystals")
        arrival = np.empty((len(files), *header.domain.shape), np.int32)
        for k, file in enumerate(files):
            arrival[k] = self._read_flake(file, dict(zip(ATTRIBUTES, params[k], strict=False)), header.domain)
        lengths = arrival.max(axis=(1, 2), initial=0).astype(np.int32) + np.int32(1)
        if not (arrival[:, header.domain.stop_sites()] >= 0).any():
            margin = self.params.stop_margin
            row = header.domain.shape[0] - margin
            raise unreadable(path, f"no crystal reaches row or column {row}; is stop_margin = {margin} right?")
        return GrowthTrajectories(params, lengths, header.domain, arrival).stopped()

    def _parameters_of(self, file: Path) -> list[float]:
        """The parameters of the set that a file belongs to, the noise last."""
        with naming(file), foreign_hdf5(file) as opened:
            return [*_attributes(opened).values(), self.params.sigma]

    def _domain(self, size: int, params: NDArray[np.float64]) -> Domain:
        ranges = zip((*ATTRIBUTES, "sigma"), params.min(axis=0), params.max(axis=0), strict=True)
        return Domain(
            lattice="hexagonal-quadrant",
            shape=(size, size),
            channels=("attached",),
            states="growth",
            parameters=tuple(Parameter(name, float(low), float(high)) for name, low, high in ranges),
            condition="rho",
            observables=OBSERVABLES["quadrant"],
            clock="event",
            stop_margin=self.params.stop_margin,
        )

    def _read_flake(self, path: Path, expected: Mapping[str, float], domain: Domain) -> NDArray[np.int32]:
        """The growth map, int32[N, N], of a file, which is checked in all that it holds."""
        with naming(path), foreign_hdf5(path) as file:
            for name, value in _attributes(file).items():
                if value != expected[name]:
                    raise ValueError(
                        f"a second parameter set in one folder: {name} is {value:.17g} here "
                        f"and {expected[name]:.17g} in the folder's first file"
                    )
            if _size(file) != domain.shape[0]:
                raise ValueError(f"{_size(file)} × {_size(file)} sites, where other files have {domain.shape[0]}")
            return _growth(file, domain.shape[0] - self.params.stop_margin)


def _folders(path: Path) -> dict[Path, list[Path]]:
    """The files of each parameter set, in the order of their numbers. Raises UnreadableData."""
    if not path.is_dir():
        raise unreadable(path, "must be a folder of folders flake_<10 hexadecimal digits>")
    folders = {p: _files(p) for p in sorted(path.iterdir()) if p.is_dir() and _FOLDER.match(p.name)}
    for stray in sorted({*path.glob("*.h5"), *path.glob("*/*.h5")} - {f for files in folders.values() for f in files}):
        raise unreadable(stray, "is not where the layout has files, flake_<10 digits>/flake_<number>.h5")
    if not folders:
        raise unreadable(path, "there are no folders flake_<10 hexadecimal digits> in it")
    for folder, files in folders.items():
        if not files:
            raise unreadable(folder, "there are no files flake_<number>.h5 in it")
    return folders


def _files(folder: Path) -> list[Path]:
    return sorted((p for p in folder.iterdir() if _FILE.match(p.name)), key=_number)


def _in_order(folders: Mapping[Path, list[Path]]) -> list[Path]:
    """All files by number, those of the same number by folder."""
    return sorted((file for files in folders.values() for file in files), key=lambda p: (_number(p), p.parent.name))


def _number(file: Path) -> int:
    match = _FILE.match(file.name)
    assert match
    return int(match[1])


def _attributes(file: h5py.File) -> dict[str, float]:
    """The parameters in a file. Raises ValueError where one is missing or no number."""
    missing = [name for name in ATTRIBUTES if name not in file.attrs]
    if missing:
        raise ValueError(f"lacks the attributes {', '.join(missing)}")
    values = {name: np.asarray(file.attrs[name]) for name in ATTRIBUTES}
    for name, value in values.items():
        if value.shape != () or value.dtype.kind not in "fiu" or not np.isfinite(value):
            raise ValueError(f"attribute {name} must be a finite number, got {file.attrs[name]!r:.40}")
    return {name: float(value) for name, value in values.items()}


def _size(file: h5py.File) -> int:
    """N, the sites along an axis. Raises ValueError for a file without a valid ``flake_final``."""
    if _FINAL not in file:
        raise ValueError(f"lacks the dataset {_FINAL}")
    final = file[_FINAL]
    size = int(final.shape[0]) if isinstance(final, h5py.Dataset) and final.ndim == 3 else 0
    if not size or final.shape != (size, size, 4) or final.dtype != np.float32:
        raise ValueError(f"{_FINAL} must be float32[N, N, 4], got {_kind(final)}")
    return size


def _growth(file: h5py.File, margin: int) -> NDArray[np.int32]:
    """The step in which each site attached, int32[N, N]. margin: the row whose attachment ends growth."""
    size = _size(file)
    arrival, before = np.full((size, size), -1, np.int32), np.zeros((size, size), bool)
    before[0, 0], arrival[0, 0] = True, 0
    last = 0
    for s in _steps(file):
        attached = _attachment(file[f"step_{s}"], s, size)
        _require_growth(before, attached, f"step_{s}")
        if before[margin:].any():
            raise ValueError(f"step_{s}: grows on after row {margin} was reached; is the stop margin {size - margin}?")
        arrival[attached & ~before] = last = s + 1
        before = attached
    final = _final(file)
    if (before & ~final).any():
        raise ValueError(f"{_FINAL}: the crystal shrinks")
    added = final & ~before
    if added.any():
        if before[margin:].any() or not added[margin].any():
            raise ValueError(f"{_FINAL}: {added.sum()} sites are attached that no step has")
        arrival[added] = last + 1
    return arrival


def _steps(file: h5py.File) -> list[int]:
    """The numbers of the steps in a file, ascending."""
    matches = {name: _STEP.match(name) for name in file if name != _FINAL}
    foreign = [name for name, match in matches.items() if match is None]
    if foreign:
        raise ValueError(f"holds {', '.join(name[:80] for name in foreign[:4])}, which the layout has no place for")
    return sorted(int(match[1]) for match in matches.values() if match)


def _attachment(dataset: h5py.Dataset, s: int, size: int) -> NDArray[np.bool_]:
    """The sites that are attached after step s, bool[N, N]. Raises ValueError for a damaged step."""
    name = f"step_{s}"
    if getattr(dataset, "dtype", None) != STEP or dataset.shape != (size, size):
        raise ValueError(
            f"{name} must be [('ice', float32), ('attachment', bool)][{size}, {size}], got {_kind(dataset)}"
        )
    if "step" not in dataset.attrs:
        raise ValueError(f"{name} lacks the attribute step")
    number = np.asarray(dataset.attrs["step"]).tolist()
    if number != s:
        raise ValueError(f"{name}: its attribute step is {number!r:.40}")
    state = read_all(dataset)
    if not np.isfinite(state["ice"]).all():
        raise ValueError(f"{name}: ice is not finite everywhere")
    attached: NDArray[np.bool_] = state["attachment"]
    return attached


def _require_growth(before: NDArray[np.bool_], attached: NDArray[np.bool_], name: str) -> None:
    """Raise ValueError unless a step keeps what was attached before and adds to it."""
    if not attached[0, 0]:
        raise ValueError(f"{name}: the seed at (0, 0) is not attached")
    if (before & ~attached).any():
        raise ValueError(f"{name}: the crystal shrinks")
    if not (attached & ~before).any():
        raise ValueError(f"{name}: nothing attaches")


def _final(file: h5py.File) -> NDArray[np.bool_]:
    """The sites that are attached in ``flake_final``, bool[N, N]. Raises ValueError for damaged numbers."""
    final = read_all(file[_FINAL])
    if not np.isfinite(final).all():
        raise ValueError(f"{_FINAL} is not finite everywhere")
    if not np.isin(final[..., 0], (0, 1)).all():
        raise ValueError(f"{_FINAL}: attachment must be 0 or 1")
    attached: NDArray[np.bool_] = final[..., 0] == 1
    return attached


def _kind(item: Any) -> str:
    return f"{item.dtype}{list(item.shape)}" if isinstance(item, h5py.Dataset) else "a group"
