"""Names: which are allowed, which was meant, and how foreign text is made safe to print."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Safe as the name of a folder and as a word of a shell; matched in full."""


def bad_name(name: str) -> str:
    return f"names are letters, digits, '.', '_' and '-', at most 64, got {name!r:.80}"


def printable(text: str) -> str:
    """The text with whatever is no visible character or space as \\n, \\x1b, …"""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def hidden_character(text: str) -> str:
    """The first control character or lone surrogate in a text, by its code; "" if there is none."""
    found = next((c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"), None)
    return f"the character U+{ord(found):04X}" if found else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "; did you mean …?" for the nearest known name, or what is known, or nothing."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if known else ""
