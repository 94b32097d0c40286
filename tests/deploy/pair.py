"""A node as a pair, out of the manifests: the pod's scripts, its host, and beside it the worker, started as containerd's
shim starts it, with the pod's variables and arguments. The worker ends and comes back. The models are small ones."""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from found import RELEASE, ROOT, wrong
from live import Pod, free_port
from manifests import Manifests

CHAT, EMBEDDING = "smollm2-135m-instruct", "all-MiniLM-L6-v2.f16.gguf"
# Loading two small models, interpreted, on a busy machine.
READY_SECONDS_MAX = 180
QUESTION = {"messages": [{"role": "user", "content": "How high is the lighthouse?"}], "max_tokens": 8, "temperature": 0}


def check(folder, work):
    """What is wrong, in sentences."""
    pair = Pair(Manifests(folder), work)
    try:
        yield from pair.check()
    finally:
        pair.end()


class Pair:
    """The pod `node`, its containers as processes."""

    def __init__(self, manifests, work):
        self.pod = Pod(manifests, "node", work)
        self.work = work
        self.processes = []
        containers = self.pod.spec["initContainers"] + self.pod.spec["containers"]
        self.configure, self.worker, self.node = (
            next(one for one in containers if one["name"] == name) for name in ("configure", "worker", "node"))
        models = Path(os.environ["GAIA_CACHE"]) / "models"
        shutil.rmtree(self.pod.at("/var/cache/gaia"))
        self.pod.at("/var/cache/gaia").mkdir()
        (self.pod.at("/var/cache/gaia") / "models").symlink_to(models)
        (self.pod.at("/run/secrets/node") / "password").write_text("only for this check\n")
        self.home = self.pod.at("/var/lib/gaia")
        chat = next(one["file"] for one in listed() if one["name"] == CHAT)
        self.instead = {
            "/usr/local/bin": str(RELEASE),
            "qwen3-4b-instruct-2507": CHAT,
            "Qwen3-4B-Instruct-2507-Q4_K_M.gguf": Path(chat).name,
            "/usr/share/gaia/" + EMBEDDING: str(models / EMBEDDING),
            "/usr/lib/gaia/wasmedge/": f"{wasmedge()}/",
            "/usr/lib/gaia/libgaia": f"{RELEASE}/libgaia",
            # Threads that wait for each other crawl where other work takes a core.
            '{"n-seq-max":8}': '{"n-seq-max":8,"threads":1}',
            "127.0.0.1:9080": f"127.0.0.1:{four_ports()}",
            "gaia worker --settings": "gaia config set port 0 threads 1\ngaia worker --settings",
        }

    def here(self, text):
        """The text with everything where it is on this machine."""
        text = self.pod.moved(text)
        for there, instead in self.instead.items():
            text = text.replace(there, instead)
        return text

    def words(self, container):
        """A container's command line."""
        return [self.here(word) for word in container["command"] + container["args"]]

    def check(self):
        """The pair comes up, answers, is apart and together again, and ends."""
        # As issue 1061 of runwasi has it: containers that are no WebAssembly get no environment of the manifest's.
        done = subprocess.run(self.words(self.configure), env=bare(), capture_output=True, text=True, timeout=120)
        if done.returncode:
            yield f"configure: {done.stderr}"
            return
        self.mount_parts()
        worker = self.start_worker()
        node = self.start([*self.words(self.node)], bare())
        found = list(self.ready(node, "at its start"))
        yield from found
        if found:
            return
        yield from self.answers(200)
        worker.kill()
        worker.wait()
        yield from wrong(within(30, lambda: self.phase() == "waiting"), "the host does not notice that its worker is gone")
        yield from self.answers(503)
        self.start_worker()
        yield from self.ready(node, "when its worker is back")
        yield from self.answers(200)
        node.send_signal(signal.SIGTERM)
        yield from wrong(node.wait(timeout=75) == 0, "the host does not end as it should")

    def mount_parts(self):
        """What is mounted of another volume's folder is that folder."""
        volumes = {mount["name"]: self.pod.at(mount["mountPath"]) for mount in self.node["volumeMounts"]}
        for mount in self.worker["volumeMounts"]:
            place = self.pod.at(mount["mountPath"])
            place.rmdir()
            # Relative, since WebAssembly's files know no other link.
            place.symlink_to(os.path.relpath(volumes[mount["name"]].resolve() / mount["subPath"], place.parent.resolve()))

    def start_worker(self):
        """The worker, with those of its variables that a shim gives its process."""
        given = {one["name"]: self.here(one["value"]) for one in self.worker["env"]}
        given = {name: value for name, value in given.items() if name.startswith("WASMEDGE_")}
        _, *arguments = self.words(self.worker)
        return self.start([*shim(self.work), RELEASE / "api-server.wasm", *arguments], {**bare(), **given})

    def start(self, words, environment):
        """A process, its output in a file."""
        with open(self.work / f"{len(self.processes)}.log", "wb") as log:
            process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def state(self):
        """What the host says of itself."""
        try:
            return json.loads((self.home / "run/state.json").read_text())
        except (OSError, ValueError):
            return {}

    def phase(self):
        """How far it is."""
        return self.state().get("phase")

    def ready(self, node, when):
        """The host is ready by its own account."""
        def ended():
            return any(process.poll() is not None for process in (node, *self.processes[-2:]))

        came = within(READY_SECONDS_MAX, lambda: self.phase() == "ready" or ended())
        logs = "".join(path.read_text(errors="replace")[-2000:] for path in sorted(self.work.glob("*.log")))
        yield from wrong(came and self.phase() == "ready", f"the pair is not ready {when}: {logs}")

    def answers(self, expected):
        """A question gets this status, in JSON."""
        request = urllib.request.Request(f"{self.state().get('url')}/v1/chat/completions", json.dumps(QUESTION).encode(),
                                         {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                status, said = reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            status, said = error.code, json.load(error)
        except OSError as error:
            status, said = f"{error}", {}
        yield from wrong(status == expected and ("choices" in said or "error" in said), f"a question gets {status}: {said}")

    def end(self):
        """Ends what runs still."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def shim(work):
    """Compiles the stand-in for the shim; the words that start it, by WasmEdge's own loader and libraries."""
    root = wasmedge() / "root/usr"
    libraries = root / "lib/x86_64-linux-gnu"
    program = work / "shim"
    if not program.exists():
        subprocess.run(["gcc", "-O1", "-Wall", "-Werror", ROOT / "tests/deploy/shim.c", "-o", program, f"-I{root}/include",
                        f"-L{libraries}", "-lwasmedge", "-Wl,--allow-shlib-undefined"], check=True)
    path = ":".join(map(str, [libraries, *root.glob("lib/llvm-*/lib")]))
    return [root / "lib64/ld-linux-x86-64.so.2", "--library-path", path, program]


def wasmedge():
    """The prefix of WasmEdge."""
    return Path(os.environ["GAIA_CACHE"]) / "wasmedge/0.17.1"


def bare():
    """What a container has without its manifest."""
    return {"PATH": os.environ["PATH"], "GAIA_LOG": "info"}


def listed():
    """The models there are."""
    done = subprocess.run([RELEASE / "gaia", "--json", "model", "list"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["models"]


def four_ports():
    """A free port with three free ones behind it, as far as can be known."""
    return next(port for port in (free_port() for _ in range(100)) if port < 65000)


def within(seconds, holds):
    """Whether it came to hold in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.2)
    return False
