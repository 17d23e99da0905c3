"""A real mesh of processes on this machine, driven from one event loop. `LiveMesh` is its face for tests."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from seamesh._registry_client import RegistryClient
from seamesh._rest_port import RestPort
from seamesh._wire import AgentRecord
from seamesh.agent import Agent
from seamesh.errors import SeameshError, Timeout
from seamesh.mesh import Mesh
from seamesh.testing._control import ControlError, ControlSocket
from seamesh.testing._events import EventStream
from seamesh.testing._hosted import Deafness, Hosted
from seamesh.testing._place import program
from seamesh.testing._processes import Process, ProcessError
from seamesh.testing.calls import Answered, Call

EVENT_S = 10.0
"""Seconds anything may take that a mesh waits for: a cap, not a wait."""

STEP_MS = 4_000
"""Milliseconds the clocks move by at once: under the interval of a sidecar's beats (5 s), so that the leases (15 s) of
agents that live are renewed on the way."""

REGISTRY = "registry"
"""What `partition` calls the registry."""


class MeshError(Exception):
    """The test mesh cannot do what it was asked; the message says why, and what to do."""


class _Key(msgspec.Struct):
    api_key: str


@dataclass
class Struck:
    """A call of a skill that the run of `--seams` made deaf, as its caller saw it."""

    caller: str
    task_id: str | None
    error: SeameshError


@dataclass
class Member:
    """An agent of the mesh, and its sidecar."""

    name: str
    number: int
    agent: Agent | None
    command: Sequence[str]
    is_fake: bool
    key: str = ""
    sidecar: Process | None = None
    control: ControlSocket | None = None
    hosted: Hosted | None = None
    process: Process | None = None

    @property
    def peer_id(self) -> str:
        return f"{self.name}-sidecar"

    @property
    def is_alive(self) -> bool:
        return self.sidecar is not None

    def is_linked(self, other: Member) -> bool:
        """Whether a link is open, as this end knows; one that lives in a process of its own does not say."""
        return self.hosted is None or other.peer_id in self.hosted.session.linked


class Engine:
    """The mesh. Everything here runs on one event loop."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.calls: list[Call] = []
        self.deafnesses: list[Deafness] = []
        self.tapes: list[Callable[[Answered], None]] = []
        self.strikes: list[Struck] = []
        self.members: dict[str, Member] = {}
        self.url = ""
        self._program = program()
        self._processes: list[Process] = []
        self._cuts: set[frozenset[str]] = set()
        self._waiters: list[asyncio.Future[None]] = []
        self._registry_control: ControlSocket | None = None
        self._rest: RestPort | None = None
        self._client: RegistryClient | None = None
        self._events: EventStream | None = None

    # The observer of its agents.

    def answered(self, answered: Answered) -> None:
        """A call was answered."""
        for tape in self.tapes:
            tape(answered)

    def struck(self, caller: str, task_id: str | None, error: SeameshError) -> None:
        """A call of a deaf skill was given up."""
        self.strikes.append(Struck(caller, task_id, error))

    def pulse(self) -> None:
        """Something happened."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(
        self, holds: Callable[[], bool], what: str, within_s: float = EVENT_S, look_s: float | None = None
    ) -> None:
        """Waits for something; it is looked at whenever something happened, and every ``look_s`` seconds.

        Raises:
            MeshError: it did not happen in time.
        """
        try:
            async with asyncio.timeout(within_s):
                while not holds():
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.append(waiter)
                    await asyncio.wait([waiter], timeout=look_s)
        except TimeoutError:
            raise MeshError(f"{what}: not within {within_s:g} s\n{self.log_tails()}") from None

    # Start and end.

    async def start(self) -> None:
        """Starts the registry."""
        (self.directory / "logs").mkdir()
        control = self._private("r") / "control"
        data = self.directory / "registry"
        command = ["registry", "--listen", "127.0.0.1:0", "--data", str(data), "--test-control", str(control)]
        registry = self._spawn(REGISTRY, command, {})
        self.url = (await _orderly(registry.ready()))["url"]
        self._registry_control = ControlSocket(control)
        # The administrator of this mesh, as any program of an operator.
        self._client = RegistryClient(self.url, (data / "admin.key").read_text().strip(), party="cli")
        self._rest = RestPort(self._client)

    async def close(self) -> None:
        """Ends every process, and whatever waits here."""
        for process in self._processes:
            process.kill()
        for member in self.members.values():
            if member.control is not None:
                member.control.close()
        if self._registry_control is not None:
            self._registry_control.close()
        hosted = [member.hosted.close() for member in self.members.values() if member.hosted is not None]
        await asyncio.gather(*(process.gone() for process in self._processes))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EVENT_S):
                await asyncio.gather(*hosted)
        if self._events is not None:
            await self._events.close()
        if self._rest is not None:
            self._rest.close()

    @property
    def pids(self) -> list[int]:
        """The processes that it started and did not end."""
        return [process.pid for process in self._processes]

    def log_tails(self) -> str:
        """The end of every process's log."""
        logs = sorted((self.directory / "logs").glob("*.log"))
        tails = (f"--- {log.stem}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-20:]) for log in logs)
        return "\n".join(tails)

    def _private(self, name: str) -> Path:
        # Short: a Unix socket's path has at most 107 bytes, and the directory of temporary files may be deep.
        path = self.directory / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def _spawn(self, name: str, command: Iterable[str], environment: dict[str, str], *, own: bool = True) -> Process:
        first = [self._program] if own else []
        log = self.directory / "logs" / f"{name}.log"
        try:
            process = Process(name, [*first, *command], log, environment)
        except ProcessError as error:
            raise MeshError(str(error)) from error
        self._processes.append(process)
        return process

    # Agents.

    async def add(self, members: list[Member]) -> None:
        """Starts agents, all at once, and waits until each is registered and linked with the others."""
        for member in members:
            if member.name in self.members:
                raise MeshError(f"there is an agent {member.name!r} in this mesh already")
            member.number = len(self.members)
            self.members[member.name] = member
        await _all(self._begin(member) for member in members)
        await self._linked(members)

    async def _begin(self, member: Member) -> None:
        assert self._rest is not None
        if not member.key:
            made = await self._rest.call("create_key", body={"peer_id": member.peer_id, "role": "agent"})
            member.key = msgspec.json.decode(made, type=_Key).api_key
        place = self._private(f"a{member.number}")
        socket, control = place / "s", place / "control"
        control.unlink(missing_ok=True)
        command = ["sidecar", "--registry", self.url, "--socket", str(socket), "--test-control", str(control)]
        environment = {"SEAMESH_API_KEY": member.key, "SEAMESH_ALLOW_UNIDENTIFIED": "true"}
        sidecar = self._spawn(f"sidecar-{member.name}", command, environment)
        await _orderly(sidecar.ready())
        member.sidecar, member.control = sidecar, ControlSocket(control)
        if member.agent is not None:
            await self._host(member, member.agent, str(socket))
        else:
            await self._run(member, str(socket))

    async def _host(self, member: Member, agent: Agent, socket: str) -> None:
        member.hosted = Hosted(agent, self, socket)
        session = member.hosted.session
        await self.until(lambda: session.registry_connected, f"agent {member.name} reaches the registry")

    async def _run(self, member: Member, socket: str) -> None:
        assert self._client is not None
        if self._events is None:
            token = await asyncio.get_running_loop().run_in_executor(None, self._client._fresh_token)
            self._events = EventStream(self.url, token, self.pulse)
        events = self._events
        command = ["tied", "--parent", str(os.getpid()), "--", *member.command]
        environment = {"SEAMESH_SOCKET": socket, "PYTHONUNBUFFERED": "1"}
        events.agents.discard(member.name)
        member.process = self._spawn(f"agent-{member.name}", command, environment)
        await self.until(lambda: member.name in events.agents, f"agent {member.name} joins the mesh")

    async def _linked(self, members: Iterable[Member]) -> None:
        pairs = [(a, b) for a in members for b in self.members.values() if a is not b and b.is_alive]
        pairs = [(a, b) for a, b in pairs if not self._is_cut(a.name, b.name)]

        def open_() -> bool:
            return all(a.is_linked(b) and b.is_linked(a) for a, b in pairs)

        await self.until(open_, "links between " + ", ".join(sorted({m.name for pair in pairs for m in pair})))
        await _all(self._known(b, a.name) for a in members for b in self.members.values() if b.is_alive)

    async def _known(self, member: Member, name: str) -> None:
        """Waits until an agent's sidecar knows that another is there: the registry tells it."""
        if member.hosted is None or self._is_cut(member.name) or self._is_cut(name):
            return
        try:
            async with asyncio.timeout(EVENT_S):
                while not any(a.agent_id == name and a.health == "active" for a in await self._directory(member)):
                    # A round trip to the registry, no pause.
                    await self._ask(member, "settle")
        except TimeoutError:
            raise MeshError(f"agent {member.name} does not hear of {name}\n{self.log_tails()}") from None

    async def _directory(self, member: Member) -> list[AgentRecord]:
        assert member.hosted is not None
        return await member.hosted.session.agents(None)

    def _is_cut(self, *names: str) -> bool:
        alone = (frozenset((name, REGISTRY)) for name in names)
        return frozenset(names) in self._cuts or any(cut in self._cuts for cut in alone)

    def member(self, name: str) -> Member:
        """An agent by name.

        Raises:
            MeshError: there is none.
        """
        if name not in self.members:
            there = ", ".join(sorted(self.members)) or "nobody yet"
            raise MeshError(f"no agent {name!r} in this mesh; there are: {there}")
        return self.members[name]

    def mesh_of(self, name: str) -> Mesh:
        """The mesh as an agent of this process sees it.

        Raises:
            MeshError: there is no such agent, it was killed, or runs in a process of its own.
        """
        member = self.member(name)
        if member.hosted is None:
            raise MeshError(f"agent {name!r} does not live in this process: ask another, or add it as an Agent")
        return member.hosted.session.mesh

    async def call(self, by: str | None, skill: str, timeout_s: float, options: dict[str, Any]) -> Any:
        """Asks for a skill, as an agent or from outside."""
        caps = [d.cap_s for d in self.deafnesses if d.cap_s and by is None and d.hits("", skill)]
        if by is not None:
            return await self.mesh_of(by).delegate(skill, timeout=timeout_s, **options)
        assert self._rest is not None
        # From outside a lifetime is whole seconds: what is shorter is kept here.
        outside = Mesh(self._rest, "")
        try:
            async with asyncio.timeout(min([timeout_s, *caps])):
                return await outside.delegate(skill, timeout=timeout_s, **options)
        except TimeoutError:
            raise Timeout(f"{skill} did not end within {timeout_s:g} s") from None

    # Faults.

    async def kill(self, name: str) -> None:
        """Ends an agent and its sidecar as a power cut would."""
        member = self.member(name)
        ended = [process for process in (member.sidecar, member.process) if process is not None]
        for process in ended:
            process.kill()
        for process in ended:
            await process.gone()
            self._processes.remove(process)
        if member.hosted is not None:
            await member.hosted.close()
        if member.control is not None:
            member.control.close()
        member.sidecar = member.process = member.hosted = member.control = None

    async def restart(self, name: str) -> None:
        """Starts a killed agent again, under the same name and key."""
        member = self.member(name)
        if member.is_alive:
            await self.kill(name)
        await self._begin(member)
        await self._linked([member])

    async def partition(self, a: str, b: str) -> None:
        """Cuts two agents off from each other, or one from the registry."""
        if REGISTRY in (a, b):
            name = b if a == REGISTRY else a
            member = self.member(name)
            await self._ask(member, "cut_registry")
            if member.hosted is not None:
                session = member.hosted.session
                await self.until(
                    lambda: not session.registry_connected, f"agent {name} hears that the registry is away"
                )
        else:
            one, other = self.member(a), self.member(b)
            if one is other:
                raise MeshError(f"{a!r} cannot be cut off from itself")
            await _all([self._ask(one, "cut", peer=other.peer_id), self._ask(other, "cut", peer=one.peer_id)])
            await self.until(
                lambda: not any(x.hosted and x.is_linked(y) for x, y in ((one, other), (other, one))),
                f"the link between {a} and {b} goes down",
            )
        self._cuts.add(frozenset((a, b)))

    async def heal(self, a: str, b: str) -> None:
        """Undoes `partition`, and waits until the link is back."""
        self._cuts.discard(frozenset((a, b)))
        if REGISTRY in (a, b):
            member = self.member(b if a == REGISTRY else a)
            if member.is_alive:
                await self._ask(member, "heal_registry")
            if member.hosted is not None:
                session = member.hosted.session
                await self.until(lambda: session.registry_connected, f"agent {member.name} reaches the registry again")
                await self._ask(member, "settle")
            return
        one, other = self.member(a), self.member(b)
        for here, there in ((one, other), (other, one)):
            if here.is_alive:
                await self._ask(here, "heal", peer=there.peer_id)
        if one.is_alive and other.is_alive:
            await self._linked([one])

    async def delay(self, a: str, b: str, ms: int) -> None:
        """Delays what two agents say to each other over their link."""
        one, other = self.member(a), self.member(b)
        for here, there in ((one, other), (other, one)):
            if ms or here.is_alive:
                await self._ask(here, "delay", peer=there.peer_id, ms=ms)

    async def advance(self, ms: int) -> None:
        """Moves every clock of the mesh."""
        assert self._registry_control is not None
        while ms > 0:
            step = min(ms, STEP_MS)
            ms -= step
            alive = [member for member in self.members.values() if member.is_alive]
            # What they have to say to the registry by then arrives before its own clock moves.
            await _all(self._ask(member, "advance", ms=step) for member in alive)
            await self._told(self._registry_control.ask("advance", ms=step))

    async def _ask(self, member: Member, command: str, **arguments: Any) -> None:
        if member.control is None:
            raise MeshError(f"agent {member.name!r} was killed: restart it first")
        await self._told(member.control.ask(command, **arguments))

    async def _told(self, asked: Awaitable[None]) -> None:
        try:
            await asked
        except ControlError as error:
            raise MeshError(f"{error}\n{self.log_tails()}") from error


async def _orderly(ready: Awaitable[Any]) -> Any:
    try:
        return await ready
    except ProcessError as error:
        raise MeshError(str(error)) from error


async def _all(work: Iterable[Awaitable[Any]]) -> None:
    """Does all of it at once; the first error is raised when all of it has ended."""
    ended = await asyncio.gather(*work, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, BaseException):
            raise outcome


def python_command(file: str | Path) -> list[str]:
    """How an agent's file is run.

    Raises:
        MeshError: there is no such file.
    """
    path = Path(file)
    if path.is_dir():
        path = path / "agent.py"
    if not path.is_file():
        raise MeshError(f"there is no file {path}")
    return [sys.executable, str(path)]
