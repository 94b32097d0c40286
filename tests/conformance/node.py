"""A node of a suite's own: the project's programs, a temporary home, a port chosen by the system.

Knows only the command line and `run/state.json`. Only the standard library, so that any environment can import it.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "target" / "release"
# What `run.py` put aside, so that a build meanwhile changes nothing.
GAIA = Path(os.environ.get("GAIA_PROGRAMS", BUILT)) / "gaia"
CHAT_MODEL = "smollm2-135m-instruct"
EMBEDDING_MODEL = "all-minilm-l6-v2"

# Loading two small models on a busy machine, with room.
START_SECONDS_MAX = 240


def cache() -> Path:
    """The cache folder that set-up fills."""
    if "GAIA_CACHE" in os.environ:
        return Path(os.environ["GAIA_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gaia"


class Node:
    """A node with the small models; started by `start`, gone after `stop`."""

    def __init__(self, settings=None):
        self.home = Path(tempfile.mkdtemp(prefix="gaia-conformance-"))
        # llama.cpp's threads spin at barriers: two of them crawl where other work takes a core.
        self.settings = {"port": 0, "chat_model": CHAT_MODEL, "threads": 1, **(settings or {})}
        self.url = ""

    def gaia(self, *arguments):
        """Runs `gaia` for this home; an error says what it wrote."""
        environment = {**os.environ, "GAIA_PASSWORD": "only for tests"}
        newest = cache() / "wasmedge" / "0.17.1" / "bin" / "wasmedge"
        environment.setdefault("GAIA_WASMEDGE", str(newest))
        command = [str(GAIA), "--home", str(self.home), *map(str, arguments)]
        # Files, not pipes: a node that stays would keep a pipe open.
        with tempfile.TemporaryFile() as out:
            done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                  timeout=START_SECONDS_MAX)
            out.seek(0)
            text = out.read().decode(errors="replace")
        if done.returncode != 0:
            raise RuntimeError(f"gaia {' '.join(map(str, arguments))}: {text}")
        return text

    def start(self):
        """Makes and starts the node; sets `url`."""
        self.gaia("init")
        for key, value in self.settings.items():
            self.gaia("config", "set", key, value)
        self.gaia("start")
        state = json.loads((self.home / "run" / "state.json").read_text())
        self.url = state["url"].rstrip("/")
        return self

    def stop(self):
        """Stops the node and forgets its home."""
        try:
            if (self.home / "run" / "state.json").exists():
                self.gaia("stop")
        finally:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()
