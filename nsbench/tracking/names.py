"""Names in MLflow, whose alphabet is narrower than that of metrics' extras, curves and parameters."""

from __future__ import annotations

import posixpath
import re
from hashlib import sha256

_ALLOWED = re.compile(r"[/\w.\- :]+")
_LONGEST = 250


def in_alphabet(name: str) -> str:
    """The name as MLflow takes it: as it is where MLflow does, and otherwise with a mark of its own.

    In a name that MLflow refuses, "_" stands for each character outside of letters, digits and "/_.-: ", and the end
    is "-" and six digits of the name's SHA-256, so that names which differ stay different, in all trials alike:
    "share above 95%" is "share above 95_-" and the digits.
    """
    if _ALLOWED.fullmatch(name) and _is_a_place(name) and len(name) <= _LONGEST:
        return name
    parts = [re.sub(r"[^\w.\- :]", "_", part) for part in name.split("/")]
    kept = "/".join(part for part in parts if part.strip(".")) or "_"
    return f"{kept[: _LONGEST - 7]}-{sha256(name.encode(errors='replace')).hexdigest()[:6]}"


def _is_a_place(name: str) -> bool:
    """Whether the name, taken for the path of a file, names a file below where it stands and nothing else."""
    return posixpath.normpath(name) == name and name != "." and not name.startswith(("/", ".."))
