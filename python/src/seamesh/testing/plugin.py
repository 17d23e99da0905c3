"""The pytest plugin: the fixture ``mesh``. Found by pytest itself once ``seamesh[testing]`` is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from seamesh.testing.live import LiveMesh


@pytest.fixture
def mesh() -> Iterator[LiveMesh]:
    """A real mesh for one test: a registry on a free port of this machine; `LiveMesh.add` puts agents into it."""
    from seamesh.testing.live import LiveMesh

    with LiveMesh() as live:
        yield live
