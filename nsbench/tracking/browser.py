"""The user's browser, opened at an address that nobody else may see."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory


def is_at_hand() -> bool:
    """Whether somebody who reads what is printed here sits at a desktop that can open a browser."""
    if not sys.stdout.isatty() or "SSH_CONNECTION" in os.environ:
        return False
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def shown(address: str, folder: Path) -> Iterator[None]:
    """Open the browser at an address, by way of a page that leads there and is gone at the end of the block.

    All accounts of a machine can read what programs are started with, but not this page. folder: where it lies, in a
    folder of mode 0700; not among temporary files, which browsers that come as snaps cannot read.
    """
    with TemporaryDirectory(prefix="mlflow-", dir=folder, ignore_cleanup_errors=True) as private:
        page = Path(private).absolute() / "open.html"
        page.write_text(
            f'<!doctype html><title>MLflow</title><meta http-equiv="refresh" content="0; url={escape(address)}">'
        )
        webbrowser.open(page.as_uri())
        yield
