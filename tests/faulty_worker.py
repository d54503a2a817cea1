"""A plugin that brings nothing but a faulty disk, to worker processes that are started while FAULTY_DISK is set."""

from __future__ import annotations

import json
import os
from pathlib import Path

if "FAULTY_DISK" in os.environ:
    from faulty_disk import FaultyDisk

    _root, _kind, _k, _number = json.loads(os.environ["FAULTY_DISK"])
    FaultyDisk(Path(_root)).watching((_kind, _k, _number)).__enter__()
