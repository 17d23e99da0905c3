"""The one place that puts URLs of a registry together."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

_FAMILIES = {
    "http": ("http", "ws"),
    "https": ("https", "wss"),
    "ws": ("http", "ws"),
    "wss": ("https", "wss"),
}


def registry_url(base: str, path: str = "", *, family: Literal["http", "ws"] = "http") -> str:
    """The address of ``path`` at the registry ``base``: ``http`` goes with ``ws``, ``https`` with ``wss``.

    Slashes at the end of ``base`` do not matter, and a path in it (a proxy's prefix) is kept.

    Raises:
        ValueError: ``base`` has no http(s) or ws(s) scheme, no host, a bad port, or a query, fragment or credential.
    """
    parts = urlsplit(base.strip())
    pair = _FAMILIES.get(parts.scheme)
    if pair is None or not parts.hostname:
        raise ValueError(f"not a registry URL: {base!r}; give one like http://127.0.0.1:8080")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f"a registry URL has no query, fragment or credential: {parts.hostname}")
    _ = parts.port  # raises ValueError for a port that is none
    scheme = pair[0] if family == "http" else pair[1]
    prefix = parts.path.rstrip("/")
    rest = "/" + path.lstrip("/") if path else ""
    return f"{scheme}://{parts.netloc}{prefix}{rest}"
