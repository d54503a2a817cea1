"""The state of the process, which its components share: what one changed would change another's numbers, under its key.

A stage is a function of its inputs only where it begins in the state that every stage begins in. So what a component
has changed is put back when its stage ends, and named. A worker in which anything was changed does no other job, since
a module that changed something when it was imported is not imported again. What modules of other libraries keep to
themselves, and functions that were replaced, nobody can see.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from nsbench.stages.aspects import ASPECTS, UNKNOWN, Aspect


class Keeper:
    """A keeper of this process's state. It is made where a job begins, and puts back what the job's stages changed.

    settle: called when a library was imported meanwhile, to set what depends on the machine: its threads.
    """

    def __init__(self, settle: Callable[[], object] = lambda: None) -> None:
        self._settle = settle
        self._before: dict[str, Any] = {aspect.name: aspect.value() for aspect in _loaded()}
        self._changes: dict[str, None] = {}

    @property
    def changes(self) -> tuple[str, ...]:
        """All changes so far, each in a line."""
        return tuple(self._changes)

    def put_back(self, *, everything: bool = False) -> list[str]:
        """Put the state back as far as that can be done; returns what had changed since the last call.

        everything: look also at what changes no numbers.
        """
        changes = []
        for aspect in _loaded():
            if not (aspect.numbers or everything):
                continue
            after = aspect.value()
            before = self._before.get(aspect.name, UNKNOWN)
            if before is UNKNOWN:
                before, after = self._first_seen(aspect, after)
            if after != before:
                changes.append(aspect.change(before, after))
                if not aspect.put_back(before):
                    self._before[aspect.name] = aspect.value()  # told once
        changes = [change for change in changes if change]
        self._changes |= dict.fromkeys(changes)
        return changes

    def _first_seen(self, aspect: Aspect, after: Any) -> tuple[Any, Any]:
        """The value before, and now, of an aspect whose library was imported meanwhile."""
        before = aspect.fresh() if callable(aspect.fresh) else aspect.fresh
        if before is UNKNOWN:
            self._settle()
            before = after = aspect.value()
        self._before[aspect.name] = before
        return before, after


def _loaded() -> Iterator[Aspect]:
    return (aspect for aspect in ASPECTS if not aspect.library or aspect.library in sys.modules)
