"""Tools of the caller through OpenAI's own client: calls, streams of calls, a second round."""

import json

import openai
import pydantic
import pytest

from conftest import CHAT

QUESTION = [{"role": "user", "content": "What is the weather in Rome?"}]


class Weather(pydantic.BaseModel):
    """The weather of a city."""

    city: str = pydantic.Field(max_length=24)
    days: int = pydantic.Field(ge=1, le=14)


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 24},
                "days": {"type": "integer", "minimum": 1, "maximum": 14},
            },
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
NAMED = {"type": "function", "function": {"name": "get_weather"}}


def ask(client, **fields):
    asked = {"model": CHAT, "messages": QUESTION, "tools": [TOOL], "max_tokens": 120, "seed": 1, "temperature": 0}
    return client.chat.completions.create(**{**asked, **fields})


@pytest.mark.parametrize("choice", ["required", NAMED])
def test_a_call(client, choice):
    choice = ask(client, tool_choice=choice, parallel_tool_calls=False).choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    (call,) = choice.message.tool_calls
    assert call.type == "function" and call.function.name == "get_weather" and call.id
    Weather.model_validate_json(call.function.arguments)


def test_a_streamed_call(client):
    chunks = list(ask(client, tool_choice=NAMED, parallel_tool_calls=False, stream=True))
    pieces = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    assert pieces[0].id and pieces[0].function.name == "get_weather"
    assert all(piece.id is None and piece.index == 0 for piece in pieces[1:])
    assert len(pieces) > 3
    Weather.model_validate_json("".join(piece.function.arguments for piece in pieces))
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "tool_calls"


def test_the_stream_helper_parses_calls(client):
    if not hasattr(client.chat.completions, "stream"):
        pytest.skip("this client has no chat.completions.stream")
    tool = openai.pydantic_function_tool(Weather, name="get_weather")
    # The client makes its tools strict, and strict tools promise every keyword of their schema.
    with client.chat.completions.stream(
        model=CHAT, messages=QUESTION, tools=[tool], tool_choice=NAMED, parallel_tool_calls=False, max_tokens=120,
        temperature=0, seed=1,
    ) as stream:
        kinds = {event.type for event in stream}
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert "tool_calls.function.arguments.delta" in kinds
    assert isinstance(call.function.parsed_arguments, Weather)


def test_a_second_round(client):
    said = ask(client, tool_choice=NAMED, parallel_tool_calls=False).choices[0].message
    result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": json.dumps({"sky": "clear"})}
    reply = ask(client, messages=[*QUESTION, said, result], tool_choice="none", max_tokens=16)
    assert reply.choices[0].message.content and not reply.choices[0].message.tool_calls


def test_auto_leaves_text_alone(client):
    free = ask(client, max_tokens=24).choices[0]
    if free.finish_reason == "tool_calls":
        json.loads(free.message.tool_calls[0].function.arguments)
    else:
        assert free.message.content


def test_a_result_without_its_call(client):
    orphan = {"role": "tool", "tool_call_id": "call_1", "content": "x"}
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, messages=[*QUESTION, orphan])
    assert refused.value.param == "messages[1].tool_call_id"
