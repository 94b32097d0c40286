#!/usr/bin/env python3
"""Whether what `deploy/` says is true; started by deploy/check.sh. Exit code 1: something is not, and is said.

Each check is tried on a broken copy as well: one that finds nothing there is no check.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import container  # noqa: E402
import live  # noqa: E402
import manifests  # noqa: E402
import pair  # noqa: E402
import programs  # noqa: E402
import units  # noqa: E402
from found import ROOT  # noqa: E402

DEPLOY = ROOT / "deploy"


def kubernetes(folder):
    """A folder of manifests, by Kubernetes and by our programs."""
    found = list(manifests.check(folder))
    return found or list(programs.check(manifests.Manifests(folder)))


CHECKS = {
    "Kubernetes": lambda deploy: kubernetes(deploy / "kubernetes"),
    "runwasi": lambda deploy: kubernetes(deploy / "kubernetes/runwasi"),
    "systemd": lambda deploy: units.check_systemd(deploy / "systemd"),
    "HAProxy": lambda deploy: units.check_haproxy(deploy / "haproxy"),
    "the Containerfile": lambda deploy: container.check(deploy / "container"),
}

# A change, and a word of what must be said of it: check, file, what stands there, what then stands there, the word.
BROKEN = [
    ("Kubernetes", "kubernetes/gateway.yaml", "replicas: 2", "replicass: 2", "replicass"),
    ("Kubernetes", "kubernetes/gateway.yaml", "replicas: 2", "replicas: 1", "no pod gateway-1"),
    ("Kubernetes", "kubernetes/gateway.yaml", "--password-file", "--pasword-file", "has no --pasword-file"),
    ("Kubernetes", "kubernetes/gateway.yaml", "GAIA_LOG", "GAIA_LOGS", "nobody reads GAIA_LOGS"),
    ("Kubernetes", "kubernetes/gateway.yaml", "path: /health", "path: /healthz", "nobody answers /healthz"),
    ("Kubernetes", "kubernetes/gateway.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "may run as root"),
    ("Kubernetes", "kubernetes/gateway.yaml", "secretName: ledger", "secretName: ledgers", "nobody makes"),
    ("Kubernetes", "kubernetes/gateway.yaml", "targetPort: https", "targetPort: http", "no port http"),
    ("Kubernetes", "kubernetes/network.yaml", "podSelector: {}", "podSelector: {matchLabels: {app: node}}", "denies by default"),
    ("Kubernetes", "kubernetes/network.yaml", "app: postgres", "app: postgresql", "is about no pod"),
    ("Kubernetes", "kubernetes/node.yaml", "gaia config set chat_model", "gaia config set model", "has no model"),
    ("Kubernetes", "kubernetes/node.yaml", "value: qwen3-4b-instruct-2507", "value: qwen3-4b", "no model qwen3-4b"),
    ("Kubernetes", "kubernetes/node.yaml", '["gaia", "start"', '["gaia", "begin"', "knows no `begin`"),
    ("Kubernetes", "kubernetes/node.yaml", "gaia --json status", "gaia --jason status", "has no --jason"),
    ("Kubernetes", "kubernetes/postgres.yaml", "app: postgres", "app: [postgres", "kubernetes"),
    ("Kubernetes", "kubernetes/kustomization.yaml", "  - node.yaml\n", "", "node.yaml is in no kustomization"),
    ("runwasi", "kubernetes/runwasi/worker.yaml", '"--host"', '"--hosts"', "has no --hosts"),
    ("runwasi", "kubernetes/runwasi/node.yaml", "gaia worker --settings", "gaia worker --setting", "has no --setting"),
    ("runwasi", "kubernetes/runwasi/node.yaml", "exec gaia start", "exec gaia begin", "knows no `begin`"),
    ("runwasi", "kubernetes/runwasi/node.yaml", "worker_url http", "worker http", "has no worker"),
    ("runwasi", "kubernetes/runwasi/node.yaml", "GAIA_CACHE", "GAIA_CACHES", "nobody reads GAIA_CACHES"),
    ("runwasi", "kubernetes/runwasi/node.yaml", "set chat_model qwen3-4b-instruct-2507", "set chat_model qwen3-8b", "Qwen3-4B-Instruct-2507-Q4_K_M.gguf is not the file of"),
    ("runwasi", "kubernetes/runwasi/node.yaml", "WASMEDGE_WASINN_PRELOAD_CHAT", "WASMEDGE_WASINN_PRELOADED", "nobody reads WASMEDGE_WASINN_PRELOADED"),
    ("runwasi", "kubernetes/runwasi/node.yaml", "restartPolicy: Always", "restartPolicy: Never", "restartPolicy"),
    ("runwasi", "kubernetes/runwasi/worker.yaml", "runtimeClassName: wasmedge", "runtimeClassName: wasm", "no RuntimeClass wasm"),
    ("systemd", "systemd/gaia-gateway.service", "ProtectSystem=", "ProtectSytem=", "ProtectSytem"),
    ("systemd", "systemd/gaia-gateway.service", "--foreground", "--forground", "has no --forground"),
    ("systemd", "systemd/gaia-node.service", "CapabilityBoundingSet=\n", "", "exposure"),
    ("systemd", "systemd/gaia-node.service", "GAIA_CACHE", "GAIA_CACHES", "nobody reads GAIA_CACHES"),
    ("systemd", "systemd/gaia.sysusers", "u gaia-node ", "u gaia-nodes ", "nobody makes the user gaia-node"),
    ("HAProxy", "haproxy/haproxy.cfg", "timeout client", "timeout clients", "timeout"),
    ("HAProxy", "haproxy/haproxy.cfg", "GET /health", "GET /healthz", "no gateway answers /healthz"),
    ("HAProxy", "haproxy/haproxy.cfg", "retry-on conn-failure", "retry-on all-retryable-errors", "sends again"),
    ("the Containerfile", "container/Containerfile", "COPY models models", "COPY model model", "nobody makes model"),
    ("the Containerfile", "container/Containerfile", "COPY bench bench\n", "", "no workspace"),
    ("the Containerfile", "container/Containerfile", "COPY web/dist web/dist\n", "", "which is not copied"),
    ("the Containerfile", "container/Containerfile", "release/gaia-gateway /usr", "release/gateway /usr", "nobody makes /src/target/release/gateway"),
    ("the Containerfile", "container/Containerfile", "USER 10001:10001", "USER root", "runs as root"),
    ("the Containerfile", "container/Containerfile", "ENV GAIA_HOME", "ENV GAIA_PASSWORD=x GAIA_HOME", "a secret in ENV"),
    ("the Containerfile", "container/Containerfile", "127.0.0.1/$port", "127.0.0.1/1", "does not see who listens"),
]


def holds():
    """Every check, on what there is. How many sentences were said."""
    count = 0
    for name, check in CHECKS.items():
        count += report(name, list(check(DEPLOY)))
    with tempfile.TemporaryDirectory(prefix="gaia-deploy-") as work:
        count += report("a gateway of the manifests", list(live.check(DEPLOY / "kubernetes", Path(work))))
        count += report("a node as a pair under a shim", list(pair.check(DEPLOY / "kubernetes/runwasi", Path(work) / "pair")))
    return count


def fails():
    """Every check, on copies in which one thing is wrong. How many were not found."""
    count = 0
    with tempfile.TemporaryDirectory(prefix="gaia-broken-") as work:
        copy = Path(work) / "deploy"
        for name, file, before, after, word in BROKEN:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(DEPLOY, copy)
            text = (copy / file).read_text()
            assert before in text, f"{file} has no `{before}`"
            (copy / file).write_text(text.replace(before, after, 1))
            said = list(CHECKS[name](copy))
            if not any(word in sentence for sentence in said):
                count += report(f"`{after.strip()}` in {file}", [f"expected `{word}`, was told {said or 'nothing'}"])
    print(f"  ✓ {len(BROKEN) - count} of {len(BROKEN)} broken copies are found out")
    return count


def report(name, sentences):
    """Says how a check went."""
    print(f"  {'✗' if sentences else '✓'} {name}", flush=True)
    for sentence in sentences:
        print(f"      {sentence}", flush=True)
    return len(sentences)


if __name__ == "__main__":
    started = time.monotonic()
    found = holds() + fails()
    print(f"  {time.monotonic() - started:.0f} s")
    sys.exit(1 if found else 0)
