"""Serves an agent without a sidecar, over the registry's REST heartbeat.

The answer of each heartbeat carries ``pending_tasks``: work that is this agent's from then on. Each is run and its
result posted under the task's lease. For places where no sidecar can run; everything goes through the queue.

    SEAMESH_API_KEY=… python -m seamesh.http_agent agent.py --registry http://127.0.0.1:8080
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from functools import partial
from typing import TypeAlias

import msgspec

from seamesh import _wire
from seamesh._registry_client import RegistryClient
from seamesh._rest_port import RestPort
from seamesh._threads import WorkerThreads
from seamesh.agent import STOP_GRACE_S, Agent
from seamesh.context import Context
from seamesh.errors import ProtocolError, SeameshError
from seamesh.hosting import HostingError, load_agent
from seamesh.logs import start_logging
from seamesh.mesh import Mesh
from seamesh.runner import run_skill

_log = logging.getLogger("seamesh")

INTERVAL_S = 15.0
"""Seconds between heartbeats: four fit into the life of a lease held over REST."""

FIRST_RETRY_S = 0.5

LAST_RETRY_S = 15.0
"""Longest pause between two attempts to reach a registry that is away."""

Lease: TypeAlias = tuple[str, int, int]
"""A task's id, its attempt and its lease: one hand-out, to be run once."""


class HttpAgent:
    """The loop: register, beat, run what the beat brings, post what came of it. Ends only when it is told to.

    Args:
        registry_url: the registry, such as ``http://127.0.0.1:8080``.
        api_key: a credential with the role ``agent``.
        agent: whose skills to serve.
        interval: seconds between heartbeats when there is nothing to do.
        timeout: seconds a call to the registry may take.

    Raises:
        ValueError: the URL is none, or the interval is not positive.
    """

    def __init__(
        self,
        registry_url: str,
        api_key: str,
        agent: Agent,
        *,
        interval: float = INTERVAL_S,
        timeout: float = 10.0,
    ) -> None:
        if interval <= 0:
            raise ValueError("the interval is more than 0 seconds")
        self._client = RegistryClient(registry_url, api_key, timeout_s=timeout)
        self._agent = agent
        self._interval = interval
        self._limit = agent.max_concurrent or _wire.DEFAULT_MAX_CONCURRENT
        self._running: dict[Lease, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._registered = False
        self._retry_s = FIRST_RETRY_S

    def run(self) -> None:
        """Serves until SIGINT or SIGTERM."""
        start_logging()
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self.serve(stop_on_signals=True))

    async def serve(
        self, *, stop: asyncio.Event | None = None, stop_on_signals: bool = False, grace: float = STOP_GRACE_S
    ) -> None:
        """Serves until ``stop`` is set, or with ``stop_on_signals`` until SIGINT or SIGTERM.

        Args:
            stop: set it to stop.
            stop_on_signals: whether signals stop it; needs the main thread.
            grace: seconds that running tasks have to end; what runs longer is handed back.
        """
        stop = stop or asyncio.Event()
        self._port = RestPort(self._client)
        self._threads = WorkerThreads(self._limit, self._agent.name)
        if stop_on_signals:
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        background = [asyncio.create_task(self._beat_forever())]
        if self._agent.start_handler is not None:
            background.append(asyncio.create_task(self._start()))
        try:
            await stop.wait()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await self._leave(grace)
            self._threads.shutdown()
            self._port.close()

    # Beating.

    async def _beat_forever(self) -> None:
        while True:
            self._wake.clear()
            pause = self._interval
            try:
                await self._beat()
                self._retry_s = FIRST_RETRY_S
                self._port.connected = True
            except SeameshError as error:
                pause = self._retry_s
                self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)
                self._port.connected = False
                _log.warning("the registry did not take the heartbeat, trying again in %.1f s: %s", pause, error)
            except Exception:
                pause = self._retry_s
                _log.exception("a heartbeat failed")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _beat(self) -> None:
        if not self._registered:
            await self._port.tell("register_agent", body=self._info())
            self._registered = True
        try:
            answer = await self._port.call("heartbeat", body=self._heartbeat())
            tasks = msgspec.json.decode(answer, type=_wire.HeartbeatAnswer).pending_tasks
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProtocolError(f"the heartbeat's answer does not fit: {error}") from error
        except SeameshError as error:
            if error.code in ("agent_unknown", "not_found"):
                self._registered = False
            raise
        for task in tasks:
            self._take(task)

    def _heartbeat(self) -> _wire.HeartbeatBody:
        # Naming what runs here tells the registry which hand-outs never came, because an answer was lost.
        held = [_wire.LeaseRef(task_id=task_id, lease=lease) for task_id, _, lease in self._running]
        return _wire.HeartbeatBody(
            agent_id=self._agent.name,
            hostname=self._agent.hostname,
            skill_names=list(self._agent.skills),
            max_tasks=max(0, self._limit - len(self._running)),
            leases=held,
        )

    def _info(self) -> _wire.AgentInfo:
        profile = self._agent.profile()
        return _wire.AgentInfo(
            agent_id=profile.agent_id,
            hostname=profile.hostname,
            capabilities=_wire.Capabilities(skills=list(self._agent.skills), mode=profile.mode),
            mode=profile.mode,
            description=profile.description,
            skills=profile.skills,
            version=profile.version,
            max_concurrent=profile.max_concurrent,
        )

    # Working.

    def _take(self, task: _wire.Task) -> None:
        key = (task.id, task.attempt, task.lease or 0)
        if key not in self._running:
            work = asyncio.create_task(self._work(task))
            self._running[key] = work
            work.add_done_callback(partial(self._done, key))

    def _done(self, key: Lease, work: asyncio.Task[None]) -> None:
        del self._running[key]
        if not work.cancelled() and work.exception() is not None:
            _log.error("task %s was not answered", key[0], exc_info=work.exception())
        self._wake.set()

    async def _work(self, task: _wire.Task) -> None:
        event = _event(task)
        context = Context(self._port, self._agent.name, event)
        running = asyncio.ensure_future(run_skill(self._agent.skills, event, context, self._threads))
        expiry = asyncio.get_running_loop().call_later(task.ttl, self._expire, context, running)
        try:
            outcome = await running
        except asyncio.CancelledError:
            running.cancel()
            await self._post(task, _wire.TaskUpdate(state="pending", lease=task.lease), patient=False)
            raise
        finally:
            expiry.cancel()
        if outcome.state == "canceled":
            return  # it outlived its time to live, which the registry has noted itself
        await self._post(task, _update(task, outcome), patient=True)

    @staticmethod
    def _expire(context: Context, running: asyncio.Future[_wire.Outcome]) -> None:
        context.mark_canceled()
        running.cancel()

    async def _post(self, task: _wire.Task, update: _wire.TaskUpdate, *, patient: bool) -> None:
        """Posts how an attempt ended; a patient one until the registry has taken or refused it."""
        retry_s = FIRST_RETRY_S
        while True:
            try:
                await self._port.tell("update_task", path={"task_id": task.id}, body=update)
                return
            except SeameshError as error:
                if error.retry == "never" and error.code != "unauthorized":
                    _log.warning("the registry refused the result of task %s: %s", task.id, error)
                    return
                if not patient:
                    _log.warning("task %s was not handed back: %s", task.id, error)
                    return
                _log.warning("the result of task %s waits for the registry: %s", task.id, error)
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, LAST_RETRY_S)

    async def _leave(self, grace: float) -> None:
        """Gives running tasks a while, hands the rest back, and takes the agent off the registry's list."""
        running = list(self._running.values())
        if running:
            await asyncio.wait(running, timeout=grace)
            for work in running:
                work.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        if self._registered:
            try:
                await self._port.tell("remove_agent", path={"agent_id": self._agent.name})
                _log.info("agent %s left the registry", self._agent.name)
            except SeameshError as error:
                _log.warning("the agent was not taken off the list: %s", error)

    async def _start(self) -> None:
        if self._agent.start_handler is not None:
            try:
                await self._agent.start_handler(Mesh(self._port, self._agent.name))
            except Exception:
                _log.exception("the start hook of agent %s failed", self._agent.name)


def _event(task: _wire.Task) -> _wire.TaskEvent:
    return _wire.TaskEvent(
        task_id=task.id,
        attempt=task.attempt,
        skill=task.skill,
        payload=task.payload,
        from_agent=task.source_agent_id,
        path="queue",
        timeout_ms=task.ttl * 1000,
        parent_id=task.parent_id,
        root_id=task.root_id,
        depth=task.depth,
        run_traceparent=task.run_traceparent,
    )


def _update(task: _wire.Task, outcome: _wire.Outcome) -> _wire.TaskUpdate:
    if outcome.error is None:
        return _wire.TaskUpdate(state="completed", result=outcome.result, lease=task.lease)
    code, message = outcome.error.code, outcome.error.message
    text = message if code == "skill_failed" else f"{code}: {message}"
    return _wire.TaskUpdate(state="failed", error=text, lease=task.lease)


def main(arguments: list[str] | None = None) -> int:
    """The command: hosts a file's agent."""
    parser = argparse.ArgumentParser(prog="python -m seamesh.http_agent", description="Serves an agent over HTTP.")
    parser.add_argument("agent", help="a file, or module[:name], that holds the Agent")
    parser.add_argument("--registry", default=os.environ.get("SEAMESH_REGISTRY"), help="the registry's URL")
    parser.add_argument("--interval", type=float, default=INTERVAL_S, help="seconds between heartbeats")
    options = parser.parse_args(arguments)
    key = os.environ.get("SEAMESH_API_KEY")
    try:
        if not options.registry:
            raise HostingError("no registry: give --registry URL or set SEAMESH_REGISTRY")
        if not key:
            raise HostingError("no credential: set SEAMESH_API_KEY to a key with the role agent")
        served = HttpAgent(options.registry, key, load_agent(options.agent), interval=options.interval)
    except (HostingError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    served.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
