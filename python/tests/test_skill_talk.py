"""What a running skill says before its result, and what it hears: seen from its sidecar's socket."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from base64 import b64decode
from typing import Any

import pytest
from session_scenario import outcome, run, serving
from sidecar_end import CAP_S
from skill_end import chunk, news, stream_end, talking

from seamesh import BadArguments, BadResult, Canceled, Context, NobodyAnswers, NotStreamed, TooLarge

# hello.


def test_hello_names_each_run_of_the_process() -> None:
    async def scenario() -> None:
        agent = talking(lambda: None)
        seen = set()
        for _ in range(2):
            hellos: list[Any] = []
            async with serving(agent, hellos):
                instance = hellos[0]["agent"]["instance"]
                assert len(bytes.fromhex(instance)) == 8
                seen.add(instance)
        assert len(seen) == 2

    run(scenario)


# progress.


def test_progress_is_told_in_order_within_its_limits() -> None:
    async def scenario() -> None:
        async def talk(ctx: Context) -> None:
            for fraction, note in ((None, ""), (0.25, "reads"), (7, "x"), (-1, "é" * 600), (float("nan"), "\ud800")):
                ctx.progress(fraction, note)
                await asyncio.sleep(0)

        async with serving(talking(talk)) as (_, client, _mesh):
            client.task("talk")
            assert await news(client, "progress") == {"note": ""}
            assert await news(client, "progress") == {"fraction": 0.25, "note": "reads"}
            assert await news(client, "progress") == {"fraction": 1.0, "note": "x"}
            assert await news(client, "progress") == {"fraction": 0.0, "note": "é" * 512}
            assert await news(client, "progress") == {"note": "?"}
            assert (await outcome(client))["state"] == "completed"

    run(scenario)


def test_of_much_progress_at_once_the_newest_is_told_before_the_result() -> None:
    async def scenario() -> None:
        def talk(ctx: Context) -> str:
            for number in range(1001):
                ctx.progress(number / 1000)
            return "done"

        async def talk_async(ctx: Context) -> str:
            return talk(ctx)

        for skill in (talk, talk_async):
            async with serving(talking(skill)) as (_, client, _mesh):
                client.task("talk")
                told: list[Any] = []
                while (each := await client.read())["type"] == "task_news":
                    told.append(each["payload"]["progress"]["fraction"])
                assert (each["type"], told[-1], told) == ("respond", 1.0, sorted(told))

    run(scenario)


# chunk.


def test_a_skill_waits_while_the_window_is_full_and_goes_on_when_chunks_were_taken() -> None:
    async def scenario() -> None:
        sent: list[int] = []

        async def talk(ctx: Context) -> str:
            assert ctx.is_streamed
            for number in range(40):
                await ctx.chunk({"n": number})
                sent.append(number)
            return "done"

        async with serving(talking(talk)) as (_, client, _mesh):
            client.task("talk", stream=True)
            assert [await chunk(client) for _ in range(32)] == [(n, {"n": n}) for n in range(32)]
            client.task("nothing", task_id="probe")
            assert (await client.expect("respond"))["task_id"] == "probe"
            assert len(sent) == 32
            client.task_input(taken=3)
            assert [(await chunk(client))[0] for _ in range(3)] == [32, 33, 34]
            client.task_input(taken=3, again=True)
            client.task_input(taken=16)
            assert [(await chunk(client))[0] for _ in range(5)] == [35, 36, 37, 38, 39]
            assert await stream_end(client) == 40
            assert (await outcome(client))["result"] == "done"

    run(scenario)


@pytest.mark.parametrize(
    ("value", "error"),
    [(object(), BadResult), ("x" * (128 * 1024 - 1), TooLarge), ("\ud800", BadResult)],
    ids=["object", "large", "surrogate"],
)
def test_a_chunk_that_cannot_travel_is_told_to_the_skill(value: Any, error: type[Exception]) -> None:
    async def scenario() -> None:
        async def talk(ctx: Context) -> str:
            with pytest.raises(error):
                await ctx.chunk(value)
            await ctx.chunk("x" * (128 * 1024 - 2))
            return "went on"

        async with serving(talking(talk)) as (_, client, _mesh):
            client.task("talk", stream=True)
            assert (await chunk(client))[0] == 0
            assert await stream_end(client) == 1
            assert (await outcome(client))["result"] == "went on"

    run(scenario)


def test_an_asker_that_takes_no_chunks_and_answers_nothing_gets_none() -> None:
    async def scenario() -> None:
        async def talk(ctx: Context) -> bool:
            with pytest.raises(NotStreamed):
                await ctx.chunk(1)
            with pytest.raises(NotStreamed):
                await ctx.artifact("a", b"")
            with pytest.raises(NobodyAnswers, match="on_question"):
                await ctx.ask("Which?")
            return ctx.is_streamed

        async with serving(talking(talk)) as (_, client, _mesh):
            client.task("talk")
            assert (await outcome(client))["result"] is False

    run(scenario)


def test_what_was_not_taken_is_said_again_to_a_sidecar_that_restarted() -> None:
    async def scenario() -> None:
        async def talk(ctx: Context) -> Any:
            await ctx.chunk("a")
            await ctx.chunk("b")
            return await ctx.ask("Which?")

        async with serving(talking(talk)) as (made, client, _mesh):
            client.task("talk", stream=True, answers=True, lease=7)
            assert [await chunk(client), await chunk(client)] == [(0, "a"), (1, "b")]
            question = await news(client, "question")
            client.task_input(taken=1)
            client.task("nothing", task_id="probe")
            await client.expect("respond")
            await made.stop()
            await made.start()
            client = await made.accept()
            (known,) = (await client.greet())["running"]
            assert (known["task_id"], known["lease"]) == ("t1", 7)
            assert await chunk(client) == (1, "b")
            assert await news(client, "question") == question
            client.task_input(answer={"number": 1, "value": "this"})
            assert await stream_end(client) == 2
            assert (await outcome(client))["result"] == "this"

    run(scenario)


def test_a_cancellation_reaches_a_skill_that_waits_for_room() -> None:
    async def scenario() -> None:
        let_go = threading.Event()

        async def talk(ctx: Context) -> None:
            try:
                while True:
                    await ctx.chunk(0)
            finally:
                let_go.set()

        def talk_in_a_thread(ctx: Context) -> None:
            try:
                while True:
                    ctx.run(ctx.chunk(0))
            except Canceled:
                let_go.set()
                raise

        for skill in (talk, talk_in_a_thread):
            async with serving(talking(skill)) as (_, client, _mesh):
                client.task("talk", stream=True)
                for _ in range(32):
                    await chunk(client)
                client.write("task_cancel", {"task_id": "t1", "attempt": 1, "code": "canceled"})
                assert await stream_end(client) == 32
                assert (await outcome(client))["state"] == "canceled"
                assert let_go.is_set()
                let_go.clear()

    run(scenario)


def test_work_that_has_ended_says_nothing_more() -> None:
    async def scenario() -> None:
        contexts: list[Context] = []

        waiting: list[asyncio.Future[Any]] = []

        async def talk(ctx: Context) -> None:
            contexts.append(ctx)
            waiting.append(asyncio.ensure_future(ctx.ask("Which?")))
            await asyncio.sleep(0)

        async with serving(talking(talk)) as (_, client, _mesh):
            client.task("talk", stream=True, answers=True)
            await news(client, "question")
            await stream_end(client)
            await client.expect("respond")
            with pytest.raises(Canceled):
                await waiting[0]
            (ctx,) = contexts
            with pytest.raises(Canceled):
                await ctx.chunk(1)
            ctx.progress(1.0)
            client.task_input(answer={"number": 1, "value": "late"})
            client.task("nothing", task_id="probe")
            assert (await client.expect("respond"))["task_id"] == "probe"

    run(scenario)


# artifact.


def test_an_artifact_goes_in_parts_with_nothing_between() -> None:
    async def scenario() -> None:
        data = bytes(range(256)) * 1000

        async def talk(ctx: Context) -> None:
            both = (ctx.artifact("a.bin", data), ctx.artifact("empty", b"", "text/plain"), ctx.chunk("after"))
            await asyncio.gather(*both)

        async with serving(talking(talk)) as (_, client, _mesh):
            client.task("talk", stream=True)
            whole = b""
            for index in range(3):
                told = await news(client, "chunk")
                assert told["index"] == index
                assert told["artifact"] == {
                    "name": "a.bin",
                    "media_type": "application/octet-stream",
                    "size": len(data),
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "offset": len(whole),
                }
                whole += b64decode(told["data"], validate=True)
            assert whole == data
            told = await news(client, "chunk")
            assert (told["artifact"]["size"], told["artifact"]["media_type"], told["data"]) == (0, "text/plain", "")
            assert await chunk(client) == (4, "after")

    run(scenario)


def test_an_artifact_that_is_too_large_or_has_no_name_never_leaves() -> None:
    async def scenario() -> None:
        async def talk(ctx: Context) -> str:
            with pytest.raises(TooLarge):
                await ctx.artifact("big", bytes(64 * 1024 * 1024 + 1))
            for name in ("", "n" * 257, "\ud800"):
                with pytest.raises(BadArguments, match="name"):
                    await ctx.artifact(name, b"")
            with pytest.raises(BadArguments, match="media type"):
                await ctx.artifact("n", b"", "")
            return "told"

        async with serving(talking(talk)) as (_, client, _mesh):
            client.task("talk", stream=True)
            assert await stream_end(client) == 0
            assert (await outcome(client))["result"] == "told"

    run(scenario)


# ask.


def test_questions_are_asked_one_after_the_other_and_only_their_answer_counts() -> None:
    async def scenario() -> None:
        async def talk(ctx: Context) -> Any:
            return await asyncio.gather(ctx.ask("Which?"), ctx.ask("How?", {"type": "string"}))

        async with serving(talking(talk)) as (_, client, _mesh):
            client.task("talk", answers=True)
            assert await news(client, "question") == {"number": 1, "prompt": "Which?"}
            client.task_input(answer={"number": 2, "value": "early"})
            client.task_input(answer={"number": 1, "value": {"this": None}})
            client.task_input(answer={"number": 1, "value": "twice"})
            expected = {"number": 2, "prompt": "How?", "schema": {"type": "string"}}
            assert await news(client, "question") == expected
            client.task_input(answer={"number": 2, "value": False})
            assert (await outcome(client))["result"] == [{"this": None}, False]

    run(scenario)


def test_a_skill_that_is_tired_of_waiting_may_ask_again() -> None:
    async def scenario() -> None:
        async def talk(ctx: Context) -> Any:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await ctx.ask("Which?")
            return await ctx.ask("This?")

        async with serving(talking(talk)) as (_, client, _mesh):
            client.task("talk", answers=True)
            assert (await news(client, "question"))["number"] == 1
            assert (await news(client, "question"))["number"] == 2
            client.task_input(answer={"number": 1, "value": "late"})
            client.task_input(answer={"number": 2, "value": "yes"})
            assert (await outcome(client))["result"] == "yes"

    run(scenario)


def test_a_question_that_is_too_large_or_not_json_is_told_to_the_skill() -> None:
    async def scenario() -> None:
        async def talk(ctx: Context) -> str:
            with pytest.raises(TooLarge):
                await ctx.ask("x" * 64 * 1024)
            with pytest.raises(BadArguments):
                await ctx.ask("Which?", object())
            return "told"

        async with serving(talking(talk)) as (_, client, _mesh):
            client.task("talk", answers=True)
            assert (await outcome(client))["result"] == "told"

    run(scenario)


def test_a_sync_skill_says_and_hears_everything_through_run() -> None:
    async def scenario() -> None:
        def talk(ctx: Context) -> Any:
            assert threading.current_thread() is not threading.main_thread()
            ctx.progress(0.5, "half")
            ctx.run(ctx.chunk("a"))
            ctx.run(ctx.artifact("b", b"b"))
            return ctx.run(ctx.ask("Which?"))

        async with serving(talking(talk)) as (_, client, _mesh):
            client.task("talk", stream=True, answers=True)
            assert await news(client, "progress") == {"fraction": 0.5, "note": "half"}
            assert await chunk(client) == (0, "a")
            assert (await news(client, "chunk"))["artifact"]["name"] == "b"
            assert (await news(client, "question"))["number"] == 1
            client.task_input(answer={"number": 1, "value": "this"})
            assert await stream_end(client) == 2
            assert (await outcome(client))["result"] == "this"

    run(scenario)


def test_a_canceled_sync_skill_that_waits_for_an_answer_is_let_go() -> None:
    async def scenario() -> None:
        ended = threading.Event()

        def talk(ctx: Context) -> None:
            try:
                ctx.run(ctx.ask("Which?"))
            except Canceled:
                ended.set()
                raise

        async with serving(talking(talk)) as (_, client, _mesh):
            client.task("talk", answers=True)
            await news(client, "question")
            client.write("task_cancel", {"task_id": "t1", "attempt": 1, "code": "canceled"})
            assert (await outcome(client))["state"] == "canceled"
            assert ended.wait(CAP_S)

    run(scenario)
