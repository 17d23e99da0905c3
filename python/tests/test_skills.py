"""What a function says of itself as a skill, and what arguments it takes."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pytest

from seamesh import Agent, BadArguments, Context, Mesh
from seamesh import docstrings as docs
from seamesh.skills import Skill


@dataclass
class Point:
    """A place."""

    x: float
    y: float = 0.0


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


def paint(ctx: Context, where: Point, color: Color, times: int = 1, note: str | None = None) -> str:
    """Paints a point.

    More about it,
    in two lines.

    Args:
        where (Point): the place,
            on the canvas.
        times: how often.

    Returns:
        What it did.
    """
    return f"{where.x} {color.value} {times} {note}"


def test_the_description_is_the_docstrings_text_before_its_sections() -> None:
    assert Skill(paint).description == "Paints a point.\n\nMore about it, in two lines."


def test_the_schema_comes_from_hints_defaults_and_docstring() -> None:
    schema = Skill(paint).input_schema
    properties = schema["properties"]
    assert set(properties) == {"where", "color", "times", "note"}, "the context is no argument"
    assert schema["required"] == ["where", "color"]
    assert schema["additionalProperties"] is False
    assert properties["where"]["description"] == "the place, on the canvas."
    assert properties["times"] == {"type": "integer", "description": "how often.", "default": 1}
    assert properties["color"] == {"$ref": "#/$defs/Color"}
    assert schema["$defs"]["Color"]["enum"] == ["blue", "red"]
    assert schema["$defs"]["Point"]["required"] == ["x"]


def test_arguments_are_converted_to_the_hinted_types() -> None:
    bound = Skill(paint).bind({"where": {"x": 1}, "color": "red", "times": 3})
    assert bound == {"where": Point(1.0, 0.0), "color": Color.RED, "times": 3}


def test_absent_arguments_leave_the_functions_own_default() -> None:
    def collect(items: list[int] = [1, 2]) -> list[int]:  # noqa: B006 -- a default no schema can carry
        return items

    skill = Skill(collect)
    assert skill.bind({}) == {}
    assert "default" not in skill.input_schema["properties"]["items"]


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ({"color": "red"}, "where"),
        ({"where": {"x": 1}, "color": "green"}, "color"),
        ({"where": {"x": "far"}, "color": "red"}, "where.x"),
        ({"where": {"x": 1}, "color": "red", "times": "3"}, "times"),
        ({"where": {"x": 1}, "color": "red", "size": 3}, "size"),
        ({"where": None, "color": "red"}, "where"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(payload: Any, named: str) -> None:
    with pytest.raises(BadArguments, match=named) as caught:
        Skill(paint).bind(payload)
    assert caught.value.code == "bad_arguments"
    assert caught.value.fault == "caller"


@pytest.mark.parametrize("payload", [[1, 2], "text", 7, True])
def test_a_payload_that_is_no_object_needs_exactly_one_parameter(payload: Any) -> None:
    def one(value: Any) -> Any:
        return value

    assert Skill(one).bind(payload) == {"value": payload}
    with pytest.raises(BadArguments, match="by name"):
        Skill(paint).bind(payload)


@pytest.mark.parametrize("payload", [None, {}])
def test_absent_null_and_empty_payload_are_no_arguments(payload: Any) -> None:
    def none() -> int:
        return 1

    assert Skill(none).bind(payload) == {}


def test_keywords_of_any_name_pass_when_the_function_takes_them() -> None:
    def free(known: int, **rest: Any) -> None: ...

    skill = Skill(free)
    assert skill.bind({"known": 1, "other": [2]}) == {"known": 1, "other": [2]}
    assert skill.input_schema.get("additionalProperties", True) is not False


def test_constraints_in_hints_are_in_the_schema_and_hold() -> None:
    def limited(count: Annotated[int, msgspec.Meta(ge=1, le=3)], mode: Literal["a", "b"] = "a") -> None: ...

    skill = Skill(limited)
    assert skill.input_schema["properties"]["count"]["maximum"] == 3
    with pytest.raises(BadArguments, match="count"):
        skill.bind({"count": 4})
    with pytest.raises(BadArguments, match="mode"):
        skill.bind({"count": 1, "mode": "c"})


def test_a_parameter_without_a_hint_takes_anything() -> None:
    def loose(value, other=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        return value

    assert Skill(loose).bind({"value": {"a": [1]}}) == {"value": {"a": [1]}}


@pytest.mark.parametrize("hint", [Context, Mesh])
def test_the_context_may_have_any_name_when_it_is_annotated(hint: type) -> None:
    def skill(around: Any, text: str) -> None: ...

    skill.__annotations__["around"] = hint
    assert Skill(skill).takes_context
    assert Skill(skill).bind({"text": "x"}) == {"text": "x"}


def test_a_first_parameter_called_ctx_is_the_context_without_a_hint() -> None:
    def skill(ctx, text: str) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    assert Skill(skill).takes_context
    assert list(Skill(skill).input_schema["properties"]) == ["text"]


def test_a_function_whose_parameters_cannot_be_named_is_no_skill() -> None:
    def starred(*texts: str) -> None: ...

    def positional(text: str, /) -> None: ...

    for function in (starred, positional):
        with pytest.raises(TypeError, match="cannot be given by name"):
            Skill(function)


def test_a_type_without_a_json_form_is_refused_when_it_is_declared() -> None:
    def callback(value: type) -> None: ...

    with pytest.raises(TypeError, match="callback"):
        Skill(callback)


def test_the_decorator_works_bare_and_with_arguments_and_leaves_the_function_as_it_is() -> None:
    agent = Agent("a")

    @agent.skill
    def plain(text: str) -> str:
        """Says it again."""
        return text

    @agent.skill(name="other", description="Told.")
    async def renamed() -> None:
        """Not told."""

    assert plain("x") == "x"
    assert [(s.name, s.description) for s in agent.profile().skills] == [
        ("plain", "Says it again."),
        ("other", "Told."),
    ]


def test_names_are_checked_where_they_are_given() -> None:
    agent = Agent("a")
    agent.skill(name="s")(lambda: None)
    with pytest.raises(ValueError, match="already"):
        agent.skill(name="s")(lambda: None)
    with pytest.raises(ValueError, match="1 to 128"):
        agent.skill(name="x" * 129)(lambda: None)
    for bad in ("", "a b", "a/b", "x" * 129, "ä"):
        with pytest.raises(ValueError, match="agent id"):
            Agent(bad)


def test_an_agent_has_a_bounded_number_of_skills() -> None:
    agent = Agent("a")
    for number in range(256):
        agent.skill(name=f"s{number}")(lambda: None)
    with pytest.raises(ValueError, match="256"):
        agent.skill(name="one-more")(lambda: None)


def test_a_docstring_without_sections_is_all_description() -> None:
    assert docs.parse("One\nline.\n") == ("One line.", {})
    assert docs.parse(None) == ("", {})


def test_a_parameters_text_may_hold_a_colon() -> None:
    _, parameters = docs.parse("X.\n\nArgs:\n    a: one of: b, c\n    *rest: more\n      and: more\n")
    assert parameters == {"a": "one of: b, c", "rest": "more and: more"}


def test_a_skill_says_who_may_call_it() -> None:
    agent = Agent("vault")

    @agent.skill(callers=["friend", "lib@home"])
    def closed() -> None: ...

    @agent.skill(callers=[])
    def people_only() -> None: ...

    @agent.skill
    def everybody() -> None: ...

    told = {skill.name: skill.callers for skill in agent.profile().skills}
    assert told == {"closed": ["friend", "lib@home"], "people_only": [], "everybody": None}
    wire = msgspec.json.decode(msgspec.json.encode(agent.profile()))
    assert [skill.get("callers") for skill in wire["skills"]] == [["friend", "lib@home"], [], None]


@pytest.mark.parametrize(
    ("callers", "error"),
    [
        ("friend", TypeError),
        (["two words"], ValueError),
        ([""], ValueError),
        ([f"a{n}" for n in range(257)], ValueError),
    ],
)
def test_callers_that_cannot_be_are_refused_when_the_skill_is_declared(callers: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="caller"):
        Skill(lambda: None, name="s", callers=callers)
