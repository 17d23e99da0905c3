"""A real mesh for a test: processes on this machine, the user's agents in the test's process, and faults on request."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from seamesh.agent import Agent
from seamesh.mesh import Mesh
from seamesh.testing._engine import EVENT_S, Engine, Member, MeshError, python_command
from seamesh.testing._hosted import Deafness
from seamesh.testing._place import Directory
from seamesh.testing.calls import Answered, Call
from seamesh.testing.cassette import Cassette
from seamesh.testing.fakes import FakeAgent, fake

T = TypeVar("T")

CALL_S = 10.0
"""Seconds that `LiveMesh.call` waits for a result, unless it is told otherwise."""

LOOK_S = 0.01
"""Seconds between two looks of `LiveMesh.wait_until` when no agent hears or says anything."""

MAX_DELAY_S = 60.0
"""Longest delay of a link, in seconds."""

MAX_ADVANCE_S = 24 * 3600.0
"""Most that one `LiveMesh.advance` moves the clocks by, in seconds."""


class Fault:
    """Something that a test broke. It stays so until `heal`, or the end of a ``with`` block, or of the mesh."""

    def __init__(self, heal: Callable[[], None]) -> None:
        self._heal: Callable[[], None] | None = heal

    def heal(self) -> None:
        """Makes it whole again. Once is enough."""
        heal, self._heal = self._heal, None
        if heal is not None:
            heal()

    def __enter__(self) -> Fault:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()


class LiveMesh:
    """A registry and its agents. Use it with ``with``, or as the pytest fixture ``mesh``.

    Each mesh has processes, ports and a directory of its own, so any number run beside each other. Every method is safe
    to call from any thread, and blocks it; agents run on an event loop of their own thread.

    Raises:
        ProgramMissing: there is no `seamesh` program.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="seamesh-test-mesh", daemon=True)
        self._directory: Directory | None = None
        self._engine: Engine | None = None

    def __enter__(self) -> LiveMesh:
        self._directory = Directory()
        self._thread.start()
        try:
            self._engine = Engine(self._directory.path)
            self._run(self._engine.start())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every process and removes the directory. Once is enough."""
        if self._directory is None:
            return
        directory, self._directory = self._directory, None
        try:
            if self._engine is not None:
                self._run(self._engine.close())
            self._run(_cancel_all())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            directory.remove()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if threading.current_thread() is self._thread:
            work.close()
            raise MeshError(
                "an async skill cannot wait for the mesh that runs it: use its `ctx`, or a skill without async"
            )
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _live(self) -> Engine:
        if self._engine is None or self._directory is None:
            raise MeshError("this mesh does not run: use it inside its `with` block, or as the fixture `mesh`")
        return self._engine

    # Who is there.

    def add(self, *agents: Agent) -> None:
        """Starts agents in this process, each with a sidecar, all at once. Each is registered, and linked with every
        other agent, when this returns.

        Raises:
            MeshError: there is an agent of that name already, or a process did not start.
        """
        members = [Member(agent.name, 0, agent, (), is_fake=False) for agent in agents]
        self._run(self._live().add(members))

    def run(self, name: str, file: str | Path) -> None:
        """Starts an agent from its file (or the directory with its ``agent.py``) as a process of its own. What it is
        asked shows in `calls` only where its caller lives in this process.

        Args:
            name: the name that the file gives its agent.
            file: the file.

        Raises:
            MeshError: there is no such file, or the agent did not join within 10 s.
        """
        member = Member(name, 0, None, python_command(file), is_fake=False)
        self._run(self._live().add([member]))

    def fake_agent(
        self,
        name: str,
        skills: Mapping[str, Any] | None = None,
        *,
        cassette: Cassette | str | Path | None = None,
    ) -> FakeAgent:
        """Puts a peer into the mesh that answers as the test says.

        Args:
            name: its name.
            skills: what each skill answers: a function is called with the arguments (its type hints hold, as with
                `Agent.skill`), an exception is raised, anything else is the result.
            cassette: recorded calls (`record`) of an agent of that name, or their file; ``skills`` go before them.

        Raises:
            MeshError: there is an agent of that name already.
            CassetteError: the cassette cannot be read, or has no calls of that agent.
            TypeError: a function cannot be a skill.
        """
        recorded = Cassette.load(cassette) if isinstance(cassette, str | Path) else cassette
        agent = fake(name, skills or {}, {} if recorded is None else recorded.answers(name))
        self._run(self._live().add([Member(name, 0, agent, (), is_fake=True)]))
        return FakeAgent(self, name)

    def of(self, agent: str | Agent) -> Mesh:
        """The mesh as an agent of this process sees it. Its methods are for the agents' event loop: run them with
        `wait`.

        Raises:
            MeshError: there is no such agent in this process.
        """
        return self._live().mesh_of(_name(agent))

    # Work.

    def call(self, skill: str, *, by: str | Agent | None = None, timeout: float = CALL_S, **options: Any) -> Any:
        """Asks for a skill and gives its result.

        Args:
            skill: the skill.
            by: the agent of this process that asks, directly when it is linked; ``None``: the test itself, as an
                operator, through the queue.
            timeout: seconds until the work is given up.
            options: the arguments; also ``to=``, ``via=``, ``payload=`` and what else `Mesh.delegate` takes.

        Raises:
            SeameshError: as a caller in a mesh sees it.
        """
        asker = None if by is None else _name(by)
        return self._run(self._live().call(asker, skill, timeout, options))

    def start_call(
        self, skill: str, *, by: str | Agent | None = None, timeout: float = CALL_S, **options: Any
    ) -> Future[Any]:
        """`call` that does not wait: its result comes from the future that it gives."""
        asker = None if by is None else _name(by)
        work = self._live().call(asker, skill, timeout, options)
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs something on the agents' event loop: ``mesh.wait(mesh.of("editor").prompt("reader", "Hello"))``."""
        self._live()
        return self._run(work)

    def wait_until(
        self, holds: Callable[[], bool], what: str = "what was waited for", timeout: float = EVENT_S
    ) -> None:
        """Waits for something that agents of this process do; looked at whenever one of them hears or says something,
        and every 10 ms, because what a skill does in between tells nobody.

        Raises:
            MeshError: it did not happen within ``timeout`` seconds.
        """
        self._run(self._live().until(holds, what, timeout, LOOK_S))

    @property
    def calls(self) -> list[Call]:
        """Every call that reached an agent of this process, in order."""
        return list(self._live().calls)

    @contextlib.contextmanager
    def record(self, path: str | Path | None = None) -> Iterator[Cassette]:
        """Records what agents of this process ask others, and the answers, while the block runs.

        Args:
            path: where it is written at the end of the block, for ``fake_agent(cassette=)``; ``None``: nowhere.
        """
        engine, cassette = self._live(), Cassette()

        def keep(answered: Answered) -> None:
            # What was never answered is no traffic.
            if answered.agent:
                cassette.add(answered)

        engine.tapes.append(keep)
        try:
            yield cassette
        finally:
            engine.tapes.remove(keep)
        if path is not None:
            cassette.save(path)

    # Faults.

    def kill(self, agent: str | Agent) -> None:
        """Ends an agent and its sidecar as a power cut would: nobody says goodbye.

        Raises:
            MeshError: there is no such agent.
        """
        self._run(self._live().kill(_name(agent)))

    def restart(self, agent: str | Agent) -> None:
        """Starts a killed agent again, under the same name and credential.

        Raises:
            MeshError: there is no such agent, or it did not start.
        """
        self._run(self._live().restart(_name(agent)))

    def partition(self, a: str | Agent, b: str | Agent) -> Fault:
        """Cuts two agents off from each other: their link goes down and none opens; work between them takes the queue.
        ``mesh.partition("reader", "registry")`` cuts an agent off from the registry instead; links stay.

        `Fault.heal` brings the link back, and waits until it is open.

        Raises:
            MeshError: there is no such agent, or it was killed.
        """
        one, other = _name(a), _name(b)
        self._run(self._live().partition(one, other))
        return Fault(lambda: self._run(self._live().heal(one, other)))

    def delay(self, a: str | Agent, b: str | Agent, seconds: float) -> Fault:
        """Makes every message on the link between two agents take that much longer, each way: 0 to 60 s, real time.

        Raises:
            MeshError: there is no such agent, it was killed, or the delay is out of range.
        """
        if not 0 <= seconds <= MAX_DELAY_S:
            raise MeshError(f"a link is delayed by 0 to {MAX_DELAY_S:g} s, not {seconds:g}")
        one, other = _name(a), _name(b)
        self._run(self._live().delay(one, other, round(seconds * 1000)))
        return Fault(lambda: self._run(self._live().delay(one, other, 0)))

    def deaf(self, skill: str, *, caller: str | Agent | None = None) -> Fault:
        """Makes an agent of this process deaf to calls of a skill: they reach it, and are never answered. Their callers
        wait until their deadline.

        Args:
            skill: ``agent.skill``, such as ``reader.summarize``.
            caller: only the calls of this agent; ``None``: all.

        Raises:
            MeshError: there is no such agent in this process, or it has no such skill.
        """
        # Names of agents may have dots too.
        splits = [(skill[:at], skill[at + 1 :]) for at, sign in enumerate(skill) if sign == "."]
        known = [split for split in splits if split[0] in self._live().members]
        agent, name = (known or splits or [(skill, "")])[0]
        member = self._live().member(agent)
        if member.agent is None:
            raise MeshError(f"agent {agent!r} runs in a process of its own: only agents of this one can be deaf")
        if name not in member.agent.skills:
            raise MeshError(f"agent {agent!r} has no skill {name!r}; write it as agent.skill")
        return self._deafen(Deafness(agent, name, None if caller is None else _name(caller)))

    def _deafen(self, deafness: Deafness) -> Fault:
        engine = self._live()
        engine.deafnesses.append(deafness)
        return Fault(lambda: engine.deafnesses.remove(deafness))

    def advance(self, seconds: float) -> None:
        """Moves the clock of the registry and of every sidecar forward, at most a day. What is due by then happens:
        deadlines pass, leases of agents that are gone lapse, and those of agents that live are renewed. Clocks of
        Python, and so ``asyncio.sleep`` and ``ctx.remaining``, do not move.

        Raises:
            MeshError: the time is out of range.
        """
        if not 0 <= seconds <= MAX_ADVANCE_S:
            raise MeshError(f"clocks move forward by 0 to {MAX_ADVANCE_S:g} s, not by {seconds:g}")
        self._run(self._live().advance(round(seconds * 1000)))

    # For tools.

    @property
    def url(self) -> str:
        """The registry's address."""
        return self._live().url

    @property
    def directory(self) -> Path:
        """The mesh's directory: ``registry`` with ``admin.key``, and ``logs``. It goes away with the mesh."""
        return self._live().directory

    @property
    def pids(self) -> list[int]:
        """The processes of the mesh."""
        return self._live().pids

    def log_tails(self) -> str:
        """The end of the log of each process."""
        return self._live().log_tails()


def _name(agent: str | Agent) -> str:
    return agent.name if isinstance(agent, Agent) else agent


async def _cancel_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()
