"""Tests of agents: in memory, or in a real mesh.

In memory, skills run in this process behind the real protocol; only the network between is left out. So arguments are
validated, results are serialised, and errors come as they come in a mesh. Nothing is started::

    from seamesh.testing import call, call_sync, collect_sync, FakeMesh

    def test_greets():
        assert call_sync(agent, "greet", name="Ada") == "Hello, Ada!"

    def test_answers_with_what_the_librarian_found():
        async def scenario():
            async with FakeMesh(editor, librarian) as mesh:
                answer = await mesh.call("answer", question="…")
                assert [task.skill for task in mesh.tasks] == ["answer", "search"]
        asyncio.run(scenario())

A skill that asks is tested with ``on_question=``, a function that answers:
``call_sync(agent, "book", on_question=lambda question: "yes")``.

In a real mesh, a registry and a sidecar for each agent run as processes of their own, and what breaks between them can
be broken. With pytest (``pip install seamesh[testing]``) the fixture ``mesh`` is a `LiveMesh`::

    def test_the_editor_does_without_the_reader(mesh):
        mesh.add(editor)
        reader = mesh.fake_agent("reader", skills={"summarize": "Short."})
        assert mesh.call("edit", text="Long.") == "Short."
        with mesh.partition("editor", "reader"):
            assert mesh.call("edit", text="Long.") == "Short."  # through the queue
        assert [call.path for call in reader.calls] == ["direct", "queue"]

docs/guide/testing-your-agents.md teaches it from zero.
"""

from seamesh.testing._engine import MeshError
from seamesh.testing.calls import Call
from seamesh.testing.cassette import Cassette, CassetteError
from seamesh.testing.fakes import FakeAgent
from seamesh.testing.live import Fault, LiveMesh
from seamesh.testing.memory import (
    CLIENT,
    Collected,
    FakeMesh,
    FakeTask,
    call,
    call_sync,
    collect,
    collect_sync,
)

__all__ = [
    "CLIENT",
    "Call",
    "Cassette",
    "CassetteError",
    "Collected",
    "FakeAgent",
    "FakeMesh",
    "FakeTask",
    "Fault",
    "LiveMesh",
    "MeshError",
    "call",
    "call_sync",
    "collect",
    "collect_sync",
]
