# The contracts' tools, from npm, at the versions that contracts/package-lock.json names: forge, anvil, the compiler,
# OpenZeppelin's contracts. Their install scripts have nothing to do here and are not run.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/setup/report.sh
. scripts/setup/path.sh

lock=contracts/package-lock.json
stamp=contracts/node_modules/.gaia-lock
if [ -e "$stamp" ] && cmp --silent "$lock" "$stamp"; then
    quiet "tools for the contracts"
    exit
fi
step "tools for the contracts (140 MB)"
(cd contracts && npm ci --silent --no-audit --no-fund --ignore-scripts) >"$GAIA_CACHE/contracts.log" 2>&1 ||
    fail "npm failed in contracts/; see $GAIA_CACHE/contracts.log"
cp "$lock" "$stamp"
done_ "tools for the contracts"
