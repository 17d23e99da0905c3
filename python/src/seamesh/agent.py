"""An agent: a name and its skills."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import os
import signal
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar, overload

from seamesh import _wire, manifest
from seamesh import builtin as builtin_skills
from seamesh._inbox import MessageHandler
from seamesh._session import Session
from seamesh._transport import SidecarConnection
from seamesh.errors import SeameshError, SidecarUnavailable
from seamesh.logs import start_logging
from seamesh.mesh import PROMPT, Mesh
from seamesh.prompts import INTERVENTION, PromptSkill, intervention, reads_messages
from seamesh.skills import Skill

F = TypeVar("F", bound=Callable[..., Any])

_log = logging.getLogger("seamesh")

STOP_GRACE_S = 10.0
"""Seconds that running tasks have to end when the agent is told to stop; what runs longer is handed back."""


class Agent:
    """Declares an agent. Skills and hooks are added with its decorators; `run` serves them.

    Args:
        name: the agent's id: letters, digits and ``. _ - : @ + ~ * =``, at most 128 bytes.
        description: what it is for.
        version: its version, for the dashboard.
        max_concurrent: tasks it takes at once; 0 means the mesh's default (64).
        hostname: the machine it runs on; ``None``: this one.
        mode: a free-form mode, for the dashboard.
        builtin: built-in skills to offer: ``list_agents``, ``find_agent``, ``delegate``, ``mesh_send``,
            ``mesh_broadcast``, ``user_intervention``; see `seamesh.builtin`.

    Attributes:
        instructions: the text of ``AGENT.md``, when `seamesh run` started the agent.

    Raises:
        ValueError: the name is not an id, ``max_concurrent`` is negative, or a built-in skill is not known.
    """

    def __init__(
        self,
        name: str,
        *,
        description: str = "",
        version: str = "",
        max_concurrent: int = 0,
        hostname: str | None = None,
        mode: str = "",
        builtin: Iterable[str] = (),
    ) -> None:
        if not _wire.is_id(name):
            raise ValueError(f"{name!r} is no agent id: use letters, digits and . _ - : @ + ~ * =, at most 128")
        if max_concurrent < 0:
            raise ValueError("max_concurrent is at least 0")
        self.name = name
        self.description = description
        self.version = version
        self.max_concurrent = max_concurrent
        self.hostname = sockets.gethostname() if hostname is None else hostname
        self.mode = mode
        self.instructions = ""
        self._is_manifested = False
        self.skills: dict[str, Skill] = {}
        self.prompt: PromptSkill | None = None
        self.message_handler: MessageHandler | None = None
        self.peer_handler: Callable[[str, bool], Any] | None = None
        self.registry_handler: Callable[[bool], Any] | None = None
        self.error_handler: Callable[[SeameshError], Any] | None = None
        self.start_handler: Callable[[Mesh], Awaitable[None]] | None = None
        for name_of_skill in builtin:
            self.add_builtin(name_of_skill)

    def __repr__(self) -> str:
        return f"Agent({self.name!r}, skills={sorted(self.skills)})"

    # Declaring.

    @overload
    def skill(self, function: F, /) -> F: ...

    @overload
    def skill(
        self, /, *, name: str | None = None, description: str | None = None, callers: Iterable[str] | None = None
    ) -> Callable[[F], F]: ...

    def skill(
        self,
        function: F | None = None,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        callers: Iterable[str] | None = None,
    ) -> F | Callable[[F], F]:
        """Makes a function, sync or async, a skill. Use it bare or with arguments.

        The arguments' JSON Schema comes from the type hints, the descriptions from the docstring (its text, and an
        ``Args:`` section). A first parameter that is called ``ctx``, or is annotated `Context`, gets the context.

        A generator, sync or async, yields its result in parts. An asker that takes chunks gets each one as it comes;
        then the result is what `Context.set_result` was given, or what a sync generator returns, else ``None``. For
        any other asker it is that too, or else the list of all that was yielded.
        Args:
            function: the function.
            name: what others ask for; ``None``: the function's name.
            description: what it does; ``None``: the docstring's text.
            callers: the agents that may call it, at most 256; ``None``: everybody. People with the role operator or
                above may always. Others are refused with the code ``forbidden``.

        Raises:
            TypeError: a parameter cannot be given by name, or its type has no JSON form.
            ValueError: the name is taken, empty or too long, a caller is no agent id, or there are too many.
        """

        def declare(declared: F) -> F:
            made = Skill(declared, name=name, description=description, callers=callers)
            if made.name in self.skills:
                raise ValueError(f"agent {self.name} has a skill {made.name!r} already")
            if len(self.skills) >= _wire.MAX_SKILLS:
                raise ValueError(f"an agent has at most {_wire.MAX_SKILLS} skills")
            self.skills[made.name] = made
            return declared

        return declare if function is None else declare(function)

    def add_builtin(self, name: str) -> None:
        """Offers a built-in skill. One that the agent has already, by whatever way, stays.

        Raises:
            ValueError: there is no such built-in skill.
        """
        if name not in builtin_skills.NAMES:
            raise ValueError(f"no built-in skill {name!r}; there are: {', '.join(builtin_skills.NAMES)}")
        if name in self.skills:
            return
        if name == INTERVENTION:
            self.skills[name] = intervention(self.prompt)
        else:
            self.skills[name] = Skill(builtin_skills.FUNCTIONS[name])

    def remove_skill(self, name: str) -> None:
        """Offers a skill no more; before the agent serves.

        Raises:
            KeyError: it has no such skill.
        """
        del self.skills[name]

    def on_prompt(self, function: F) -> F:
        """Reads prompts: what agents and people say in words (`Mesh.prompt`, `Mesh.tell`, the hub). The function,
        like a skill, takes ``message``, after a `Context` if it wants one, and gives the answer; a generator gives it
        in parts. Prompts over links and through the queue come here alike; the agent then offers the skill
        ``agent_prompt``.

        Raises:
            TypeError: it takes something else.
            ValueError: there is a prompt handler already.
        """
        if self.prompt is not None:
            raise ValueError(f"agent {self.name} has a prompt handler already")
        self.prompt = PromptSkill(function)
        self.skills[PROMPT] = self.prompt
        if INTERVENTION in self.skills:
            self.skills[INTERVENTION] = intervention(self.prompt)
        return function

    def on_message(self, function: F) -> F:
        """Calls a function with each `Message`, in order; with the `Mesh` too when it takes two parameters.

        A function that is not async is called at once, on the event loop: it must not block. An async one is awaited
        before the next message is handed over. Prompts come here when there is no `on_prompt`; one that came through
        the queue has no ``from_peer``, and comes as work does, beside what comes over links.
        """
        self.message_handler = MessageHandler(function)
        self.skills.setdefault(PROMPT, reads_messages(self.message_handler))
        return function

    def on_peer(self, function: F) -> F:
        """Calls a function with a peer's id and whether its link opened (``True``) or went down."""
        self.peer_handler = function
        return function

    def on_registry(self, function: F) -> F:
        """Calls a function with whether the registry is reachable, when that changes."""
        self.registry_handler = function
        return function

    def on_error(self, function: F) -> F:
        """Calls a function with each error that answers no call, such as a message to a peer that is not linked."""
        self.error_handler = function
        return function

    def on_start(self, function: F) -> F:
        """Calls an async function with the `Mesh`, once, as soon as the sidecar serves."""
        self.start_handler = function
        return function

    def profile(self) -> _wire.AgentProfile:
        """What it says of itself when it starts."""
        return _wire.AgentProfile(
            agent_id=self.name,
            description=self.description,
            skills=[skill.info for skill in self.skills.values()],
            hostname=self.hostname,
            mode=self.mode,
            version=self.version,
            max_concurrent=self.max_concurrent,
        )

    # Serving.

    def run(self, socket: str | None = None) -> None:
        """Serves until SIGINT or SIGTERM. Then running tasks get a while to end, and the rest is handed back.

        Args:
            socket: the sidecar's socket; ``None``: ``$SEAMESH_SOCKET``.

        Raises:
            SidecarUnavailable: no socket is named.
        """
        start_logging()
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(self.serve(socket, stop_on_signals=True))

    async def serve(
        self,
        socket: str | None = None,
        *,
        stop: asyncio.Event | None = None,
        stop_on_signals: bool = False,
        grace: float = STOP_GRACE_S,
    ) -> None:
        """Serves until ``stop`` is set, or with ``stop_on_signals`` until SIGINT or SIGTERM.

        Args:
            socket: the sidecar's socket; ``None``: ``$SEAMESH_SOCKET``.
            stop: set it to stop.
            stop_on_signals: whether signals stop it; needs the main thread.
            grace: seconds that running tasks have to end.
        """
        stop = stop or asyncio.Event()
        loop = asyncio.get_running_loop()
        if stop_on_signals:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop.set)
        async with self.connected(socket, grace=grace, wait=False):
            await stop.wait()
            if stop_on_signals:
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.remove_signal_handler(number)  # a second one ends the process at once

    @contextlib.asynccontextmanager
    async def connected(
        self, socket: str | None = None, *, grace: float = STOP_GRACE_S, wait: bool = True
    ) -> AsyncIterator[Mesh]:
        """Serves while the block runs, and gives it the `Mesh`.

        Args:
            socket: the sidecar's socket; ``None``: ``$SEAMESH_SOCKET``.
            grace: seconds that running tasks have to end after the block.
            wait: whether the block begins only once the sidecar serves.
        """
        path = socket or os.environ.get("SEAMESH_SOCKET")
        if not path:
            raise SidecarUnavailable("no sidecar: start the agent with `seamesh run`, or set SEAMESH_SOCKET")
        if not self._is_manifested:
            self._is_manifested = True
            manifest.apply(self)
        session = Session(self)
        connection = SidecarConnection(session, path)
        background = [asyncio.create_task(connection.keep())]
        if self.start_handler is not None:
            background.append(asyncio.create_task(self._start(session)))
        try:
            if wait:
                await session.welcome.wait()
            yield session.mesh
        finally:
            await session.drain(grace)
            await connection.close()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await session.close()

    async def _start(self, session: Session) -> None:
        await session.welcome.wait()
        if self.start_handler is None:
            return
        try:
            result = self.start_handler(session.mesh)
            if inspect.isawaitable(result):
                await result
        except Exception:
            _log.exception("the start hook of agent %s failed", self.name)
