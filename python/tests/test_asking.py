"""Hearing the progress of delegated work and answering its questions: seen from the sidecar's socket, which plays the
handler."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from session_scenario import asked, outcome, run, serving, settled

from seamesh import Agent, BadArguments, Context, Progress, Question, TooLarge

# progress.


def test_progress_goes_to_its_function_and_what_that_raises_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        heard: list[Progress] = []
        heard_later: asyncio.Queue[Progress] = asyncio.Queue()

        def hear(progress: Progress) -> None:
            heard.append(progress)
            raise ValueError("no paper")

        async def hear_later(progress: Progress) -> None:
            heard_later.put_nowait(progress)

        async with serving(Agent("a")) as (_, client, mesh):
            asking = asyncio.ensure_future(mesh.delegate("write", on_progress=hear))
            request = await client.expect("request")
            assert not {"stream", "answers"} & request.keys()
            client.news(request, progress={"fraction": 0.5, "note": "half"})
            client.news(request, progress={"note": "more"})
            client.completed(request, "r")
            assert await asking == "r"
            assert heard == [Progress(fraction=0.5, note="half"), Progress(note="more")]
            async with mesh.stream("write", on_progress=hear_later) as stream:
                request = await asked(client)
                client.news(request, progress={"fraction": 1})
                assert await heard_later.get() == Progress(fraction=1.0)
                client.completed(request, "r")
                assert await stream.result() == "r"

    run(scenario)
    assert "no paper" in caplog.text


# Questions.


def test_a_question_is_answered_by_its_function_sync_or_async() -> None:
    async def scenario() -> None:
        async def later(question: Question) -> Any:
            await asyncio.sleep(0)
            return {question.prompt: question.schema}

        async with serving(Agent("a")) as (_, client, mesh):
            for answer in (lambda question: {question.prompt: question.schema}, later):
                asking = asyncio.ensure_future(mesh.delegate("write", on_question=answer))
                request = await client.expect("request")
                assert request["answers"] is True
                client.news(request, question={"number": 1, "prompt": "Which?", "schema": {"type": "object"}})
                told = await client.expect("request_input")
                value = {"Which?": {"type": "object"}}
                assert told == {"request_id": request["request_id"], "answer": {"number": 1, "value": value}}
                client.completed(request, "r")
                assert await asking == "r"

    run(scenario)


def test_a_question_that_comes_again_is_asked_once_and_answered_again() -> None:
    async def scenario() -> None:
        calls: list[int] = []
        go = asyncio.Event()

        async def answer(question: Question) -> str:
            calls.append(question.number)
            await go.wait()
            return "this"

        async with serving(Agent("a")) as (_, client, mesh), mesh.stream("write", on_question=answer) as stream:
            request = await asked(client)
            question = {"number": 1, "prompt": "Which?"}
            for _ in range(3):
                client.news(request, question=question)
            await settled(mesh, client)
            go.set()
            expected = {"number": 1, "value": "this"}
            assert (await client.expect("request_input"))["answer"] == expected
            client.news(request, question=question)
            assert (await client.expect("request_input"))["answer"] == expected
            client.news(request, attempt=2, question=question)
            assert (await client.expect("request_input"))["answer"] == expected
            assert calls == [1, 1], "another attempt asks anew"
            client.completed(request, "r")
            assert await stream.result() == "r"

    run(scenario)


def test_a_newer_question_takes_the_place_of_one_that_nobody_waits_for() -> None:
    async def scenario() -> None:
        given_up = asyncio.Event()

        async def answer(question: Question) -> str:
            if question.number == 2:
                return "second"
            try:
                await asyncio.Event().wait()
            finally:
                given_up.set()
            return "never"

        async with serving(Agent("a")) as (_, client, mesh):
            asking = asyncio.ensure_future(mesh.delegate("write", on_question=answer))
            request = await client.expect("request")
            client.news(request, question={"number": 1, "prompt": "Which?"})
            await settled(mesh, client)
            client.news(request, question={"number": 2, "prompt": "Which?"})
            assert (await client.expect("request_input"))["answer"] == {"number": 2, "value": "second"}
            assert given_up.is_set()
            client.completed(request, "r")
            assert await asking == "r"

    run(scenario)


def test_the_end_of_the_work_ends_what_answers_it() -> None:
    async def scenario() -> None:
        began, ended = asyncio.Event(), asyncio.Event()

        async def answer(_: Question) -> None:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with serving(Agent("a")) as (_, client, mesh):
            asking = asyncio.ensure_future(mesh.delegate("write", on_question=answer))
            request = await client.expect("request")
            client.news(request, question={"number": 1, "prompt": "Which?"})
            await began.wait()
            client.completed(request, "r")
            assert await asking == "r"
            await ended.wait()

    run(scenario)


@pytest.mark.parametrize(
    ("given", "error"),
    [(ValueError("no idea"), ValueError), (object(), BadArguments), ("x" * 65_536, TooLarge)],
    ids=["raises", "object", "large"],
)
def test_a_question_that_cannot_be_answered_gives_the_work_up(given: Any, error: type[Exception]) -> None:
    async def scenario() -> None:
        def answer(_: Question) -> Any:
            if isinstance(given, Exception):
                raise given
            return given

        async with serving(Agent("a")) as (_, client, mesh):
            asking = asyncio.ensure_future(mesh.delegate("write", on_question=answer))
            request = await client.expect("request")
            client.news(request, question={"number": 1, "prompt": "Which?"})
            assert await client.expect("cancel") == {"request_id": request["request_id"]}
            with pytest.raises(error):
                await asking

    run(scenario)


def test_work_that_nobody_waits_for_has_nobody_to_hear_of_it() -> None:
    async def scenario() -> None:
        async with serving(Agent("a")) as (_, _client, mesh):
            with pytest.raises(BadArguments, match="wait"):
                await mesh.delegate("write", wait=False, on_question=print)
            with pytest.raises(BadArguments, match="wait"):
                await mesh.delegate("write", wait=False, on_progress=print)

    run(scenario)


def passing(**options: Any) -> Agent:
    """An agent whose skill hands its work on."""
    agent = Agent("a")

    @agent.skill
    async def edit(ctx: Context) -> Any:
        return await ctx.delegate("write", **options)

    @agent.skill
    async def edit_parts(ctx: Context) -> Any:
        async with ctx.stream("write", **options) as stream:
            return await stream.result()

    return agent


@pytest.mark.parametrize("skill", ["edit", "edit_parts"])
def test_a_question_of_delegated_work_is_passed_on_to_the_handlers_own_asker(skill: str) -> None:
    async def scenario() -> None:
        async with serving(passing()) as (_, client, _mesh):
            client.task(skill, answers=True)
            request = await client.expect("request")
            assert request["answers"] is True
            client.news(request, question={"number": 5, "prompt": "Which?", "schema": {"type": "string"}})
            told = await client.expect("task_news")
            assert told["question"] == {"number": 1, "prompt": "Which?", "schema": {"type": "string"}}
            client.task_input(answer={"number": 1, "value": "this"})
            told = await client.expect("request_input")
            assert told["answer"] == {"number": 5, "value": "this"}
            client.completed(request, "r")
            assert (await outcome(client))["result"] == "r"

    run(scenario)


@pytest.mark.parametrize(
    ("answers", "options", "expected"),
    [(False, {}, None), (True, {"wait": False}, None), (True, {"on_question": lambda q: "mine"}, True)],
    ids=["nobody answers", "nobody waits", "the handler answers"],
)
def test_a_question_is_passed_on_only_where_it_can_be(answers: bool, options: Any, expected: Any) -> None:
    async def scenario() -> None:
        async with serving(passing(**options)) as (_, client, _mesh):
            client.task("edit", answers=answers)
            request = await client.expect("request")
            assert request.get("answers") is expected
            if expected:
                client.news(request, question={"number": 1, "prompt": "Which?"})
                assert (await client.expect("request_input"))["answer"]["value"] == "mine"
            client.write("accepted", {"request_id": request["request_id"], "task_id": "t9", "path": "queue"})
            client.completed(request, "r")
            assert (await outcome(client))["result"] in ("r", "t9")

    run(scenario)
