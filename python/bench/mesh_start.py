"""How long a test mesh takes: a registry and two agents, started, linked, and ended again, 20 times.

SEAMESH_BIN=target/debug/seamesh python python/bench/mesh_start.py
"""

from __future__ import annotations

import statistics
import time

from seamesh import Agent
from seamesh.testing import LiveMesh

ROUNDS = 20
"""Meshes that are started."""


def main() -> None:
    """Measures, and prints medians and maxima in milliseconds."""
    figures: dict[str, list[float]] = {"registry": [], "registry + 2 agents": [], "end": []}
    for _ in range(ROUNDS):
        agents = [Agent("editor"), Agent("reader")]
        began = time.perf_counter()
        mesh = LiveMesh()
        with mesh:
            figures["registry"].append(time.perf_counter() - began)
            mesh.add(*agents)
            figures["registry + 2 agents"].append(time.perf_counter() - began)
            ending = time.perf_counter()
        figures["end"].append(time.perf_counter() - ending)
    for name, seconds in figures.items():
        median, most = statistics.median(seconds) * 1000, max(seconds) * 1000
        print(f"{name:<20} median {median:5.0f} ms   max {most:5.0f} ms   ({ROUNDS} rounds)")


if __name__ == "__main__":
    main()
