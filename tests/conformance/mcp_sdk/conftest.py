"""One node for the whole suite, and the SDK's own servers for it to ask."""

import threading
import time

import httpx2
import pytest
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from node import EMBEDDING_MODEL, Node

KEY = "only-for-tests"

# Long enough for a busy machine.
START_SECONDS_MAX = 60


@pytest.fixture(scope="session")
def node(tmp_path_factory):
    """A node with a key and a little knowledge."""
    with Node({"embedding_model": EMBEDDING_MODEL, "api_keys": KEY, "n_predict_max": 64}) as node:
        document = tmp_path_factory.mktemp("knowledge") / "tides.md"
        document.write_text("# Tides\n\nThe harbour of Port Hollow has two tides a day, and the moon makes both.\n")
        node.gaia("knowledge", "add", document)
        yield node


@pytest.fixture(params=["auto", "legacy", "2026-07-28"])
def connect(node, request):
    """Connects to the node as a program would, in each way to agree on a revision."""

    def connect(key=KEY):
        http = httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=110)
        return Client(streamable_http_client(f"{node.url}/mcp", http_client=http), mode=request.param)

    return connect


def made():
    """A server with tools that do what can be seen from outside."""
    server = MCPServer("clock")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    @server.tool()
    async def slowly(ctx: Context) -> str:
        """Says how far it is, and then that it is done."""
        for step in range(3):
            await ctx.report_progress(step, 3)
        return "done"

    @server.tool()
    def fails() -> str:
        """Fails."""
        raise ToolError("no such city")

    return server


@pytest.fixture(scope="module", params=["stateful", "stateless", "json", "sse"])
def theirs(request):
    """A server of the SDK's on loopback: its URL, and what to tell `gaia tools add mcp`."""
    if request.param == "sse":
        app, path, flags = made().sse_app(), "/sse", ["--sse"]
    else:
        how = {"stateful": {}, "stateless": {"stateless_http": True}, "json": {"json_response": True}}[request.param]
        app, path, flags = made().streamable_http_app(**how), "/mcp", []
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + START_SECONDS_MAX
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", path, flags
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join()
