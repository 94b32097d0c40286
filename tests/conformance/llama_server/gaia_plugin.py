"""Runs llama.cpp's own server tests, unmodified, against nodes.

Replaces what starts and stops a server: the options that a test sets become a node's configuration; an option that
has no counterpart skips the test and says which it was. Nodes are kept while tests ask for the same configuration.
What cannot hold whatever the options are (words that one certain model says, features that only that server has)
is listed in `skips.toml`, each with its reason.
"""

import fnmatch
import re
import sys
import tempfile
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))
import tiny_ranker  # noqa: E402
from node import Node  # noqa: E402

# Nodes that run at the same time; the one used longest ago goes first.
NODES_MAX = 3

# Options of llama-server that a node has no counterpart for, and why.
WITHOUT_COUNTERPART = {
    "model_draft": "drafts need a second model of the family",
    "spec_type": "speculation is chosen by the node",
    "lora_files": "a node takes no adapters",
    "slot_save_path": "a node writes no slots to files",
    "server_slots": "slots are not shown: they tell what others do",
    "server_metrics": "metrics have the names that vLLM gave them",
    "kv_unified": "the memory of a node's conversations is always its own",
    "enable_ctx_shift": "turns are never dropped silently",
    "sleep_idle_seconds": "how a node rests is set in seconds of its own key",
    "media_path": "a node reads no files for its clients",
    "mmproj_url": "no model with a projector can be had here",
    "models_dir": "a node has the models of its configuration",
    "models_preset": "a node has the models of its configuration",
    "models_max": "a node has the models of its configuration",
    "model_tags": "a model has one name",
    "server_tools": "not that server's tools",
    "server_tools_runtime": "not that server's tools",
    "mcp_servers_config": "not that server's tools",
    "mcp_servers_json": "not that server's tools",
    "ui_mcp_proxy": "a node is no proxy for pages",
    "no_ui": "the page is part of the node",
    "backend_sampling": "where sampling runs is not a request's business",
    "gcp_compat": "no compatibility with that platform",
    "cors_origins": "origins are listed one by one",
}

# The node's `thinking` for llama-server's `reasoning`. Its `auto` tells every template to think that can be told so;
# ours leaves that to the template.
THINKING = {"on": "on", "off": "off", "auto": "on"}

_nodes = {}
_folder = tempfile.TemporaryDirectory(prefix="gaia-conformance-models-")


def settings_of(server, source):
    """The node's configuration for a test's options."""
    embeds = bool(server.server_embeddings)
    ranks = bool(getattr(server, "server_reranking", None))
    settings = {"system_prompt": ""}
    slots = server.n_slots or 1
    settings["requests_running_max"] = slots
    name = asked_model(source) or server.model_alias
    if ranks:
        settings |= {"embedding_model": "", "reranking_model": ranking_model(), "reranking_name": name or ""}
        return settings
    if embeds:
        settings["embedding_name"] = name or ""
        return settings
    settings["embedding_model"] = ""
    settings["chat_name"] = name or ""
    settings["ctx_size"] = (server.n_ctx or 512) // slots
    if server.n_batch:
        settings["batch_size"] = server.n_batch
    if server.n_predict and server.n_predict > 0:
        settings["n_predict_max"] = server.n_predict
    settings["temperature"] = server.temperature
    if server.reasoning is not None:
        settings["thinking"] = THINKING[server.reasoning]
    template = template_of(server)
    if template:
        settings["chat_template"] = template
    return settings


def ranking_model():
    """A model that ranks, of random numbers: none that means what it says can be had here."""
    path = Path(_folder.name) / "ranking.gguf"
    if not path.exists():
        tiny_ranker.write(path)
    return path


def asked_model(source):
    """The model a test asks for by name: a node answers to its model's name only, so that is what it is called."""
    found = re.search(r"""model=["']([\w.-]+)["']""", source)
    return found and found.group(1)


def template_of(server):
    """The file with the chat template, if the test sets one."""
    if server.chat_template is not None:
        pytest.skip("llama-server's `chat_template` by name: a node takes a file")
    if server.chat_template_file is None:
        return None
    return str(Path(server.chat_template_file).resolve())


def refuse(server):
    """Skips a test that sets an option without counterpart."""
    for option, why in WITHOUT_COUNTERPART.items():
        if getattr(server, option, None):
            pytest.skip(f"llama-server's `{option}`: {why}")
    if server.pooling == "none":
        pytest.skip("llama-server's `pooling`: it is the model's own")
    if "," in (server.server_host or ""):
        pytest.skip("llama-server's `server_host`: a node has one address")
    if server.model_alias and "," in server.model_alias:
        pytest.skip("llama-server's `model_alias`: a model has one name")


def node_for(settings):
    """A running node of this configuration."""
    key = tuple(sorted((name, str(value)) for name, value in settings.items()))
    node = _nodes.pop(key, None)
    if node is None:
        while len(_nodes) >= NODES_MAX:
            _nodes.pop(next(iter(_nodes))).stop()
        node = Node(settings)
        try:
            node.start()
        except BaseException:
            node.stop()
            raise
    _nodes[key] = node
    return node


def start(server, timeout_seconds=0):
    """Instead of `ServerProcess.start`."""
    refuse(server)
    settings = settings_of(server, _current["source"])
    if server.api_key:
        settings["api_keys"] = server.api_key
    address = urlsplit(node_for(settings).url)
    server.server_host, server.server_port = address.hostname, address.port


_current = {"source": ""}


def pytest_configure(config):
    """Before the tests' own conftest starts every preset to fetch its model."""
    sys.path.insert(0, str(config.rootpath))
    import utils

    utils.ServerProcess.start = start
    utils.ServerProcess.stop = lambda server: None
    utils.ServerPreset.load_all = staticmethod(lambda: None)


def pytest_collection_modifyitems(config, items):
    """Leaves out slow tests but those that `skips.toml` wants, and marks what it skips."""
    listed = tomllib.loads((Path(__file__).parent / "skips.toml").read_text())
    wanted = [escaped(test) for test in listed["slow"]["run"]]
    slow = [item for item in items if item.get_closest_marker("slow")]
    left_out = [item for item in slow if not matches(name_of(item), wanted)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    skip_listed(items, listed["skip"])


def name_of(item):
    """The test as `skips.toml` names it."""
    return item.nodeid.removeprefix("unit/")


def escaped(test):
    """Brackets are part of a test's name, not a set of characters."""
    return test.replace("[", "[[]")


def matches(name, patterns):
    """Whether one of the patterns is about this test."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def skip_listed(items, listed):
    """Marks what is listed; an entry that names no test is a mistake."""
    patterns = {test: escaped(test) for entry in listed for test in entry["tests"]}
    names = {item: name_of(item) for item in items}
    files = {name.split("::")[0] for name in names.values()}
    for test, pattern in patterns.items():
        here = test.split("::")[0] in files
        if here and not any(matches(name, [pattern]) for name in names.values()):
            raise pytest.UsageError(f"skips.toml: no test is named `{test}`")
    for item, name in names.items():
        for entry in listed:
            if matches(name, [patterns[test] for test in entry["tests"]]):
                item.add_marker(pytest.mark.skip(reason=entry["reason"]))
                break


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Remembers the text of the test, for the names of models in it."""
    import inspect

    _current["source"] = inspect.getsource(item.function)


def pytest_unconfigure():
    """No node outlives the suite."""
    for node in _nodes.values():
        node.stop()
    _nodes.clear()
    _folder.cleanup()
