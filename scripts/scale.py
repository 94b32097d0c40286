#!/usr/bin/env python3
"""What a domain of 10, 1,000 and 100,000 nodes needs, computed from what was measured; writes the tables of docs/scale.md.

usage: scripts/scale.py            print the tables
       scripts/scale.py --write    put them into docs/scale.md
       scripts/scale.py --check    exit code 1 where docs/scale.md has others

Every input has its source: a constant is read out of the source code, a figure out of the page it was measured for; what
nobody has measured is called an assumption. `--check` takes figures of other pages as they stand in docs/scale.md, so
that measuring anew breaks nothing; `--write` takes the new ones. Python's standard library alone.
"""

import re
import sys
from math import ceil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "scale.md"
BEGIN, END = "<!-- computed: begin -->", "<!-- computed: end -->"
NODES = (10, 1_000, 100_000)
DAY = 86_400


class Inputs:
    """Named numbers, each with its unit and its source."""

    def __init__(self, kept):
        self.rows = []
        # Rows of the page as it is, by name: for figures of other pages.
        self.kept = kept

    def put(self, name, value, unit, source):
        """Keeps a number under its name."""
        setattr(self, name, value)
        self.rows.append((name, value, unit, source))

    def assume(self, name, value, unit, why):
        """A number that nobody has measured."""
        self.put(name, value, unit, f"*assumption*: {why}")

    def constant(self, name, path, identifier, unit):
        """A constant of the source code."""
        text = (ROOT / path).read_text()
        found = re.search(rf"\b{identifier}\b[^=\n]*= *(?:Duration::from_(secs|millis)\()?([\d_]+)", text) or re.search(
            rf"\b{identifier}: (?:Duration::from_(secs|millis)\()?([\d_]+)", text)
        if not found:
            raise SystemExit(f"scale: {path} has no number under {identifier}")
        value = int(found[2].replace("_", ""))
        self.put(name, value / 1000 if found[1] == "millis" else value, unit, f"`{identifier}`, {path}")

    def measured(self, name, page, what, who, unit, otherwise):
        """A figure of a page that a bench writes, from its row `what` of `who`; assumed while there is none."""
        if name in self.kept:
            return self.put(name, *self.kept[name])
        path = ROOT / "docs" / page
        text = path.read_text() if path.exists() else ""
        for line in text.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if len(cells) >= 3 and cells[0] == what and (who is None or cells[1] == who):
                cell = cells[1] if who is None else cells[2]
                found = re.match(r"[\d.]+", cell)
                if found:
                    return self.put(name, float(found[0]), unit, f"[{page}]({page}): “{what}”")
        return self.assume(name, otherwise, unit, f"until {page} has “{what}”")


def read(kept):
    """All inputs."""
    x = Inputs(kept)
    # What users do.
    x.assume("requests", 0.2, "requests/s a node", "over a day; a node of the small model writes a fifth of what it could then")
    x.assume("peak", 3, "times the day's mean", "the busiest minutes")
    x.assume("answer", 200, "tokens", "some paragraphs")
    x.assume("per_account", 200, "requests an account and day", "somebody who works with it")
    x.assume("per_operator", 2, "nodes an operator", "who runs one often runs a second")
    # Nodes.
    x.measured("node_speed", "performance.md", "tokens/s, 8 streams, plain", "node", "tokens/s a node", 226)
    x.constant("sequences", "host/gaia/src/config/keys.rs", "requests_running_max: u32", "answers at a time")
    x.constant("beat", "host/member/src/report.rs", "REPORT_INTERVAL", "s between two lines of a report")
    x.constant("signed_beat", "host/member/src/report.rs", "HEARTBEAT_INTERVAL", "s between two signed ones")
    x.constant("note", "host/gateway/src/members/store.rs", "NOTE_INTERVAL", "s a written one stands")
    x.put("tunnel_bytes", 400, "B/s a node and gateway", "[decisions/tunnel.md](decisions/tunnel.md)")
    x.put("chunk", 237, "B a token of a stream", "[decisions/metering.md](decisions/metering.md)")
    # Gateways.
    x.measured("cpu_stream", "domain-performance.md", "CPU a request, a stream of 64 pieces", "gateway", "µs a streamed request", 1_500)
    x.measured("rest", "domain-performance.md", "memory of the gateway at rest", None, "MiB a gateway at rest", 30)
    x.assume("cpu_line", 30, "µs a line of a report", "one JSON value out of a frame, and 0.3 µs in the balancer")
    x.assume("cpu_beat", 200, "µs a signed one", "one public key recovered")
    x.assume("tunnel_kib", 96, "KiB a tunnel", "TLS and HTTP/2 with empty buffers")
    x.assume("stream_kib", 64, "KiB a running request", "its body, four pieces, a buffer on each side")
    x.constant("running_max", "host/gateway/src/config.rs", "requests_running_max", "requests at a time and gateway")
    x.constant("connections_max", "host/gateway/src/config.rs", "connections_max", "connections of users and gateway")
    x.constant("nodes_max", "host/gateway/src/nodes.rs", "NODES_MAX", "nodes a gateway")
    x.constant("members_max", "crates/registry/src/rules.rs", "MEMBERS_MAX", "members a domain")
    x.constant("gateways_max", "host/tunnel/src/messages.rs", "GATEWAYS_MAX", "gateways that a node keeps to")
    # The ledger.
    x.put("request_bytes", 4_400, "B a request in SQLite", "148 requests of `make demo-domain`: pages of entries, receipts, reservations and their indices")
    x.put("pg_bytes", 6_600, "B a request in PostgreSQL", "147 requests of the same demo with its ledger in PostgreSQL 15: entries, receipts and reservations with their indices")
    x.put("alone", 39, "statements a request by itself", "the same demo, `log_statement = all`: reservation, capture, two signatures")
    x.put("batched", 27, "statements a request in full batches", "the same list without what a batch does once: its begin and end, its number, epochs, the domain’s part")
    x.put("put_local", 1_034, "records written/s, one gateway", "pgbench 15, the transaction of `put_record` on this machine’s disk (fdatasync 98 µs), two cores shared with compilers")
    x.put("put_shared", 414, "records written/s, two gateways", "the same from two connections, which take turns by the lock")
    x.put("page_ms", 30, "ms a page of 1,000 members", "pgbench 15, the query of `records`")
    x.constant("sync", "host/gateway/src/members/dialling.rs", "SYNC", "s between two looks at all members")
    x.put("near", 0.073, "ms a statement, PostgreSQL on the gateway’s machine", "pgbench 15 over loopback, a prepared look at one row")
    x.assume("far", 0.5, "ms a statement, PostgreSQL on another machine", "a round trip within a data centre")
    # The chain. Gas: forge test --gas-report --match-test 'test_aBatchHasItsSize|test_aTreeOfAThousandIsShown|test_everybodyDrawsItsShare'.
    x.constant("charges_max", "host/chain/src/settle/batch.rs", "CHARGES_MAX", "charges a proposal")
    gas = "`forge test --gas-report`, `test_aBatchHasItsSize`"
    x.put("propose_one", 167_674, "gas", f"{gas}: `propose`, one charge")
    x.put("propose_all", 2_992_294, "gas", f"{gas}: `propose`, 256 charges")
    x.put("finalise_one", 120_601, "gas", f"{gas}: `finalise`, one charge")
    x.put("finalise_all", 3_168_213, "gas", f"{gas}: `finalise`, 256 charges")
    x.put("show_leaves", 3_878_414, "gas", "`forge test --gas-report`, `test_aTreeOfAThousandIsShown`: `answerContest`, 1,000 leaves")
    x.put("admit", 168_803, "gas", "`forge test --gas-report`: `admitNode`")
    x.put("claim", 93_953, "gas", "`forge test --gas-report`: `claim`, four leaves")
    x.put("word_gas", 4, "gas a zero byte of calldata", "EIP-2028; 16 a byte that is none")
    x.constant("gas_max", "host/chain/src/wallet.rs", "GAS_MAX", "gas a transaction")
    x.assume("block", 12, "s a block", "Ethereum’s; rollups have 2 and less")
    x.assume("block_gas", 36_000_000, "gas a block", "Ethereum’s is of that order")
    x.put("epoch", DAY, "s an epoch", "`GAIA_EPOCH_SECONDS`, [contracts/README.md](../contracts/README.md)")
    return x


# Four words of which two are addresses and two small numbers; three of which one is.
CHARGE_BYTES, CHARGE_ZEROS = 128, 78
LEAF_BYTES, LEAF_ZEROS = 96, 52


def calldata(x, size, zeros):
    """Gas for so many bytes of a transaction."""
    return zeros * x.word_gas + (size - zeros) * 16


def per_charge(x):
    """Gas of a charge, proposed and taken, beyond what a batch costs anyway."""
    executed = (x.propose_all - x.propose_one + x.finalise_all - x.finalise_one) / (x.charges_max - 1)
    return executed + 2 * calldata(x, CHARGE_BYTES, CHARGE_ZEROS)


def per_leaf(x):
    """Gas of a leaf that is shown."""
    return x.show_leaves / 1_000 + calldata(x, LEAF_BYTES, LEAF_ZEROS)


def seconds_of_answer(x):
    """How long an answer takes when a node is full."""
    return x.answer / (x.node_speed / x.sequences)


class Domain:
    """A domain of `nodes` nodes."""

    def __init__(self, x, nodes):
        self.nodes = nodes
        self.mean = nodes * x.requests
        self.top = self.mean * x.peak
        self.per_day = self.mean * DAY
        self.running = self.top * seconds_of_answer(x)
        self.tokens = self.top * x.answer
        self.requests_cpu = self.top * x.cpu_stream / 1e6
        self.nodes_cpu = nodes * (x.cpu_line / x.beat + x.cpu_beat / x.signed_beat) / 1e6
        # Full to seven tenths, so that one may fail; two at least, for the same reason.
        by_running = ceil(self.running / (x.running_max * 0.7))
        # A gateway hears every node, whatever else it does; four cores each. Where that alone is more, none can.
        free = 4 * 0.7 - self.nodes_cpu
        by_cpu = ceil(self.requests_cpu / free) if free > 0 else 0
        self.gateways = max(2, by_running, by_cpu)
        self.cpu_each = self.requests_cpu / self.gateways + self.nodes_cpu
        self.memory_each = x.rest + (nodes * x.tunnel_kib + self.running / self.gateways * x.stream_kib) / 1024
        self.files_each = nodes + x.connections_max + 64
        self.beats = nodes / x.signed_beat * self.gateways
        self.lines = nodes / x.beat * self.gateways
        self.notes = nodes / noted_every(x)
        self.looks = ceil(nodes / 1_000) * x.page_ms / 1000 / x.sync * self.gateways
        self.statements = self.top * x.batched
        self.busy_near = self.statements * x.near / 1000
        self.busy_far = self.statements * x.far / 1000
        self.bytes_day = self.per_day * x.pg_bytes
        self.sqlite_day = self.per_day * x.request_bytes
        self.once = nodes * x.admit
        self.accounts = self.per_day / x.per_account
        self.batches = ceil(self.accounts / x.charges_max)
        self.operators = ceil(nodes / x.per_operator)
        self.leaves = self.operators + 1
        self.gas = self.batches * (x.propose_one + x.finalise_one) + self.accounts * per_charge(x)
        self.show = self.leaves * per_leaf(x)
        self.drawn = self.operators * x.claim
        self.settle_hours = 2 * self.batches * x.block / 3600
        self.reports = nodes * x.tunnel_bytes * self.gateways
        self.streams = self.tokens * x.chunk


def noted_every(x):
    """A signed sign of life is written when the last one written is older: so at the first multiple beyond."""
    return ceil(x.note / x.signed_beat) * x.signed_beat


def number(value):
    """As people read it: three digits that count."""
    if value >= 100:
        digits = 10 ** max(len(str(int(value))) - 3, 0)
        return f"{round(value / digits) * digits:,.0f}"
    return f"{value:.3g}"


def size(value):
    """Bytes in steps of a thousand."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{number(value)} {unit}"
        value /= 1000
    return ""


def needs(x):
    """The table of what a domain needs."""
    domains = [Domain(x, nodes) for nodes in NODES]
    rows = [
        ("requests/s, over the day · at the peak", lambda d: f"{number(d.mean)} · {number(d.top)}"),
        ("answers that run at the peak", lambda d: number(d.running)),
        ("**gateways** (four cores each)", lambda d: f"**{number(d.gateways)}**"),
        ("cores busy a gateway: nodes · requests", lambda d: f"{number(d.nodes_cpu)} · {number(d.cpu_each - d.nodes_cpu)}"),
        ("memory a gateway", lambda d: f"{number(d.memory_each)} MiB"),
        ("tunnels a gateway", lambda d: number(d.nodes)),
        ("file descriptors a gateway", lambda d: number(d.files_each)),
        ("lines of reports/s · signed ones/s, all gateways", lambda d: f"{number(d.lines)} · {number(d.beats)}"),
        ("members written to the ledger/s", lambda d: number(d.notes)),
        ("time of the ledger’s connections for looking at members", lambda d: f"{number(d.looks * 100)} %"),
        ("statements/s of requests at the peak", lambda d: number(d.statements)),
        ("the same as time of one connection, near · far", lambda d: f"{number(d.busy_near * 100)} % · {number(d.busy_far * 100)} %"),
        ("what a request by itself waits for the ledger, near · far", lambda d: f"{number(x.alone * x.near)} ms · {number(x.alone * x.far)} ms"),
        ("ledger and receipts, a day: SQLite · PostgreSQL", lambda d: f"{size(d.sqlite_day)} · {size(d.bytes_day)}"),
        ("the latter in a year", lambda d: size(d.bytes_day * 365)),
        ("accounts charged an epoch", lambda d: number(d.accounts)),
        ("proposals an epoch", lambda d: number(d.batches)),
        ("gas an epoch · of what the chain has", lambda d: f"{number(d.gas / 1e6)} M · {number(d.gas / (x.block_gas * x.epoch / x.block) * 100)} %"),
        ("gas to admit all nodes, once · for every operator’s claim", lambda d: f"{number(d.once / 1e6)} M · {number(d.drawn / 1e6)} M"),
        ("an epoch’s proposals and their end, one a block", lambda d: f"{number(d.settle_hours)} h"),
        ("leaves of the tree · gas to show them", lambda d: f"{number(d.leaves)} · {number(d.show / 1e6)} M"),
        ("network: reports · answers, in and out each", lambda d: f"{size(d.reports)}/s · {size(d.streams)}/s"),
    ]
    lines = ["| | " + " | ".join(f"{nodes:,} nodes" for nodes in NODES) + " |", "|---|" + "--:|" * len(NODES)]
    return lines + ["| " + what + " | " + " | ".join(shown(one) for one in domains) + " |" for what, shown in rows]


def breaks(x):
    """What gives way at how many nodes, the first first; and what to do then."""
    one = Domain(x, 1)

    def requests(statements, milliseconds):
        """Nodes whose requests keep the one connection that writes busy."""
        return 1000 / (statements * milliseconds) / one.top

    rows = [
        (x.running_max / one.running, "one gateway has no place for more answers at a time",
         "raise `requests_running_max`, or a second gateway, and with it PostgreSQL"),
        (requests(x.batched, x.far), "PostgreSQL on another machine: in full batches, too, each statement waits for the one before, and one gateway at a time writes",
         "put the database on a gateway’s machine; in the program: write a batch’s rows with one statement a table"),
        (requests(x.batched, x.near), "PostgreSQL beside a gateway, the same",
         "in the program: the same; then journals by account, each with a writer of its own"),
        (x.put_shared * noted_every(x), "signs of life alone keep the ledger busy with two gateways: each is written by itself, in a transaction",
         "in the program: write those of a second together; nothing else waits for them"),
        (x.put_local * noted_every(x), "signs of life alone, with one gateway",
         "as with two"),
        (x.gateways_max * x.running_max / one.running, f"{x.gateways_max} gateways have no place for more answers at a time",
         "raise `requests_running_max`"),
        (x.nodes_max, "`NODES_MAX`: every gateway takes every node, and no more than these",
         "in the program: each node keeps to some of the gateways, and the domain says to which"),
        (x.epoch / (2 * x.block) * x.charges_max / one.accounts, "an epoch’s charges take longer than an epoch, one transaction a block",
         "a chain with shorter blocks; in the program: several transactions on their way"),
        (x.gas_max / per_leaf(x) * x.per_operator, "a contested tree of shares does not fit into a transaction, so a domain could not answer",
         "several domains; or another escrow, with trees of trees"),
        (x.members_max, "`MEMBERS_MAX`", "a constant; what it bounds is above"),
        (1000 * x.sync * 1000 / x.page_ms, "reading all members takes all the time of a gateway’s connection",
         "in the program: read what changed since the last look"),
    ]
    rows.sort(key=lambda row: row[0])
    lines = ["| Nodes | What gives way | What to change |", "|--:|---|---|"]
    return lines + [f"| {number(round(nodes))} | {what} | {change} |" for nodes, what, change in rows]


def sources(x):
    """Every input."""
    lines = ["| Input | | | Source |", "|---|--:|---|---|"]
    return lines + [f"| `{name}` | {value:,} | {unit} | {source} |" for name, value, unit, source in x.rows]


def kept_on(page):
    """Figures of other pages, as a page has them."""
    found = {}
    for name, value, unit, source in re.findall(r"^\| `(\w+)` \| ([\d.,]+) \| (.*?) \| (.*) \|$", page, re.MULTILINE):
        if "performance.md" in source:
            text = value.replace(",", "")
            found[name] = (float(text) if "." in text else int(text), unit, source)
    return found


def computed(kept):
    """What stands between the marks."""
    x = read(kept)
    parts = [["### What it needs", "", *needs(x)], ["### Where it breaks first", "", *breaks(x)],
             ["### From what this is computed", "", *sources(x)]]
    return "\n\n".join("\n".join(part) for part in parts)


def main():
    page = PAGE.read_text()
    text = f"{BEGIN}\n{computed(kept_on(page) if sys.argv[1:] == ['--check'] else {})}\n{END}"
    if sys.argv[1:] == []:
        print(text)
        return 0
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    wanted = before + text + after
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(wanted)
        return 0
    if sys.argv[1:] == ["--check"]:
        if page == wanted:
            return 0
        old, new = page.splitlines(), wanted.splitlines()
        for line in [line for line in new if line not in old][:5]:
            print(f"scale: docs/scale.md lacks: {line}", file=sys.stderr)
        print("scale: inputs have changed; scripts/scale.py --write, then read the page again", file=sys.stderr)
        return 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
