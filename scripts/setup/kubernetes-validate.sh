# kubernetes-validate, which has the schemas of Kubernetes' objects: from PyPI into the cache, at one version.
# Prints the folder for PYTHONPATH.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup/report.sh
. scripts/setup/python-tool.sh

version=1.37.0
python_tool kubernetes-validate "$version" "kubernetes-validate $version" "kubernetes-validate==$version"
