"""Slither over src/: every finding is in slither-triage.json with the reason why it is none, and everything there is found.

Run by scripts/contracts.sh slither, which says where Slither's packages and forge are.
"""
import json
import os
import shutil
import subprocess
import sys

# Windows are hours and days; what a block's maker may shift are seconds.
LEFT_OUT = "timestamp"


def main() -> int:
    packages, forge = sys.argv[1:]
    # Folders of its own: Slither needs the compiler's whole output, which the tests do without, and takes in what is
    # left of an earlier one.
    for folder in ("out/slither", "cache/slither"):
        shutil.rmtree(folder, ignore_errors=True)
    build = [forge, "build", "src", "--quiet", "--build-info", "--out", "out/slither", "--cache-path", "cache/slither"]
    subprocess.run(build, check=True)
    path = "out/slither.json"
    if os.path.exists(path):
        os.remove(path)
    command = [sys.executable, "-m", "slither", ".", "--foundry-ignore-compile", "--foundry-out-directory", "out/slither", "--json", path]
    command += ["--filter-paths", "node_modules|test|script", "--exclude", LEFT_OUT]
    environment = dict(os.environ, PYTHONPATH=packages, PATH=os.path.dirname(forge) + os.pathsep + os.environ["PATH"])
    said = subprocess.run(command, capture_output=True, text=True, env=environment)
    if not os.path.exists(path):
        print(said.stderr, file=sys.stderr)
        return 1
    with open(path) as file:
        report = json.load(file)
    if not report["success"]:
        print(report["error"], file=sys.stderr)
        return 1
    return compare(report["results"].get("detectors", []))


def compare(findings: list) -> int:
    with open("slither-triage.json") as file:
        triage = json.load(file)
    found = {name(finding): finding["description"] for finding in findings}
    new = [key for key in found if key not in triage]
    gone = [key for key in triage if key not in found]
    for key in new:
        print(f"slither: new: {key}\n{found[key]}")
    for key in gone:
        print(f"slither: found no more, so take it out of slither-triage.json: {key}")
    print(f"slither: {len(found)} findings, {len(new)} of them new")
    return 1 if new or gone else 0


def name(finding: dict) -> str:
    """What a finding is called: its kind and where it is, without line numbers."""
    description = finding["description"].strip().split("\n")[0]
    if description.startswith("Reentrancy in "):
        description = description.removeprefix("Reentrancy in ")
    if description.startswith("Low level call in "):
        description = description.removeprefix("Low level call in ")
    if description.startswith("Function "):
        description = description.removeprefix("Function ")
    if description.startswith("Loop condition "):
        description = description.removeprefix("Loop condition ")
    return finding["check"] + " " + description.split(" (src/")[0]


if __name__ == "__main__":
    sys.exit(main())
