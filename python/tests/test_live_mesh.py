"""A real mesh in a test: what its verbs do to real processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seamesh import Agent, BadArguments, Context, SeameshError, SkillError, Timeout
from seamesh.testing import LiveMesh, MeshError
from seamesh.testing._place import ProgramMissing


def editor() -> Agent:
    """Edits with the help of whoever summarizes."""
    agent = Agent("editor")

    @agent.skill
    async def edit(ctx: Context, text: str) -> str:
        summary: str = await ctx.delegate("summarize", text=text, timeout=5)
        return f"Edited: {summary}"

    return agent


def dozer(name: str, began: list[str]) -> Agent:
    """Takes work and does not finish it."""
    agent = Agent(name)

    @agent.skill
    async def doze(ctx: Context) -> None:
        began.append(f"{name} {ctx.attempt}")
        await asyncio.Event().wait()

    return agent


def is_running(pid: int) -> bool:
    """Whether a process lives; one that is dead and not waited for does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something that sends no event holds within 10 s."""
    end = time.monotonic() + 10
    while not holds():
        if time.monotonic() > end:
            return False
        os.sched_yield()
    return True


def test_an_agent_and_a_fake_work_together_over_their_link(mesh: LiveMesh) -> None:
    mesh.add(editor())
    reader = mesh.fake_agent("reader", skills={"summarize": "Short."})
    assert mesh.call("edit", text="Long.") == "Edited: Short."
    (call,) = reader.calls
    assert (call.caller, call.agent, call.skill, call.args) == ("editor", "reader", "summarize", {"text": "Long."})
    assert (call.path, call.attempt, call.result, call.error) == ("direct", 1, "Short.", None)
    assert [f"{call.caller}>{call.skill}" for call in mesh.calls] == [">edit", "editor>summarize"]


def test_a_fake_answers_with_a_function_a_value_or_an_error(mesh: LiveMesh) -> None:
    def double(number: int) -> int:
        return number * 2

    answers = {"double": double, "zero": 0, "fails": SkillError("not_found", "no such page"), "breaks": ValueError}
    fake = mesh.fake_agent("fake", skills=answers)
    assert mesh.call("double", number=21) == 42
    assert mesh.call("zero", payload=[1, 2]) == 0
    with pytest.raises(BadArguments, match="number"):
        mesh.call("double", number="many")
    with pytest.raises(SeameshError, match="no such page") as failed:
        mesh.call("fails")
    assert failed.value.code == "not_found"
    with pytest.raises(SkillError, match="ValueError"):
        mesh.call("breaks")
    assert [call.args for call in fake.calls_of("zero")] == [[1, 2]]
    error = fake.calls_of("fails")[0].error
    assert error is not None
    assert error.code == "not_found"


def test_cut_agents_use_the_queue_and_healed_ones_their_link(mesh: LiveMesh) -> None:
    mesh.add(editor())
    reader = mesh.fake_agent("reader", skills={"summarize": "Short."})
    with mesh.partition("editor", "reader"):
        assert mesh.call("edit", text="Long.") == "Edited: Short."
        with pytest.raises(SeameshError) as refused:
            mesh.call("summarize", by="editor", via="direct", text="Long.")
        assert refused.value.code == "no_link"
    assert mesh.call("edit", text="Long.") == "Edited: Short."
    assert [call.path for call in reader.calls] == ["queue", "direct"]


def test_agents_without_a_registry_go_on_over_their_link(mesh: LiveMesh) -> None:
    mesh.add(editor())
    reader = mesh.fake_agent("reader", skills={"summarize": "Short."})
    cut = mesh.partition("reader", "registry")
    assert mesh.call("summarize", by="editor", text="Long.") == "Short."
    with pytest.raises(SeameshError):
        mesh.call("edit", by="reader", via="queue", text="Long.", timeout=1)
    cut.heal()
    assert mesh.call("edit", by="reader", via="queue", text="Long.") == "Edited: Short."
    assert [call.path for call in reader.calls] == ["direct", "direct"]


def test_a_delayed_link_is_slow_both_ways_until_it_is_healed(mesh: LiveMesh) -> None:
    mesh.add(editor())
    mesh.fake_agent("reader", skills={"summarize": "Short."})

    def seconds() -> float:
        began = time.monotonic()
        assert mesh.call("summarize", by="editor", via="direct", text="Long.") == "Short."
        return time.monotonic() - began

    with mesh.delay("editor", "reader", 0.2):
        assert seconds() >= 0.4
    assert seconds() < 0.4


def test_a_killed_agent_is_gone_and_its_work_waits_until_it_is_back(mesh: LiveMesh) -> None:
    mesh.add(editor())
    reader = mesh.fake_agent("reader", skills={"summarize": "Short."})
    before = mesh.pids
    mesh.kill("reader")
    assert len(mesh.pids) == len(before) - 1
    assert not any(is_running(pid) for pid in set(before) - set(mesh.pids))
    asked = mesh.start_call("edit", text="Long.")
    mesh.restart("reader")
    assert asked.result() == "Edited: Short."
    assert [call.path for call in reader.calls] == ["queue"]


def test_a_deadline_of_a_minute_passes_without_waiting(mesh: LiveMesh) -> None:
    began: list[str] = []
    mesh.add(editor(), dozer("dozer", began))
    asked = mesh.start_call("doze", by="editor", timeout=60)
    mesh.wait_until(lambda: began == ["dozer 1"])
    mesh.advance(30)
    assert not asked.done()
    mesh.advance(31)
    with pytest.raises(Timeout):
        asked.result(timeout=5)


def test_the_lease_of_an_agent_that_lives_outlasts_an_hour_and_that_of_one_cut_off_lapses(mesh: LiveMesh) -> None:
    began: list[str] = []
    mesh.add(dozer("one", began))
    task = mesh.call("doze", wait=False, timeout=7200)
    mesh.wait_until(lambda: began == ["one 1"])
    mesh.add(dozer("two", began))
    mesh.advance(3600)
    assert began == ["one 1"]
    mesh.partition("one", "registry")
    mesh.advance(20)
    mesh.wait_until(lambda: began == ["one 1", "two 2"])
    assert {call.task_id for call in mesh.calls} == {task}


def test_a_deaf_skill_is_reached_and_not_answered(mesh: LiveMesh) -> None:
    mesh.add(editor())
    reader = mesh.fake_agent("reader", skills={"summarize": "Short.", "count": 5})
    with mesh.deaf("reader.summarize"):
        with pytest.raises(Timeout):
            mesh.call("summarize", by="editor", text="Long.", timeout=0.3)
        assert mesh.call("count", by="editor") == 5
    assert mesh.call("summarize", by="editor", text="Long.") == "Short."
    assert [(call.skill, call.is_deaf) for call in reader.calls] == [
        ("summarize", True),
        ("count", False),
        ("summarize", False),
    ]


def test_a_skill_is_deaf_to_one_caller_alone(mesh: LiveMesh) -> None:
    mesh.add(editor(), Agent("other"))
    mesh.fake_agent("reader", skills={"summarize": "Short."})
    with mesh.deaf("reader.summarize", caller="editor"):
        assert mesh.call("summarize", by="other", text="Long.") == "Short."
        with pytest.raises(Timeout):
            mesh.call("summarize", by="editor", text="Long.", timeout=0.3)


def test_an_agent_runs_from_its_file_and_dies_as_a_process(mesh: LiveMesh, tmp_path: Path) -> None:
    file = tmp_path / "agent.py"
    file.write_text(
        "import os\nfrom seamesh import Agent\nagent = Agent('worker')\n"
        "@agent.skill\ndef pid() -> int:\n    return os.getpid()\n"
        "if __name__ == '__main__':\n    agent.run()\n"
    )
    mesh.add(editor())
    mesh.run("worker", tmp_path)
    pid = mesh.call("pid", by="editor", via="direct")
    assert pid in mesh.pids
    mesh.kill("worker")
    assert not is_running(pid)
    mesh.restart("worker")
    assert mesh.call("pid") not in (pid, os.getpid())


def test_what_cannot_be_done_is_said(mesh: LiveMesh, tmp_path: Path) -> None:
    mesh.add(editor())
    with pytest.raises(MeshError, match="there are: editor"):
        mesh.kill("reader")
    with pytest.raises(MeshError, match="already"):
        mesh.add(editor())
    with pytest.raises(MeshError, match="no skill 'read'"):
        mesh.deaf("editor.read")
    with pytest.raises(MeshError, match="no file"):
        mesh.run("worker", tmp_path / "agent.py")
    with pytest.raises(MeshError, match="from itself"):
        mesh.partition("editor", "editor")
    with pytest.raises(MeshError, match="0 to 60 s"):
        mesh.delay("editor", "registry", 61)
    with pytest.raises(MeshError, match="not within"):
        mesh.wait_until(lambda: False, timeout=0.01)
    mesh.kill("editor")
    with pytest.raises(MeshError, match="was killed"):
        mesh.partition("editor", "registry")


def test_a_skill_that_waits_for_its_own_event_loop_is_told(mesh: LiveMesh) -> None:
    async def blocks() -> None:
        mesh.call("blocks")

    def asks() -> int:
        number: int = mesh.call("one")
        return number

    mesh.fake_agent("dotted.name", skills={"blocks": blocks, "asks": asks, "one": 1})
    with pytest.raises(SkillError, match="cannot wait for the mesh that runs it"):
        mesh.call("blocks")
    assert mesh.call("asks") == 1
    with mesh.deaf("dotted.name.one"), pytest.raises(Timeout):
        mesh.call("one", timeout=0.2)


def test_without_the_program_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SEAMESH_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ProgramMissing, match="cargo install seamesh"), LiveMesh():
        pass
    monkeypatch.setenv("SEAMESH_BIN", str(tmp_path / "none"))
    with pytest.raises(ProgramMissing, match="no such file"), LiveMesh():
        pass


def test_nothing_is_left_of_a_mesh_whose_test_fails() -> None:
    mesh = LiveMesh()

    def fail() -> None:
        with mesh:
            mesh.add(editor())
            left.update(pids=mesh.pids, directory=mesh.directory)
            assert all(is_running(pid) for pid in mesh.pids)
            raise ZeroDivisionError

    left: dict[str, Any] = {}
    with pytest.raises(ZeroDivisionError):
        fail()
    pids, directory = left["pids"], left["directory"]
    assert len(pids) == 2
    assert not any(is_running(pid) for pid in pids)
    assert not directory.exists()
    with pytest.raises(MeshError, match="does not run"):
        mesh.call("edit")


KILLED = """
import sys
from seamesh import Agent
from seamesh.testing import LiveMesh
with LiveMesh() as mesh:
    mesh.add(Agent("editor"))
    print(mesh.directory, *mesh.pids, flush=True)
    sys.stdin.read()
"""


def test_nothing_is_left_of_a_mesh_whose_process_is_killed_once_the_next_one_ran() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        directory, *pids = child.stdout.readline().split()
        with LiveMesh():
            assert Path(directory).exists(), "a mesh that lives was swept away"
        child.kill()
    assert len(pids) == 2
    # The kernel ends them as their starter ends; nobody here hears of it.
    assert eventually(lambda: not any(is_running(int(pid)) for pid in pids))
    with LiveMesh():
        assert not Path(directory).exists()
