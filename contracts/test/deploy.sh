#!/usr/bin/env bash
# The deployment on a real chain: anvil on a free port, everything put there by the one command, and looked at.
set -euo pipefail
cd "$(dirname "$0")/../.."

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
scripts/contracts.sh anvil --host 127.0.0.1 --port "$port" --silent &
anvil=$!
addresses=$(mktemp)
trap 'kill "$anvil" 2>/dev/null || true; rm -f "$addresses"' EXIT

for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
    kill -0 "$anvil" || { echo "anvil did not start" >&2 && exit 1; }
    sleep 0.1
done
scripts/contracts.sh deploy --rpc "http://127.0.0.1:$port" --out "$addresses"
python3 -m json.tool "$addresses" >/dev/null
scripts/contracts.sh check-deployment --rpc "http://127.0.0.1:$port"
# The same again: a second domain's contracts beside the first, and nothing that was there is touched.
GAIA_DOMAIN_NAME=second scripts/contracts.sh deploy --rpc "http://127.0.0.1:$port" >/dev/null
# What cannot work is said in one line.
if said=$(scripts/contracts.sh deploy --rpc "http://127.0.0.1:1" 2>&1); then
    echo "a deployment to nowhere was no error" >&2 && exit 1
fi
[[ "$said" == *"the deployment failed"* ]] || { echo "said: $said" >&2 && exit 1; }
echo "deployment: ok"
