"""A real gateway out of the manifests: the folder put together by the pod's own script, on a chain of its own and the
pod's PostgreSQL, with the file of the ConfigMap, asked at the pod's own probes, and ended as a pod is."""

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from found import ROOT, wrong
from database import PASSWORD, Database
from manifests import Manifests
import programs
import units

sys.path.insert(0, str(ROOT / "tests" / "domain"))
from chain import OWNER_KEY, Chain, free_port  # noqa: E402

# Until a gateway that has read its chain answers.
ANSWERS_SECONDS_MAX = 60
# What the Secret gateway-operator has.
OPERATOR = "a" * 64


class Pod:
    """One workload's pod, its mounts moved into a folder."""

    def __init__(self, manifests, name, folder):
        self.spec = next(pod["spec"] for who, pod in manifests.pods() if who == name)
        self.folder = folder
        containers = self.spec.get("initContainers", []) + self.spec["containers"]
        mounts = {mount["mountPath"] for one in containers for mount in one.get("volumeMounts", [])}
        # The longest first: /run/secrets/key is no part of /run/secrets/keyring.
        self.mounts = sorted(mounts - {"/tmp"}, key=len, reverse=True)
        for mount in self.mounts:
            self.at(mount).mkdir(parents=True, exist_ok=True)

    def at(self, mount):
        """Where a mount is here."""
        return self.folder / mount[1:]

    def moved(self, text):
        """The text with every mount where it is here."""
        if not self.mounts:
            return text
        any_mount = "|".join(re.escape(mount) for mount in self.mounts)
        return re.sub(rf"(?<![\w/-])({any_mount})(?![\w-])", lambda found: str(self.at(found[0])), text)

    def environment(self, container, secrets):
        """A container's variables; of Secrets, what is given."""
        given = {"POD_NAME": "gateway-0", **secrets}
        own = {one["name"]: self.moved(one.get("value", given.get(one["name"], ""))) for one in container.get("env", [])}
        return {**os.environ, "PATH": f"{programs.RELEASE}:{os.environ['PATH']}", **own}

    def words(self, container):
        """A container's command line."""
        return [self.moved(word) for word in container["command"] + container.get("args", [])]

    def prepare(self, secrets):
        """Runs what a pod runs first."""
        for container in self.spec["initContainers"]:
            done = subprocess.run(self.words(container), env=self.environment(container, secrets), capture_output=True,
                                  text=True, stdin=subprocess.DEVNULL, timeout=60)
            if done.returncode:
                raise RuntimeError(f"{container['name']}: {done.stderr}")


def check(folder, work):
    """What is wrong, in sentences."""
    manifests = Manifests(folder)
    yield from node(manifests, work / "node")
    database = Database(Pod(manifests, "postgres", work / "postgres"), free_port())
    units.certificate(database.pod.at("/run/secrets/tls"))
    authority = (database.pod.at("/run/secrets/tls") / "ca.crt").read_text()
    try:
        database.start()
        yield from gateway(manifests, work / "gateway", database, authority)
    finally:
        database.stop()


def node(manifests, work):
    """A node is made by its pod's script, and made no second time."""
    pod = Pod(manifests, "node", work)
    password = {"GAIA_PASSWORD": "only for this check"}
    pod.prepare(password)
    home = pod.at("/var/lib/gaia")
    key = (home / "keystore.json").read_bytes()
    pod.prepare(password)
    yield from wrong((home / "keystore.json").read_bytes() == key, "a node's second start makes another key")
    model = re.search(r'^chat_model = "(.*)"', (home / "config.toml").read_text(), re.MULTILINE)
    wanted = next(one["value"] for one in pod.spec["containers"][0]["env"] if one["name"] == "CHAT_MODEL")
    yield from wrong(model and model[1] == wanted, "a node has not got the model of its manifest")
    policy = (manifests.folder / "config/domain.toml").read_text()
    yield from wrong(f'name = "{wanted}"' in policy, f"domain.toml does not offer {wanted}")


def gateway(manifests, work, database, authority):
    """A gateway answers, counts, and ends; its ledger is in the database, and the way there is encrypted."""
    pod = Pod(manifests, "gateway", work)
    chain = Chain(work)
    process = None
    try:
        operator = work / "operator"
        port = free_port()
        secret = pod.at("/run/secrets/ledger")
        (secret / "url").write_text(ledger_url(pod, database.port))
        (secret / "ca.crt").write_text(authority)
        found = found_domain(manifests, pod, chain, operator, port)
        container = pod.spec["containers"][0]
        process = subprocess.Popen(pod.words(container), env=pod.environment(container, {}), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=open(work / "gateway.log", "wb"))
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = container[kind]["httpGet"]
            url = f"{asked.get('scheme', 'HTTP').lower()}://127.0.0.1:{port}{asked['path']}"
            status, _ = answer(url, process)
            yield from wrong(status == 200, f"gateway: {kind} gets {status}: {(work / 'gateway.log').read_text()[-500:]}")
        yield from metrics(f"https://127.0.0.1:{port}", found)
        question = """SELECT count(*) FILTER (WHERE NOT ssl), count(*) FILTER (WHERE ssl) > 0
            FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL"""
        said = database.ask(question)
        yield from wrong(said == "0|t", f"gateway: connections to its ledger without TLS, and with: {said}")
        yield from wrong(database.ask("SELECT count(*) FROM gaia_ledger") == "1", "gateway: its ledger is elsewhere")
        process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=pod.spec["terminationGracePeriodSeconds"])
        yield from wrong(status == 0, f"gateway: ended with {status}")
    finally:
        if process and process.poll() is None:
            process.kill()
            process.wait()
        chain.stop()


def ledger_url(pod, port):
    """The URL that the README tells to put into the Secret, with this machine's place and password."""
    readme = (ROOT / "deploy/README.md").read_text()
    url = re.search(r"`(postgres://[^`]+)`", readme)[1]
    assert "gaia:PASSWORD@postgres:5432/" in url, url
    return pod.moved(url.replace("gaia:PASSWORD@postgres:5432/", f"gaia:{PASSWORD}@localhost:{port}/"))


def found_domain(manifests, pod, chain, operator, port):
    """Contracts, key and files, as the README says; only places are changed in the ConfigMap's file."""
    def gaia(*words, stdin=None, home=operator):
        environment = {**os.environ, "GAIA_HOME": str(home), "GAIA_PASSWORD": "only for this check"}
        done = subprocess.run([programs.GAIA, "--json", *words], env=environment, input=stdin, capture_output=True, timeout=120)
        if done.returncode:
            raise RuntimeError(f"gaia {' '.join(map(str, words))}: {done.stderr.decode()}")
        return json.loads(done.stdout)

    address = gaia("domain", "init")["gateway"]
    chain.deploy(address)
    chain.fund(address)
    configured = pod.at("/etc/gaia")
    for path in manifests.generated()["domain"]:
        shutil.copy(path, configured)
    shutil.copy(chain.deployment_file, configured / "deployment.json")
    text = (configured / "domain.toml").read_text()
    for before, after in [("0.0.0.0:8443", f"127.0.0.1:{port}"), ("https://rpc.example.org", chain.url)]:
        assert before in text, f"domain.toml has no {before}"
        text = text.replace(before, after)
    (configured / "domain.toml").write_text(pod.moved(text))
    units.certificate(pod.at("/run/secrets/tls"))
    shutil.copy(operator / "domain/keystore.json", pod.at("/run/secrets/key"))
    (pod.at("/run/secrets/password") / "password").write_text("only for this check\n")
    (pod.at("/run/secrets/operator") / "token").write_text(f"{OPERATOR}\n")
    pod.prepare({"POD_NAME": "gateway-1"})
    written = pod.at("/var/lib/gaia") / "domain/domain.toml"
    assert "settles = false" in written.read_text(), "the second gateway would settle, too"
    pod.prepare({})
    assert "settles = true" in written.read_text(), "nobody would settle"
    # The owner publishes what the ConfigMap's file says.
    shutil.copy(pod.at("/var/lib/gaia") / "domain/domain.toml", operator / "domain/domain.toml")
    gaia("domain", "init", "--deployment", chain.deployment_file)
    gaia("wallet", "import", "--hex", stdin=OWNER_KEY.encode())
    gaia("domain", "publish-prices")
    gaia("domain", "policy", home=pod.at("/var/lib/gaia"))
    return json.loads(chain.deployment_file.read_text())


def metrics(url, deployment):
    """The operator's numbers: for the operator alone, and by the names that the README has."""
    status, _ = answer(f"{url}/metrics")
    yield from wrong(status == 401, f"gateway: /metrics without a token gets {status}")
    status, text = answer(f"{url}/metrics", token=OPERATOR)
    yield from wrong(status == 200, f"gateway: /metrics with the token gets {status}")
    named = set(re.findall(r"gaia_gateway_\w+", (ROOT / "deploy/README.md").read_text()))
    there = set(re.findall(r"gaia_gateway_\w+", text))
    yield from wrong(named and named <= there, f"deploy/README.md names metrics that are not there: {named - there}")
    status, text = answer(f"{url}/gaia/v1/domain")
    said = json.loads(text)
    yield from wrong(said["domainId"] == deployment["domainId"], "gateway: another domain answers")
    yield from wrong(len(said["gateways"]) == pod_count(), f"urls of domain.toml are {said['gateways']}")


def pod_count():
    """How many gateways there are."""
    sets = Manifests(ROOT / "deploy/kubernetes").of("StatefulSet")
    return next(one["spec"]["replicas"] for one in sets if one["metadata"]["name"] == "gateway")


def answer(url, process=None, token=None):
    """Status and text, as soon as somebody answers while `process` runs."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {token}"} if token else {})
    end = time.monotonic() + ANSWERS_SECONDS_MAX
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10, context=context) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            if process is None or process.poll() is not None or time.monotonic() > end:
                return f"{error}", ""
            time.sleep(0.2)
