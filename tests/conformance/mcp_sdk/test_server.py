"""The node as an MCP server, through the official SDK's client."""

import anyio
import pytest
from mcp.shared.exceptions import MCPError


def run(connect, use, **options):
    """What `use` gives for a connected client."""

    async def main():
        async with connect(**options) as client:
            return await use(client)

    return anyio.run(main)


def leaves(error):
    """The errors of a group, however deep."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for one in error.exceptions for leaf in leaves(one)]


def test_the_newest_common_revision_is_spoken(connect, request):
    async def use(client):
        await client.list_tools()
        return client.protocol_version, client.server_info

    mode = request.node.callspec.params["connect"]
    version, server = run(connect, use)
    assert version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
    # A client that pins the revision never asks who is there.
    assert mode == "2026-07-28" or server.name == "gaia"


def test_two_tools_are_listed(connect):
    async def use(client):
        return (await client.list_tools()).tools

    tools = run(connect, use)
    assert [tool.name for tool in tools] == ["ask", "search_knowledge"]
    assert all(tool.input_schema["type"] == "object" and tool.description for tool in tools)


def test_a_question_is_answered(connect):
    async def use(client):
        return await client.call_tool("ask", {"question": "How many tides a day has Port Hollow?", "max_tokens": 16})

    result = run(connect, use)
    assert not result.is_error
    assert result.content[0].text.strip()
    assert result.structured_content["answer"] == result.content[0].text
    assert result.structured_content["sources"][0]["document"] == "tides.md"


def test_knowledge_is_found(connect):
    async def use(client):
        return await client.call_tool("search_knowledge", {"query": "tides of Port Hollow"})

    result = run(connect, use)
    assert not result.is_error
    assert "two tides a day" in result.content[0].text
    assert result.structured_content["passages"][0]["document"] == "tides.md"


def test_a_bad_call_is_a_result_that_says_so(connect):
    async def use(client):
        return await client.call_tool("ask", {"question": ""})

    result = run(connect, use)
    assert result.is_error
    assert "empty" in result.content[0].text


def test_an_unknown_tool_is_an_error(connect):
    async def use(client):
        with pytest.raises(MCPError, match="no tool `rm`"):
            await client.call_tool("rm", {})

    run(connect, use)


def test_several_calls_run_in_one_session(connect):
    async def use(client):
        found = []

        async def find(query):
            result = await client.call_tool("search_knowledge", {"query": query})
            found.append(result.is_error)

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(find, f"tides {number}")
        return found

    assert run(connect, use) == [False] * 3


def test_a_stranger_is_not_let_in(connect):
    async def use(client):
        return await client.list_tools()

    with pytest.raises(BaseExceptionGroup) as refused:
        run(connect, use, key="wrong-key")
    assert [type(error) for error in leaves(refused.value)] == [MCPError]
