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
from nsbench.names import printable
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain


@dataclass(frozen=True)
class FormatSpec(ComponentSpec):
    """The spec of a format. target: a Format, which reads.

    writer: "module:function", a Writer; None for a format that is not written. It is apart from the reader, so that
    data that is read does not depend on the code that writes.
    """

    writer: str | None = None


@dataclass(frozen=True, eq=False)
class Header:
    """The domain and the parameters of the n trajectories in files, known before the trajectories are read.

    domain: its ``stride`` is None. params: float64[n, P], in the order in which the trajectories are read. dt: the time
    from frame to frame, in the files' own unit; None where they do not say.
    """

    domain: Domain
    params: NDArray[np.float64]
    dt: float | None = None


class Format(Component, ABC):
    """A reader of the trajectories at a path, which is a file or a folder, as the format has it.

    Files that are damaged, foreign or contradictory raise UnreadableData: nothing half-read is returned.
    """

    @abstractmethod
    def header(self, path: Path) -> Header:
        """The domain and the parameters that the files declare, without reading the trajectories."""

    @abstractmethod
    def read(self, path: Path, index: NDArray[np.int64]) -> Trajectories:
        """The trajectories at `index`, each checked. index: int64[b], places in the header's order, ascending."""


@dataclass(frozen=True, eq=False)
class Origin:
    """The source of trajectories: ``dataset.prepare(split, rng)``, from `rng` in the state that it has here."""

    name: str
    dataset: Dataset
    rng: np.random.Generator


Writer = Callable[[Path, Split, Trajectories, Origin], dict[str, Any]]
"""A function writer(directory, split, recorded, origin), which writes a split below a folder that exists.

Returns the format's parameters that are needed to read it back. Raises ValueError for trajectories that the
format cannot hold.
"""


def unreadable(path: Path | str, fault: object) -> UnreadableData:
    """The error of a file or folder, in one line, with hidden characters written as \\x1b, \\n, …

    Names in files, and of files, are other people's.
    """
    return UnreadableData(printable(f"{path}: {fault}"))


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn the errors of libraries and of checks in this block into UnreadableData that names the file."""
    try:
        yield
    except UnreadableData:
        raise
    except LookupError as error:
        raise unreadable(path, f"lacks what the format needs ({error.args[0]})") from error
    except AttributeError as error:  # of h5py: a group where a dataset should be, or the reverse
        raise unreadable(path, f"is not in the layout of the format ({error})") from error
    except MemoryError as error:
        raise unreadable(path, "asks for more memory than there is") from error
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise unreadable(path, f"cannot be read ({error})") from error
    except (ValueError, TypeError) as error:
        raise unreadable(path, error) from error


def require_range(params: NDArray[np.float64], domain: Domain) -> None:
    """Raise ValueError where params, float64[n, P], are not finite or outside of the domain's ranges."""
    if not np.isfinite(params).all():
        raise ValueError("the parameters are not all finite")
    for column, parameter in enumerate(domain.parameters):
        values = params[:, column]
        if len(values) and not parameter.low <= values.min() <= values.max() <= parameter.high:
            raise ValueError(
                f"{parameter.name} is in [{values.min():g}, {values.max():g}], beyond the domain's "
                f"[{parameter.low:g}, {parameter.high:g}]"
            )
