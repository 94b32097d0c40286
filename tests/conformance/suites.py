"""Which suites there are, and how each is started."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from node import ROOT

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Suite:
    """A suite of tests that somebody else wrote, or that speaks through somebody else's client."""

    name: str
    # What it is, for the report.
    title: str
    folder: str
    requirements: str
    # The least share of applicable tests that has to pass, in percent.
    target: int
    # How long it may take.
    seconds_max: int
    # Arguments of its Python, for the file that results go to and the parts that are wanted (none: everything).
    command: Callable[[Path, list], list]
    working_folder: Callable[[], Path] = lambda: HERE


def llama_folder():
    """The server tests of llama.cpp's sources, fetched if they are not there."""
    script = 'cd "$1"; . scripts/setup/report.sh; . scripts/bench/llama-cpp-source.sh; llama_fetch; echo "$llama_folder"'
    done = subprocess.run(["bash", "-ec", script, "bash", ROOT], check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip().splitlines()[-1]) / "source" / "tools" / "server" / "tests"


def pytest(folder, *arguments, test_seconds=120):
    """A run of pytest that writes its results as JUnit XML; parts are files of `folder`."""
    common = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", test_seconds, "--tb", "short", *arguments]

    def command(results, parts):
        files = [f"{folder}/{part}" for part in parts] or [folder]
        return [str(word) for word in [*common, f"--junitxml={results}", *files]]

    return command


def openai_client(major, version):
    """The same tests through one version of OpenAI's client."""
    return Suite(
        name=f"openai_{major}",
        title=f"OpenAI's Python client {version}",
        folder="openai_client",
        requirements=f"openai_client/requirements-{major}.txt",
        target=100,
        seconds_max=600,
        command=pytest("openai_client"),
    )


SUITES = [
    Suite(
        name="llama_server",
        title="llama.cpp's server tests (of llama-cpp-python's source distribution), unmodified",
        folder="llama_server",
        requirements="llama_server/requirements.txt",
        target=95,
        seconds_max=1800,
        command=pytest("unit", "-p", "gaia_plugin"),
        working_folder=llama_folder,
    ),
    openai_client(2, "2.14"),
    openai_client(3, "3.54"),
    Suite(
        name="mcp",
        title="The official MCP SDK 2.3 (Python): its client at `/mcp`, its servers for `gaia tools`",
        folder="mcp_sdk",
        requirements="mcp_sdk/requirements.txt",
        target=100,
        seconds_max=600,
        command=pytest("mcp_sdk"),
    ),
    Suite(
        name="schemathesis",
        title="schemathesis on `/openapi.json`",
        folder="openapi",
        requirements="openapi/requirements.txt",
        target=100,
        seconds_max=600,
        command=lambda results, parts: [str(HERE / "openapi" / "check.py"), str(results), *parts],
    ),
]
