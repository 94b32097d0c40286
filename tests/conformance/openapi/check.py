"""Lets schemathesis hold a node to its own /openapi.json.

usage: check.py RESULTS.xml [PATH...]    only these paths
"""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from node import Node  # noqa: E402

# Requests that are made up for each operation.
EXAMPLES_MAX = 25

# Other names of routes that are tested under their own.
ALIASES = [
    "/chat/completions",
    "/chat/completions/input_tokens",
    "/completions",
    "/embeddings",
    "/models",
    "/rerank",
    "/responses",
]


def main(results, *only):
    """Starts a node that answers shortly and runs the checks."""
    # Answers of a few words: what is tested is the shape.
    settings = {"n_predict_max": 2, "ctx_size": 512, "queue_len_max": 64}
    with Node(settings) as node:
        command = [
            sys.executable, "-m", "schemathesis.cli", "run", f"{node.url}/openapi.json",
            "--phases", "examples,fuzzing",
            *(word for path in only for word in ("--include-path", path)),
            *(word for path in ALIASES for word in ("--exclude-path", path)),
            "--max-examples", str(EXAMPLES_MAX),
            # What a schema cannot say is 400 too: the model's vocabulary, its context, whether a text is a grammar.
            "--exclude-checks", "positive_data_acceptance",
            "--seed", "42",
            "--request-timeout", "60",
            "--workers", "1",
            "--continue-on-failure",
            "--no-color",
            "--report", "junit", "--report-junit-path", results,
        ]
        # It leaves files where it runs.
        return subprocess.run(command, check=False, cwd=node.home).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
