"""Formats: layouts of trajectories in files, which other programs read and write too."""

from __future__ import annotations

import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Component, ComponentSpec
from nsbench.components.dataset import Dataset, Split, UnreadableData
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain


@dataclass(frozen=True)
class FormatSpec(ComponentSpec):
    """target: a Format, which reads. writer: "module:function", a Writer; None where nothing is written.

    They are apart so that what is read does not depend on the code that writes.
    """

    writer: str | None = None


@dataclass(frozen=True, eq=False)
class Header:
    """What files say of the n trajectories that they hold, before these are read.

    domain: of a record, ``stride`` is None. params: float64[n, P], in the order in which they are read.
    """

    domain: Domain
    params: NDArray[np.float64]


class Format(Component, ABC):
    """Reads the trajectories at a path, a file or a folder as the format has it.

    Files that are damaged, foreign or contradictory raise UnreadableData: nothing half-read is returned.
    """

    @abstractmethod
    def header(self, path: Path) -> Header:
        """What the files say of themselves, without reading the trajectories."""

    @abstractmethod
    def read(self, path: Path, index: NDArray[np.int64]) -> Trajectories:
        """The trajectories of that index into the header's, ascending, each checked."""


@dataclass(frozen=True, eq=False)
class Origin:
    """Where trajectories come from: ``dataset.prepare(split, rng)``, with rng in the state in which it is here."""

    name: str
    dataset: Dataset
    rng: np.random.Generator


Writer = Callable[[Path, Split, Trajectories, Origin], dict[str, Any]]
"""writer(directory, split, recorded, origin) writes a split below a folder that exists.

Returns the format's parameters that are needed to read it back. Raises ValueError for trajectories that the
format cannot hold.
"""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Whatever a library, or a check, finds wrong in this block is UnreadableData that names the file."""
    try:
        yield
    except UnreadableData:
        raise
    except KeyError as error:
        raise UnreadableData(f"{path}: lacks what the format needs ({error.args[0]})") from error
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UnreadableData(f"{path}: cannot be read ({error})") from error
    except (ValueError, TypeError) as error:
        raise UnreadableData(f"{path}: {error}") from error


def require_range(params: NDArray[np.float64], domain: Domain) -> None:
    """Raise ValueError where params, float64[n, P], are not finite or outside of what the domain says."""
    if not np.isfinite(params).all():
        raise ValueError("the parameters are not all finite")
    for column, parameter in enumerate(domain.parameters):
        values = params[:, column]
        if len(values) and not parameter.low <= values.min() <= values.max() <= parameter.high:
            raise ValueError(
                f"{parameter.name} is in [{values.min():g}, {values.max():g}], beyond the domain's "
                f"[{parameter.low:g}, {parameter.high:g}]"
            )
