"""Parts of a long stage, kept in its work folder: after an interruption a later sitting goes on behind them.

    <work>/<key>/<name>-<first>.json   the facts of a part, with a checksum: where it ends, what it took
                 <name>-<first>.<…>    its content, with a checksum

A part is kept when half a minute's work has been added since the last, or when the run is to end: a quick stage keeps
none. What was damaged, or made on other hardware than this, is made again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nsbench.store.checked import read_checked, set_file_aside, verify_checked, whole_checked, write_checked
from nsbench.store.files import make_folder
from nsbench.store.manifest import Damaged

SECONDS = 30.0
"""The work between two parts: what a kill costs at most, but for the batch at work."""


@dataclass
class Parts:
    """The parts of one artifact. folder: None to keep none. hardware: that times are measured on, in any form.

    hold: called before a part is kept; it raises where code is not what the key says. notify: told of damaged parts.
    """

    folder: Path | None = None
    hardware: Any = None
    hold: Callable[[], None] = lambda: None
    notify: Callable[[str], None] = lambda message: None
    _kept: float = field(default_factory=time.monotonic)

    def is_due(self) -> bool:
        """Whether enough work has been done since the last part."""
        return self.folder is not None and time.monotonic() - self._kept > SECONDS

    def keep(
        self, name: str, first: int, end: int, write: Callable[[Path], None], facts: Mapping[str, Any] | None = None
    ) -> None:
        """Keep items first to end − 1 of what is called `name`. write: writes the content to a new file."""
        self._kept = time.monotonic()
        if self.folder is None or end == first:
            return
        self.hold()
        make_folder(self.folder)
        with whole_checked(self._path(name, first, "part")) as draft:
            write(draft)
        text = json.dumps({"end": end, "hardware": self.hardware, "facts": dict(facts or {})})
        write_checked(self._path(name, first, "json"), text.encode())

    def read(self, name: str) -> Iterator[tuple[int, Path, dict[str, Any]]]:
        """The parts of what is called `name`, from the first item on without a gap: (end, file, facts) of each."""
        first = 0
        while self.folder is not None and (part := self._read(name, first)) is not None:
            yield part
            first = part[0]

    def _read(self, name: str, first: int) -> tuple[int, Path, dict[str, Any]] | None:
        facts, content = self._path(name, first, "json"), self._path(name, first, "part")
        if not facts.exists():
            return None
        try:
            known = json.loads(read_checked(facts))
            verify_checked(content)
        except FileNotFoundError:
            return None
        except Damaged as damage:
            self.notify(f"{damage}; moved to {set_file_aside(facts).name}, from there on it is made again")
            return None
        return (int(known["end"]), content, known["facts"]) if known["hardware"] == self.hardware else None

    def _path(self, name: str, first: int, ending: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{name}-{first:07d}.{ending}"
