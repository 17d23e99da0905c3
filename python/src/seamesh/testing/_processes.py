"""The processes of a test mesh: started, waited for until they serve, and ended with the process that started them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

READY_S = 20.0
"""Seconds a process may take until its ``ready`` line: a cap, not a wait."""

LOG_TAIL_LINES = 30
"""Lines of a log that an error quotes."""


def _is_handed_on(key: str) -> bool:
    """Whether a variable reaches the processes: what configures another mesh must not configure this one."""
    return not key.startswith("SEAMESH_") or key.startswith(("SEAMESH_LOG", "SEAMESH_SEAM_"))


class ProcessError(Exception):
    """A process did not start; the message quotes its log."""


class Process:
    """A child. Start it on the thread that ends last: the kernel ends it together with that thread."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        self._loop = asyncio.get_running_loop()
        self._heard = b""
        self._ready: asyncio.Future[Any] = self._loop.create_future()
        env = {key: value for key, value in os.environ.items() if _is_handed_on(key)}
        # What `seamesh tied` does for other programs, seamesh does by itself when this names its parent.
        env.update(environment, SEAMESH_TIED=str(os.getpid()))
        self._log = log.open("ab")
        try:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, env=env
            )
        except OSError as error:
            self._log.close()
            raise ProcessError(f"{name} cannot be started: {error}") from error
        assert self._child.stdout is not None
        self._pipe = self._child.stdout
        os.set_blocking(self._pipe.fileno(), False)
        self._loop.add_reader(self._pipe.fileno(), self._read)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._child.pid

    async def ready(self) -> Any:
        """What its ``ready {json}`` line says.

        Raises:
            ProcessError: it ended before, or took more than 20 s.
        """
        try:
            async with asyncio.timeout(READY_S):
                return await self._ready
        except TimeoutError:
            raise ProcessError(f"{self.name} was not ready within {READY_S:.0f} s\n{self.log_tail()}") from None

    def _read(self) -> None:
        try:
            data = os.read(self._pipe.fileno(), 64 * 1024)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._pipe.fileno())
            if not self._ready.done():
                self._ready.set_exception(ProcessError(f"{self.name} ended before it was ready\n{self.log_tail()}"))
                self._ready.exception()  # whoever does not wait need not hear of it
            return
        if self._ready.done():
            self._log.write(data)
            return
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            if line.startswith(b"ready ") and not self._ready.done():
                with contextlib.suppress(msgspec.DecodeError):
                    self._ready.set_result(msgspec.json.decode(line[len(b"ready ") :]))
                    continue
            self._log.write(line + b"\n")

    def kill(self) -> None:
        """Ends it as a power cut would (SIGKILL). Wait with `gone`."""
        self._child.kill()

    async def gone(self) -> None:
        """Waits until it has ended, and lets go of it."""
        await self._loop.run_in_executor(None, self._child.wait)
        with contextlib.suppress(ValueError):
            self._loop.remove_reader(self._pipe.fileno())
        self._pipe.close()
        self._log.close()

    def log_tail(self) -> str:
        """The end of its log, headed by its name."""
        if not self._log.closed:
            self._log.flush()
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"--- {self.name}", *lines[-LOG_TAIL_LINES:]])
