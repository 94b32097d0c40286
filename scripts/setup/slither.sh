# Slither, which reads contracts for what usually goes wrong: from PyPI into the cache, at one version.
# Prints the folder for PYTHONPATH.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup/report.sh
. scripts/setup/python-tool.sh

version=0.11.6
python_tool slither "$version" "Slither $version" "slither-analyzer==$version"
