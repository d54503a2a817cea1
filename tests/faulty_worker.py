"""A plugin that brings nothing but a faulty disk, to worker processes that are started while FAULTY_DISK is set.

FAULTY_DISK: the folder, the fault as of ``FaultyDisk.watching``, and a file in which it says what it struck, as JSON.
"""

from __future__ import annotations

import atexit
import json
import os
from pathlib import Path

if "FAULTY_DISK" in os.environ:
    from faulty_disk import FaultyDisk

    _root, _fault, _report = json.loads(os.environ["FAULTY_DISK"])
    _disk = FaultyDisk(Path(_root), lambda struck: Path(_report).write_text(struck, encoding="utf-8"))
    _watch = _disk.watching(tuple(_fault))
    _watch.__enter__()
    atexit.register(_watch.__exit__, None, None, None)
