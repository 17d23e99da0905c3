"""Where the tests of real meshes find the program."""

from __future__ import annotations

import os
from pathlib import Path

_BUILT = Path(__file__).parents[2] / "target" / "debug" / "seamesh"

# `cargo xtask test` names it; by hand it is the one that `cargo build` made.
if "SEAMESH_BIN" not in os.environ and _BUILT.is_file():
    os.environ["SEAMESH_BIN"] = str(_BUILT)
