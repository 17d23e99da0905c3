"""Calls of the registry's REST interface: tokens, errors, one connection a call. Blocking: call it from threads."""

from __future__ import annotations

import base64
import http.client
import logging
import ssl
import threading
import time
from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from seamesh import _seams, _tls, _wire
from seamesh.errors import ProtocolError, RegistryUnavailable, SeameshError, Unauthorized, error_of
from seamesh.urls import registry_url

_log = logging.getLogger("seamesh")

RENEW_AT = 0.75
"""Part of a token's life after which it is renewed: a quarter is left for a registry that is away."""

MAX_ANSWER_BYTES = 96 * 1024 * 1024
"""Largest answer that is read: a heartbeat may bring 64 tasks with payloads of 1 MiB each."""

_VERSION = 1
"""The protocol's, which the registry is told with every request."""

_STATUS_CODES: dict[int, _wire.Code] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    413: "too_large",
    429: "rate_limited",
}


class _Claims(msgspec.Struct):
    exp: float
    iat: float


class RegistryClient:
    """One credential's way to the registry. Safe to use from many threads.

    Args:
        base: the registry's URL.
        api_key: the credential.
        timeout_s: seconds any call may take, beyond what it asks the registry to wait.
        party: what the registry knows this program by, a party of the seam ledger.
    """

    def __init__(self, base: str, api_key: str, *, timeout_s: float = 10.0, party: str = _seams.PYTHON_AGENT) -> None:
        self._base = registry_url(base)
        self._party = party
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._token: str | None = None
        self._renew_at = 0.0
        self.peer_id: str | None = None

    def call(
        self,
        operation: str,
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        body: object = None,
        patience_s: float = 0.0,
    ) -> bytes:
        """Calls an operation of the route table and gives the answer's bytes. A refused token is renewed, once.

        Args:
            operation: its name in the route table.
            path: values of the path's parameters.
            query: query parameters.
            body: what to send as JSON.
            patience_s: seconds the registry may take on purpose.

        Raises:
            RegistryUnavailable: it cannot be reached, or broke off.
            SeameshError: it refused; with its code.
        """
        method, template = _wire.ROUTES[operation]
        target = template.format(**{name: quote(value, safe="") for name, value in (path or {}).items()})
        if query:
            target += "?" + urlencode(query)
        data = None if body is None else msgspec.json.encode(body)
        self._say(operation)
        for last in (False, True):
            token = self._fresh_token()
            status, answer = self._send(method, target, {"authorization": f"Bearer {token}"}, data, patience_s)
            if status == 401 and not last:
                self._forget(token)
                continue
            return self._heard(operation, _checked(status, answer))
        raise AssertionError("the second round always returns")

    def _fresh_token(self) -> str:
        with self._lock:
            if self._token is None or time.monotonic() >= self._renew_at:
                self._renew()
            assert self._token is not None
            return self._token

    def _forget(self, token: str) -> None:
        with self._lock:
            if self._token == token:
                self._token = None

    def _renew(self) -> None:
        started = time.monotonic()
        method, path = _wire.ROUTES["token"]
        try:
            self._say("token")
            answer = _checked(*self._send(method, path, {"x-api-key": self._api_key}, None, 0.0))
        except RegistryUnavailable:
            if self._token is not None:
                return  # the old one may be good for a while
            raise
        granted = _decode(self._heard("token", answer), _wire.TokenAnswer)
        self._token, self.peer_id = granted.token, granted.peer_id
        self._renew_at = started + _life_s(granted.token) * RENEW_AT

    def _send(
        self, method: str, target: str, headers: dict[str, str], data: bytes | None, patience_s: float
    ) -> tuple[int, bytes]:
        """Sends a request; once more when the registry asks to wait a little (429 and Retry-After)."""
        status, answer, wait_s = self._send_once(method, target, headers, data, patience_s)
        if wait_s is not None and wait_s <= _wire.MAX_RETRY_AFTER_S:
            time.sleep(wait_s)
            status, answer, _ = self._send_once(method, target, headers, data, patience_s)
        return status, answer

    def _say(self, operation: str) -> None:
        if not _seams.said("rest", f"{operation}.request", "registry", me=self._party):
            raise RegistryUnavailable("the request was not sent")

    def _heard(self, operation: str, answer: bytes) -> bytes:
        """The answer; nothing, when a planted fault makes us throw it away."""
        is_heard = _seams.heard("rest", f"{operation}.answer", "registry", me=self._party)
        return answer if is_heard else b"{}"

    def _send_once(
        self, method: str, target: str, headers: dict[str, str], data: bytes | None, patience_s: float
    ) -> tuple[int, bytes, int | None]:
        url = urlsplit(registry_url(self._base, target.partition("?")[0]))
        query = target.partition("?")[2]
        assert url.hostname is not None
        headers = {**headers, "user-agent": f"seamesh-{self._party}/{_VERSION}"}
        timeout_s = self._timeout_s + patience_s
        connection = (
            _tls.connection(url.hostname, url.port, timeout_s=timeout_s)
            if url.scheme == "https"
            else http.client.HTTPConnection(url.hostname, url.port, timeout=timeout_s)
        )
        if data is not None:
            headers = {**headers, "content-type": "application/json"}
        try:
            connection.request(method, url.path + (f"?{query}" if query else ""), body=data, headers=headers)
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER_BYTES + 1)
        except ssl.SSLCertVerificationError as error:
            raise Unauthorized(f"the registry at {url.hostname} is not trusted: {error.verify_message}") from error
        except (OSError, http.client.HTTPException) as error:
            raise RegistryUnavailable(f"{url.hostname}: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if len(answer) > MAX_ANSWER_BYTES:
            raise ProtocolError(f"an answer of more than {MAX_ANSWER_BYTES} bytes", code="too_large")
        wait = response.headers.get("retry-after", "") if response.status == 429 else ""
        return response.status, answer, int(wait) if wait.isdecimal() else None


def _checked(status: int, answer: bytes) -> bytes:
    if 200 <= status < 300:
        return answer
    try:
        problem = msgspec.json.decode(answer, type=_wire.Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _plain_error(status) from None
    raise error_of(problem.code, problem.detail, fault=problem.fault, retry=problem.retry)


def _plain_error(status: int) -> SeameshError:
    """What a status alone says: the answer may come from a proxy, or from a registry of the old dialect."""
    if status >= 500:
        return RegistryUnavailable(f"the registry answered with status {status}")
    if status == 401:
        return Unauthorized("the registry refused the credential; is SEAMESH_API_KEY right?")
    return error_of(_STATUS_CODES.get(status, "bad_field"), f"the registry answered with status {status}")


def _decode(answer: bytes, kind: type[_wire.TokenAnswer]) -> _wire.TokenAnswer:
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(f"the registry's answer does not fit: {error}") from error


def _life_s(token: str) -> float:
    """Seconds the token lives, by its own claims: only their difference counts, because clocks differ."""
    try:
        part = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), type=_Claims)
    except (IndexError, ValueError):
        return _wire.TOKEN_TTL_S
    return max(1.0, claims.exp - claims.iat)
