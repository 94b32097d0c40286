"""The node as an MCP client, against the official SDK's servers."""

import json

import pytest

from node import Node


@pytest.fixture(scope="module")
def asking(theirs):
    """A home that knows the server; nothing of it runs but the command."""
    origin, path, flags = theirs
    node = Node()
    node.gaia("init")
    node.gaia("config", "set", "egress_origins", origin)
    node.gaia("tools", "add", "mcp", "clock", f"{origin}{path}", *flags)
    yield node
    node.stop()


def told(node, *arguments):
    """What the command says, as JSON."""
    return json.loads(node.gaia("--json", "tools", *arguments))


def test_its_tools_are_listed(asking):
    listed = told(asking, "test", "clock")
    assert sorted(tool["name"] for tool in listed["tools"]) == ["clock__add", "clock__fails", "clock__slowly"]
    assert listed["left_out"] == []


def test_a_tool_is_called_with_arguments(asking):
    assert told(asking, "test", "clock__add", "--args", '{"a": 2, "b": 40}')["answer"] == "42"


def test_progress_on_the_way_changes_nothing(asking):
    assert told(asking, "test", "clock__slowly")["answer"] == "done"


def test_a_tool_that_fails_says_so(asking):
    with pytest.raises(RuntimeError, match="no such city"):
        asking.gaia("tools", "test", "clock__fails")


def test_arguments_that_do_not_fit_are_refused_by_the_server(asking):
    with pytest.raises(RuntimeError, match="(?s)failed|refuses"):
        asking.gaia("tools", "test", "clock__add", "--args", '{"a": "x"}')


def test_a_place_that_is_not_listed_is_never_reached(theirs):
    origin, path, flags = theirs
    node = Node()
    try:
        node.gaia("init")
        with pytest.raises(RuntimeError, match="egress_origins"):
            node.gaia("tools", "add", "mcp", "clock", f"{origin}{path}", *flags)
    finally:
        node.stop()
