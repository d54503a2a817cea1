"""How nsbench refuses: one class of errors that are said to a person."""

from __future__ import annotations


class Refusal(Exception):
    """What was asked for cannot be done; the message says why, where, and what would help.

    The command line prints it, without a traceback, and ends with exit code 2.
    """
