"""The wire as this SDK speaks it: the messages of the IPC socket and the REST bodies it needs.

A message is decoded in one pass, straight into its frame: ``{"type": …, "payload": …}``. Unknown members are ignored.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Raw, Struct, field

PROTOCOL_VERSION = 1

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Longest IPC line, in bytes, newline included."""

MAX_PAYLOAD_BYTES = 1024 * 1024
"""Largest task payload or result, in bytes of JSON."""

MAX_QUEUED_BYTES = 4 * 1024 * 1024
"""Bytes queued towards the sidecar before a producer that does not wait is refused."""

MAX_OPEN_REQUESTS = 4096
"""Requests one agent may have open at once."""

DEFAULT_MAX_CONCURRENT = 64
"""Most tasks one agent holds at once when its profile does not say."""

DEFAULT_REQUEST_TIMEOUT_MS = 120_000
"""Milliseconds a request waits for its answer when the caller does not say."""

MAX_ID_BYTES = 128
"""Longest id, in bytes."""

MAX_SKILL_BYTES = 128
"""Longest skill name, in bytes."""

MAX_SKILLS = 256
"""Most skills one agent offers."""

CODES: dict[str, tuple[Literal["caller", "callee", "mesh", "network"], Literal["never", "later"]]] = {
    "bad_encoding": ("caller", "never"),
    "bad_json": ("caller", "never"),
    "bad_field": ("caller", "never"),
    "unknown_type": ("caller", "never"),
    "out_of_order": ("caller", "never"),
    "too_large": ("caller", "never"),
    "version_unsupported": ("caller", "never"),
    "unauthorized": ("caller", "never"),
    "forbidden": ("caller", "never"),
    "not_found": ("caller", "never"),
    "method_not_allowed": ("caller", "never"),
    "unsupported_media_type": ("caller", "never"),
    "agent_unknown": ("caller", "never"),
    "task_unknown": ("caller", "never"),
    "task_state": ("caller", "never"),
    "lease_stale": ("caller", "never"),
    "conflict": ("caller", "never"),
    "no_agent": ("caller", "later"),
    "skill_unknown": ("caller", "never"),
    "depth_exceeded": ("caller", "never"),
    "bad_arguments": ("caller", "never"),
    "skill_failed": ("callee", "never"),
    "bad_result": ("callee", "never"),
    "expired": ("mesh", "later"),
    "deadline_exceeded": ("callee", "later"),
    "attempts_exhausted": ("callee", "later"),
    "canceled": ("caller", "never"),
    "no_link": ("network", "later"),
    "link_lost": ("network", "later"),
    "registry_unavailable": ("network", "later"),
    "agent_away": ("callee", "later"),
    "sidecar_busy": ("caller", "later"),
    "overloaded": ("mesh", "later"),
    "rate_limited": ("caller", "later"),
    "invite_invalid": ("caller", "never"),
    "events_gone": ("caller", "never"),
    "store_unavailable": ("mesh", "later"),
    "internal": ("mesh", "later"),
}
"""Every stable error code: whose fault it is, and whether to try again."""

TaskState: TypeAlias = Literal["pending", "assigned", "input_required", "completed", "failed", "canceled"]
Path: TypeAlias = Literal["direct", "queue"]
Via: TypeAlias = Literal["auto", "direct", "queue"]
Health: TypeAlias = Literal["active", "stale", "offline"]


class SkillInfo(Struct, omit_defaults=True):
    """One skill that an agent offers."""

    name: str
    description: str = ""
    input_schema: dict[str, Any] | None = None


class AgentProfile(Struct):
    """What an agent says of itself when it starts."""

    agent_id: str
    description: str = ""
    skills: list[SkillInfo] = field(default_factory=list)
    hostname: str = ""
    mode: str = ""
    version: str = ""
    max_concurrent: int = 0


class Capabilities(Struct):
    """What existing clients call an agent's capabilities."""

    skills: list[str] = field(default_factory=list)
    mcp_servers: list[str] = field(default_factory=list)
    goals_count: int = 0
    mode: str = ""


class AgentRecord(Struct):
    """An agent as the registry knows it."""

    agent_id: str
    hostname: str
    health: Health
    registered_at: str
    last_heartbeat: str
    ip: str = ""
    port: int = 8000
    sidecar_peer_id: str = ""
    capabilities: Capabilities = field(default_factory=Capabilities)
    status: str = ""
    mode: str = ""
    description: str = ""
    skills: list[SkillInfo] = field(default_factory=list)
    version: str = ""
    max_concurrent: int = 0
    tasks_in_flight: int = 0

    def offers(self, skill: str) -> bool:
        """Whether it offers ``skill``."""
        return skill in self.capabilities.skills or any(s.name == skill for s in self.skills)


class TaskError(Struct):
    """Why a task failed."""

    code: str
    message: str


class Outcome(Struct):
    """How one attempt ended: ``completed``, ``failed`` or ``canceled``."""

    state: TaskState
    result: Any = None
    error: TaskError | None = None


class Problem(Struct, omit_defaults=True):
    """An error as every channel tells it."""

    code: str
    detail: str
    fault: Literal["caller", "callee", "mesh", "network"]
    retry: Literal["never", "later"]
    status: int | None = None
    title: str | None = None
    request_id: str | None = None
    error: str | None = None


# What a sidecar says to its agent.


class Welcome(Struct):
    """Answers ``hello``."""

    version: int
    registry_connected: bool
    max_line_bytes: int
    peer_id: str | None = None


class Message(Struct):
    """A message came over a link."""

    from_peer: str
    message: dict[str, Any]


class PeerRef(Struct):
    """Names a peer."""

    peer_id: str


class PeerList(Struct):
    """The peers with an open link."""

    peers: list[str]


class TaskEvent(Struct):
    """A unit of work."""

    task_id: str
    attempt: int
    skill: str
    timeout_ms: int
    payload: Any = None
    from_agent: str = ""
    path: Path = "queue"
    parent_id: str | None = None
    root_id: str | None = None
    depth: int = 0


class TaskCancel(Struct):
    """Stop this work: nobody waits for it any more."""

    task_id: str
    attempt: int
    code: str


class Accepted(Struct):
    """A request was taken."""

    request_id: str
    task_id: str
    path: Path


class Response(Struct):
    """A request ended."""

    request_id: str
    task_id: str
    outcome: Outcome
    path: Path = "queue"
    agent_id: str = ""
    duration_ms: int = 0


class AgentsList(Struct):
    """The agents of the mesh, by id."""

    request_id: str
    agents: list[AgentRecord]


class RegistryState(Struct):
    """The registry came or went."""

    connected: bool


class WelcomeFrame(Struct, tag_field="type", tag="welcome"):
    payload: Welcome


class MessageFrame(Struct, tag_field="type", tag="message"):
    payload: Message


class PeerConnectedFrame(Struct, tag_field="type", tag="peer_connected"):
    payload: PeerRef


class PeerDisconnectedFrame(Struct, tag_field="type", tag="peer_disconnected"):
    payload: PeerRef


class PeerListFrame(Struct, tag_field="type", tag="peer_list"):
    payload: PeerList


class TaskFrame(Struct, tag_field="type", tag="task"):
    payload: TaskEvent


class TaskCancelFrame(Struct, tag_field="type", tag="task_cancel"):
    payload: TaskCancel


class AcceptedFrame(Struct, tag_field="type", tag="accepted"):
    payload: Accepted


class ResponseFrame(Struct, tag_field="type", tag="response"):
    payload: Response


class AgentsFrame(Struct, tag_field="type", tag="agents"):
    payload: AgentsList


class RegistryFrame(Struct, tag_field="type", tag="registry"):
    payload: RegistryState


class ErrorFrame(Struct, tag_field="type", tag="error"):
    payload: Problem


AgentEvent: TypeAlias = (
    WelcomeFrame
    | MessageFrame
    | PeerConnectedFrame
    | PeerDisconnectedFrame
    | PeerListFrame
    | TaskFrame
    | TaskCancelFrame
    | AcceptedFrame
    | ResponseFrame
    | AgentsFrame
    | RegistryFrame
    | ErrorFrame
)


# What an agent says to its sidecar.


class Hello(Struct):
    """First line of a native agent."""

    version: int
    agent: AgentProfile


class Send(Struct):
    """Sends a message to a peer over its link."""

    target_peer: str
    message: Raw


class Broadcast(Struct):
    """Sends a message to every linked peer."""

    message: Raw


class Connect(Struct):
    """Opens a link to a peer, if there is none."""

    target_peer_id: str


class Request(Struct, omit_defaults=True):
    """Delegates work."""

    request_id: str
    skill: str
    to: str | None = None
    payload: Raw = field(default_factory=lambda: Raw(b"{}"))
    timeout_ms: int | None = None
    wait: bool = True
    via: Via = "auto"
    parent: str | None = None


class Cancel(Struct):
    """Gives up a request."""

    request_id: str


class Respond(Struct):
    """How a ``task`` ended."""

    task_id: str
    attempt: int
    outcome: Outcome


class AgentsQuery(Struct, omit_defaults=True):
    """Asks for the agents of the mesh."""

    request_id: str
    skill: str | None = None


class Nothing(Struct):
    """An empty body."""


class HelloFrame(Struct, tag_field="type", tag="hello"):
    payload: Hello


class SendFrame(Struct, tag_field="type", tag="send"):
    payload: Send


class BroadcastFrame(Struct, tag_field="type", tag="broadcast"):
    payload: Broadcast


class ListPeersFrame(Struct, tag_field="type", tag="list_peers"):
    payload: Nothing | None = None


class ConnectFrame(Struct, tag_field="type", tag="connect"):
    payload: Connect


class RequestFrame(Struct, tag_field="type", tag="request"):
    payload: Request


class CancelFrame(Struct, tag_field="type", tag="cancel"):
    payload: Cancel


class RespondFrame(Struct, tag_field="type", tag="respond"):
    payload: Respond


class AgentsQueryFrame(Struct, tag_field="type", tag="agents"):
    payload: AgentsQuery


class GoodbyeFrame(Struct, tag_field="type", tag="goodbye"):
    payload: Nothing | None = None


AgentCommand: TypeAlias = (
    HelloFrame
    | SendFrame
    | BroadcastFrame
    | ListPeersFrame
    | ConnectFrame
    | RequestFrame
    | CancelFrame
    | RespondFrame
    | AgentsQueryFrame
    | GoodbyeFrame
)


# REST, for agents without a sidecar.


class AgentInfo(Struct):
    """An agent as it registers."""

    agent_id: str
    hostname: str
    capabilities: Capabilities = field(default_factory=Capabilities)
    status: str = ""
    mode: str = ""
    description: str = ""
    skills: list[SkillInfo] = field(default_factory=list)
    version: str = ""
    max_concurrent: int = 0


class TokenAnswer(Struct):
    """Answer of ``POST /api/token``."""

    token: str
    peer_id: str
    role: str


class HeartbeatBody(Struct, omit_defaults=True):
    """Body of ``POST /api/hub/heartbeat``. A field that is absent leaves the record as it is."""

    agent_id: str
    hostname: str | None = None
    skill_names: list[str] | None = None
    max_tasks: int | None = None


class Task(Struct):
    """A task as the registry tells it."""

    id: str
    skill: str
    state: TaskState
    ttl: int
    target_agent_id: str = ""
    source_agent_id: str = ""
    assigned_agent_id: str = ""
    payload: Any = None
    result: Any = ""
    error: str = ""
    error_code: str | None = None
    path: Path = "queue"
    attempt: int = 0
    lease: int | None = None
    parent_id: str | None = None
    root_id: str | None = None
    depth: int = 0


class HeartbeatAnswer(Struct):
    """Answer of ``POST /api/hub/heartbeat``: work that is this agent's from now on."""

    status: str
    pending_tasks: list[Task]


class SubmitTask(Struct, omit_defaults=True):
    """Body of ``POST /api/hub/tasks``."""

    skill: str
    target_agent_id: str = ""
    payload: Raw = field(default_factory=lambda: Raw(b"{}"))
    ttl: int = 300
    parent_id: str | None = None
    root_id: str | None = None
    depth: int = 0


class SubmitAnswer(Struct):
    """Answer of ``POST /api/hub/tasks``."""

    task_id: str


class TaskUpdate(Struct, omit_defaults=True):
    """Body of ``POST /api/hub/tasks/{task_id}``: how an attempt ended."""

    state: TaskState
    result: Any = None
    error: str = ""
    lease: int | None = None
