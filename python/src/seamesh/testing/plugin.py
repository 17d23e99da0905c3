"""The pytest plugin: the fixture ``mesh``, and ``--seams``. Found by pytest itself where the SDK is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from seamesh.testing.live import LiveMesh
    from seamesh.testing.seams import DeafOrder

CAP_S = 1.0
"""Seconds after which callers of a deaf skill give up, unless ``--seams-cap`` says otherwise."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the options."""
    group = parser.getgroup("seamesh", "seams between agents")
    group.addoption(
        "--seams",
        action="store_true",
        help="then run the tests of each skill call (caller -> skill) again with that skill deaf, and show which calls "
        "no test would miss",
    )
    group.addoption("--seams-strict", action="store_true", help="--seams, and fail when there is such a call")
    group.addoption(
        "--seams-cap",
        type=float,
        default=CAP_S,
        metavar="SECONDS",
        help="how long callers of a deaf skill wait at most (default: %(default)s)",
    )
    group.addoption("--seams-deaf", metavar="FILE", help="one run of --seams with a deaf skill; --seams uses it itself")


def pytest_configure(config: pytest.Config) -> None:
    """Chooses what watches the meshes of the tests."""
    order = config.getoption("--seams-deaf")
    if order:
        config.pluginmanager.register(_DeafRun(Path(order)), WATCHER)
    elif config.getoption("--seams") or config.getoption("--seams-strict"):
        if not config.getoption("--seams-cap") > 0:
            raise pytest.UsageError("--seams-cap is more than 0 seconds")
        is_worker = hasattr(config, "workerinput")
        config.pluginmanager.register(_Worker(config) if is_worker else _SeamsRun(config), WATCHER)


WATCHER = "seamesh-seams"


@pytest.fixture
def mesh(request: pytest.FixtureRequest) -> Iterator[LiveMesh]:
    """A real mesh for one test: a registry on a free port of this machine. `add` puts agents into it, `fake_agent`
    peers that answer as the test says; `kill`, `partition`, `delay`, `deaf` and `advance` break it."""
    from seamesh.testing.live import LiveMesh

    watcher: Any = request.config.pluginmanager.get_plugin(WATCHER)
    with LiveMesh() as live:
        if watcher is not None:
            watcher.begins(live)
        yield live
        if watcher is not None:
            watcher.ends(request.node.nodeid, live)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Shows the logs of the mesh's processes with a test that fails."""
    made: Any = yield
    report = made.get_result()
    live: Any = getattr(item, "funcargs", {}).get("mesh")
    if report.failed and report.when == "call" and hasattr(live, "log_tails"):
        report.sections.append(("logs of the mesh", live.log_tails()))


class _Watcher:
    """Notes what the tests call."""

    def __init__(self, config: pytest.Config) -> None:
        from seamesh.testing.seams import Seen, now_s

        self._config = config
        self._seen = Seen()
        self._began_s = now_s()

    def begins(self, live: LiveMesh) -> None:
        """A test has a mesh."""

    def ends(self, test: str, live: LiveMesh) -> None:
        """A test's mesh ends."""
        self._seen.note(test, live._live())


class _Worker(_Watcher):
    """A process of pytest-xdist: hands on what it saw."""

    def pytest_sessionfinish(self) -> None:
        import msgspec

        output: dict[str, Any] = self._config.workeroutput  # type: ignore[attr-defined]
        output[WATCHER] = msgspec.json.encode(self._seen).decode()


class _SeamsRun(_Watcher):
    """The run with ``--seams``."""

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        self._passed: set[str] = set()
        self._failed: set[str] = set()
        self._lines: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.add(report.nodeid)
        elif report.when == "call" and report.passed:
            self._passed.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        import msgspec

        from seamesh.testing.seams import Seen

        handed = getattr(node, "workeroutput", {}).get(WATCHER)
        if handed is not None:
            self._seen.add(msgspec.json.decode(handed, type=Seen))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        from seamesh.testing.seams import Deafening, now_s, table

        if session.exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR):
            return
        config = self._config
        started = config.invocation_params
        took_s = now_s() - self._began_s
        again = Deafening(self._arguments(), Path(started.dir), config.getoption("--seams-cap"), took_s)
        pairs = self._seen.pairs(self._passed - self._failed)
        rows = []
        if pairs:
            self._say(f"seams: running the tests of {len(pairs)} calls again, each with its skill deaf")
        for row in again.judge_all(pairs):
            self._say(f"seams: {row.pair}: " + ("would break unnoticed" if row.is_hole else "asserted"))
            rows.append(row)
        uncalled = self._seen.uncalled()
        holes = len(uncalled) + sum(row.is_hole for row in rows)
        self._lines = table(rows, uncalled)
        self._lines.append(f"{len(rows) + len(uncalled)} seams, {holes} of them would break unnoticed")
        if holes and config.getoption("--seams-strict") and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _arguments(self) -> list[str]:
        """What pytest was started with, but alone, and without touching what the run itself wrote."""
        config = self._config
        arguments = [str(argument) for argument in config.invocation_params.args]
        has = config.pluginmanager.hasplugin
        if has("xdist"):
            arguments.append("-n0")
        if has("_cov") or has("pytest_cov"):
            arguments.append("--no-cov")
        if getattr(config.option, "xmlpath", None):
            arguments.append("--junit-xml=/dev/null")
        return arguments

    def _say(self, line: str) -> None:
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(line)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._lines:
            terminalreporter.section("seams of the agents")
            for line in self._lines:
                terminalreporter.write_line(line)


class _DeafRun:
    """A run with a deaf skill."""

    def __init__(self, path: Path) -> None:
        import msgspec

        from seamesh.testing.seams import DeafOrder, DeafReport

        self._order: DeafOrder = msgspec.json.decode(path.read_bytes(), type=DeafOrder)
        self._report = DeafReport()

    def begins(self, live: LiveMesh) -> None:
        """A test has a mesh."""
        live._deafen(self._order.deafness)

    def ends(self, test: str, live: LiveMesh) -> None:
        """A test's mesh ends."""
        self._report.note(live._live())

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        wanted = set(self._order.tests)
        others = [item for item in items if item.nodeid not in wanted]
        items[:] = [item for item in items if item.nodeid in wanted]
        config.hook.pytest_deselected(items=others)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._report.ran.append(report.nodeid)
        if report.failed and report.nodeid not in self._report.failed:
            self._report.failed.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        import msgspec

        Path(self._order.report).write_bytes(msgspec.json.encode(self._report))
