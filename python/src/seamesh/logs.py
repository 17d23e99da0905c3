"""Where the log goes when the program does not say."""

from __future__ import annotations

import logging
import os


def start_logging() -> None:
    """Logs to stderr at ``$SEAMESH_LOG`` (default ``INFO``), unless the program set logging up itself."""
    if not logging.getLogger().handlers:
        level = logging.getLevelNamesMapping().get(os.environ.get("SEAMESH_LOG", "INFO").upper(), logging.INFO)
        logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
