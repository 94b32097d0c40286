# Node for building and testing the chat page: the machine's own if it is new enough, else one from the npm
# registry in the cache (Debian 12's is too old for the page's tools).
set -euo pipefail
. "$(dirname "$0")/report.sh"
. "$(dirname "$0")/path.sh"

if node_is_new "$(command -v node)"; then
    quiet "Node"
    exit
fi
step "Node: this machine's is older than $node_oldest; fetching one by npm (50 MB)"
mkdir -p "$GAIA_CACHE/node"
npm install --silent --no-audit --no-fund --prefix "$GAIA_CACHE/node" node@22 npm@11 >"$GAIA_CACHE/node.log" 2>&1 ||
    fail "Node could not be fetched; see $GAIA_CACHE/node.log, or install Node $node_oldest or newer"
done_ "Node $("$GAIA_CACHE/node/node_modules/.bin/node" --version)"
