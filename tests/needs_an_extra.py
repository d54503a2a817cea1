"""A simulator whose library is not installed."""

from __future__ import annotations

import a_library_that_nobody_has  # noqa: F401

import toy


class Extra(toy.Coin):
    pass
