# OpenAI's own Python package, for the README's example: into the cache, at the versions that the conformance suite pins.
# Prints the folder for PYTHONPATH.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup/report.sh
. scripts/setup/python-tool.sh

pins=tests/conformance/openai_client/requirements-3.txt
python_tool openai-python "$(sha256sum "$pins" | cut -c1-12)" "OpenAI's Python package" --constraint "$pins" openai
