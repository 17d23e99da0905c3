"""Agents in files: found, served as processes, and stopped by signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from registry_end import running, work
from sidecar_end import CAP_S, server

import seamesh
from seamesh import __main__ as command
from seamesh import errors, http_agent
from seamesh._generated import wire
from seamesh.hosting import HostingError, load_agent

SOURCE = """
import asyncio
from helper import GREETING
from seamesh import Agent

agent = Agent("hosted")

@agent.skill
async def greet(name: str) -> str:
    return GREETING + name

@agent.skill
async def forever() -> None:
    await asyncio.Event().wait()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an agent, and a module beside it."""
    (tmp_path / "agent.py").write_text(SOURCE)
    (tmp_path / "helper.py").write_text('GREETING = "Hello, "\n')
    return tmp_path


@pytest.mark.parametrize("where", ["", "agent.py", "agent.py:agent"])
def test_an_agent_is_found_in_its_file_or_folder(folder: Path, where: str) -> None:
    assert load_agent(str(folder / where)).name == "hosted"


@pytest.mark.parametrize(
    ("source", "where", "said"),
    [
        ("x = 1", "agent.py", "holds no Agent"),
        ("from seamesh import Agent\na = Agent('a')\nb = Agent('b')", "agent.py", "a, b"),
        ("from seamesh import Agent\na = Agent('a')", "agent.py:b", "no Agent called 'b'"),
        ("", "other.py", "no file"),
    ],
)
def test_what_cannot_be_hosted_says_why(
    tmp_path: Path, source: str, where: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "agent.py").write_text(source)
    with pytest.raises(HostingError, match=said):
        load_agent(str(tmp_path / where))
    assert command.main([str(tmp_path / where)]) == 2
    assert "error: " in capsys.readouterr().err


def test_a_module_is_hosted_by_its_name() -> None:
    with pytest.raises(HostingError, match="no file or module"):
        load_agent("no_such_module_here")
    with pytest.raises(HostingError, match="holds no Agent"):
        load_agent("json")


def test_describe_prints_the_profile(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([str(folder), "--describe"]) == 0
    profile = json.loads(capsys.readouterr().out)
    assert [skill["name"] for skill in profile["skills"]] == ["greet", "forever"]


def test_the_http_command_says_what_is_missing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEAMESH_API_KEY", raising=False)
    monkeypatch.delenv("SEAMESH_REGISTRY", raising=False)
    assert http_agent.main([str(folder)]) == 2
    assert "--registry" in capsys.readouterr().err
    assert http_agent.main([str(folder), "--registry", "http://h"]) == 2
    assert "SEAMESH_API_KEY" in capsys.readouterr().err


async def spawn(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """A process of this Python."""
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, env={**os.environ, **environment})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_hosted_process_serves_and_a_signal_ends_it_with_goodbye(folder: Path, number: signal.Signals) -> None:
    async def scenario() -> None:
        async with server() as made:
            process = await spawn("-m", "seamesh", str(folder), SEAMESH_SOCKET=made.path)
            try:
                client = await made.greeted()
                client.task("greet", {"name": "Ada"})
                assert (await client.expect("respond"))["outcome"]["result"] == "Hello, Ada"
                process.send_signal(number)
                await client.expect("goodbye")
                assert await asyncio.wait_for(process.wait(), CAP_S) == 0
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()

    asyncio.run(scenario())


def test_a_hosted_process_runs_what_the_heartbeat_brings(folder: Path) -> None:
    async def scenario(url: str) -> None:
        process = await spawn("-m", "seamesh.http_agent", str(folder), "--registry", url + "/", SEAMESH_API_KEY="key")
        try:
            posted = await asyncio.to_thread(registry.posted, "t1")
            assert posted["result"] == "Hello, Ada"
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), CAP_S) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    with running() as registry:
        registry.pending.append(work("t1", "greet", {"name": "Ada"}))
        asyncio.run(scenario(registry.url))


def test_every_public_name_is_there_and_documented() -> None:
    assert sorted(seamesh.__all__) == list(seamesh.__all__)
    for name in seamesh.__all__:
        assert getattr(seamesh, name).__doc__, name


def test_every_code_of_the_wire_is_an_exception_with_its_fault_and_retry() -> None:
    for code, (fault, retry) in wire.CODES.items():
        error = errors.error_of(code, "m")
        assert (error.code, error.fault, error.retry, error.message) == (code, fault, retry, "m")
        assert isinstance(error, errors.SeameshError)
        assert str(error) == f"{code}: m"
