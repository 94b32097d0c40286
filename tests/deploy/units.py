"""systemd's units and HAProxy's file, by systemd and by HAProxy; and what the units start, by its help."""

import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import programs
from found import ROOT, wrong

# Of ten, times ten: systemd-analyze's exposure. What is left is the network and what is in the units' comments.
EXPOSURE_MAX = 16
# Where units find the system's own.
UNITS = Path("/usr/lib/systemd/system")


def check_systemd(folder):
    """Units that systemd reads without a word, that are shut in, and that start what there is."""
    if not shutil.which("systemd-analyze"):
        yield "systemd-analyze is missing: apt-get install systemd"
        return
    units = sorted(folder.glob("*.service"))
    with tempfile.TemporaryDirectory(prefix="gaia-units-") as at:
        root = Path(at)
        for path in ("/usr/lib/gaia/gaia", "/bin/sh"):
            (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            (root / path[1:]).touch(mode=0o755)
        shutil.copytree(UNITS, root / "usr/lib/systemd/system", symlinks=True, ignore=lambda _, names: [
            name for name in names if not name.endswith((".target", ".slice"))])
        placed = root / "etc/systemd/system"
        placed.mkdir(parents=True)
        for unit in units:
            shutil.copy(unit, placed)
            done = run("systemd-analyze", "verify", "--man=no", f"--root={root}", placed / unit.name)
            yield from wrong(done.returncode == 0 and not said(done), f"{unit.name}: {said(done)}")
            done = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", placed / unit.name)
            yield from wrong(done.returncode == 0, f"{unit.name}: {done.stdout.strip().splitlines()[-1:]}")
    for unit in units:
        yield from started(unit)
    yield from users(folder, units)


def started(unit):
    """What a unit starts is understood by what it starts."""
    text = unit.read_text()
    line = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE).group(1)
    words = shlex.split(line)
    if words[0] == "/bin/sh":
        # Either it becomes the program, or it becomes what the program says.
        inner = re.search(r"\$\$\(([^)]*)\)", words[-1])
        words = shlex.split(inner.group(1) if inner and "eval" in words[-1] else words[-1].split(" exec ")[-1])
    yield from wrong(words[0] == "/usr/lib/gaia/gaia", f"{unit.name} starts {words[0]}")
    yield from (f"{unit.name}: {found}" for found in programs.understood(words))
    read = "".join((ROOT / path).read_text() for path in programs.READERS)
    for variable in re.findall(r"\b(GAIA_[A-Z_]+)=", text):
        yield from wrong(f'"{variable}"' in read, f"{unit.name}: nobody reads {variable}")


def users(folder, units):
    """Every unit's user is made."""
    made = set(re.findall(r"^u (\S+)", (folder / "gaia.sysusers").read_text(), re.MULTILINE))
    for unit in units:
        user = re.search(r"^User=(.*)$", unit.read_text(), re.MULTILINE).group(1)
        yield from wrong(user in made, f"{unit.name}: nobody makes the user {user}")


def check_haproxy(folder):
    """HAProxy takes the file, with a certificate made for it."""
    program = next((path for path in ("/usr/sbin/haproxy", shutil.which("haproxy")) if path and Path(path).exists()), None)
    if not program:
        yield "haproxy is missing: apt-get install haproxy"
        return
    with tempfile.TemporaryDirectory(prefix="gaia-haproxy-") as at:
        pem = certificate(Path(at))
        text = (folder / "haproxy.cfg").read_text()
        (Path(at) / "haproxy.cfg").write_text(text.replace("/etc/haproxy/domain.pem", str(pem)))
        done = run(program, "-c", "-f", Path(at) / "haproxy.cfg")
        yield from wrong(done.returncode == 0 and "[WARNING]" not in said(done), f"haproxy.cfg: {said(done)}")
    router = (ROOT / "host/gateway/src/router.rs").read_text()
    for path in re.findall(r"httpchk GET (\S+)", text):
        yield from wrong(f'"{path}"' in router, f"haproxy.cfg: no gateway answers {path}")
    # A second try of what was sent could be paid twice.
    tries = set(re.findall(r"retry-on (.*)", text))
    yield from wrong(tries <= {"conn-failure", "none"}, f"haproxy.cfg sends again what was sent: {tries}")


def certificate(folder):
    """A certificate for localhost, with its key, by an authority that is made for it."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    run("openssl", "req", "-x509", *curve, "-subj", "/CN=only for this check", "-keyout", folder / "ca.key", "-out", folder / "ca.crt")
    run("openssl", "req", "-x509", *curve, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
        "-addext", "basicConstraints=critical,CA:FALSE", "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key",
        "-keyout", folder / "tls.key", "-out", folder / "tls.crt")
    both = folder / "both.pem"
    both.write_text((folder / "tls.crt").read_text() + (folder / "tls.key").read_text())
    return both


def run(*words):
    """A program, to its end."""
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def said(done):
    """What it complained of. That its clock or its machine is not as it likes is nobody's fault here."""
    return "\n".join(line for line in done.stderr.splitlines() if "valid" not in line.lower() or "invalid" in line.lower()).strip()
