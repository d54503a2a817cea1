"""The places in files from which the parts of a document came, as a tree in the document's own shape.

Documents that are laid over each other, and the simulators of a grid, share the branches that they have in common: what
is put together is never copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

At = tuple[str | int, ...]
"""The path of a value in the data, e.g. ("simulators", 1, "params", "width")."""

_NOTHING: Mapping[str | int, Places] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Places:
    """The place of a value, "file:line" ("" for that of what holds it), and those of the values within."""

    place: str = ""
    within: Mapping[str | int, Places] = field(default_factory=lambda: _NOTHING)

    def nearest(self, at: At) -> str:
        """The place of the value at a path, or of the nearest value around it that has one."""
        inner, place = self, self.place
        for part in at:
            if (branch := inner.within.get(part)) is None:
                break
            inner, place = branch, branch.place or place
        return place

    def branch(self, part: str | int) -> Places:
        """The places of an entry; empty ones where it has none."""
        return self.within.get(part) or Places()

    def with_branch(self, at: At, branch: Places) -> Places:
        """These places with other ones at a path; what is new on the way there gets the place of the branch."""
        if not at:
            return branch
        part, rest = at[0], at[1:]
        inner = self.within.get(part) or Places(branch.place)
        return Places(self.place, {**self.within, part: inner.with_branch(rest, branch)})


def path_text(at: At) -> str:
    """A path as text: ("simulators", 1, "params") -> "simulators[1].params". Long keys are cut."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part:.80}" for part in at)
    return text.removeprefix(".")
