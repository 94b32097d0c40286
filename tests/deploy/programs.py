"""What our programs understand: verbs and options as their help names them, variables as they read them."""

import functools
import json
import os
import re
import shlex
import subprocess

from found import RELEASE, ROOT, wrong

GAIA = RELEASE / "gaia"
# Where the programs read variables.
READERS = ("host/gaia/src/environment.rs", "host/gaia/src/cli.rs", "host/gateway/src/bin/gaia-gateway/main.rs",
           "host/models/src/library.rs")
# Who is started by which image.
OURS = ("gaia-gateway", "gaia-node")


@functools.cache
def help_of(*verbs):
    """What `gaia VERB… --help` says."""
    return subprocess.run([GAIA, *verbs, "--help"], check=True, capture_output=True, text=True).stdout


@functools.cache
def options_of_the_application():
    """Options of api-server.wasm, as it names them itself."""
    version = os.environ["GAIA_CACHE"] + "/wasmedge/0.17.1/bin/wasmedge"
    environment = {**os.environ, "WASMEDGE_PLUGIN_PATH": str(RELEASE / "libgaia_wasi_nn.so")}
    done = subprocess.run([version, RELEASE / "api-server.wasm", "--help"], env=environment, capture_output=True, text=True)
    return set(re.findall(r"^\s+(--[a-z-]+)", done.stdout, re.MULTILINE))


def understood(arguments):
    """What of a command line of `gaia` it would not understand."""
    verbs, rest = [], list(arguments[1:])
    while rest:
        word = rest.pop(0)
        text = help_of(*verbs)
        commands = re.findall(r"^  ([a-z-]+)  ", text.split("Commands:")[-1].split("Options:")[0], re.MULTILINE)
        options = dict(re.findall(r"^\s+(?:-\w, )?(--[a-z-]+)(?: <([^>]+)>)?", text, re.MULTILINE))
        if "Commands:" in text and word in commands:
            verbs.append(word)
        elif word.startswith("--"):
            name = word.split("=")[0]
            yield from wrong(name in options, f"gaia {' '.join(verbs)} has no {name}")
            if options.get(name) and "=" not in word:
                rest = rest[1:]
        elif "Arguments:" not in text:
            yield f"gaia {' '.join(verbs)} knows no `{word}`"
    yield from wrong("Commands:" not in help_of(*verbs), f"gaia {' '.join(verbs)} lacks a verb")


def keys_of_the_configuration():
    """Every key of a node's configuration."""
    listed = subprocess.run([GAIA, "--json", "config", "list"], check=True, capture_output=True, text=True,
                            env={**os.environ, "GAIA_HOME": "/nonexistent/gaia"}).stdout
    return set(json.loads(listed))


def models():
    """Names of the models that can be had."""
    listed = subprocess.run([GAIA, "--json", "model", "list"], check=True, capture_output=True, text=True,
                            env={**os.environ, "GAIA_HOME": "/nonexistent/gaia"}).stdout
    return {model["name"] for model in json.loads(listed)["models"]}


def preloads(manifests, who, container):
    """Variables of the worker are read by WasmEdge or the plugin, and name the model that the configuration names."""
    plugin = (ROOT / "host/wasi-nn/src/preload.rs").read_text()
    known = re.search(r'const VARIABLE: &str = "(\w+)"', plugin).group(1)
    scripts = "\n".join(text for _, _, one in manifests.containers() for text in one.get("args", []))
    chosen = re.search(r"config set chat_model (\S+)", scripts)
    for one in container.get("env", []):
        variable = one["name"]
        is_known = variable == "WASMEDGE_PLUGIN_PATH" or variable == known or variable.startswith(f"{known}_")
        yield from wrong(is_known, f"{who}: nobody reads {variable}")
        graph, _, _, file, *_ = [*one["value"].split(":"), "", "", "", ""]
        if graph == "default" and chosen and container.get("restartPolicy"):
            manifest = ROOT / "models" / f"{chosen.group(1)}.toml"
            text = manifest.read_text() if manifest.exists() else ""
            name = file.split("/")[-1]
            yield from wrong(f'file = "{name}"' in text, f"{who}: {name} is not the file of {chosen.group(1)}")


def check(manifests):
    """What containers are told that nobody understands."""
    read = "".join((ROOT / path).read_text() for path in READERS)
    for name, _, container in manifests.containers():
        who = f"{name}/{container['name']}"
        script = "\n".join(container.get("args", []))
        if container["image"] == "gaia-worker":
            options = [word for word in container["args"] if word.startswith("--")]
            for option in options:
                yield from wrong(option in options_of_the_application(), f"{who}: api-server.wasm has no {option}")
            yield from preloads(manifests, who, container)
        if container["image"] not in OURS:
            continue
        probes = [container.get(kind, {}).get("exec", {}).get("command") for kind in ("startupProbe", "readinessProbe", "livenessProbe")]
        lines = [container["command"], *probes, *(shlex.split(line) for line in script.splitlines())]
        lines = [line[1:] if line and line[0] == "exec" else line for line in lines]
        shells = [line[-1] for line in lines if line and line[0] == "/bin/sh"]
        lines += [shlex.split(part) for text in shells for part in text.split("|")]
        for line in lines:
            if line and line[0].split("/")[-1] == "gaia":
                yield from (f"{who}: {found}" for found in understood(line))
                if line[1:3] == ["config", "set"]:
                    for key in line[3::2]:
                        yield from wrong(key in keys_of_the_configuration(), f"{who}: the configuration has no {key}")
        for variable in re.findall(r"\b(GAIA_[A-Z_]+)=", script):
            yield from wrong(f'"{variable}"' in read, f"{who}: nobody reads {variable}")
        for one in container.get("env", []):
            variable = one["name"]
            if variable.startswith("GAIA_"):
                is_known = f'"{variable}"' in read
            else:
                scripts = [word for _, _, other in manifests.containers() for word in other.get("args", [])]
                is_known = any(re.search(rf"\$\{{?{variable}\b", text) for text in scripts)
            yield from wrong(is_known, f"{who}: nobody reads {variable}")
            if variable == "CHAT_MODEL":
                yield from wrong(one["value"] in models(), f"{who}: there is no model {one['value']}")
    for name, _, container in manifests.containers():
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            path = container.get(kind, {}).get("httpGet", {}).get("path")
            router = "host/gateway/src/router.rs" if container["image"] == "gaia-gateway" else "wasm-apps/api-server/src/routes.rs"
            yield from wrong(path is None or f'"{path}"' in (ROOT / router).read_text(), f"{name}: nobody answers {path}")
