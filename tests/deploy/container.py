"""The Containerfile, by the tree: nobody builds it within a test, but what it names must be there."""

import functools
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from found import ROOT, wrong

SECRETS = re.compile(r"(PASSWORD|SECRET|TOKEN|PRIVATE|_KEY)", re.IGNORECASE)
TARGETS = {"gateway", "node", "worker"}


def instructions(path):
    """Each instruction with its words; a line that ends with a backslash goes on."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


def stages(path):
    """The instructions of each stage, by its name."""
    found = {}
    for word, rest in instructions(path):
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            found[name] = [(word, image)]
        else:
            found[name].append((word, rest))
    return found


def check(folder):
    """What is wrong with the Containerfile, in sentences."""
    found = stages(folder / "Containerfile")
    yield from wrong(TARGETS <= found.keys(), f"no target {TARGETS - found.keys()}")
    built = products()
    for name, lines in found.items():
        yield from sources(name, lines, found, built)
        for word, rest in lines:
            yield from wrong(word != "ADD", f"{name}: ADD fetches what nobody has checked")
            yield from wrong(word not in ("ENV", "ARG") or not SECRETS.search(rest), f"{name}: a secret in {word}")
            yield from wrong(word != "RUN" or "://" not in rest, f"{name}: a host in RUN")
    for name in TARGETS & found.keys():
        users = [rest for word, rest in found[name] if word == "USER"]
        yield from wrong(users and re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]), f"{name} runs as root")
        yield from wrong(any(word == "ENTRYPOINT" for word, _ in found[name]), f"{name} starts nothing")
        # WebAssembly alone has nothing to ask with.
        asks = any(word == "HEALTHCHECK" for word, _ in found[name])
        yield from wrong(asks or found[name][0][1] == "scratch", f"{name} is never asked whether it is well")
    yield from compiles(found["build"])
    for word, rest in found["gateway"]:
        if word == "HEALTHCHECK":
            yield from asked(json.loads(rest.split("CMD", 1)[1]))


def sources(name, lines, found, built):
    """Everything that is copied is in the tree, or in the stage that it is copied from."""
    for word, rest in lines:
        if word == "FROM":
            yield from wrong(rest in found or ":" in rest or rest == "scratch", f"{name}: the image {rest} has no tag")
        if word == "COPY":
            paths = rest.split()[:-1]
            stage = next((path.split("=")[1] for path in paths if path.startswith("--from=")), None)
            paths = [path for path in paths if not path.startswith("--")]
            yield from wrong(stage is None or stage in found, f"{name}: no stage {stage}")
            for path in paths:
                holds = (ROOT / path).exists() if stage is None else path in built
                yield from wrong(holds, f"{name}: nobody makes {path}")
        if word == "RUN":
            for path in re.findall(r"\bscripts/\S+\.sh", rest):
                yield from wrong(os.access(ROOT / path, os.X_OK), f"{name}: no program {path}")


@functools.cache
def products():
    """What the build leaves: targets of the workspace, what scripts/build.sh copies, what the Containerfile installs."""
    listed = metadata(ROOT)
    made = {"/opt/models", "/cache/wasmedge/0.17.1", "/src/target/release/plugins"}
    for package in listed["packages"]:
        for target in package["targets"]:
            if "bin" in target["kind"]:
                made.add(f"/src/target/release/{target['name']}")
            if "cdylib" in target["kind"]:
                made.add(f"/src/target/release/lib{target['name'].replace('-', '_')}.so")
    script = (ROOT / "scripts/build.sh").read_text()
    made |= {f"/src/{path}" for path in re.findall(r"cp \S+ (target/release/\S+\.wasm)", script)}
    return made


def metadata(folder):
    """Cargo's own reading of a workspace."""
    done = subprocess.run(["cargo", "metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"], cwd=folder,
                          capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


def compiles(lines):
    """What is copied is a whole workspace: cargo reads it, and files that its sources take in are there."""
    with tempfile.TemporaryDirectory(prefix="gaia-image-") as at:
        copy = Path(at)
        for word, rest in lines:
            if word == "COPY":
                *paths, target = rest.split()
                for path in paths:
                    if (ROOT / path).is_dir():
                        shutil.copytree(ROOT / path, copy / target, ignore=shutil.ignore_patterns("target", "node_modules"))
                    elif (ROOT / path).is_file():
                        place = copy / target / Path(path).name if target.endswith("/") else copy / target
                        place.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy(ROOT / path, place)
        try:
            metadata(copy)
        except RuntimeError as error:
            yield f"what is copied is no workspace: {error}"
        for source in copy.glob("*/*/src/**/*.rs"):
            for path in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', source.read_text()):
                yield from wrong((source.parent / path).exists(), f"{source.relative_to(copy)} takes in {path}, which is not copied")
        for source in copy.glob("*/*/build.rs"):
            for path in re.findall(r'join\("(?:\.\./)+([\w./-]+)"\)', source.read_text()):
                yield from wrong((copy / path).exists(), f"{source.relative_to(copy)} reads {path}, which is not copied")


def asked(command):
    """The gateway's own check says yes where somebody listens, and no where nobody does."""
    with tempfile.TemporaryDirectory(prefix="gaia-health-") as at, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        (Path(at) / "domain").mkdir()
        (Path(at) / "domain/domain.toml").write_text(f'name = "x"\nlisten = "127.0.0.1:{listener.getsockname()[1]}"\n')
        taking = threading.Thread(target=listener.accept, daemon=True)
        taking.start()
        well = subprocess.run(command, cwd=at, stderr=subprocess.DEVNULL).returncode
        # Who still waits in accept keeps the port open.
        if well == 0:
            taking.join(timeout=5)
        listener.close()
        ill = subprocess.run(command, cwd=at, stderr=subprocess.DEVNULL).returncode
    yield from wrong(well == 0, "the gateway's HEALTHCHECK does not see who listens")
    yield from wrong(ill != 0, "the gateway's HEALTHCHECK sees who does not listen")
