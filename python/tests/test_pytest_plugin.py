"""The plugin, run by an inner pytest: the fixture, what is left after it, xdist, and ``--seams``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from seamesh.testing import seams

ROOT = Path(__file__).parents[2]

AGENTS = """
from seamesh import Agent, Context, SeameshError

editor = Agent("editor")

@editor.skill
async def edit(ctx: Context, text: str) -> str:
    try:
        return "Edited: " + await ctx.delegate("summarize", text=text, timeout=30)
    except SeameshError as error:
        return f"Unedited: {text}"

@editor.skill
async def count(ctx: Context, text: str) -> int:
    found = None
    try:
        found = await ctx.delegate("words", text=text)
    except SeameshError:
        pass
    return found["words"]

@editor.skill
async def note(ctx: Context, text: str) -> str:
    try:
        await ctx.delegate("keep", text=text)
    except SeameshError:
        pass
    return "Noted."

def reader(mesh):
    return mesh.fake_agent("reader", skills={"summarize": "Short.", "words": {"words": 2}, "keep": True})
"""

TESTS = """
import agents

def test_edits(mesh):
    mesh.add(agents.editor)
    agents.reader(mesh)
    assert mesh.call("edit", text="Long.") == "Edited: Short."

def test_counts(mesh):
    mesh.add(agents.editor)
    agents.reader(mesh)
    assert mesh.call("count", text="Two words.") == 2
"""

NOTES = """
import agents

def test_notes(mesh):
    mesh.add(agents.editor)
    agents.reader(mesh)
    assert mesh.call("note", text="This.") == "Noted."
"""


@pytest.fixture
def temporary(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the inner run puts its meshes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    # Loading it takes longer than most of these runs, and none needs it.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest")
    pytester.makeini("[pytest]\npythonpath = .\nfilterwarnings = error\n")
    return tmp_path


def processes_of(directory: Path) -> list[str]:
    """The processes that name a directory."""
    named = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(directory).encode() in command:
            named.append(command.decode())
    return named


def assert_nothing_left(directory: Path) -> None:
    """Neither a process nor a directory of a mesh."""
    assert processes_of(directory) == []
    assert list(directory.glob("seamesh-test-*")) == []


def test_the_fixture_gives_a_mesh_and_leaves_nothing(pytester: pytest.Pytester, temporary: Path) -> None:
    pytester.makepyfile(agents=AGENTS, test_agents=TESTS)
    ran = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    ran.assert_outcomes(passed=2)
    assert_nothing_left(temporary)


def test_a_test_that_fails_shows_the_logs_and_leaves_nothing(pytester: pytest.Pytester, temporary: Path) -> None:
    pytester.makepyfile(agents=AGENTS)
    pytester.makepyfile(
        """
        import agents

        def test_fails(mesh):
            mesh.add(agents.editor)
            assert mesh.call("edit", text="Long.") == "Edited: Short."

        def test_breaks(mesh):
            mesh.kill("nobody")
        """
    )
    ran = pytester.runpytest_subprocess()
    ran.assert_outcomes(failed=2)
    ran.stdout.fnmatch_lines(["*logs of the mesh*", "--- registry", "--- sidecar-editor", "*no agent 'nobody'*"])
    assert_nothing_left(temporary)


def test_an_interrupted_run_leaves_nothing(pytester: pytest.Pytester, temporary: Path) -> None:
    pytester.makepyfile(agents=AGENTS)
    pytester.makepyfile(
        """
        import agents

        def test_is_interrupted(mesh):
            mesh.add(agents.editor)
            raise KeyboardInterrupt
        """
    )
    ran = pytester.runpytest_subprocess()
    assert ran.ret == pytest.ExitCode.INTERRUPTED
    assert_nothing_left(temporary)


def test_without_the_program_the_fixture_says_so(
    pytester: pytest.Pytester, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAMESH_BIN", str(temporary / "none"))
    pytester.makepyfile("def test_any(mesh): pass")
    ran = pytester.runpytest_subprocess()
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*SEAMESH_BIN names*no such file*"])


def test_meshes_run_beside_each_other_in_two_workers(pytester: pytest.Pytester, temporary: Path) -> None:
    pytester.makepyfile(agents=AGENTS)
    pytester.makepyfile(
        """
        import agents
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test_edits(mesh, number):
            mesh.add(agents.editor)
            agents.reader(mesh)
            assert mesh.call("edit", text=str(number)) == "Edited: Short."
            assert [call.agent for call in mesh.calls] == ["editor", "reader"]
        """
    )
    ran = pytester.runpytest_subprocess("-n2")
    ran.assert_outcomes(passed=8)
    assert_nothing_left(temporary)


def test_seams_names_what_no_test_would_miss(pytester: pytest.Pytester, temporary: Path) -> None:
    pytester.makepyfile(agents=AGENTS, test_agents=TESTS, test_notes=NOTES)
    ran = pytester.runpytest_subprocess("--seams", "--seams-cap=0.5")
    ran.assert_outcomes(passed=3)
    assert ran.ret == pytest.ExitCode.OK
    ran.stdout.fnmatch_lines(
        [
            "caller -> skill * exercised * asserted * survives",
            "test -> editor.count *1 test * yes * -",
            "test -> editor.edit *1 test * yes * -",
            "test -> editor.note *1 test * yes * -",
            "editor -> reader.keep *1 test * NO * yes",
            "editor -> reader.summarize *1 test * yes * yes",
            "editor -> reader.words *1 test * yes * NO",
            "editor -> reader.words: it broke: TypeError*",
            "6 seams, 1 of them would break unnoticed",
        ]
    )
    assert_nothing_left(temporary)


def test_strict_seams_fail_the_run_while_a_skill_is_not_asserted(pytester: pytest.Pytester, temporary: Path) -> None:
    pytester.makepyfile(agents=AGENTS, test_agents=TESTS)
    ran = pytester.runpytest_subprocess("--seams-strict", "--seams-cap=0.5", "-k", "test_edits")
    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    ran.stdout.fnmatch_lines(["(nobody) -> editor.count *NO*NO*-", "(nobody) -> editor.note *NO*NO*-"])


def test_the_guides_example_has_the_seams_that_the_guide_shows(pytester: pytest.Pytester, temporary: Path) -> None:
    shutil.copytree(ROOT / "examples" / "newsroom", pytester.path, dirs_exist_ok=True)
    ran = pytester.runpytest_subprocess("--seams-strict")
    assert ran.ret == pytest.ExitCode.OK
    guide = (ROOT / "docs" / "guide" / "testing-your-agents.md").read_text().splitlines()
    head = guide.index(next(line for line in guide if line.startswith("caller -> skill ")))
    ran.stdout.fnmatch_lines([line.replace("[", "[[]") for line in guide[head : head + 3]], consecutive=True)


def test_seams_of_two_workers_are_put_together(pytester: pytest.Pytester, temporary: Path) -> None:
    pytester.makepyfile(
        """
        import pytest
        from seamesh import Agent

        one = Agent("one")

        @one.skill
        def say() -> str:
            return "Yes."

        @pytest.mark.parametrize("number", range(4))
        def test_says(mesh, number):
            mesh.add(one)
            assert mesh.call("say") == "Yes."
        """
    )
    ran = pytester.runpytest_subprocess("--seams", "--seams-cap=0.5", "-n2")
    ran.assert_outcomes(passed=4)
    ran.stdout.fnmatch_lines(["test -> one.say *4 tests * yes *-", "1 seams, 0 of them would break unnoticed"])


def test_a_test_that_fails_says_nothing_about_seams(pytester: pytest.Pytester, temporary: Path) -> None:
    pytester.makepyfile(agents=AGENTS)
    pytester.makepyfile(
        """
        import agents

        def test_edits(mesh):
            mesh.add(agents.editor)
            agents.reader(mesh)
            assert mesh.call("edit", text="Long.") == "Edited: Long."
        """
    )
    ran = pytester.runpytest_subprocess("--seams", "--seams-cap=0.5")
    ran.assert_outcomes(failed=1)
    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    ran.stdout.no_fnmatch_line("*each with its skill deaf*")


def test_a_cap_of_nothing_is_refused(pytester: pytest.Pytester, temporary: Path) -> None:
    ran = pytester.runpytest_subprocess("--seams", "--seams-cap=0")
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines(["*--seams-cap is more than 0 seconds*"])


def test_a_deaf_run_that_hangs_is_ended_and_told(
    pytester: pytest.Pytester, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seams, "MIN_RUN_S", 0.2)
    hangs = pytester.makepyfile("import threading\nthreading.Event().wait()\n")
    row = seams.Deafening([str(hangs)], pytester.path, 1.0, 0.0).judge(seams.Pair("a", "b", "c"), ["d"])
    assert (row.asserted, row.survived, row.note) == (True, False, "the tests hang")
    assert not any(str(hangs) in command for command in processes_of(pytester.path))


def test_a_deaf_run_that_cannot_begin_shows_why_and_counts_as_a_hole(
    pytester: pytest.Pytester, temporary: Path
) -> None:
    row = seams.Deafening(["--no-such-option"], pytester.path, 1.0, 0.0).judge(seams.Pair("", "b", "c"), ["d"])
    assert row.is_hole
    assert "--no-such-option" in row.note
    lines = seams.table([row], [])
    assert lines[1].split() == ["test", "->", "b.c", "1", "test", "?", "-"]
    assert "could not run again" in lines[2]
