"""Taking the parts of delegated work: seen from the sidecar's socket, which plays the handler."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from typing import Any

import pytest
from session_scenario import asked, outcome, run, serving, settled
from sidecar_end import Line

from seamesh import (
    Agent,
    Artifact,
    BadArguments,
    Canceled,
    Context,
    Restarted,
    SidecarUnavailable,
    SkillError,
    Stream,
    StreamBroken,
    Timeout,
)


def part(name: str, data: bytes, offset: int = 0, *, size: int | None = None, sha256: str = "") -> Line:
    """Where a part belongs in an artifact."""
    whole = {"size": len(data) if size is None else size, "sha256": sha256 or hashlib.sha256(data).hexdigest()}
    return {"name": name, "media_type": "text/plain", "offset": offset, **whole}


def base64(data: bytes) -> str:
    """Bytes as a chunk carries them."""
    return b64encode(data).decode()


async def everything(stream: Stream) -> list[Any]:
    """All parts, and the result."""
    return [*[each async for each in stream], await stream.result()]


# Reading.


def test_chunks_and_artifacts_come_in_order_and_then_the_result() -> None:
    async def scenario() -> None:
        data = bytes(1000)
        first, second = data[:600], data[600:]
        async with serving(Agent("a")) as (_, client, mesh), mesh.stream("write", topic="bees", to="b") as stream:
            reading = asyncio.ensure_future(everything(stream))
            request = await asked(client)
            assert (request["skill"], request["payload"], request["to"]) == ("write", {"topic": "bees"}, "b")
            assert (request["wait"], "answers" in request) == (True, False)
            client.chunk(request, 0, None)
            client.chunk(request, 1, {"text": "Bees"})
            client.chunk(request, 2, base64(first), artifact=part("z", data))
            client.chunk(request, 3, base64(second), artifact=part("z", data, 600))
            client.chunk(request, 4, "", artifact=part("empty", b""))
            client.last(request, 5)
            client.completed(request, "r")
            artifacts = [Artifact("z", "text/plain", data), Artifact("empty", "text/plain", b"")]
            assert await reading == [None, {"text": "Bees"}, *artifacts, "r"]

    run(scenario)


def test_a_chunk_is_there_as_soon_as_it_came() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh), mesh.stream("write") as stream:
            request = await asked(client)
            for number in range(3):
                client.chunk(request, number, number)
                assert await anext(stream) == number

    run(scenario)


def test_chunks_are_granted_only_as_they_are_read() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh), mesh.stream("write") as stream:
            request = await asked(client)
            for number in range(32):
                client.chunk(request, number, number)
            for _ in range(15):
                await anext(stream)
            listing = asyncio.ensure_future(mesh.peers())
            await client.expect("list_peers")
            client.write("peer_list", {"peers": []})
            assert await listing == [], "nothing was granted before"
            await anext(stream)
            assert await client.expect("request_input") == {"request_id": request["request_id"], "taken": 16}
            for _ in range(16):
                await anext(stream)
            assert (await client.expect("request_input"))["taken"] == 32

    run(scenario)


def test_the_result_alone_reads_and_grants_everything() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh), mesh.stream("write") as stream:
            request = await asked(client)
            client.chunk(request, 0, "read")
            assert await anext(stream) == "read"
            client.chunk(request, 1, "not read")
            waiting = asyncio.ensure_future(stream.result())
            for number in range(2, 33):
                client.chunk(request, number, "not read")
            assert (await client.expect("request_input"))["taken"] == 16
            assert (await client.expect("request_input"))["taken"] == 32
            client.completed(request, "r")
            assert await waiting == "r", "a cut is the matter of those who read"
            assert await everything(stream) == ["r"]

    run(scenario)


def test_what_is_said_again_or_by_an_attempt_that_is_lost_is_not_read_twice() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh), mesh.stream("write") as stream:
            request = await asked(client)
            for number in (0, 0, 1, 0, 1):
                client.chunk(request, number, number)
            client.chunk(request, 0, "again", attempt=2)
            client.chunk(request, 2, "late", attempt=1)
            client.last(request, 1, attempt=2)
            client.completed(request, "r")
            assert (await everything(stream))[-2:] == ["again", "r"]

    run(scenario)


def test_a_restart_is_told_to_a_reader_who_has_read_and_to_no_other() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh), mesh.stream("write") as stream:
            request = await asked(client)
            client.chunk(request, 0, "a")
            assert await anext(stream) == "a"
            client.chunk(request, 1, base64(b"half"), artifact=part("z", b"half and half", 0))
            client.chunk(request, 0, "b", attempt=2)
            client.chunk(request, 0, "c", attempt=3)
            assert await anext(stream) == Restarted(3)
            assert await anext(stream) == "c"
            client.last(request, 1, attempt=3)
            client.completed(request, "r")
            assert await everything(stream) == ["r"]
        async with serving(Agent("a")) as (_, client, mesh), mesh.stream("write") as stream:
            request = await asked(client)
            client.chunk(request, 0, "never read")
            client.chunk(request, 0, "d", attempt=2)
            client.last(request, 1, attempt=2)
            client.completed(request, "r")
            await asyncio.ensure_future(settled(mesh, client))
            assert await everything(stream) == ["d", "r"]

    run(scenario)


# What breaks.


def test_a_stream_without_its_end_is_broken_once_and_its_result_may_still_be_had() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh), mesh.stream("write") as stream:
            request = await asked(client)
            client.chunk(request, 0, "a")
            client.completed(request, "r")
            assert await anext(stream) == "a"
            with pytest.raises(StreamBroken):
                await anext(stream)
            assert await everything(stream) == ["r"]

    run(scenario)


def test_a_missing_chunk_breaks_the_stream() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh), mesh.stream("write") as stream:
            request = await asked(client)
            client.chunk(request, 0, "a")
            client.last(request, 2)
            client.completed(request, "r")
            assert await anext(stream) == "a"
            with pytest.raises(StreamBroken):
                await anext(stream)

    run(scenario)


def test_a_handler_that_streams_nothing_is_no_broken_stream() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh), mesh.stream("write") as stream:
            client.completed(await asked(client), "r")
            assert await everything(stream) == ["r"]

    run(scenario)


@pytest.mark.parametrize(
    ("data", "where", "text"),
    [
        ("~~~", part("z", b"abc"), "base64"),
        (5, part("z", b"abc"), "base64"),
        (base64(b"abc"), part("z", b"abc", sha256="0" * 64), "hash"),
        (base64(b"abcd"), part("z", b"abc"), "fit"),
        (base64(b"abc"), part("z", b"abc", 1), "fit"),
        (base64(b"abc"), part("z", b"abc", size=64 * 1024 * 1024 + 1), "fit"),
    ],
    ids=["no base64", "a number", "another hash", "too long", "no beginning", "too large"],
)
def test_an_artifact_that_is_not_what_it_should_be_breaks_the_stream(data: Any, where: Line, text: str) -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh), mesh.stream("write") as stream:
            request = await asked(client)
            client.chunk(request, 0, data, artifact=where)
            client.chunk(request, 1, "after")
            client.last(request, 2)
            client.completed(request, "r")
            with pytest.raises(StreamBroken, match=text):
                await anext(stream)
            assert await everything(stream) == ["after", "r"]

    run(scenario)


def test_an_artifact_that_was_given_up_half_way_is_left_out() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh), mesh.stream("write") as stream:
            request = await asked(client)
            client.chunk(request, 0, base64(b"half"), artifact=part("z", b"half and half"))
            client.chunk(request, 1, base64(b"whole"), artifact=part("y", b"whole"))
            client.last(request, 2)
            client.completed(request, "r")
            assert await everything(stream) == [Artifact("y", "text/plain", b"whole"), "r"]

    run(scenario)


def test_work_that_fails_ends_the_stream_with_its_error() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh), mesh.stream("write") as stream:
            request = await asked(client)
            client.chunk(request, 0, "a")
            client.ended_with(request, {"state": "failed", "error": {"code": "skill_failed", "message": "no ink"}})
            assert await anext(stream) == "a"
            for _ in range(2):
                with pytest.raises(SkillError, match="no ink"):
                    await anext(stream)
            with pytest.raises(SkillError, match="no ink"):
                await stream.result()

    run(scenario)


def test_a_sidecar_that_goes_away_ends_the_stream() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (made, client, mesh), mesh.stream("write") as stream:
            await asked(client)
            await made.stop()
            with pytest.raises(SidecarUnavailable):
                await anext(stream)

    run(scenario)


# Leaving.


def test_leaving_the_block_before_the_end_gives_the_work_up() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh):
            async with mesh.stream("write") as stream:
                request = await asked(client)
                client.chunk(request, 0, "enough")
                async for word in stream:
                    assert word == "enough"
                    break
            assert await client.expect("cancel") == {"request_id": request["request_id"]}
            with pytest.raises(Canceled):
                await stream.result()
            with pytest.raises(Canceled):
                await anext(stream)

    run(scenario)


def test_leaving_the_block_after_the_end_gives_nothing_up() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, client, mesh):
            async with mesh.stream("write") as stream:
                request = await asked(client)
                client.last(request, 0)
                client.completed(request, "r")
                assert await everything(stream) == ["r"]
            await settled(mesh, client)

    run(scenario)


def test_a_stream_is_entered_once_and_before_it_is_read() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, _client, mesh):
            stream = mesh.stream("write")
            with pytest.raises(RuntimeError, match="async with"):
                await anext(stream)
            with pytest.raises(RuntimeError, match="async with"):
                await stream.result()
            with pytest.raises(BadArguments):
                mesh.stream("write", payload=object())
            with pytest.raises(Timeout):
                mesh.stream("write", timeout=0)
            async with stream:
                with pytest.raises(RuntimeError, match="once"):
                    await stream.__aenter__()

    run(scenario)


def test_a_canceled_handler_gives_up_the_stream_it_reads() -> None:
    async def scenario() -> None:
        agent = Agent("a")

        @agent.skill
        async def edit(ctx: Context) -> None:
            async with ctx.stream("write") as stream:
                await stream.result()

        async with serving(agent) as (_, client, _mesh):
            client.task("edit", timeout_ms=30_000)
            request = await asked(client)
            assert (request["parent"], 0 < request["timeout_ms"] <= 30_000) == ("t1", True)
            client.write("task_cancel", {"task_id": "t1", "attempt": 1, "code": "canceled"})
            assert await client.expect("cancel") == {"request_id": request["request_id"]}
            assert (await outcome(client))["state"] == "canceled"

    run(scenario)
