"""The wire as this SDK uses it: the generated types, and the fast way to read an event."""

from __future__ import annotations

import re

import msgspec

from seamesh._generated.wire import (
    ARTIFACT_PART_BYTES,
    CODES,
    DEFAULT_MAX_CONCURRENT,
    DEFAULT_REQUEST_TIMEOUT_MS,
    DEFAULT_TTL_S,
    MAX_ARTIFACT_BYTES,
    MAX_CALLERS,
    MAX_CHILDREN,
    MAX_CHUNK_BYTES,
    MAX_DEPTH,
    MAX_ID_BYTES,
    MAX_JSON_DEPTH,
    MAX_LINE_BYTES,
    MAX_NAME_BYTES,
    MAX_NOTE_BYTES,
    MAX_OPEN_REQUESTS,
    MAX_PAYLOAD_BYTES,
    MAX_QUESTION_BYTES,
    MAX_QUEUED_BYTES,
    MAX_RETRY_AFTER_S,
    MAX_SKILL_BYTES,
    MAX_SKILLS,
    MAX_TTL_S,
    PROTOCOL_VERSION,
    ROUTES,
    STREAM_GRANT,
    STREAM_WINDOW,
    TOKEN_TTL_S,
    Accepted,
    AgentCommand,
    AgentCommandAgents,
    AgentCommandBroadcast,
    AgentCommandCancel,
    AgentCommandConnect,
    AgentCommandGoodbye,
    AgentCommandHello,
    AgentCommandListPeers,
    AgentCommandRequest,
    AgentCommandRequestInput,
    AgentCommandRespond,
    AgentCommandSend,
    AgentCommandTaskNews,
    AgentEvent,
    AgentEventAccepted,
    AgentEventAgents,
    AgentEventError,
    AgentEventMessage,
    AgentEventPeerConnected,
    AgentEventPeerDisconnected,
    AgentEventPeerList,
    AgentEventRegistry,
    AgentEventRequestNews,
    AgentEventResponse,
    AgentEventTask,
    AgentEventTaskCancel,
    AgentEventTaskInput,
    AgentEventWelcome,
    AgentInfo,
    AgentProfile,
    AgentRecord,
    AgentsList,
    AgentsQuery,
    Answer,
    ArtifactPart,
    Broadcast,
    Cancel,
    Capabilities,
    Chunk,
    Code,
    Connect,
    Fault,
    HandlerNews,
    HeartbeatAnswer,
    HeartbeatBody,
    Hello,
    Hop,
    LeaseRef,
    LinkedPeer,
    MeshMessage,
    Message,
    Ok,
    Outcome,
    Path,
    PeerList,
    PeerRef,
    Problem,
    Progress,
    Question,
    Request,
    RequestInput,
    RequestNews,
    Respond,
    Response,
    Retry,
    RunRef,
    Send,
    SkillInfo,
    SubmitAnswer,
    SubmitTask,
    Task,
    TaskCancel,
    TaskError,
    TaskEvent,
    TaskInputEvent,
    TaskUpdate,
    TokenAnswer,
    Via,
    Welcome,
    WireError,
    decode_agent_command,
    decode_agent_event,
)

__all__ = [
    "ARTIFACT_PART_BYTES",
    "CODES",
    "DEFAULT_MAX_CONCURRENT",
    "DEFAULT_REQUEST_TIMEOUT_MS",
    "DEFAULT_TTL_S",
    "MAX_ARTIFACT_BYTES",
    "MAX_CALLERS",
    "MAX_CHILDREN",
    "MAX_CHUNK_BYTES",
    "MAX_DEPTH",
    "MAX_ID_BYTES",
    "MAX_JSON_DEPTH",
    "MAX_LINE_BYTES",
    "MAX_NAME_BYTES",
    "MAX_NOTE_BYTES",
    "MAX_OPEN_REQUESTS",
    "MAX_PAYLOAD_BYTES",
    "MAX_QUESTION_BYTES",
    "MAX_QUEUED_BYTES",
    "MAX_RETRY_AFTER_S",
    "MAX_SKILLS",
    "MAX_SKILL_BYTES",
    "MAX_TTL_S",
    "PROTOCOL_VERSION",
    "ROUTES",
    "STREAM_GRANT",
    "STREAM_WINDOW",
    "TOKEN_TTL_S",
    "Accepted",
    "AgentCommand",
    "AgentCommandAgents",
    "AgentCommandBroadcast",
    "AgentCommandCancel",
    "AgentCommandConnect",
    "AgentCommandGoodbye",
    "AgentCommandHello",
    "AgentCommandListPeers",
    "AgentCommandRequest",
    "AgentCommandRequestInput",
    "AgentCommandRespond",
    "AgentCommandSend",
    "AgentCommandTaskNews",
    "AgentEvent",
    "AgentEventAccepted",
    "AgentEventAgents",
    "AgentEventError",
    "AgentEventMessage",
    "AgentEventPeerConnected",
    "AgentEventPeerDisconnected",
    "AgentEventPeerList",
    "AgentEventRegistry",
    "AgentEventRequestNews",
    "AgentEventResponse",
    "AgentEventTask",
    "AgentEventTaskCancel",
    "AgentEventTaskInput",
    "AgentEventWelcome",
    "AgentInfo",
    "AgentProfile",
    "AgentRecord",
    "AgentsList",
    "AgentsQuery",
    "Answer",
    "ArtifactPart",
    "Broadcast",
    "Cancel",
    "Capabilities",
    "Chunk",
    "Code",
    "Connect",
    "Fault",
    "HandlerNews",
    "HeartbeatAnswer",
    "HeartbeatBody",
    "Hello",
    "Hop",
    "LeaseRef",
    "LinkedPeer",
    "Malformed",
    "MeshMessage",
    "Message",
    "Ok",
    "Outcome",
    "Path",
    "PeerList",
    "PeerRef",
    "Problem",
    "Progress",
    "Question",
    "Request",
    "RequestInput",
    "RequestNews",
    "Respond",
    "Response",
    "Retry",
    "RunRef",
    "Send",
    "SkillInfo",
    "SubmitAnswer",
    "SubmitTask",
    "Task",
    "TaskCancel",
    "TaskError",
    "TaskEvent",
    "TaskInputEvent",
    "TaskUpdate",
    "TokenAnswer",
    "Via",
    "Welcome",
    "WireError",
    "allows",
    "decode_agent_command",
    "decode_agent_event",
    "is_id",
    "offers",
    "parse_event",
]


class Malformed(msgspec.Struct):
    """A line that is no event: skipped, and told to the log."""

    code: Code
    detail: str


_one_pass: msgspec.json.Decoder[AgentEvent] = msgspec.json.Decoder(AgentEvent)


def parse_event(line: bytes) -> AgentEvent | Malformed:
    """Reads one line, in one pass straight into its type; a line that is no event becomes `Malformed`.

    The careful reader has the last word on a line that does not fit, and names the wire's code.
    """
    try:
        return _one_pass.decode(line)
    except RecursionError:
        return Malformed("bad_field", "nested too deep")
    except ValueError:
        pass
    try:
        return decode_agent_event(line)
    except WireError as error:
        deep = isinstance(error.__cause__, RecursionError)
        return Malformed("bad_field" if deep else error.code, str(error))


_ID = re.compile(rf"[A-Za-z0-9._:@+~*=-]{{1,{MAX_ID_BYTES}}}")


def is_id(text: str) -> bool:
    """Whether a text is the id of an agent, a peer or a task."""
    return _ID.fullmatch(text) is not None


def allows(agent: AgentProfile, skill: str, caller: str) -> bool:
    """Whether an agent lets another, ``caller``, call its ``skill``."""
    named = [known.callers for known in agent.skills if known.name == skill]
    return all(callers is None or caller in callers for callers in named)


def offers(agent: AgentRecord, skill: str) -> bool:
    """Whether an agent offers ``skill``."""
    return skill in agent.capabilities.skills or any(known.name == skill for known in agent.skills)
