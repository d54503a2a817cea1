"""nsbench's own arrays, for programs that read NumPy: one compressed .npz file a split.

domain   JSON text, see Domain.describe
params   float64[n, P]
lengths  int32[n]
arrival  int32[n, H, W]            growth maps, or
labels   uint8[n, T, H, W]         labels, uint16 for more than 256 of them, or
values   float32[n, T, C, H, W]    dense fields
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsbench.components.dataset import Split
from nsbench.components.format import Format, Header, Origin, naming, require_range, unreadable
from nsbench.foreign_files import open_regular
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.kinds import KINDS
from nsbench_formats.archives import arrays_in, names_in
from nsbench_formats.domains import domain_from, domain_text


def write_npz(directory: Path, split: Split, recorded: Trajectories, origin: Origin) -> dict[str, Any]:
    """Write the file of a split; reading it back takes no parameters."""
    arrays: dict[str, Any] = {"domain": np.array(domain_text(recorded.domain))} | recorded.arrays()
    np.savez_compressed(directory / f"{split}.npz", **arrays)
    return {}


class Npz(Format):
    """The reader of one such file."""

    def header(self, path: Path) -> Header:
        with naming(path), _archive(path) as archive:
            arrays = arrays_in(archive, ("domain", "params"))
            domain = domain_from(str(arrays["domain"]))
            _require_params(arrays["params"], domain)
            return Header(domain, arrays["params"])

    def read(self, path: Path, index: NDArray[np.int64]) -> Trajectories:
        header = self.header(path)
        domain = header.domain
        kind = KINDS[domain.states]
        name = kind.held
        with naming(path), _archive(path) as archive:
            expected, names = {"domain", "params", "lengths", name}, names_in(archive)
            if set(names) != expected:
                raise ValueError(f"must hold {', '.join(sorted(expected))}, holds {', '.join(names[:8])}")
            whole = kind(domain=domain, params=header.params, **arrays_in(archive, ("lengths", name)))
            if isinstance(whole, FieldTrajectories) and not np.isfinite(whole.values).all():
                raise ValueError("the values are not all finite")
            return whole.select(index)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    if not path.exists() or path.is_dir():
        raise unreadable(path, "must be an .npz file")
    with open_regular(path) as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("is not an .npz file, or was cut short")
        with zipfile.ZipFile(file) as archive:
            yield archive


def _require_params(params: NDArray[np.float64], domain: Domain) -> None:
    if params.dtype != np.float64 or params.ndim != 2 or params.shape[1] != len(domain.parameters):
        raise ValueError(f"params must be float64[n, {len(domain.parameters)}], got {params.dtype.name}{params.shape}")
    require_range(params, domain)
