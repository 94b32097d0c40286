"""Homes of Gaia: the command line of operators, node owners and users, each in a folder of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GAIA = ROOT / "target" / "release" / "gaia"
sys.path.insert(0, str(ROOT / "tests" / "conformance"))
from node import CHAT_MODEL, EMBEDDING_MODEL, cache  # noqa: E402

# Loading two small models on a busy machine, with room.
VERB_SECONDS_MAX = 300


class Refused(Exception):
    """A verb failed; its last words."""


class Home:
    """A home, and the verbs that are typed for it."""

    def __init__(self, folder, name):
        self.name = name
        self.folder = folder / name
        self.folder.mkdir()

    def gaia(self, *arguments, stdin=None):
        """Runs `gaia` for this home; gives what it wrote to standard output."""
        environment = {**os.environ, "GAIA_PASSWORD": "only for the demo"}
        environment.setdefault("GAIA_WASMEDGE", str(cache() / "wasmedge" / "0.17.1" / "bin" / "wasmedge"))
        command = [GAIA, "--home", self.folder, *map(str, arguments)]
        # Files, not pipes: a process that stays would keep a pipe open.
        with open(self.folder / ".out", "w+b") as out, open(self.folder / ".err", "w+b") as err:
            given = subprocess.DEVNULL if stdin is None else None
            done = subprocess.run(command, env=environment, stdin=given, input=stdin, stdout=out, stderr=err,
                                  timeout=VERB_SECONDS_MAX)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
        if done.returncode != 0:
            raise Refused(f"{self.name}: gaia {' '.join(map(str, arguments))}: {texts[1].strip() or texts[0].strip()}")
        return texts[0]

    def json(self, *arguments):
        """The same, with the answer as JSON."""
        return json.loads(self.gaia("--json", *arguments))


class NodeHome(Home):
    """A node with the small models and documents of its own."""

    worker = None

    def start(self, document, worker_port=None):
        """Makes and starts it, and teaches it `document`. With `worker_port` its worker is started here, apart from it."""
        self.gaia("init")
        # llama.cpp's threads spin at barriers: several nodes on two cores would be in each other's way.
        settings = {"port": 0, "chat_model": CHAT_MODEL, "embedding_model": EMBEDDING_MODEL, "threads": 1,
                    "ctx_size": 2048}
        for key, value in settings.items():
            self.gaia("config", "set", key, value)
        if worker_port is not None:
            self.gaia("config", "set", "worker_url", f"http://127.0.0.1:{worker_port}")
            line = self.gaia("worker")
            with open(self.folder / "worker.log", "wb") as log:
                self.worker = subprocess.Popen(["/bin/sh", "-c", f"exec {line}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.gaia("start")
        if document is not None:
            file = self.folder / "knowledge.md"
            file.write_text(document)
            self.gaia("knowledge", "add", file)
        self.address = self.json("key", "show")["address"]

    def end_worker(self):
        """Ends the worker that was started apart, if there is one."""
        if self.worker is not None:
            self.worker.kill()
            self.worker.wait()

    def state(self):
        """What the running node says of itself."""
        return json.loads((self.folder / "run" / "state.json").read_text())
