"""A registry for tests: a real HTTP server in a thread, that answers as told and keeps what it was asked."""

from __future__ import annotations

import base64
import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CAP_S = 10.0
"""Longest wait for anything in a test."""


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any


def jwt(number: int, life_s: int = 300) -> str:
    """A token's text; its signature is nobody's business here."""
    claims = {"sub": "peer", "role": "agent", "iat": 1_000_000, "exp": 1_000_000 + life_s}
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"h.{middle}.{number}"


def work(task_id: str = "t1", skill: str = "echo", payload: Any = None, **changes: Any) -> dict[str, Any]:
    """A task as a heartbeat's answer brings it."""
    names = {"target_agent_id": "", "source_agent_id": "boss", "assigned_agent_id": "a"}
    times = {"created_at": 1.0, "updated_at": 2.0, "ttl": 300, "attempt": 1, "lease": 7}
    state = {"state": "assigned", "result": "", "error": "", "payload": payload}
    return {"id": task_id, "skill": skill, **names, **times, **state, **changes}


@dataclass
class Registry:
    """What the server knows and does.

    Attributes:
        url: where it listens.
        answers: for each ``METHOD path``, answers to give, in order; then the standing ones.
        pending: tasks that the next heartbeat hands out.
        token_life_s: how long its tokens live.
        valid: the tokens it takes.
    """

    url: str = ""
    answers: dict[str, list[Any]] = field(default_factory=dict)
    pending: list[dict[str, Any]] = field(default_factory=list)
    token_life_s: int = 300
    valid: set[str] = field(default_factory=set)
    issued: int = 0
    _asked: dict[str, queue.Queue[Asked]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self, what: str) -> queue.Queue[Asked]:
        """The requests of one kind (``METHOD path``), in order."""
        with self._lock:
            return self._asked.setdefault(what, queue.Queue())

    def next(self, what: str) -> Asked:
        """The next request of one kind."""
        return self.asked(what).get(timeout=CAP_S)

    def posted(self, task_id: str) -> Any:
        """The body of the next post of a task's end."""
        return self.next(f"POST /api/hub/tasks/{task_id}").body

    def answer(self, asked: Asked) -> tuple[int, Any] | None:
        """Status and body, or ``None`` to break the connection off."""
        what = f"{asked.method} {asked.path}"
        with self._lock:
            told = self.answers.get(what)
            if told:
                return told.pop(0)  # type: ignore[no-any-return]
        if asked.path == "/api/token":
            return self._token(asked)
        if asked.headers.get("authorization", "").removeprefix("Bearer ") not in self.valid:
            return problem(401, "unauthorized", "no good token")
        if asked.path == "/api/hub/heartbeat":
            with self._lock:
                handed, self.pending = self.pending, []
            return 200, {"status": "ok", "pending_tasks": handed}
        return 200, {"status": "ok"}

    def _token(self, asked: Asked) -> tuple[int, Any]:
        if asked.headers.get("x-api-key") != "key":
            return problem(401, "unauthorized", "unknown key")
        self.issued += 1
        token = jwt(self.issued, self.token_life_s)
        self.valid.add(token)
        return 200, {"token": token, "peer_id": "peer", "role": "agent"}


def problem(status: int, code: str, detail: str, retry: str = "never") -> tuple[int, Any]:
    """A refusal."""
    return status, {"code": code, "detail": detail, "fault": "caller", "retry": retry, "status": status}


class _Handler(BaseHTTPRequestHandler):
    registry: Registry

    def _serve(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        data = self.rfile.read(size)
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, path, query, headers, json.loads(data) if data else None)
        answer = self.registry.answer(asked)
        if answer is not None:
            body = answer[1] if isinstance(answer[1], bytes) else json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("content-length", str(len(body)))
            if answer[0] == 429:
                self.send_header("retry-after", "1")
            self.end_headers()
            self.wfile.write(body)
        self.registry.asked(f"{self.command} {path}").put(asked)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 -- the names that the server looks up

    def log_message(self, format: str, *args: Any) -> None:
        """Tests have no use for it."""


def serve(registry: Registry, port: int = 0) -> ThreadingHTTPServer:
    """Starts a server on a free port, or on a given one."""
    made = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"registry": registry}))
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    registry.url = f"http://127.0.0.1:{made.server_port}"
    return made


def end(server: ThreadingHTTPServer) -> None:
    """Stops a server."""
    server.shutdown()
    server.server_close()


@contextmanager
def running() -> Iterator[Registry]:
    """A registry that serves."""
    registry = Registry()
    server = serve(registry)
    try:
        yield registry
    finally:
        end(server)
