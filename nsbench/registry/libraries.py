"""Installed libraries whose versions are in keys: those that change numbers, with what they require themselves."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution

NUMERIC_LIBRARIES = {
    "numba": "numba",
    "numba.cuda": "numba-cuda",
    "numpy": "numpy",
    "ot": "pot",
    "scipy": "scipy",
    "scoringrules": "scoringrules",
    "skimage": "scikit-image",
    "torch": "torch",
}
"""Import name -> distribution, of the libraries that change numbers."""

HARMLESS_LIBRARIES = {"h5py", "llvmlite", "matplotlib", "PIL", "pluggy", "pydantic", "rich", "safetensors", "yaml"}
"""Import names of libraries that carry, check or draw numbers, and change none. llvmlite is tied to numba."""

_HARMLESS_REQUIREMENTS = {
    *("filelock", "fsspec", "imageio", "jinja2", "lazy-loader", "llvmlite", "markupsafe", "matplotlib", "mpmath"),
    *("networkx", "packaging", "pillow", "setuptools", "sympy", "tifffile", "typing-extensions"),
}
"""Distributions that numeric libraries require and that change no number of theirs."""


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """The versions of distributions and of all that they require, by name; "absent" for one that is not installed."""
    names = {requirement for name in distributions for requirement in (name, *_requirements(name))}
    return {name: _version(name) for name in sorted(names)}


@cache
def _requirements(name: str) -> frozenset[str]:
    """The installed distributions that another requires, directly or not, without those that change no numbers."""
    requirements: set[str] = set()
    todo = [name]
    while todo:
        for requirement in _required_by(todo.pop()) - requirements - _HARMLESS_REQUIREMENTS:
            if _installed(requirement) is not None:
                requirements.add(requirement)
                todo.append(requirement)
    return frozenset(requirements - {name})


def _required_by(name: str) -> set[str]:
    """The distributions that another requires directly, without extras.

    Markers are not evaluated: a requirement of another system is not installed, and does not count.
    """
    package = _installed(name)
    required = (package.requires or []) if package else []
    names = [re.match(r"[\w.-]+", line) for line in required if not re.search(r"\bextra\s*==", line)]
    return {re.sub(r"[-_.]+", "-", match[0]).lower() for match in names if match}


@cache
def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


@cache
def _version(name: str) -> str:
    """A distribution's version; of one that did not come from an index also what tells it from others of that version:
    the commit of a repository, or the digest of the code that was installed from a folder or an archive."""
    package = _installed(name)
    if package is None:
        return "absent"
    source = json.loads(package.read_text("direct_url.json") or "{}")
    mark = source.get("vcs_info", {}).get("commit_id", "") or (_digest_of_code(package) if source else "")
    return f"{package.version} ({mark})" if mark else package.version


def _digest_of_code(package: Distribution) -> str:
    """The digest of the checksums in a distribution's RECORD, byte code and its own description left out."""
    code = [f for f in package.files or () if f.hash and f.suffix != ".pyc" and not f.parts[0].endswith(".dist-info")]
    lines = sorted(f"{file.as_posix()} {file.hash.value}" for file in code if file.hash)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
