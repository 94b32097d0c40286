"""One node for the whole suite, and OpenAI's client with nothing but the base URL changed."""

import openai
import pytest

from node import Node

CHAT = "chat"
EMBEDDING = "embedding"
KEY = "only-for-tests"


@pytest.fixture(scope="session")
def node():
    """A node with a key, so that the client's own key is really sent and checked."""
    with Node({"chat_name": CHAT, "embedding_name": EMBEDDING, "api_keys": KEY, "n_predict_max": 128}) as node:
        yield node


@pytest.fixture(scope="session")
def client(node):
    """The client as a program would make it."""
    with openai.OpenAI(base_url=f"{node.url}/v1", api_key=KEY, max_retries=0, timeout=110) as client:
        yield client


@pytest.fixture
def stranger(node):
    """A client with a wrong key."""
    with openai.OpenAI(base_url=f"{node.url}/v1", api_key="wrong", max_retries=0, timeout=110) as client:
        yield client
