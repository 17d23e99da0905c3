"""seamesh: agents that find each other by skill and hand each other work.

from seamesh import Agent

agent = Agent("greeter", description="Greets people.")

@agent.skill
async def greet(name: str) -> str:
    return f"Hello, {name}!"

agent.run()
"""

from seamesh._wire import AgentRecord, SkillInfo
from seamesh.agent import Agent
from seamesh.context import Context, Mesh
from seamesh.errors import (
    BadArguments,
    BadResult,
    Canceled,
    LinkError,
    NoAgent,
    Overloaded,
    ProtocolError,
    RegistryUnavailable,
    SeameshError,
    SidecarUnavailable,
    SkillError,
    SkillUnknown,
    Timeout,
    TooLarge,
    Unauthorized,
)
from seamesh.message import Message

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AgentRecord",
    "BadArguments",
    "BadResult",
    "Canceled",
    "Context",
    "LinkError",
    "Mesh",
    "Message",
    "NoAgent",
    "Overloaded",
    "ProtocolError",
    "RegistryUnavailable",
    "SeameshError",
    "SidecarUnavailable",
    "SkillError",
    "SkillInfo",
    "SkillUnknown",
    "Timeout",
    "TooLarge",
    "Unauthorized",
]
