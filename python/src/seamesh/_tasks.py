"""The tasks an agent works on: each a running skill with its voice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from seamesh import _wire
from seamesh._protocol import AgentProtocol
from seamesh._speaker import Speaker
from seamesh._talk import Key
from seamesh._threads import WorkerThreads
from seamesh.context import Context
from seamesh.mesh import Port
from seamesh.runner import canceled, run_skill

if TYPE_CHECKING:
    from seamesh.agent import Agent

_log = logging.getLogger("seamesh")


class _Running(NamedTuple):
    """A task at work."""

    handle: asyncio.Task[_wire.Outcome]
    context: Context
    speaker: Speaker
    skill: str


class Tasks:
    """Runs tasks, and tells how they ended.

    Args:
        agent: whose skills to run.
        port: the way from the skills into the mesh.
        protocol: the conversation with the sidecar.
        output: there is something to write.
        is_writable: whether the sidecar reads what is written.
    """

    def __init__(
        self,
        agent: Agent,
        port: Port,
        protocol: AgentProtocol,
        output: Callable[[], None],
        is_writable: Callable[[], bool],
    ) -> None:
        self._agent = agent
        self._port = port
        self._protocol = protocol
        self._output = output
        self._is_writable = is_writable
        self._threads = WorkerThreads(agent.max_concurrent or _wire.DEFAULT_MAX_CONCURRENT, agent.name)
        self._running: dict[Key, _Running] = {}
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self, task: _wire.TaskEvent) -> None:
        """A task came."""
        if self._draining:
            return  # `goodbye` hands it back
        key = (task.task_id, task.attempt)
        speaker = Speaker(self._protocol.speech(key), self._say, self._is_writable)
        context = Context(self._port, self._agent.name, task, speaker)
        work = run_skill(self._agent.skills, task, context, self._threads)
        handle = self._port.loop.create_task(work)
        self._running[key] = _Running(handle, context, speaker, task.skill)
        self._idle.clear()
        # A callback and not a wrapper: it also runs for a task that was canceled before its first step.
        handle.add_done_callback(partial(self._ended, key))

    def hear(self, told: _wire.TaskInputEvent) -> None:
        """The asker of a task told its skill something."""
        running = self._running.get((told.task_id, told.attempt))
        if running is not None:
            running.speaker.hear(told)

    def cancel(self, key: Key, code: str) -> None:
        """Nobody waits for a task any more."""
        running = self._running.get(key)
        if running is None:
            return
        _log.debug("task %s is over: %s", key[0], code)
        running.context.mark_canceled()
        skill = self._agent.skills.get(running.skill)
        # A thread cannot be interrupted: it keeps its place until it ends, or looks at `ctx.canceled`.
        if skill is None or skill.is_async:
            running.handle.cancel()

    def _ended(self, key: Key, handle: asyncio.Task[_wire.Outcome]) -> None:
        running = self._running.pop(key)
        running.speaker.end()
        if not self._running:
            self._idle.set()
        if running.context.canceled:
            outcome = canceled("canceled")
        elif handle.cancelled():
            return  # this process ends: `goodbye` handed the work back
        else:
            outcome = handle.result()
        self._protocol.respond(key, outcome)
        self._output()

    def _say(self, line: bytes) -> None:
        self._protocol.say(line)
        self._output()

    async def drain(self, grace: float) -> None:
        """Takes no more work, and gives what runs ``grace`` seconds to end."""
        self._draining = True
        try:
            async with asyncio.timeout(grace):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("%d tasks did not end in %.1f s and are handed back", len(self._running), grace)

    @property
    def handles(self) -> list[asyncio.Task[_wire.Outcome]]:
        """The tasks that run."""
        return [running.handle for running in self._running.values()]

    @property
    def threads(self) -> WorkerThreads:
        """Where skills that are not async run."""
        return self._threads

    def close(self) -> None:
        """Lets the threads end."""
        self._threads.shutdown()
