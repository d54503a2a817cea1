"""The error for requests that cannot be carried out, with a message that is written for people."""

from __future__ import annotations


class Refusal(Exception):
    """A request that cannot be carried out; the message says why, where, and what would help.

    The command line prints the message, without a traceback, and ends with exit code 2.
    """


MOST_CHARACTERS = 2000
"""The most characters of an error that rows, tags and the terminal show."""


def shortened(error: str) -> str:
    """An error's text, cut to what can be shown; the log has the whole."""
    rest = len(error) - MOST_CHARACTERS
    return error if rest <= 0 else f"{error[:MOST_CHARACTERS]}… ({rest:,} more characters)"
