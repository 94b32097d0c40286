"""Responses through OpenAI's own client: whole, streamed, parsed, kept, gone on from, with tools."""

import time

import openai
import pydantic
import pytest

from conftest import CHAT

QUESTION = "What is the capital of France?"
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 24}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
NAMED = {"type": "function", "name": "get_weather"}


class City(pydantic.BaseModel):
    """A city."""

    name: str = pydantic.Field(max_length=20)
    is_capital: bool


def ask(client, **fields):
    return client.responses.create(**{"model": CHAT, "input": QUESTION, "max_output_tokens": 16, **fields})


def test_a_response(client):
    response = ask(client)
    assert response.object == "response" and response.id.startswith("resp_") and response.model == CHAT
    assert response.status in ("completed", "incomplete") and response.output_text
    (message,) = response.output
    assert message.type == "message" and message.role == "assistant" and message.id.startswith("msg_")
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert response.usage.output_tokens <= 16


def test_what_is_cut_off_is_incomplete(client):
    response = ask(client, max_output_tokens=1)
    assert response.status == "incomplete" and response.incomplete_details.reason == "max_output_tokens"


def test_items_and_instructions(client):
    items = [
        {"role": "developer", "content": "Answer in one word."},
        {"role": "user", "content": [{"type": "input_text", "text": "Say yes."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]},
        {"role": "user", "content": "Again."},
    ]
    response = ask(client, input=items, instructions="Be brief.", metadata={"a": "b"})
    assert response.output_text and response.instructions == "Be brief." and response.metadata == {"a": "b"}


def test_a_stream(client):
    with ask(client, stream=True) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created" and events[1].type == "response.in_progress"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert events[-1].response.output_text == text
    (done,) = [event for event in events if event.type == "response.output_text.done"]
    assert done.text == text


def test_the_clients_own_stream(client):
    """The client's accumulator checks each event against what came before."""
    with client.responses.stream(model=CHAT, input=QUESTION, max_output_tokens=12) as stream:
        events = list(stream)
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert events[-1].response.output_text == "".join(deltas)


def test_parsed(client):
    response = client.responses.parse(
        model=CHAT, input="Tell me of Rome as JSON.", text_format=City, max_output_tokens=80
    )
    assert isinstance(response.output_parsed, City)


def test_log_probabilities(client):
    response = ask(client, include=["message.output_text.logprobs"], top_logprobs=2)
    logprobs = response.output[0].content[0].logprobs
    assert logprobs and all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in logprobs)


@pytest.mark.parametrize("choice", ["required", NAMED])
def test_a_call_and_its_result(client, choice):
    first = ask(client, tools=[TOOL], tool_choice=choice, parallel_tool_calls=False, max_output_tokens=80)
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert call.name == "get_weather" and call.call_id
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."}
    stored = ask(client, input=[result], previous_response_id=first.id, tools=[TOOL], tool_choice="none")
    assert stored.output_text and stored.previous_response_id == first.id
    by_hand = [{"role": "user", "content": QUESTION}, *first.output, result]
    assert ask(client, input=by_hand, tools=[TOOL], tool_choice="none", store=False).output_text


def test_a_streamed_call(client):
    fields = {"tools": [TOOL], "tool_choice": NAMED, "parallel_tool_calls": False, "max_output_tokens": 80}
    with ask(client, stream=True, **fields) as stream:
        events = list(stream)
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    (done,) = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert len(pieces) > 2 and "".join(pieces) == done.arguments


def test_kept_listed_and_forgotten(client):
    response = ask(client)
    assert client.responses.retrieve(response.id).output_text == response.output_text
    (item,) = client.responses.input_items.list(response.id).data
    assert item.role == "user" and item.content[0].text == QUESTION
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_items_after_what_is_none_of_them(client):
    response = ask(client)
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.input_items.list(response.id, after="msg_0")
    assert refused.value.param == "after"
    client.responses.delete(response.id)


def test_tokens_are_counted_before(client):
    def count(**fields):
        counted = client.responses.input_tokens.count(model=CHAT, **fields)
        assert counted.object == "response.input_tokens"
        return counted.input_tokens

    response = ask(client)
    alone = count(input="And now?")
    assert alone > count(input="?") > 0
    assert count(input="And now?", instructions="Be short. " * 40) > alone
    assert count(input="And now?", previous_response_id=response.id) > alone
    with pytest.raises(openai.BadRequestError) as refused:
        count(input="And now?", previous_response_id="resp_0")
    assert refused.value.param == "previous_response_id"
    client.responses.delete(response.id)


def test_a_conversation_of_three(client):
    first = ask(client, input="My name is Anna.")
    second = ask(client, input="What is my name?", previous_response_id=first.id)
    third = ask(client, input="Say it again.", previous_response_id=second.id)
    assert first.usage.input_tokens < second.usage.input_tokens < third.usage.input_tokens


def wait_for(client, response):
    while response.status in ("queued", "in_progress"):
        time.sleep(0.1)
        response = client.responses.retrieve(response.id)
    return response


def test_in_the_background(client):
    response = ask(client, background=True)
    assert response.status == "queued" and response.background and not response.output
    done = wait_for(client, response)
    assert done.status in ("completed", "incomplete") and done.output_text and done.id == response.id
    assert ask(client, input="Again.", previous_response_id=done.id).output_text


def test_cancelled_in_the_background(client):
    response = ask(client, background=True, input="Tell me a very long story.", max_output_tokens=128)
    assert client.responses.cancel(response.id).status == "cancelled"
    assert client.responses.retrieve(response.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(response.id)


def test_store_false_keeps_nothing(client):
    response = ask(client, store=False)
    assert response.store is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"background": True, "store": False}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"truncation": "auto"}, "truncation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"previous_response_id": "resp_0"}, "previous_response_id"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}]}, "input[0].content[0].image_url"),
    ],
)
def test_what_is_not_honoured_is_refused(client, fields, param):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, **fields)
    assert refused.value.param == param


def test_a_stranger_gets_nothing(client, stranger):
    response = ask(client)
    with pytest.raises(openai.AuthenticationError):
        stranger.responses.retrieve(response.id)
