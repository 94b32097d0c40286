"""A chain of the demo's own: anvil with the contracts of `contracts/`, and what is read from it directly.

Selectors come from the compiled contracts, so that nothing here can drift from them.
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT / "scripts" / "contracts.sh"
# The first account of every fresh anvil; known to everybody.
OWNER_KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
# How long anvil may take to answer.
START_SECONDS_MAX = 30

# Of every ERC-20 with `mint(address,uint256)`, and of every ERC-20: `balanceOf(address)`.
MINT = "40c10f19"
BALANCE_OF = "70a08231"

EPOCH_SECONDS = 3600
TERMS = {
    "GAIA_EPOCH_SECONDS": EPOCH_SECONDS,
    "GAIA_CHALLENGE_SECONDS": 600,
    "GAIA_RESPONSE_SECONDS": 300,
    "GAIA_REFUND_SECONDS": 7200,
}


def free_port():
    """A port of loopback that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def selectors(contract):
    """Selectors of a contract's functions, by their names."""
    artifact = ROOT / "contracts" / "out" / f"{contract}.sol" / f"{contract}.json"
    found = json.loads(artifact.read_text())["methodIdentifiers"]
    return {signature.split("(")[0]: selector for signature, selector in found.items()}


def word(value):
    """An address or a number as 32 bytes of hex."""
    number = int(value, 16) if isinstance(value, str) else value
    return f"{number:064x}"


class Chain:
    """anvil with a domain's contracts on it."""

    def __init__(self, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.deployment_file = folder / "deployment.json"
        self.log = open(folder / "anvil.log", "wb")
        self.process = subprocess.Popen([CONTRACTS, "anvil", "--port", str(self.port), "--block-time", "1", "--silent"], stdout=self.log,
                                        stderr=self.log, stdin=subprocess.DEVNULL)
        self.deployment = {}
        self.await_answer()

    def await_answer(self):
        """Until anvil answers."""
        end = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                return self.ask("eth_chainId")
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError("anvil does not answer") from None
                time.sleep(0.05)

    def stop(self):
        """Ends anvil."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
        self.log.close()

    def ask(self, method, *params):
        """One question by JSON-RPC."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as reply:
            answer = json.load(reply)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def deploy(self, gateway):
        """Puts the contracts on the chain; `gateway` signs the domain's receipts."""
        terms = {name: str(value) for name, value in TERMS.items()}
        environment = {**os.environ, **terms, "GAIA_GATEWAY": gateway}
        subprocess.run([CONTRACTS, "deploy", "--rpc", self.url, "--out", self.deployment_file], check=True,
                       env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.deployment = json.loads(self.deployment_file.read_text())
        self.escrow, self.dollar = self.deployment["escrow"], self.deployment["stable"]
        self.of_escrow = selectors("DomainEscrow")

    def fund(self, address, ether=10):
        """Coins for gas."""
        self.ask("anvil_setBalance", address, hex(ether * 10**18))

    def mint(self, address, dollars):
        """Test dollars, which anybody can mint on a chain of one's own."""
        units = dollars * 10**6
        self.transact(self.dollar, MINT + word(address) + word(units))

    def transact(self, to, data):
        """A transaction of the first account."""
        sender = self.deployment["deployer"]
        sent = self.ask("eth_sendTransaction", {"from": sender, "to": to, "data": "0x" + data})
        end = time.monotonic() + START_SECONDS_MAX
        while (receipt := self.ask("eth_getTransactionReceipt", sent)) is None:
            if time.monotonic() > end:
                raise RuntimeError(f"no block takes the transaction {sent}")
            time.sleep(0.2)
        if int(receipt["status"], 16) != 1:
            raise RuntimeError(f"the chain refused a transaction to {to}")

    def view(self, to, data):
        """What a contract says, as numbers of 32 bytes."""
        said = self.ask("eth_call", {"to": to, "data": "0x" + data}, "latest")[2:]
        return [int(said[at:at + 64], 16) for at in range(0, len(said), 64)]

    def account(self, payer):
        """A payer's balance in the escrow, in nano-dollars."""
        return self.view(self.escrow, self.of_escrow["accountOf"] + word(payer) + word(self.dollar))[0]

    def purse(self):
        """What charges have earned, and what of it was paid, in nano-dollars."""
        earned, paid = self.view(self.escrow, self.of_escrow["purseOf"] + word(self.dollar))
        return earned, paid

    def paid_to(self, earner):
        """What an earner has drawn, in nano-dollars."""
        return self.view(self.escrow, self.of_escrow["paidTo"] + word(earner) + word(self.dollar))[0]

    def dollars_of(self, address):
        """An address's dollars outside of the escrow, in nano-dollars."""
        return self.view(self.dollar, BALANCE_OF + word(address))[0] * 1000

    def forward(self, seconds):
        """Time goes by."""
        self.ask("evm_increaseTime", hex(seconds))
        self.ask("evm_mine")
