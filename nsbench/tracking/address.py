"""Addresses of servers and databases: what may be shown of them, and which ones lead to the same server."""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

_PORTS = {"http": 80, "https": 443}

_PLACES = ("host", "port", "database", "dbname", "service", "unix_socket", "mode")
"""Entries of an address's query that say where a database is; every other may be a secret."""


def split(uri: str) -> SplitResult | None:
    """The parts of an address; None if it is none."""
    try:
        parts = urlsplit(uri)
        return parts if parts.port is None or parts.hostname else None
    except ValueError:  # a port that is no number, half an IPv6 address
        return None


def origin(uri: str) -> str | None:
    """The scheme, host and port of an http or https address, "https://host:443"; None for any other text."""
    parts = split(uri)
    if parts is None or parts.scheme not in _PORTS or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{_PORTS[parts.scheme] if parts.port is None else parts.port}"


def label(uri: str) -> str:
    """The address for files and messages: without users and passwords, and of its query only what says where."""
    scheme, mark, _, rest = _parts(uri)
    place, _, query = rest.partition("?")
    shown = urlencode([(name, value) for name, value in parse_qsl(query) if name in _PLACES])
    return scheme + mark + place + (f"?{shown}" if shown else "")


def without_secrets(text: str, uri: str) -> str:
    """The text with the user, the password and the query's secrets of an address replaced by "***"."""
    _, _, user, rest = _parts(uri)
    name, _, password = user.partition(":")
    secrets = [user, password or name]
    secrets += [value for key, value in parse_qsl(rest.partition("?")[2]) if key not in _PLACES]
    for secret in sorted({*secrets, *map(unquote, secrets)} - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _parts(uri: str) -> tuple[str, str, str, str]:
    """The scheme, "://", the user with the password, and the rest of an address.

    A password may hold characters that should have been encoded: up to the last "@" all is taken for it.
    """
    scheme, mark, rest = uri.partition("://")
    if not mark:
        return uri, "", "", ""
    if rest.startswith("/"):  # a database's file: nobody's name stands before it
        return scheme, mark, "", rest
    user, _, rest = rest.rpartition("@")
    return scheme, mark, user, rest.partition("#")[0]
