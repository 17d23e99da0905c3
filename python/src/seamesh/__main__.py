"""``python -m seamesh agent.py``: hosts the agent of a file or module beside its sidecar."""

from __future__ import annotations

import argparse
import sys

import msgspec

from seamesh.errors import SidecarUnavailable
from seamesh.hosting import HostingError, load_agent


def main(arguments: list[str] | None = None) -> int:
    """The command. Exit code 2: the agent could not be hosted."""
    parser = argparse.ArgumentParser(prog="python -m seamesh", description="Serves an agent beside its sidecar.")
    parser.add_argument("agent", help="a file, or module[:name], that holds the Agent")
    parser.add_argument("--socket", help="the sidecar's socket; default: $SEAMESH_SOCKET")
    parser.add_argument("--describe", action="store_true", help="print the agent's profile as JSON and exit")
    options = parser.parse_args(arguments)
    try:
        agent = load_agent(options.agent)
        if options.describe:
            print(msgspec.json.encode(agent.profile()).decode())
        else:
            agent.run(options.socket)
    except (HostingError, SidecarUnavailable) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
