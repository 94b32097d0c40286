"""The pod's PostgreSQL, by this machine's programs: made as its image makes it, started with the manifest's arguments."""

import os
import subprocess
import time
from pathlib import Path

# Until it takes connections.
READY_SECONDS_MAX = 30
PASSWORD = "only4thischeck"


class Database:
    """A server with the ledger's database, behind TLS at a port of loopback."""

    def __init__(self, pod, port):
        self.pod, self.port = pod, port
        self.container = pod.spec["containers"][0]
        self.variables = {one["name"]: pod.moved(one["value"]) for one in self.container["env"]}
        self.socket = pod.at("/var/run/postgresql")
        self.process = None

    def start(self):
        """Makes its folder and starts it, as the user that the machine's PostgreSQL has where root does this."""
        v = self.variables
        Path(v["POSTGRES_PASSWORD_FILE"]).write_text(PASSWORD)
        self.own()
        self.run("initdb", f"--username={v['POSTGRES_USER']}", f"--pwfile={v['POSTGRES_PASSWORD_FILE']}", "--no-sync",
                 "-D", v["PGDATA"], *v["POSTGRES_INITDB_ARGS"].split())
        here = ["-D", v["PGDATA"], "-p", str(self.port), "-k", str(self.socket), "-c", "listen_addresses=127.0.0.1"]
        given = [self.pod.moved(word) for word in self.container["args"]]
        log = open(self.pod.folder / "postgres.log", "wb")
        self.process = subprocess.Popen([*self.user(), program("postgres"), *here, *given], stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log)
        self.await_ready()
        self.run("createdb", *self.there(), v["POSTGRES_DB"])

    def own(self):
        """Gives the pod's folders to who runs the server; what leads there may be walked through."""
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "postgres", self.pod.folder], check=True)
            for folder in self.pod.folder.parents:
                if str(folder).startswith("/tmp/"):
                    folder.chmod(0o711)

    def await_ready(self):
        """Until the pod's own probe says so."""
        probe = self.container["readinessProbe"]["exec"]["command"]
        end = time.monotonic() + READY_SECONDS_MAX
        while subprocess.run([program(probe[0]), *probe[1:]], env=self.environment()).returncode:
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError("PostgreSQL: " + (self.pod.folder / "postgres.log").read_text()[-500:])
            time.sleep(0.1)

    def environment(self):
        """Where this machine's clients find it."""
        return {**os.environ, "PGHOST": str(self.socket), "PGPORT": str(self.port)}

    def there(self):
        """The same as options."""
        return ["-h", str(self.socket), "-p", str(self.port), "-U", self.variables["POSTGRES_USER"]]

    def user(self):
        """PostgreSQL does not run as root."""
        return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def run(self, name, *words):
        """One of PostgreSQL's programs; what it says."""
        done = subprocess.run([*self.user(), program(name), *words], capture_output=True, text=True, cwd="/",
                              stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr}")
        return done.stdout.strip()

    def ask(self, question):
        """An answer in one word."""
        return self.run("psql", *self.there(), "-d", self.variables["POSTGRES_DB"], "-Atc", question)

    def stop(self):
        """Ends it as its image asks to be ended."""
        if self.process:
            pid = (Path(self.variables["PGDATA"]) / "postmaster.pid").read_text().split()[0]
            os.kill(int(pid), 2)
            self.process.wait(timeout=60)


def program(name):
    """As Debian installs it."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else name
