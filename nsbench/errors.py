"""The error for requests that cannot be carried out, with a message that is written for people."""

from __future__ import annotations


class Refusal(Exception):
    """A request that cannot be carried out; the message says why, where, and what would help.

    The command line prints the message, without a traceback, and ends with exit code 2.
    """
