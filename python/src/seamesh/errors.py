"""Everything that can go wrong, in one tree.

Each error carries the wire's stable ``code``, whose ``fault`` it is, and whether to ``retry``. Catch a class for a case
you handle, :class:`SeameshError` for all of them.
"""

from __future__ import annotations

from typing import ClassVar

from seamesh import _wire
from seamesh._wire import Code, Fault, Retry


class SeameshError(Exception):
    """Any error of the mesh.

    Attributes:
        code: the stable code, such as ``no_agent``.
        fault: who has to change something: ``caller``, ``callee``, ``mesh`` or ``network``.
        retry: ``later`` when the same request may succeed unchanged, else ``never``.
        message: what happened, for a person.
    """

    default_code: ClassVar[Code] = "internal"

    def __init__(
        self, message: str, *, code: Code | None = None, fault: Fault | None = None, retry: Retry | None = None
    ) -> None:
        self.code: Code = code or self.default_code
        known_fault, known_retry = _wire.CODES[self.code]
        self.fault: Fault = fault or known_fault
        self.retry: Retry = retry or known_retry
        self.message = message
        super().__init__(f"{self.code}: {message}")


class SkillError(SeameshError):
    """A skill failed. Raise it in a skill to fail with a message, and a code where one of the wire's fits.

    ``SkillError("no such file")`` fails with ``skill_failed``; ``SkillError("not_found", "no such file")`` with
    ``not_found``. A code the wire does not know becomes a part of the message.
    """

    default_code = "skill_failed"

    def __init__(
        self,
        code_or_message: str,
        message: str | None = None,
        *,
        fault: Fault | None = None,
        retry: Retry | None = None,
    ) -> None:
        if message is None:
            super().__init__(code_or_message, fault=fault, retry=retry)
        elif (code := _known(code_or_message)) is not None:
            super().__init__(message, code=code, fault=fault, retry=retry)
        else:
            super().__init__(f"{code_or_message}: {message}", fault=fault, retry=retry)


class BadArguments(SeameshError):
    """The arguments do not fit the skill's schema; the message names the field."""

    default_code = "bad_arguments"


class BadResult(SeameshError):
    """The skill returned something that is not JSON."""

    default_code = "bad_result"


class SkillUnknown(SeameshError):
    """The agent has no such skill."""

    default_code = "skill_unknown"


class NoAgent(SeameshError):
    """No agent offers the skill, or none by that name exists."""

    default_code = "no_agent"


class Timeout(SeameshError):
    """The deadline passed before an answer came, or the task outlived its time to live."""

    default_code = "deadline_exceeded"


class Canceled(SeameshError):
    """Somebody canceled the work."""

    default_code = "canceled"


class NotStreamed(SeameshError):
    """Whoever asked for this work takes no chunks and no artifacts: return the result."""

    default_code = "not_streamed"


class NobodyAnswers(SeameshError):
    """Whoever asked for this work answers no questions."""

    default_code = "nobody_answers"


class StreamBroken(SeameshError):
    """Parts of a stream are missing, or an artifact is not what it should be. The result may still be had."""

    default_code = "stream_broken"


class TooLarge(SeameshError):
    """Over a named limit of size."""

    default_code = "too_large"


class Overloaded(SeameshError):
    """A queue is full: slow down, or await what you send."""

    default_code = "overloaded"


class LinkError(SeameshError):
    """No link to the peer is open, or it went down."""

    default_code = "no_link"


class Unauthorized(SeameshError):
    """No credential, one that is unknown, expired or revoked, or one that is not good for this."""

    default_code = "unauthorized"


class RegistryUnavailable(SeameshError):
    """The registry cannot be reached now."""

    default_code = "registry_unavailable"


class SidecarUnavailable(SeameshError):
    """There is no connection to the sidecar now, or it went away before it answered."""

    default_code = "agent_away"

    def __init__(self, message: str) -> None:
        super().__init__(message, fault="network", retry="later")


class ProtocolError(SeameshError):
    """The other end said something that is not the protocol."""

    default_code = "bad_json"


def _known(text: str) -> Code | None:
    return next((code for code in _wire.CODES if code == text), None)


_CLASSES: dict[Code, type[SeameshError]] = {
    "bad_arguments": BadArguments,
    "bad_result": BadResult,
    "skill_unknown": SkillUnknown,
    "no_agent": NoAgent,
    "agent_unknown": NoAgent,
    "deadline_exceeded": Timeout,
    "expired": Timeout,
    "canceled": Canceled,
    "not_streamed": NotStreamed,
    "nobody_answers": NobodyAnswers,
    "stream_broken": StreamBroken,
    "too_large": TooLarge,
    "overloaded": Overloaded,
    "rate_limited": Overloaded,
    "no_link": LinkError,
    "link_lost": LinkError,
    "unauthorized": Unauthorized,
    "forbidden": Unauthorized,
    "registry_unavailable": RegistryUnavailable,
    "bad_encoding": ProtocolError,
    "bad_json": ProtocolError,
    "bad_field": ProtocolError,
    "unknown_type": ProtocolError,
    "out_of_order": ProtocolError,
    "version_unsupported": ProtocolError,
}


def error_of(code: Code, message: str, *, fault: Fault | None = None, retry: Retry | None = None) -> SeameshError:
    """The exception of a code as the wire told it; a code without a class of its own is a plain `SeameshError`."""
    if code == "skill_failed":
        return SkillError(message, fault=fault, retry=retry)
    return _CLASSES.get(code, SeameshError)(message, code=code, fault=fault, retry=retry)


def outcome_error(outcome: _wire.Outcome) -> SeameshError | None:
    """The exception an outcome stands for; ``None`` when it completed."""
    if outcome.state == "completed":
        return None
    if outcome.error is None:
        return Canceled("canceled") if outcome.state == "canceled" else SkillError("failed without a reason")
    return error_of(outcome.error.code, outcome.error.message)
