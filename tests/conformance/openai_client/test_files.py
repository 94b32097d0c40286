"""Files and vector stores through OpenAI's own client: handed in, brought in, searched, removed."""

import io

import openai
import pytest

FACTS = b"""# Brellin

The lighthouse of Brellin was built in 1874 by Ansa Torvik and is 31 metres high.

## The bakery

The bakery of Brellin closes on Tuesdays, because its oven is cleaned then.
"""


@pytest.fixture
def file(client):
    file = client.files.create(file=("brellin.md", io.BytesIO(FACTS)), purpose="assistants")
    yield file
    try:
        client.files.delete(file.id)
    except openai.NotFoundError:
        pass


@pytest.fixture
def store(client):
    store = client.vector_stores.create(name="Facts", metadata={"a": "b"})
    yield store
    try:
        client.vector_stores.delete(store.id)
    except openai.NotFoundError:
        pass


def test_a_file(client, file):
    assert file.object == "file" and file.bytes == len(FACTS) and file.filename == "brellin.md"
    assert client.files.retrieve(file.id).id == file.id
    assert file.id in [of.id for of in client.files.list()]
    assert client.files.content(file.id).read() == FACTS
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_a_name_is_no_path(client):
    file = client.files.create(file=("../../x.md", io.BytesIO(b"x")), purpose="user_data")
    assert file.filename == "x.md"
    client.files.delete(file.id)


def test_a_store(client, store):
    assert store.object == "vector_store" and store.name == "Facts" and store.metadata == {"a": "b"}
    assert client.vector_stores.retrieve(store.id).file_counts.total == 0
    assert client.vector_stores.update(store.id, name="Other").name == "Other"
    assert store.id in [of.id for of in client.vector_stores.list()]
    assert list(client.vector_stores.search(store.id, query="Anything?")) == []
    assert client.vector_stores.delete(store.id).deleted


def test_brought_in_searched_and_removed(client, store, file):
    entry = client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, poll_interval_ms=200)
    assert entry.status == "completed" and entry.last_error is None
    counts = client.vector_stores.retrieve(store.id).file_counts
    assert (counts.completed, counts.in_progress, counts.total) == (1, 0, 1)
    assert [of.id for of in client.vector_stores.files.list(store.id)] == [file.id]
    (best, *_) = client.vector_stores.search(store.id, query="When does the bakery close?", max_num_results=2)
    assert best.file_id == file.id and best.filename == "brellin.md" and best.score > 0
    assert "Tuesdays" in best.content[0].text
    assert client.vector_stores.files.delete(file.id, vector_store_id=store.id).deleted
    assert list(client.vector_stores.search(store.id, query="When does the bakery close?")) == []


def test_a_store_of_files_from_the_beginning(client, file):
    store = client.vector_stores.create(file_ids=[file.id])
    assert store.file_counts.total == 1
    entry = client.vector_stores.files.poll(file.id, vector_store_id=store.id, poll_interval_ms=200)
    assert entry.status == "completed"
    client.files.delete(file.id)
    assert client.vector_stores.retrieve(store.id).file_counts.total == 0
    client.vector_stores.delete(store.id)


def test_what_is_no_document_fails_and_says_so(client, store):
    picture = client.files.create(file=("x.png", io.BytesIO(bytes(range(256)))), purpose="vision")
    entry = client.vector_stores.files.create_and_poll(picture.id, vector_store_id=store.id, poll_interval_ms=200)
    assert entry.status == "failed" and entry.last_error.code == "unsupported_file"
    client.files.delete(picture.id)


@pytest.mark.parametrize("purpose", ["fun", "Assistants"])
def test_a_purpose_that_is_none(client, purpose):
    with pytest.raises(openai.BadRequestError) as refused:
        client.files.create(file=("x", io.BytesIO(b"x")), purpose=purpose)
    assert refused.value.param == "purpose"


def test_a_strangers_files(stranger):
    with pytest.raises(openai.AuthenticationError):
        stranger.files.list()


def test_a_file_without_a_word_is_found_nowhere(client, store):
    empty = client.files.create(file=("empty.md", io.BytesIO(b"\n")), purpose="assistants")
    entry = client.vector_stores.files.create_and_poll(empty.id, vector_store_id=store.id, poll_interval_ms=200)
    assert entry.status == "completed"
    assert list(client.vector_stores.search(store.id, query="Anything?")) == []
    client.files.delete(empty.id)
