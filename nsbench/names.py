"""Names: the rule for them, suggestions for misspelt ones, and foreign text made safe to print."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
"""The rule for names, matched in full: safe as the name of a folder and as a word of a shell.

So long that a name of a dataset and one of a simulator fit in the name of one file.
"""


def bad_name(name: str) -> str:
    """The message about a name that breaks the rule."""
    return f"names are letters, digits, '.', '_' and '-', at most 96, got {name!r:.80}"


def printable(text: str) -> str:
    """The text with every character that is neither visible nor a space written as \\n, \\x1b, …"""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def visible(text: str) -> str:
    """The text with its line breaks and tabs, and every other hidden character written as \\x1b, \\u202e, …

    Whatever others wrote (errors, names in data files, messages of plugins) goes through this before a person sees it,
    so that it cannot move a terminal's cursor or change the order of letters.
    """
    return "".join(c if c in "\n\t" else printable(c) for c in text) if not text.isprintable() else text


def without_credentials(text: str) -> str:
    """The text without what stands before an "@" in its addresses, and behind a "?" or "#" in those of servers."""
    text = re.sub(r"(?<=://)\S*@", "", text)
    return re.sub(r"(https?://[^\s?#]*)[?#][^\s'\"]*", r"\1", text)


def hidden_character(text: str) -> str:
    """The code of the first control character or lone surrogate in a text, as words; "" if there is none."""
    character = next((c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"), None)
    return f"the character U+{ord(character):04X}" if character else ""


_MOST_COMPARED = 200
"""The most characters of a name, and the most names, among which a near one is looked for: each costs a comparison."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: "; did you mean …?", "; known: …" if no name is near, or ""."""
    names = sorted(known)
    if max(len(name), len(names)) > _MOST_COMPARED:
        return f"; {len(names):,} are known, {names[0]!r:.80} among them" if names else ""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""
