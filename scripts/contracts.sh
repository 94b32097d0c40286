#!/usr/bin/env bash
# The contracts: their tools, their tests, and a chain to put them on.
#
# usage: scripts/contracts.sh VERB
#   setup                         install the tools that contracts/package-lock.json names
#   build                         compile
#   lint                          format, lints, static analysis
#   test [FORGE-TEST-OPTION...]   unit, fuzz and invariant tests, gas against the snapshot, a deployment to a real chain
#   deep                          the same tests with many more runs
#   gas                           measure the gas snapshot anew
#   vectors                       write contracts/vectors/eip712.json anew
#   coverage                      lines and branches that the tests reach; less than all is an error
#   slither                       static analysis alone
#   anvil [OPTION...]             a chain of one's own, in the foreground
#   deploy --rpc URL [--out FILE] put everything on a chain; addresses as JSON to FILE or standard output
#   fund --rpc URL ADDRESS        give an address coin and a thousand test dollars, on a chain of one's own
#   check-deployment --rpc URL    ask a chain whether the last deployment is there and in nobody's hands
#   check                         lint, test, coverage
set -euo pipefail
stood=$PWD
cd "$(dirname "$0")/.."
. scripts/setup/report.sh
. scripts/setup/path.sh
cd contracts

# The native program that npm has brought, or this machine's own where npm has none for it.
tool() {
    local found="node_modules/@foundry-rs/$1-linux-amd64/bin/$1"
    [ -x "$found" ] || found=$(command -v "$1") || fail "contracts: no $1; run scripts/contracts.sh setup, or install Foundry 1.7.1"
    printf '%s\n' "$found"
}
forge() { "$(tool forge)" "$@"; }

verb_setup() { bash ../scripts/setup/contracts.sh; }
verb_build() { forge build --quiet; }
verb_lint() {
    forge fmt --check
    # First, or the lints leave artifacts without bytecode that later builds take for whole.
    forge build --quiet
    forge lint src
    verb_slither
}
verb_test() {
    forge test --show-progress "$@"
    verb_gas_check
    bash test/deploy.sh
}
verb_deep() { FOUNDRY_PROFILE=deep forge test "$@"; }
# Only unit tests are measured: what a fuzzer or an invariant costs depends on its inputs.
verb_gas() { forge snapshot --quiet --match-path "$gas_paths" --no-match-test "$gas_without" --snap gas.snapshot; }
verb_gas_check() { forge snapshot --quiet --match-path "$gas_paths" --no-match-test "$gas_without" --check gas.snapshot --tolerance 3; }
gas_paths='test/{escrow/*,DomainRegistry.t.sol,DomainStake.t.sol,EpochPrice.t.sol,ComponentRegistry.t.sol}'
gas_without='testFuzz|invariant'
verb_vectors() { forge script script/Vectors.s.sol --quiet; }
# Unit and fuzz tests alone must reach every line and every branch.
verb_coverage() {
    forge coverage --report summary --no-match-coverage '^(test|script|node_modules)/' --no-match-path 'test/invariants/*' >out/coverage.txt 2>&1 ||
        { tail -n 30 out/coverage.txt >&2 && return 1; }
    grep '^| ' out/coverage.txt
    grep '^| Total' out/coverage.txt | grep -o '[0-9.]*%' | grep -vx '100.00%' >&2 || return 0
    fail "contracts: the tests do not reach everything; the table says where"
}
verb_slither() {
    local packages
    packages=$(bash ../scripts/setup/slither.sh)
    python3 analyse.py "$packages" "$(realpath "$(tool forge)")"
}
verb_anvil() { exec "$(tool anvil)" "$@"; }
verb_deploy() {
    local rpc="" out=""
    while [ $# -gt 0 ]; do
        case "$1" in
        --rpc) rpc="$2" && shift 2 ;;
        --out) out="$2" && shift 2 ;;
        *) fail "contracts: deploy does not know \`$1\`; say --rpc URL and, if you like, --out FILE" ;;
        esac
    done
    [ -n "$rpc" ] || fail "contracts: deploy to which chain? Say --rpc URL"
    # Nothing was compiled here yet where this is the first verb, and the log comes before forge.
    mkdir -p out
    rm -f out/deployment.json
    forge script script/Deploy.s.sol --rpc-url "$rpc" --broadcast --slow >out/deploy.log 2>&1 ||
        fail "contracts: the deployment failed: $(grep -m 1 -i error out/deploy.log || tail -n 1 out/deploy.log); all of it is in contracts/out/deploy.log"
    # A relative FILE is where the caller stands.
    [ -z "$out" ] || [[ "$out" == /* ]] || out="$stood/$out"
    if [ -n "$out" ]; then cp out/deployment.json "$out"; else cat out/deployment.json; fi
}
# What everybody may do on anvil: no key is needed. The test dollar is that of the last deployment.
verb_fund() {
    [ "${1:-}" = --rpc ] && [ -n "${2:-}" ] && [[ "${3:-}" =~ ^0x[0-9a-fA-F]{40}$ ]] ||
        fail "contracts: fund whom, on which chain? Say --rpc URL 0xADDRESS"
    [ -e out/deployment.json ] || fail "contracts: nothing was deployed from here yet; scripts/contracts.sh deploy --rpc $2"
    local rpc="$2" to="$3" stable deployer
    stable=$(said_in out/deployment.json stable) deployer=$(said_in out/deployment.json deployer)
    ask "$rpc" anvil_setBalance "[\"$to\", \"0x8ac7230489e80000\"]"
    # mint(address,uint256), 1,000 dollars of six digits after the point.
    ask "$rpc" eth_sendTransaction "[{\"from\": \"$deployer\", \"to\": \"$stable\",
        \"data\": \"0x40c10f19$(printf '%064s%064x' "${to#0x}" 1000000000 | tr ' ' 0)\"}]"
    printf '%s has 10 of the coin and 1,000 test dollars more\n' "$to"
}
said_in() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$@"; }
# A question by JSON-RPC that must not be refused.
ask() {
    local said
    said=$(curl --silent --show-error --fail "$1" -H 'Content-Type: application/json' \
        -d "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"$2\", \"params\": $3}") || fail "contracts: no chain answers at $1"
    [[ "$said" != *'"error"'* ]] || fail "contracts: the chain refused $2: $said; is it a chain of one's own?"
}
verb_check-deployment() {
    [ "${1:-}" = --rpc ] && [ -n "${2:-}" ] || fail "contracts: check the deployment on which chain? Say --rpc URL"
    mkdir -p out
    forge script script/CheckDeployment.s.sol --rpc-url "$2" >out/check.log 2>&1 || { tail -n 5 out/check.log >&2 && return 1; }
}
verb_check() {
    verb_lint
    verb_test
    verb_coverage
}

verb="${1:-}"
[ -z "$verb" ] || shift
case "$verb" in
setup | build | lint | test | deep | gas | vectors | coverage | slither | anvil | deploy | fund | check-deployment | check) "verb_$verb" "$@" ;;
*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' ../scripts/contracts.sh >&2 && exit 2 ;;
esac
