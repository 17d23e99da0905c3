"""seamesh: agents that find each other by skill and hand each other work.

from seamesh import Agent

agent = Agent("greeter", description="Greets people.")

@agent.skill
async def greet(name: str) -> str:
    return f"Hello, {name}!"

agent.run()
"""

from seamesh._wire import AgentRecord, Progress, Question, SkillInfo
from seamesh.agent import Agent
from seamesh.context import Context
from seamesh.errors import (
    BadArguments,
    BadResult,
    Canceled,
    LinkError,
    NoAgent,
    NobodyAnswers,
    NotStreamed,
    Overloaded,
    ProtocolError,
    RegistryUnavailable,
    SeameshError,
    SidecarUnavailable,
    SkillError,
    SkillUnknown,
    StreamBroken,
    Timeout,
    TooLarge,
    Unauthorized,
)
from seamesh.manifest import skill
from seamesh.mesh import Mesh, Told, ToldAll
from seamesh.message import Message
from seamesh.stream import Artifact, Restarted, Stream

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AgentRecord",
    "Artifact",
    "BadArguments",
    "BadResult",
    "Canceled",
    "Context",
    "LinkError",
    "Mesh",
    "Message",
    "NoAgent",
    "NobodyAnswers",
    "NotStreamed",
    "Overloaded",
    "Progress",
    "ProtocolError",
    "Question",
    "RegistryUnavailable",
    "Restarted",
    "SeameshError",
    "SidecarUnavailable",
    "SkillError",
    "SkillInfo",
    "SkillUnknown",
    "Stream",
    "StreamBroken",
    "Timeout",
    "Told",
    "ToldAll",
    "TooLarge",
    "Unauthorized",
    "skill",
]
