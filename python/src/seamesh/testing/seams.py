"""``pytest --seams``: which skill calls the tests exercise, and which of those a test would miss.

The tests run once, and every call (caller -> skill) is noted with the tests that make it. Then, for each such pair,
those tests run once more with that skill deaf to that caller. A test that then fails asserts the pair. docs/adr/0017
says why.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from seamesh import _wire
from seamesh.testing._hosted import Deafness

if TYPE_CHECKING:
    from seamesh.testing._engine import Engine, Struck

TEST = "test"
"""How the table calls the test itself as a caller."""

MIN_RUN_S = 60.0
"""Seconds that a deaf run gets at least, before it counts as one that hangs."""

SLOWER = 10.0
"""How much longer than the first run a deaf run may take."""


class Pair(NamedTuple):
    """A caller (empty: the test) and the skill it calls."""

    caller: str
    agent: str
    skill: str

    def __str__(self) -> str:
        return f"{self.caller or TEST} -> {self.agent}.{self.skill}"


class Seen(msgspec.Struct):
    """What a run of the tests called.

    Attributes:
        called: each pair and the tests that called it.
        offered: the skills of the user's agents.
    """

    called: dict[str, list[str]] = msgspec.field(default_factory=dict)
    offered: list[tuple[str, str]] = msgspec.field(default_factory=list)

    def note(self, test: str, engine: Engine) -> None:
        """Adds what one test's mesh saw. What tests ask of their own fakes is no seam of the user's."""
        fakes = {name for name, member in engine.members.items() if member.is_fake}
        for member in engine.members.values():
            if member.agent is not None and not member.is_fake:
                self.offered += [(member.name, skill) for skill in member.agent.skills]
        for call in engine.calls:
            if call.caller or call.agent not in fakes:
                tests = self.called.setdefault(_key(Pair(call.caller, call.agent, call.skill)), [])
                if test not in tests:
                    tests.append(test)

    def add(self, other: Seen) -> None:
        """Adds what another process saw."""
        for key, tests in other.called.items():
            known = self.called.setdefault(key, [])
            known += [test for test in tests if test not in known]
        self.offered += other.offered

    def pairs(self, passed: set[str]) -> dict[Pair, list[str]]:
        """The pairs, and the tests of each that passed."""
        kept = {_pair(key): [test for test in tests if test in passed] for key, tests in self.called.items()}
        return {pair: tests for pair, tests in sorted(kept.items()) if tests}

    def uncalled(self) -> list[tuple[str, str]]:
        """The skills that no test called."""
        called = {_pair(key)[1:] for key in self.called}
        return sorted(set(self.offered) - called)


def _key(pair: Pair) -> str:
    return msgspec.json.encode(pair).decode()


def _pair(key: str) -> Pair:
    return Pair(*msgspec.json.decode(key, type=list[str]))


class DeafOrder(msgspec.Struct):
    """What a deaf run is told.

    Attributes:
        pair: who is not answered by what.
        cap_s: seconds after which the caller gives up.
        tests: the tests to run.
        report: the file for its `DeafReport`.
    """

    pair: Pair
    cap_s: float
    tests: list[str]
    report: str

    @property
    def deafness(self) -> Deafness:
        """The order, as a mesh takes it."""
        return Deafness(self.pair.agent, self.pair.skill, self.pair.caller, self.cap_s)


class DeafReport(msgspec.Struct):
    """What a deaf run saw.

    Attributes:
        ran: the tests that ran.
        failed: the tests that noticed.
        survived: whether every caller ended by itself, with a result or an error of its own; ``None``: no agent waited.
        why: why one did not.
    """

    ran: list[str] = msgspec.field(default_factory=list)
    failed: list[str] = msgspec.field(default_factory=list)
    survived: bool | None = None
    why: str = ""

    def note(self, engine: Engine) -> None:
        """Judges the callers of one test's mesh."""
        for strike in engine.strikes:
            why = _fate(strike, engine)
            if why is None:
                continue
            self.survived = self.survived is not False and not why
            self.why = self.why or why


def _fate(strike: Struck, engine: Engine) -> str | None:
    """Why the caller of a deaf skill did not survive; empty: it did; ``None``: the caller is the test."""
    if strike.task_id is None:
        return None
    calls = [call for call in engine.calls if call.task_id == strike.task_id and call.agent == strike.caller]
    if not calls or not calls[-1].is_over:
        return "it did not end"
    error = calls[-1].error
    if error is None:
        return ""
    if error.code in ("canceled", "deadline_exceeded", "expired"):
        return "it did not end before its own deadline"
    return f"it broke: {error.message}" if _is_crash(error.message, error.code) else ""


def _is_crash(message: str, code: str) -> bool:
    """Whether a skill failed with an exception that is none of the SDK's: `run_skill` puts its class first."""
    name = message.partition(":")[0].strip()
    if code != "skill_failed" or not name.isidentifier() or name in _wire.CODES:
        return False
    known = getattr(builtins, name, None)
    return (isinstance(known, type) and issubclass(known, BaseException)) or name.endswith(("Error", "Exception"))


@dataclass
class Row:
    """A line of the table."""

    pair: Pair
    tests: int
    asserted: bool | None = None
    survived: bool | None = None
    note: str = ""

    @property
    def is_hole(self) -> bool:
        """Whether no test would notice."""
        return self.asserted is not True


@dataclass
class Deafening:
    """Runs the tests again, once for each pair.

    Attributes:
        arguments: pytest's own, as it was started.
        directory: where it was started.
        cap_s: seconds after which callers of a deaf skill give up.
        took_s: seconds the first run took.
    """

    arguments: list[str]
    directory: Path
    cap_s: float
    took_s: float
    _children: set[subprocess.Popen[bytes]] = field(default_factory=set)

    def judge_all(self, pairs: Mapping[Pair, list[str]]) -> Iterator[Row]:
        """The lines of all pairs, as many at once as there are processors: a deaf run mostly waits."""
        with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as threads:
            try:
                yield from threads.map(self.judge, pairs, pairs.values())
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                for child in list(self._children):
                    _end(child)
                raise

    def judge(self, pair: Pair, tests: list[str]) -> Row:
        """The line of one pair."""
        row = Row(pair, len(tests))
        with tempfile.TemporaryDirectory(prefix="seamesh-seams-") as temporary:
            place = Path(temporary)
            order = DeafOrder(pair, self.cap_s, tests, str(place / "report"))
            (place / "order").write_bytes(msgspec.json.encode(order))
            output = self._run(place)
            report = place / "report"
            if output is None:
                row.asserted, row.survived, row.note = True, False, "the tests hang"
            elif not report.exists():
                row.note = "the tests could not run again:\n" + output[-2000:]
            else:
                seen = msgspec.json.decode(report.read_bytes(), type=DeafReport)
                if seen.ran:
                    row.asserted, row.survived, row.note = bool(seen.failed), seen.survived, seen.why
                else:
                    row.note = "none of its tests was found again"
        return row

    def _run(self, place: Path) -> str | None:
        """What the deaf run printed; ``None``: it did not end."""
        command = [sys.executable, "-m", "pytest", *self.arguments]
        command += [f"--seams-deaf={place / 'order'}", "-o", f"cache_dir={place / 'cache'}"]
        log = place / "log"
        with log.open("wb") as out:
            child = subprocess.Popen(
                command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
            self._children.add(child)
            try:
                child.wait(max(MIN_RUN_S, self.took_s * SLOWER))
            except subprocess.TimeoutExpired:
                return None
            finally:
                self._children.discard(child)
                _end(child)
        return log.read_text(errors="replace")


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends a run, and with it the meshes of its tests."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def table(rows: Iterable[Row], uncalled: Iterable[tuple[str, str]]) -> list[str]:
    """The result, as lines."""
    cells = [("caller -> skill", "exercised", "asserted", "survives")]
    notes: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        tests = f"{row.tests} test" + ("s" if row.tests != 1 else "")
        cells.append((str(row.pair), tests, _word(row.asserted, "?"), _word(row.survived, "-")))
        if row.note:
            notes[row.note].append(str(row.pair))
    cells += [(f"(nobody) -> {agent}.{skill}", "NO", "NO", "-") for agent, skill in uncalled]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return lines + [f"{', '.join(pairs)}: {note}" for note, pairs in notes.items()]


def _word(value: bool | None, unknown: str) -> str:
    return unknown if value is None else "yes" if value else "NO"


def now_s() -> float:
    """Seconds, for how long a run takes."""
    return time.monotonic()
