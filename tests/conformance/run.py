#!/usr/bin/env python3
"""Holds a node against other people's expectations, and writes what came of it to docs/conformance.md.

usage: tests/conformance/run.py [SUITE...] [--part PART...] [--report-only]

Every suite starts its own nodes (target/release, built by `make build`) in temporary homes on ports that the system
chooses, and runs in its own virtual environment with pinned versions under $GAIA_CACHE/conformance. Results stay
there as JUnit XML, so suites can be run one by one and in parts; the report holds the latest of each test. Exit code 1: a suite has
failures, or is missing.
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import report  # noqa: E402
from node import BUILT, ROOT, cache  # noqa: E402
from suites import SUITES  # noqa: E402

HERE = Path(__file__).resolve().parent
FOLDER = cache() / "conformance"
RESULTS = FOLDER / "results"

# What a node consists of.
PROGRAMS = ["gaia", "libgaia_wasi_nn.so", "api-server.wasm", "gaia-vector-store"]

# How long a suite that takes too long may take to stop its nodes.
END_SECONDS_MAX = 60


def environment(suite):
    """The suite's virtual environment, made anew when what it has to hold changes."""
    wanted = (HERE / suite.requirements).read_bytes()
    folder = FOLDER / "venv" / f"{suite.name}-{hashlib.sha256(wanted).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        print(f"{suite.name}: installing {suite.requirements}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "-r", HERE / suite.requirements], check=True)
        ready.touch()
    return python


def programs():
    """A copy of what was built: a suite takes minutes, and a build meanwhile must not change what it tests."""
    folder = FOLDER / "programs"
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        # Not over a file that still runs.
        (folder / name).unlink(missing_ok=True)
        shutil.copy2(BUILT / name, folder / name)
    return folder


def results_of(suite, parts):
    """Where the results go. What a whole run finds takes the place of everything before."""
    folder = RESULTS / suite.name
    if not parts:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12] if parts else "all"
    return folder / f"{name}.xml"


def run(suite, parts):
    """Runs one suite, or these parts of it, to its end, within its time."""
    python = environment(suite)
    results = results_of(suite, parts)
    results.unlink(missing_ok=True)
    results.with_suffix(".commit").write_text(commit())
    started = time.monotonic()
    print(f"{suite.name}: running", flush=True)
    variables = {
        **os.environ,
        "GAIA_CACHE": str(cache()),
        "GAIA_PROGRAMS": str(programs()),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE / suite.folder)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        # A proxy is for the way out; nodes are on this machine.
        "NO_PROXY": "127.0.0.1,localhost",
    }
    child = subprocess.Popen([python, *suite.command(results, parts)], cwd=suite.working_folder(), env=variables)
    try:
        child.wait(timeout=suite.seconds_max)
    finally:
        end(child)
    print(f"{suite.name}: {time.monotonic() - started:.0f} s", flush=True)


def commit():
    """What the node was built from, if the programs are as new as the sources."""
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip() or "unknown"


def end(child):
    """Lets a suite stop its nodes before it has to go."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGINT)
    try:
        child.wait(timeout=END_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def main():
    """Runs what was asked for and writes the report."""
    parser = argparse.ArgumentParser(description="conformance suites against nodes of their own")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(s.name for s in SUITES)}; all by default")
    parser.add_argument("--part", nargs="+", default=[], metavar="PART", help="only these parts: files of llama_server, operations of schemathesis")
    parser.add_argument("--report-only", action="store_true", help="write the report from the results that are there")
    asked = parser.parse_args()
    unknown = set(asked.suites) - {suite.name for suite in SUITES}
    if unknown:
        parser.error(f"no suite is called {', '.join(sorted(unknown))}")
    missing = [name for name in PROGRAMS if not (BUILT / name).exists()]
    if missing:
        parser.error(f"target/release lacks {', '.join(missing)}: run `make build`")
    chosen = [suite for suite in SUITES if not asked.suites or suite.name in asked.suites]
    for suite in [] if asked.report_only else chosen:
        run(suite, asked.part)
    outcomes = [report.read(suite, RESULTS / suite.name) for suite in SUITES]
    (ROOT / "docs" / "conformance.md").write_text(report.text(outcomes))
    for outcome in outcomes:
        print(outcome.line())
    return any(outcome.missing or outcome.failed for outcome in outcomes if outcome.suite in chosen)


if __name__ == "__main__":
    # Ended from outside, it ends its suite too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(main())
