"""The mesh as an agent without a sidecar sees it: everything goes through the registry's queue."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Mapping, Set
from typing import Any, NoReturn

import msgspec

from seamesh import _wire
from seamesh._listener import Listener
from seamesh._registry_client import RegistryClient
from seamesh._threads import WorkerThreads
from seamesh.errors import (
    LinkError,
    NobodyAnswers,
    NotStreamed,
    RegistryUnavailable,
    SeameshError,
    Timeout,
    error_of,
)
from seamesh.mesh import OnPart, Work

_log = logging.getLogger("seamesh")

WAIT_S = 20.0
"""Seconds one call waits for a task to end before it asks again."""

ENDED = frozenset(("completed", "failed", "canceled"))


class RestPort:
    """Delegates through the registry. There are no links, so nothing can be sent to a peer."""

    def __init__(self, client: RegistryClient) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._threads = WorkerThreads(_wire.DEFAULT_MAX_CONCURRENT, "registry")
        self.connected = False

    async def call(self, operation: str, **options: Any) -> bytes:
        """Calls the registry in a thread; see `RegistryClient.call`."""

        def blocking() -> bytes:
            return self._client.call(operation, **options)

        return await self._loop.run_in_executor(self._threads, blocking)

    async def tell(self, operation: str, **options: Any) -> None:
        """Calls an operation whose answer says that it was done, and nothing more. What answers otherwise is no
        registry (a proxy's page, say): it counts as away.
        """
        answer = await self.call(operation, **options)
        try:
            done = msgspec.json.decode(answer, type=_wire.Ok)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RegistryUnavailable(f"{operation} was answered by something that is no registry: {error}") from error
        if done.status != "ok":
            raise RegistryUnavailable(f"{operation} was answered with status {done.status!r}")

    @property
    def peer_id(self) -> str | None:
        """The credential's name on the network."""
        return self._client.peer_id

    @property
    def registry_connected(self) -> bool:
        """Whether the last heartbeat was answered."""
        return self.connected

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the agent."""
        return self._loop

    async def request(self, work: Work) -> Any:
        """Submits a task and waits for its end, or gives its id."""
        if work.via == "direct":
            raise LinkError("an agent without a sidecar has no links; use the queue")
        listener = work.listener
        if listener is not None and listener.stream:
            raise NotStreamed("an agent without a sidecar takes no chunks: delegate, and take the result")
        if listener is not None and listener.answers:
            raise NobodyAnswers("an agent without a sidecar answers no questions: leave them to a person")
        timeout_ms = work.timeout_ms or (_wire.DEFAULT_REQUEST_TIMEOUT_MS if work.wait else _wire.DEFAULT_TTL_S * 1000)
        deadline = self._loop.time() + timeout_ms / 1000
        submitted = await self.call("submit_task", body=_submit(work, timeout_ms))
        task_id = msgspec.json.decode(submitted, type=_wire.SubmitAnswer).task_id
        return await self._result(task_id, deadline, listener) if work.wait else task_id

    async def _result(self, task_id: str, deadline: float, listener: Listener | None) -> Any:
        ended = False
        progress: _wire.Progress | None = None
        try:
            while (left := deadline - self._loop.time()) > 0:
                task = await self._wait(task_id, min(WAIT_S, left))
                if listener is not None and task is not None and task.progress not in (None, progress):
                    progress = task.progress
                    listener.progress(progress)
                if task is not None and task.state in ENDED:
                    ended = True
                    return _result_of(task)
            raise Timeout(f"task {task_id} did not end in time")
        finally:
            if not ended:
                await asyncio.shield(asyncio.ensure_future(self._cancel(task_id)))

    async def _wait(self, task_id: str, patience_s: float) -> _wire.Task | None:
        query = {"timeout_ms": str(max(1, int(patience_s * 1000)))}
        try:
            answer = await self.call("wait_task", path={"task_id": task_id}, query=query, patience_s=patience_s)
        except SeameshError as error:
            if error.retry != "later":
                raise
            _log.debug("waiting for task %s: %s", task_id, error)
            await asyncio.sleep(min(1.0, patience_s))  # the registry is away; the task is durable
            return None
        return msgspec.json.decode(answer, type=_wire.Task)

    async def _cancel(self, task_id: str) -> None:
        try:
            await self.tell("cancel_task", path={"task_id": task_id})
            _log.info("task %s is canceled: nobody waits for its end", task_id)
        except SeameshError as error:
            _log.debug("task %s was not canceled: %s", task_id, error)

    async def agents(self, skill: str | None) -> list[_wire.AgentRecord]:
        """The agents of the mesh."""
        answer = await self.call("list_agents")
        agents = msgspec.json.decode(answer, type=list[_wire.AgentRecord])
        return [agent for agent in agents if skill is None or _wire.offers(agent, skill)]

    async def peers(self) -> list[str]:
        """No peer: there are no links."""
        return []

    @property
    def linked(self) -> Set[str]:
        """No peer: there are no links."""
        return frozenset()

    @property
    def statuses(self) -> Mapping[str, Any]:
        """Nothing: there are no links."""
        return {}

    async def ask(
        self, peer: str, kind: str, to: str, body: Any, patience_s: float, on_chunk: OnPart | None = None
    ) -> Any:
        """Always refused."""
        _no_link()

    def send(self, peer: str, message: msgspec.Raw) -> Awaitable[None]:
        """Always refused."""
        _no_link()

    def broadcast(self, message: msgspec.Raw) -> Awaitable[None]:
        """Always refused."""
        _no_link()

    def connect_peer(self, peer: str) -> Awaitable[None]:
        """Always refused."""
        _no_link()

    def close(self) -> None:
        """Lets the threads end."""
        self._threads.shutdown()


def _no_link() -> NoReturn:
    raise LinkError("an agent without a sidecar has no links: delegate instead")


def _submit(work: Work, timeout_ms: int) -> _wire.SubmitTask:
    parent = work.parent
    return _wire.SubmitTask(
        skill=work.skill,
        target_agent_id=work.to or "",
        payload=msgspec.Raw(work.payload),
        ttl=min(_wire.MAX_TTL_S, math.ceil(timeout_ms / 1000)),
        parent_id=parent.task_id if parent else None,
        root_id=(parent.root_id or parent.task_id) if parent else None,
        depth=parent.depth + 1 if parent else 0,
        traceparent=work.traceparent or (parent.run_traceparent if parent else None),
    )


def _result_of(task: _wire.Task) -> Any:
    if task.state == "completed":
        return task.result
    code = task.error_code or ("canceled" if task.state == "canceled" else "skill_failed")
    raise error_of(code, task.error)
