"""One function for every address."""

from __future__ import annotations

from typing import Literal

import pytest

from seamesh.urls import registry_url


@pytest.mark.parametrize(
    ("base", "path", "family", "expected"),
    [
        ("http://h:8080", "/ws", "ws", "ws://h:8080/ws"),
        ("https://h", "/ws", "ws", "wss://h/ws"),
        ("http://h:8080/", "/api/token", "http", "http://h:8080/api/token"),
        ("http://h:8080///", "api/token", "http", "http://h:8080/api/token"),
        ("https://h/mesh/", "/api/token", "http", "https://h/mesh/api/token"),
        ("https://h/mesh", "ws", "ws", "wss://h/mesh/ws"),
        ("ws://h:1", "/api/token", "http", "http://h:1/api/token"),
        ("wss://h", "", "http", "https://h"),
        ("HTTP://Host/", "", "ws", "ws://Host"),
        ("http://[::1]:80", "/ws", "ws", "ws://[::1]:80/ws"),
        (" http://h \n", "/a", "http", "http://h/a"),
    ],
)
def test_schemes_go_together_and_slashes_do_not_matter(
    base: str, path: str, family: Literal["http", "ws"], expected: str
) -> None:
    assert registry_url(base, path, family=family) == expected


@pytest.mark.parametrize(
    "base",
    ["", "localhost:8080", "ftp://h", "http://", "http://h:99999", "http://h?x=1", "http://h/#a", "http://u:p@h"],
)
def test_what_is_no_registry_url_is_refused(base: str) -> None:
    with pytest.raises(ValueError, match=r"URL|[Pp]ort"):
        registry_url(base, "/ws")


def test_a_credential_in_the_url_is_not_repeated_in_the_error() -> None:
    with pytest.raises(ValueError, match="credential") as caught:
        registry_url("http://user:secret@host")
    assert "secret" not in str(caught.value)
