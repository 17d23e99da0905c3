"""Where a test mesh lives: the program it runs, and a private directory that does not outlive it."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from pathlib import Path

_PREFIX = "seamesh-test-"
_LOCK = "in-use"

MAX_TEMPORARY = 66
"""Longest path of the directory of temporary files; beyond it ``/tmp`` is used, because the path of a Unix socket has
at most 103 bytes on every system we know."""


class ProgramMissing(Exception):
    """There is no `seamesh` program; the message says how to get it."""


def program() -> str:
    """The `seamesh` program: ``$SEAMESH_BIN``, else the one beside this Python, else the one on the ``PATH``.

    Raises:
        ProgramMissing: there is none.
    """
    named = os.environ.get("SEAMESH_BIN")
    if named:
        if not Path(named).is_file():
            raise ProgramMissing(f"SEAMESH_BIN names {named}, and there is no such file")
        return named
    beside = Path(sys.executable).parent / "seamesh"
    found = str(beside) if beside.is_file() else shutil.which("seamesh")
    if not found:
        raise ProgramMissing(
            "a real mesh needs the `seamesh` program, and there is none on the PATH: install it with "
            "`cargo install seamesh`, or name it in SEAMESH_BIN"
        )
    return found


class Directory:
    """A private directory (0700) that is removed at the end. One that a killed test left behind is removed by the next
    test: a lock, which ends with its process, tells which those are."""

    def __init__(self) -> None:
        where = _temporary()
        _sweep(where)
        # It gets the name that is swept once it is locked.
        made = Path(tempfile.mkdtemp(prefix="seamesh-new-", dir=where))
        self._lock = os.open(made / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = made.rename(where / made.name.replace("seamesh-new-", _PREFIX))

    def remove(self) -> None:
        """Removes everything."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _temporary() -> Path:
    where = Path(tempfile.gettempdir())
    return where if len(str(where)) <= MAX_TEMPORARY or not Path("/tmp").is_dir() else Path("/tmp")


def _sweep(where: Path) -> None:
    for left in where.glob(_PREFIX + "*"):
        try:
            lock = os.open(left / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # another user's, or one that begins just now
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except OSError:
            pass  # its test runs
        finally:
            os.close(lock)
