# kubernetes-validate, which has the schemas of Kubernetes' objects: from PyPI into the cache, at one version.
# Prints the folder for PYTHONPATH.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup/report.sh

version=1.37.0
folder="$GAIA_CACHE/kubernetes-validate/$version-$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
if [ ! -e "$folder/ready" ]; then
    step "kubernetes-validate $version"
    rm -rf "$folder"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target "$folder" "kubernetes-validate==$version" \
        >"$GAIA_CACHE/kubernetes-validate.log" 2>&1 || fail "pip failed on kubernetes-validate; see $GAIA_CACHE/kubernetes-validate.log"
    touch "$folder/ready"
    done_ "kubernetes-validate $version"
fi
printf '%s\n' "$folder"
