"""Keys of artifacts: what an artifact is made from, and the digest of that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

ArtifactKind = Literal["data", "model", "evidence", "score"]
"""The kinds of artifact that the four stages make, in their order."""

ARTIFACT_KINDS: tuple[ArtifactKind, ...] = get_args(ArtifactKind)


@dataclass(frozen=True)
class Key:
    """The key of an artifact: what it is made from, as plain data, the same wherever and whenever it is made."""

    kind: ArtifactKind
    fields: dict[str, Any]

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits, by which the artifact is found."""
        return digest_of({"stage": self.kind, **self.fields})


def digest_of(data: dict[str, Any]) -> str:
    """The digest of plain data, whatever the order of its names."""
    text = json.dumps(data, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class _Nothing:
    def __str__(self) -> str:
        return "nothing"


_NOTHING = _Nothing()
"""The value of a field that is not there."""


def differences(wanted: Mapping[str, Any], stored: Mapping[str, Any], at: str = "") -> list[str]:
    """The differences between two keys' fields, e.g. "params.width: 16 here, 32 in the store".

    Fields that only one of them has are named one by one, those of the other being "nothing".
    """
    lines = []
    for name in sorted(wanted.keys() | stored.keys()):
        a, b = wanted.get(name, _NOTHING), stored.get(name, _NOTHING)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f"{at}{name}.")
        elif isinstance(a, dict) and a and b is _NOTHING:
            lines += differences(a, {}, f"{at}{name}.")
        elif isinstance(b, dict) and b and a is _NOTHING:
            lines += differences({}, b, f"{at}{name}.")
        elif a != b:
            lines.append(f"{at}{name}: {_short(a)} here, {_short(b)} in the store")
    return lines


def least_differences(wanted: Mapping[str, Any], stored: Iterable[Mapping[str, Any]]) -> list[str] | None:
    """The differences from the stored key that differs least; None without any.

    Of equally many those count less in which both keys have the field: they say what it was changed from.
    """
    found = (differences(wanted, fields) for fields in stored)
    return min(found, key=lambda lines: (len(lines), sum(str(_NOTHING) in line for line in lines)), default=None)


def _short(value: Any) -> str:
    """A value as text; a digest is cut to its first digits."""
    text = str(value)
    digest = text.rpartition(":")[2] if isinstance(value, str) else ""
    is_digest = len(digest) == 32 and set(digest) <= set("0123456789abcdef")
    return digest[:8] + "…" if is_digest else text
