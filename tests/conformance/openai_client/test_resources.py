"""Every resource that a node serves, used through OpenAI's own client as a program uses it."""

import asyncio
import base64
import json
import struct
from typing import Literal

import openai
import pydantic
import pytest

from conftest import CHAT, EMBEDDING, KEY

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def ask(client, **fields):
    """A chat of one question, short unless it says otherwise."""
    return client.chat.completions.create(**{"model": CHAT, "messages": QUESTION, "max_tokens": 16, **fields})


# Chat


def test_chat(client):
    reply = ask(client)
    choice = reply.choices[0]
    assert reply.object == "chat.completion" and reply.model == CHAT
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.usage.completion_tokens <= 16


def test_chat_with_max_completion_tokens(client):
    reply = ask(client, max_tokens=openai.omit if hasattr(openai, "omit") else openai.NOT_GIVEN, max_completion_tokens=3)
    assert reply.usage.completion_tokens == 3 and reply.choices[0].finish_reason == "length"


def test_chat_of_many_turns_and_parts(client):
    messages = [
        {"role": "developer", "content": "Answer in one word."},
        {"role": "user", "content": [{"type": "text", "text": "Say"}, {"type": "text", "text": "yes."}]},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "name": "anna", "content": "Again."},
    ]
    assert ask(client, messages=messages).choices[0].message.content


def test_same_seed_same_text(client):
    fields = {"seed": 7, "temperature": 1.0}
    texts = {ask(client, **fields).choices[0].message.content for _ in range(3)}
    assert len(texts) == 1
    others = {ask(client, seed=seed, temperature=1.5).choices[0].message.content for seed in range(4)}
    assert len(others) > 1


def test_several_choices(client):
    reply = ask(client, n=3, temperature=1.0)
    assert [choice.index for choice in reply.choices] == [0, 1, 2]


def test_stop(client):
    free = ask(client, seed=1, max_tokens=32).choices[0].message.content
    stop = free.split()[1]
    for stops in (stop, [stop, "never said"]):
        reply = ask(client, seed=1, max_tokens=32, stop=stops)
        assert stop not in reply.choices[0].message.content
        assert reply.choices[0].finish_reason == "stop"


def test_logprobs(client):
    choice = ask(client, logprobs=True, top_logprobs=3).choices[0]
    assert "".join(token.token for token in choice.logprobs.content) == choice.message.content
    for token in choice.logprobs.content:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3 and bytes(token.bytes)


def test_logit_bias_and_penalties(client):
    token = ask(client, seed=1, temperature=0, max_tokens=1).choices[0].message.content
    ids = client.post("/../tokenize", body={"content": token}, cast_to=dict[str, object])["tokens"]
    biased = ask(client, seed=1, temperature=0, max_tokens=1, logit_bias={str(ids[0]): -100},
                 presence_penalty=-0.5, frequency_penalty=0.5, top_p=0.9)
    assert biased.choices[0].message.content != token


def test_service_tier_user_and_metadata(client):
    reply = ask(client, service_tier="flex", user="anna", metadata={"a": "b"}, prompt_cache_key="k")
    assert reply.service_tier == "flex"


# Streams


def test_stream(client):
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}, seed=3))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert chunks[-2].choices[0].finish_reason in ("stop", "length")
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == ask(client, seed=3).choices[0].message.content
    assert len({chunk.id for chunk in chunks}) == 1


def test_stream_of_several_choices_with_logprobs(client):
    finished = set()
    for chunk in ask(client, stream=True, n=2, logprobs=True, top_logprobs=1, max_tokens=4):
        for choice in chunk.choices:
            if choice.delta.content:
                assert choice.logprobs.content
            if choice.finish_reason:
                finished.add(choice.index)
    assert finished == {0, 1}


def test_stream_helper(client):
    if not hasattr(client.chat.completions, "stream"):
        pytest.skip("this client has no chat.completions.stream")
    # It has to come to an end by itself: the helper takes a cut answer for a failure.
    with client.chat.completions.stream(model=CHAT, messages=QUESTION, max_tokens=128, temperature=0) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in kinds and kinds[-1] == "content.done" or "chunk" in kinds
    assert final.choices[0].message.content


def test_a_stream_that_is_left_ends(client):
    with ask(client, stream=True, max_tokens=128) as stream:
        next(iter(stream))
    assert ask(client, max_tokens=1).choices


def test_async_client(node):
    async def several():
        async with openai.AsyncOpenAI(base_url=f"{node.url}/v1", api_key=KEY, max_retries=0) as client:
            create = client.chat.completions.create
            whole = [create(model=CHAT, messages=QUESTION, max_tokens=4) for _ in range(3)]
            replies = await asyncio.gather(*whole)
            stream = await create(model=CHAT, messages=QUESTION, max_tokens=4, stream=True)
            return replies, [chunk async for chunk in stream]

    replies, chunks = asyncio.run(several())
    assert all(reply.choices for reply in replies) and chunks[-1].choices[0].finish_reason


# Structured outputs


class Address(pydantic.BaseModel):
    street: str = pydantic.Field(max_length=12)
    number: int


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=12)
    kind: Literal["cat", "dog"]
    address: Address


def test_structured_output_with_a_model_class(client):
    reply = client.chat.completions.parse(model=CHAT, messages=QUESTION, response_format=Person, max_tokens=128)
    assert isinstance(reply.choices[0].message.parsed, Person)


def test_structured_output_with_a_schema(client):
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}, "sure": {"type": "boolean"}},
        "required": ["colour", "sure"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "colour", "strict": True, "schema": schema}}
    said = json.loads(ask(client, response_format=form, max_tokens=64).choices[0].message.content)
    assert said["colour"] in ("red", "green") and isinstance(said["sure"], bool) and len(said) == 2


def test_any_json_object(client):
    form = {"type": "json_object"}
    reply = ask(client, response_format=form, max_tokens=128, seed=1).choices[0]
    if reply.finish_reason == "stop":
        assert isinstance(json.loads(reply.message.content), dict)


# Completions


def test_completion(client):
    reply = client.completions.create(model=CHAT, prompt="Once upon a time", max_tokens=8)
    assert reply.object == "text_completion" and reply.choices[0].text
    assert reply.usage.completion_tokens <= 8


def test_completions_of_many_prompts_as_tokens(client):
    ids = client.post("/../tokenize", body={"content": "Once upon a time"}, cast_to=dict[str, object])["tokens"]
    text = client.completions.create(model=CHAT, prompt="Once upon a time", max_tokens=8, temperature=0)
    tokens = client.completions.create(model=CHAT, prompt=[ids, ids], max_tokens=8, temperature=0, echo=True)
    assert [choice.index for choice in tokens.choices] == [0, 1]
    for choice in tokens.choices:
        assert choice.text == "Once upon a time" + text.choices[0].text


def test_completion_stream_with_logprobs(client):
    chunks = list(client.completions.create(model=CHAT, prompt="Once", max_tokens=4, logprobs=2, stream=True))
    assert chunks[-1].choices[0].finish_reason in ("stop", "length")
    assert sum(len(chunk.choices[0].logprobs.tokens) for chunk in chunks if chunk.choices[0].logprobs) == 4


# Embeddings


def test_embeddings_default_is_base64_on_the_wire(client):
    # The client asks for base64 by itself and decodes it.
    reply = client.embeddings.create(model=EMBEDDING, input=["one", "two"])
    assert [item.index for item in reply.data] == [0, 1]
    assert abs(sum(x * x for x in reply.data[0].embedding) - 1) < 1e-3
    floats = client.embeddings.create(model=EMBEDDING, input=["one", "two"], encoding_format="float")
    assert reply.data[1].embedding == pytest.approx(floats.data[1].embedding, abs=1e-6)


def test_embeddings_in_base64(client):
    reply = client.embeddings.with_raw_response.create(model=EMBEDDING, input="one", encoding_format="base64")
    packed = json.loads(reply.text)["data"][0]["embedding"]
    packed = base64.b64decode(packed)
    assert len(struct.unpack(f"<{len(packed) // 4}f", packed)) == 384


def test_embeddings_of_tokens(client):
    ask = {"content": "one two three", "model": EMBEDDING, "add_special": True}
    ids = client.post("/../tokenize", body=ask, cast_to=dict[str, object])["tokens"]
    text = client.embeddings.create(model=EMBEDDING, input="one two three")
    for given in (ids, [ids, ids]):
        tokens = client.embeddings.create(model=EMBEDDING, input=given)
        assert tokens.data[-1].embedding == pytest.approx(text.data[0].embedding, abs=1e-3)


def test_embeddings_with_the_models_own_dimensions(client):
    assert len(client.embeddings.create(model=EMBEDDING, input="one", dimensions=384).data[0].embedding) == 384
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=EMBEDDING, input="one", dimensions=4)
    assert refused.value.param == "dimensions"


# Models


def test_models(client):
    listed = {model.id: model for model in client.models.list()}
    assert set(listed) == {CHAT, EMBEDDING}
    assert client.models.retrieve(CHAT).id == CHAT
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


# Errors


def test_a_wrong_key(stranger):
    with pytest.raises(openai.AuthenticationError) as refused:
        ask(stranger)
    assert refused.value.code == "invalid_api_key"


def test_a_model_that_is_not_there(client):
    with pytest.raises(openai.NotFoundError) as refused:
        ask(client, model="gpt-4o")
    assert refused.value.code == "model_not_found"


def test_the_other_model(client):
    with pytest.raises(openai.NotFoundError) as refused:
        client.embeddings.create(model=CHAT, input="one")
    assert refused.value.code == "model_not_found"
    assert f"`{CHAT}` is this node's chat model" in str(refused.value) and f"`{EMBEDDING}`" in str(refused.value)
    with pytest.raises(openai.NotFoundError) as refused:
        ask(client, model=EMBEDDING)
    assert "embedding model" in str(refused.value)


def test_the_name_that_says_nothing(client):
    assert client.embeddings.create(model="default", input="one").model == EMBEDDING
    assert ask(client, model="default", max_tokens=1).model == CHAT


def test_tokens_of_somebody_elses_vocabulary(client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=EMBEDDING, input=[[101, 100_000]])
    assert refused.value.param == "input" and "token 100000 is not" in str(refused.value)
    assert "check_embedding_ctx_length=False" in str(refused.value)
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model=CHAT, prompt=[1, 10_000_000])
    assert refused.value.param == "prompt"


@pytest.mark.parametrize("fields, param", [
    ({"temperature": 3}, "temperature"),
    ({"n": 0}, "n"),
    ({"messages": []}, "messages"),
    ({"logit_bias": {"x" * 3: "y"}}, "logit_bias"),
    ({"response_format": {"type": "sound"}}, "response_format.type"),
    ({"top_logprobs": 2}, "top_logprobs"),
])
def test_a_bad_value_is_named(client, fields, param):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, **fields)
    assert refused.value.param == param and refused.value.type == "invalid_request_error"


def test_a_prompt_that_is_too_long(client):
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, messages=[{"role": "user", "content": "word " * 20_000}])
    assert refused.value.code == "context_length_exceeded"


def test_request_ids(client):
    reply = client.models.with_raw_response.list(extra_headers={"X-Request-Id": "mine-1"})
    assert reply.headers["x-request-id"] == "mine-1" and reply.parse().data
