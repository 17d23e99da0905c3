"""An agent does what the manifest that `seamesh run` hands over says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from seamesh import Agent
from seamesh.builtin import NAMES
from seamesh.hosting import HostingError
from seamesh.manifest import HANDED_ENV, apply
from seamesh.testing import call_sync

MODULE = '''
from seamesh import skill
from seamesh.builtin import list_agents

@skill
async def dig(depth: int) -> str:
    """Digs a hole."""
    return f"{depth} deep"

@skill(name="fill", callers=["boss"])
def fill_in() -> str:
    return "filled"

def helper() -> None: ...
'''


def handed(folder: Path, **more: Any) -> str:
    """Writes what is handed over."""
    file = folder / "handed.json"
    file.write_text(json.dumps({"name": "worker", **more}))
    return str(file)


def worker() -> Agent:
    """An agent with a skill of its own."""
    agent = Agent("worker", description="Works.")

    @agent.skill
    def rest() -> str:
        return "z"

    return agent


def test_skills_of_directories_are_offered_with_their_schemas(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(MODULE)
    agent = worker()
    apply(agent, handed(tmp_path, dirs=[str(tmp_path)]))
    assert sorted(agent.skills) == ["dig", "fill", "rest"]
    assert agent.skills["dig"].info.input_schema["required"] == ["depth"]
    assert agent.skills["fill"].callers == ("boss",)
    assert call_sync(agent, "dig", depth=3) == "3 deep"


def test_built_in_disabled_callers_and_texts_are_acted_on(tmp_path: Path) -> None:
    agent = worker()
    more = {
        "description": "Digs.",
        "instructions": "# Worker",
        "builtin": list(NAMES),
        "disabled": ["mesh_send", "rest"],
        "callers": {"delegate": ["boss"]},
    }
    apply(agent, handed(tmp_path, **more))
    assert sorted(agent.skills) == sorted(set(NAMES) - {"mesh_send"})
    assert agent.skills["delegate"].info.callers == ["boss"]
    assert (agent.profile().description, agent.instructions) == ("Digs.", "# Worker")


def test_an_agent_of_another_name_is_not_touched(tmp_path: Path) -> None:
    agent = Agent("other")
    apply(agent, handed(tmp_path, builtin=["delegate"]))
    assert agent.skills == {}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"disabled": ["fly"]}, "no skill 'fly'; there are: rest"),
        ({"callers": {"fly": []}}, "no skill 'fly'"),
    ],
    ids=["disabled", "callers"],
)
def test_what_names_a_skill_that_is_not_there_is_refused(tmp_path: Path, more: dict[str, Any], says: str) -> None:
    with pytest.raises(HostingError, match=says):
        apply(worker(), handed(tmp_path, **more))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1/0", "ZeroDivisionError"),
        ("from seamesh import skill\n@skill\ndef rest(): ...", "has a skill 'rest' already"),
    ],
    ids=["fails", "name taken"],
)
def test_a_module_that_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(HostingError, match=says) as refused:
        apply(worker(), handed(tmp_path, dirs=[str(tmp_path)]))
    assert "bad.py" in str(refused.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "handed.json").write_text("{")
    with pytest.raises(HostingError, match="cannot be read"):
        apply(worker(), str(tmp_path / "handed.json"))


def test_it_is_applied_once_when_the_agent_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HANDED_ENV, handed(tmp_path, builtin=["delegate"], disabled=["rest"]))
    agent = worker()

    async def serve() -> None:
        for _ in range(2):
            async with agent.connected(str(tmp_path / "no.sock"), wait=False):
                assert sorted(agent.skills) == ["delegate"]

    asyncio.run(serve())
