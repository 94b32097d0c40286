#!/usr/bin/env python3
"""A whole domain on this machine, from an empty chain to the last claim; at its end every unit is accounted for.

usage: tests/domain/demo.py [--keep]      --keep leaves the folder with all logs where it is

Real parts only: anvil, the contracts, a gateway, three nodes, the command line that people type, OpenAI's Python
client. What is asserted is the test; what is printed is the demo. Exit code 1: something did not hold.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import openai

sys.path.insert(0, str(Path(__file__).resolve().parent))
from chain import EPOCH_SECONDS, OWNER_KEY, TERMS, Chain, free_port  # noqa: E402
from home import Home, NodeHome, Refused  # noqa: E402

MODEL = "smollm2-135m-instruct"
NANO = 10**9
# Until a node serves: it must answer canaries first.
SERVES_SECONDS_MAX = 180
# Until the gateway has settled what is due.
SETTLES_SECONDS_MAX = 120
KNOWLEDGE = {
    "lighthouse": "# The lighthouse\n\nThe lighthouse of Skagen was built in 1858 and is forty-six metres high.\n",
    "orchard": "# The orchard\n\nThe orchard of Lund grows eleven kinds of apples and three kinds of pears.\n",
    "harbour": "# The harbour\n\nThe harbour of Aarhus opened in 1861 and takes ships of fifteen metres draught.\n",
}


def say(text):
    """A line of the demo."""
    print(text, flush=True)


def step(text):
    """The next part of the story."""
    say(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}")


def check(holds, text):
    """A claim that must hold."""
    if not holds:
        raise AssertionError(text)
    say(f"  ✓ {text}")


def wait(seconds, what, look):
    """Until `look` gives something; what it was waiting for, if it never does."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.5)


def dollars(nano):
    """Nano-dollars for people."""
    return f"{nano // NANO}.{nano % NANO:09d}"


class Demo:
    """The people and the processes of the story."""

    def __init__(self, folder):
        self.folder = folder
        self.chain = None
        self.operator = Home(folder, "operator")
        self.user = Home(folder, "user")
        self.nodes = []
        self.has_gateway = False

    def end(self):
        """Ends everything that was started."""
        for node in self.nodes:
            try:
                node.gaia("stop", "--now")
            except Refused:
                pass
            node.end_worker()
        if self.has_gateway:
            try:
                self.operator.gaia("domain", "stop")
            except Refused:
                pass
        if self.chain:
            self.chain.stop()

    def found_domain(self):
        """The contracts, the domain's file, the gateway."""
        step("1. A domain operator puts the contracts on a chain and starts a gateway")
        self.chain = Chain(self.folder)
        gateway = self.operator.json("domain", "init")["gateway"]
        self.chain.deploy(gateway)
        self.chain.fund(gateway)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder = self.operator.folder / "domain"
        self.operator.gaia("domain", "init", "--name", "demo", "--deployment", self.chain.deployment_file, "--rpc",
                           self.chain.url, "--listen", f"127.0.0.1:{self.port}", "--url", self.url)
        self.write_down(folder / "domain.toml")
        self.operator.gaia("domain", "policy", "open")
        self.operator.gaia("wallet", "import", "--hex", stdin=OWNER_KEY.encode())
        self.operator.gaia("domain", "publish-prices")
        self.operator.gaia("domain", "start")
        self.has_gateway = True
        self.gateway = gateway
        say(f"  the gateway answers at {self.url}")

    def write_down(self, path):
        """What an operator edits: where users find the chain, how soon deposits count, what the model is."""
        vocabulary = self.vocabulary()
        text = path.read_text()
        for before, after in [
            ("confirmations = 12", "confirmations = 1\npoll_seconds = 1"),
            ('# public_rpc = "https://…"', f'public_rpc = "{self.chain.url}"'),
            ('# vocabulary = "smollm2.gguf"', f'vocabulary = "{vocabulary}"\ncontext_tokens = 2048'),
            ("answer_tokens_max = 4096", "answer_tokens_max = 256"),
        ]:
            assert before in text, f"domain.toml has no `{before}`"
            text = text.replace(before, after)
        path.write_text(text)

    def vocabulary(self):
        """The model's file, of which the gateway reads the vocabulary."""
        for model in self.operator.json("model", "list")["models"]:
            if model["name"] == MODEL and model.get("file"):
                return model["file"]
        raise AssertionError("smollm2-135m-instruct is not here: gaia model pull smollm2-135m-instruct")

    def bring_nodes(self):
        """Three nodes with different knowledge join and prove themselves."""
        step("2. Three nodes with different knowledge join")
        for name, document in KNOWLEDGE.items():
            node = NodeHome(self.folder, name)
            self.nodes.append(node)
            # Of the last one the worker is somebody else's, as in a pod.
            apart = name == "harbour"
            node.start(document, free_port() if apart else None)
            node.gaia("join", self.url)
            say(f"  {name}: {node.address}" + (", whose worker was started apart from it" if apart else ""))
        wait(SERVES_SECONDS_MAX, "three nodes that serve", lambda: self.serving() == 3)
        check(True, "each has answered canaries and serves")

    def serving(self):
        """How many nodes get requests."""
        return sum(member["status"] == "serving" for member in self.members())

    def members(self):
        """Who has joined."""
        return self.operator.json("domain", "nodes")["members"]["nodes"]

    def bring_user(self):
        """A user deposits, and draws a token."""
        step("3. A user deposits, and draws an access token")
        self.payer = self.user.json("wallet", "new")["address"]
        self.chain.fund(self.payer)
        self.chain.mint(self.payer, 100)
        self.deposited = 0
        self.deposit("0.0002")
        token = self.user.json("token", "new", self.url)
        self.token = token["token"]
        self.client = openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.token, max_retries=0, timeout=120)
        models = [model.id for model in self.client.models.list()]
        check(MODEL in models, f"OpenAI's client lists {MODEL}, and {len(models) - 1} knowledge bases with it")

    def deposit(self, amount):
        """Deposits, and waits until the gateway has credited it."""
        self.user.gaia("deposit", self.url, amount)
        whole, _, fraction = amount.partition(".")
        self.deposited += int(whole) * NANO + int(fraction.ljust(9, "0") or 0)
        say(f"  deposited {amount} dollars")

    def ask(self, question, **options):
        """One question through OpenAI's client."""
        return self.client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": question}],
                                                   max_tokens=32, temperature=0, **options)

    def ask_each(self):
        """Each node's knowledge base is asked for, and that node answers."""
        step("4. Asks for one knowledge base after another")
        digests = {member["node"].lower(): member["knowledge"] for member in self.members()}
        check(len(set(digests.values())) == 3, "three nodes have signed for three knowledge bases")
        for node in self.nodes:
            answer = self.client.chat.completions.with_raw_response.create(
                model=f"{MODEL}@{digests[node.address.lower()]}", max_tokens=8,
                messages=[{"role": "user", "content": f"What do you know of the {node.name}?"}])
            answer.parse()
            request = answer.headers["x-gaia-request-id"]
            with urllib.request.urlopen(f"{self.url}/gaia/v1/receipts/{request}", timeout=30) as reply:
                served = json.load(reply)["receipt"]["node"]
            check(served.lower() == node.address.lower(), f"{node.name} answers for {digests[node.address.lower()][:10]}…")
        self.asked = 3

    def use(self):
        """Questions, plain and streamed; the money runs out; more is deposited."""
        step("5. Asks, streams, overspends, is refused, tops up, goes on")
        said = self.ask("How high is the lighthouse of Skagen?")
        check(bool(said.choices[0].message.content), "a plain answer, with usage "
              f"{said.usage.prompt_tokens} + {said.usage.completion_tokens}")
        pieces = [chunk for chunk in self.ask("Name three kinds of fruit.", stream=True) if chunk.choices]
        check(len(pieces) > 3 and pieces[-1].choices[0].finish_reason, f"a streamed answer in {len(pieces)} chunks")
        self.asked += 2
        refusal = None
        for number in range(200):
            try:
                self.ask(f"What is {number} plus two?")
                self.asked += 1
            except openai.APIStatusError as error:
                refusal = error
                break
        check(refusal is not None and refusal.status_code == 402, f"after {self.asked} answers: 402, {refusal}")
        self.deposit("0.5")
        self.ask("And now?")
        self.asked += 1
        check(True, "after another deposit it goes on")

    def kill_a_node(self):
        """A node dies while requests run."""
        step("6. A node is killed while requests run")
        failures, answers, stop = [], [], threading.Event()

        def work():
            while not stop.is_set():
                try:
                    answers.append(self.ask("Count to ten.").choices[0].message.content)
                except openai.OpenAIError as error:
                    failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(3)
        victim = self.nodes[0]
        os.kill(victim.state()["pid"], signal.SIGKILL)
        say(f"  killed {victim.name}")
        time.sleep(10)
        stop.set()
        for thread in threads:
            thread.join()
        self.asked += len(answers)
        check(not failures, f"{len(answers)} answers and no failed request" if not failures else
              f"no request fails that had not begun: {failures[0]}")
        connected = [member["node"] for member in self.members() if member["connected"]]
        check(victim.address not in connected, "the domain knows that it is gone")
        say(f"  the gateway holds {self.gateway_memory()} of memory")

    def gateway_memory(self):
        """What the gateway's process holds now, as the system says."""
        pid = json.loads((self.operator.folder / "domain" / "gateway.json").read_text())["pid"]
        status = Path(f"/proc/{pid}/status")
        if not status.exists():
            return "an unknown amount"
        lines = (line.split(":", 1) for line in status.read_text().splitlines())
        return dict(lines)["VmRSS"].strip()

    def close_epoch(self):
        """The epoch ends, its charges are proposed, stand their window and are taken."""
        step("7. The epoch ends; charges are proposed, stand their window, and are taken")
        before = self.chain.account(self.payer)
        check(before == self.deposited, f"the escrow holds {dollars(before)} for the user until then")
        self.chain.forward(EPOCH_SECONDS)
        wait(SETTLES_SECONDS_MAX, "a proposal", lambda: self.chain.view(
            self.chain.escrow, self.chain.of_escrow["proposalCount"])[0])
        say("  proposed; nobody challenges it")
        self.chain.forward(TERMS["GAIA_CHALLENGE_SECONDS"] + TERMS["GAIA_RESPONSE_SECONDS"] + 1)
        wait(SETTLES_SECONDS_MAX, "the charges taken", lambda: self.chain.purse()[0])

    def claim(self):
        """Everybody draws."""
        step("8. Everybody claims")
        self.earners = {node.name: node.address for node in self.nodes}
        self.earners["domain"] = self.gateway
        for name, address in self.earners.items():
            before = self.chain.dollars_of(address)
            self.operator.gaia("claim", self.url, "--for", address)
            drawn = self.chain.dollars_of(address) - before
            say(f"  {name} drew {dollars(drawn)}")

    def account(self):
        """Every unit: what came in is what is left, what was drawn, and what is still to be drawn."""
        step("9. Every unit")
        left = self.chain.account(self.payer)
        earned, paid = self.chain.purse()
        rows = [("deposited", self.deposited), ("still the user's", left)]
        drawn = {name: self.chain.paid_to(address) for name, address in self.earners.items()}
        rows += [(f"drawn by {name}", nano) for name, nano in drawn.items()]
        rows.append(("earned, less than a base unit each", earned - paid))
        for name, nano in rows:
            say(f"  {name:36} {dollars(nano):>16}")
        check(self.deposited == left + earned, "deposited = still the user's + earned")
        check(paid == sum(drawn.values()), "what was paid is what was drawn")
        check(0 <= earned - paid < 1000 * len(self.earners), "what is left to be drawn is less than a base unit each")
        check(self.chain.dollars_of(self.chain.escrow) == left + earned - paid,
              "the escrow's own dollars are exactly what it owes")
        served = [name for name, nano in drawn.items() if nano and name != "domain"]
        check(len(served) >= 2, f"{', '.join(served)} have earned")

    def run(self):
        """All of it."""
        self.found_domain()
        self.bring_nodes()
        self.bring_user()
        self.ask_each()
        self.use()
        self.kill_a_node()
        self.close_epoch()
        self.claim()
        self.account()
        step(f"All of it holds: {self.asked} answers were paid for.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", action="store_true", help="leave the folder where it is")
    keep = parser.parse_args().keep
    folder = Path(tempfile.mkdtemp(prefix="gaia-demo-"))
    demo = Demo(folder)
    failed = True
    try:
        demo.run()
        failed = False
    except (AssertionError, OSError, Refused, RuntimeError, subprocess.SubprocessError, openai.OpenAIError) as error:
        print(f"\n  ✗ {error}", file=sys.stderr, flush=True)
    finally:
        demo.end()
        if keep or failed:
            say(f"Logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
