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


@pytest.fixture
def towns(client):
    """Three files that say the same of three towns."""
    files = [
        client.files.create(file=(f"{town}.md", f"The lighthouse of {town} has a red lamp.".encode()), purpose="assistants")
        for town in ("Arvik", "Brellin", "Corran")
    ]
    yield files
    for file in files:
        client.files.delete(file.id)


def test_a_batch(client, store, towns):
    batches = client.vector_stores.file_batches
    names = [town.id for town in towns]
    # Older clients' `create_and_poll` knows neither `attributes` nor `files`.
    batch = batches.create(store.id, file_ids=names, attributes={"kind": "town"})
    batch = batches.poll(batch.id, vector_store_id=store.id, poll_interval_ms=200)
    assert batch.object == "vector_store.files_batch" and batch.status == "completed"
    assert (batch.file_counts.completed, batch.file_counts.total) == (3, 3)
    assert batches.retrieve(batch.id, vector_store_id=store.id) == batch
    listed = batches.list_files(batch.id, vector_store_id=store.id, limit=2, order="asc")
    assert [file.id for file in listed] == names, "the client goes on from page to page"
    page = batches.list_files(batch.id, vector_store_id=store.id, before=names[2], limit=1, order="asc")
    assert [file.id for file in page.data] == [names[1]]
    assert listed.data[0].attributes == {"kind": "town"} and listed.data[0].chunking_strategy.type == "static"
    assert list(batches.list_files(batch.id, vector_store_id=store.id, filter="failed")) == []
    assert list(client.vector_stores.files.list(store.id, filter="cancelled")) == []
    cancelled = batches.cancel(batch.id, vector_store_id=store.id)
    assert cancelled.status == "completed", "there is nothing left to cancel"


def test_a_batch_that_is_waited_for(client, store, file):
    batches = client.vector_stores.file_batches
    batch = batches.create_and_poll(store.id, file_ids=[file.id], poll_interval_ms=200)
    assert (batch.status, batch.file_counts.total) == ("completed", 1)


def test_a_batch_of_uploads(client, store, file):
    texts = [(f"{at}.md", io.BytesIO(f"House number {at} is green.".encode())) for at in range(3)]
    batch = client.vector_stores.file_batches.upload_and_poll(
        store.id, files=texts, file_ids=[file.id], max_concurrency=2, poll_interval_ms=200
    )
    assert batch.status == "completed" and batch.file_counts.completed == 4
    for entry in client.vector_stores.files.list(store.id):
        if entry.id != file.id:
            client.files.delete(entry.id)


def test_a_cancelled_batch(client, store):
    long = "".join(f"## House {at}\n\nIn house number {at} lives a cat of {at} years.\n\n" for at in range(400))
    files = [client.files.create(file=(f"{at}.md", long.encode()), purpose="assistants") for at in range(2)]
    batch = client.vector_stores.file_batches.create(store.id, file_ids=[file.id for file in files])
    assert batch.status == "in_progress"
    cancelled = client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    assert cancelled.status == "cancelled" and cancelled.file_counts.cancelled >= 1
    polled = client.vector_stores.file_batches.poll(batch.id, vector_store_id=store.id, poll_interval_ms=200)
    assert polled.status == "cancelled" and polled.file_counts.in_progress == 0
    for file in files:
        client.files.delete(file.id)


def is_(kind, key, value):
    return {"type": kind, "key": key, "value": value}


def test_attributes_and_filters(client, store, towns):
    years = dict(zip(["Arvik", "Brellin", "Corran"], [1850, 1874, 1901]))
    described = [
        {"file_id": file.id, "attributes": {"town": town, "year": year, "open": town != "Corran"}}
        for file, (town, year) in zip(towns, years.items())
    ]
    batch = client.vector_stores.file_batches.create(store.id, files=described)
    batch = client.vector_stores.file_batches.poll(batch.id, vector_store_id=store.id, poll_interval_ms=200)
    assert batch.file_counts.completed == 3

    def found(**fields):
        page = client.vector_stores.search(store.id, query="What lamp has the lighthouse?", **fields)
        return sorted(hit.attributes["town"] for hit in page)

    assert found() == ["Arvik", "Brellin", "Corran"]
    assert found(filters=is_("eq", "town", "Brellin")) == ["Brellin"]
    assert found(filters=is_("ne", "town", "Brellin")) == ["Arvik", "Corran"]
    assert found(filters=is_("gt", "year", 1874)) == ["Corran"]
    assert found(filters=is_("gte", "year", 1874.0)) == ["Brellin", "Corran"]
    assert found(filters=is_("lt", "year", 1874)) == ["Arvik"]
    assert found(filters=is_("lte", "year", 1874)) == ["Arvik", "Brellin"]
    assert found(filters=is_("in", "town", ["Arvik", "Rome"])) == ["Arvik"]
    assert found(filters=is_("nin", "town", ["Arvik", "Rome"])) == ["Brellin", "Corran"]
    assert found(filters=is_("eq", "open", True)) == ["Arvik", "Brellin"]
    assert found(filters=is_("eq", "river", "none")) == []
    either = {"type": "or", "filters": [is_("eq", "town", "Arvik"), is_("gt", "year", 1900)]}
    assert found(filters=either) == ["Arvik", "Corran"]
    assert found(filters={"type": "and", "filters": [either, is_("eq", "open", True)]}) == ["Arvik"]
    assert found(ranking_options={"ranker": "auto", "score_threshold": 1.0}) == []
    changed = client.vector_stores.files.update(towns[0].id, vector_store_id=store.id, attributes={"town": "Rome"})
    assert changed.attributes == {"town": "Rome"}
    assert found(filters=is_("eq", "town", "Rome")) == ["Rome"]


def test_what_a_file_says(client, store, file):
    client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id, poll_interval_ms=200)
    (part,) = client.vector_stores.files.content(file.id, vector_store_id=store.id)
    assert part.type == "text" and "closes on Tuesdays" in part.text


def test_sizes_of_chunks(client, store, file):
    def add(max_tokens, overlap):
        sizes = {"max_chunk_size_tokens": max_tokens, "chunk_overlap_tokens": overlap}
        return client.vector_stores.files.create_and_poll(
            file.id, vector_store_id=store.id, chunking_strategy={"type": "static", "static": sizes}, poll_interval_ms=200
        )

    entry = add(100, 50)
    assert entry.status == "completed" and entry.chunking_strategy.static.max_chunk_size_tokens == 100
    with pytest.raises(openai.BadRequestError) as refused:
        add(4096, 0)
    assert refused.value.param == "chunking_strategy.static.max_chunk_size_tokens"
    with pytest.raises(openai.BadRequestError) as refused:
        add(100, 51)
    assert refused.value.param == "chunking_strategy.static.chunk_overlap_tokens"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"filters": is_("like", "town", "x")}, "filters.type"),
        ({"filters": is_("gt", "open", True)}, "filters.value"),
        ({"rewrite_query": True}, "rewrite_query"),
        ({"ranking_options": {"ranker": "default-2024-11-15"}}, "ranking_options.ranker"),
    ],
)
def test_searches_that_are_refused(client, store, fields, param):
    with pytest.raises(openai.BadRequestError) as refused:
        client.vector_stores.search(store.id, query="Anything?", **fields)
    assert refused.value.param == param


@pytest.mark.parametrize("attributes", [{"a": "x" * 513}, {"x" * 65: 1}, {str(at): at for at in range(17)}])
def test_attributes_that_are_too_many_or_too_long(client, store, file, attributes):
    with pytest.raises(openai.BadRequestError) as refused:
        client.vector_stores.files.create(store.id, file_id=file.id, attributes=attributes)
    assert refused.value.param.startswith("attributes")
