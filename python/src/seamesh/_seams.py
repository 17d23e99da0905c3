"""The hook at each codec: what this process said and acted on, and the faults that ``cargo xtask seams`` plants.

Inert unless ``SEAMESH_SEAM_RECORDS`` or ``SEAMESH_SEAM_FAULT`` is set; see ``crates/proto/src/seam.rs``, whose
counterpart this is.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter

import msgspec

PYTHON_AGENT = "python_agent"
"""What this SDK is in the ledger."""

_LATE_S = 0.06
_LATE_MESSAGES = 3

_lock = threading.Lock()
_seen: set[str] = set()
_delayed: Counter[str] = Counter()


def _parse(text: str) -> tuple[str, list[tuple[str, str, str]]]:
    """The verb, and each row: what stands before its ends, its producer, its consumer."""
    verb, *rows = text.split(" ")
    faults: list[tuple[str, str, str]] = []
    for row in rows:
        head, _, parties = row.rpartition("/")
        producer, _, consumer = parties.partition(">")
        faults.append((head, producer, consumer))
    return verb, faults


_records = os.environ.get("SEAMESH_SEAM_RECORDS")
_verb, _faults = _parse(os.environ.get("SEAMESH_SEAM_FAULT", ""))

is_on = bool(_records or _faults)
"""Whether anything is recorded or broken."""


class _Kind(msgspec.Struct):
    type: str = ""


_kinds = msgspec.json.Decoder(_Kind)


def kind_of(message: bytes | msgspec.Raw) -> str:
    """The ``type`` of a message; empty when it has none."""
    try:
        return _kinds.decode(message).type
    except (ValueError, RecursionError):
        return ""


def _note(side: str, row: str) -> None:
    line = f"{side} {row}\n"
    with _lock:
        if _records is None or line in _seen or any(c.isspace() for c in row):
            return
        _seen.add(line)
        with open(os.path.join(_records, str(os.getpid())), "a", encoding="utf-8") as file:
            file.write(line)


def _is_of(head: str, producer: str, consumer: str) -> str | None:
    """The fault's verb, when it is of this row; ``*`` is whoever it may be."""
    fits = (head == row and producer in ("*", says) and consumer in ("*", hears) for row, says, hears in _faults)
    return _verb if any(fits) else None


def said(channel: str, kind: str, consumer: str, *, me: str = PYTHON_AGENT) -> bool:
    """This program is about to send a message of this kind: whether it shall."""
    if not is_on:
        return True
    head = f"{channel}/{kind}"
    if _is_of(head, me, consumer) == "mute":
        return False
    _note("said", f"{head}/{me}>{consumer}")
    return True


def heard(channel: str, kind: str, producer: str, *, me: str = PYTHON_AGENT) -> int:
    """This program is about to act on a message of this kind: how often it shall."""
    if not is_on:
        return 1
    head = f"{channel}/{kind}"
    verb = _is_of(head, producer, me)
    if verb == "deaf":
        return 0
    if verb == "late" and _delayed[head] < _LATE_MESSAGES:
        _delayed[head] += 1
        time.sleep(_LATE_S)
    _note("acted", f"{head}/{producer}>{me}")
    return 2 if verb == "twice" else 1
