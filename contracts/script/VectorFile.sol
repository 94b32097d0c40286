// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Nano } from "../src/Nano.sol";
import { PriceRow } from "../src/Prices.sol";
import { Splits } from "../src/Splits.sol";
import { Heartbeat, NodeJoin, NodeLeave, OperatorConsent, Receipt, Statements } from "../src/Statements.sol";
import { ShareTree } from "../test/support/ShareTree.sol";
import { vm } from "../test/support/Vm.sol";

/// @title What the other side must compute too
/// @notice Fixed inputs and what the contracts make of them, as JSON. Numbers are decimal text, because some of them
/// are larger than what JSON readers hold.
library VectorFile {
    uint256 private constant NODE_KEY = 0xA11CE;
    uint256 private constant OPERATOR_KEY = 0xB0B;
    uint256 private constant GATEWAY_KEY = 0xCAFE;
    uint256 private constant CHAIN_ID = 31_337;
    address private constant REGISTRY = 0x5FbDB2315678afecb367f032d93F642f64180aa3;
    address private constant ASSET = 0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512;
    address private constant PAYER = 0x70997970C51812dc3A010C7d01b50e0d17dc79C8;

    function write(string memory path) internal {
        domain();
        nodeJoin();
        operatorConsent();
        nodeLeave();
        heartbeat();
        string memory all = receipt();
        all = vm.serializeString("all", "shares", shares());
        all = vm.serializeString("all", "splits", splits());
        all = vm.serializeString("all", "units", units());
        all = vm.serializeString("all", "prices", prices());
        vm.writeJson(all, path);
    }

    function domain() private {
        vm.serializeString("domain", "name", "Gaia");
        vm.serializeString("domain", "version", "1");
        vm.serializeString("domain", "chainId", vm.toString(CHAIN_ID));
        vm.serializeAddress("domain", "verifyingContract", REGISTRY);
        vm.serializeString("all", "domain", vm.serializeBytes32("domain", "separator", separator()));
    }

    function nodeJoin() private {
        NodeJoin memory join = NodeJoin({
            domainId: domainId(),
            node: vm.addr(NODE_KEY),
            operator: vm.addr(OPERATOR_KEY),
            configHash: keccak256("configuration"),
            endpoint: "https://node.example:8443",
            nonce: 7,
            expiry: 1_800_000_000
        });
        string memory o = "NodeJoin";
        vm.serializeBytes32(o, "domainId", join.domainId);
        vm.serializeAddress(o, "node", join.node);
        vm.serializeAddress(o, "operator", join.operator);
        vm.serializeBytes32(o, "configHash", join.configHash);
        vm.serializeString(o, "endpoint", join.endpoint);
        number(o, "nonce", join.nonce);
        number(o, "expiry", join.expiry);
        statement(o, Statements.NODE_JOIN_TYPEHASH, Statements.hash(join), NODE_KEY);
    }

    function operatorConsent() private {
        OperatorConsent memory consent = OperatorConsent({
            domainId: domainId(),
            node: vm.addr(NODE_KEY),
            operator: vm.addr(OPERATOR_KEY),
            nonce: 3,
            expiry: 1_800_000_001
        });
        string memory o = "OperatorConsent";
        vm.serializeBytes32(o, "domainId", consent.domainId);
        vm.serializeAddress(o, "node", consent.node);
        vm.serializeAddress(o, "operator", consent.operator);
        number(o, "nonce", consent.nonce);
        number(o, "expiry", consent.expiry);
        statement(o, Statements.OPERATOR_CONSENT_TYPEHASH, Statements.hash(consent), OPERATOR_KEY);
    }

    function nodeLeave() private {
        NodeLeave memory leaving =
            NodeLeave({ domainId: domainId(), node: vm.addr(NODE_KEY), nonce: 8, expiry: 1_800_000_002 });
        string memory o = "NodeLeave";
        vm.serializeBytes32(o, "domainId", leaving.domainId);
        vm.serializeAddress(o, "node", leaving.node);
        number(o, "nonce", leaving.nonce);
        number(o, "expiry", leaving.expiry);
        statement(o, Statements.NODE_LEAVE_TYPEHASH, Statements.hash(leaving), NODE_KEY);
    }

    function heartbeat() private {
        Heartbeat memory beat = Heartbeat({
            domainId: domainId(),
            node: vm.addr(NODE_KEY),
            sequence: 42,
            time: 1_795_000_000,
            stateHash: keccak256("state")
        });
        string memory o = "Heartbeat";
        vm.serializeBytes32(o, "domainId", beat.domainId);
        vm.serializeAddress(o, "node", beat.node);
        number(o, "sequence", beat.sequence);
        number(o, "time", beat.time);
        vm.serializeBytes32(o, "stateHash", beat.stateHash);
        statement(o, Statements.HEARTBEAT_TYPEHASH, Statements.hash(beat), NODE_KEY);
    }

    function receipt() private returns (string memory) {
        Receipt memory r = Receipt({
            domainId: domainId(),
            requestId: keccak256("request"),
            keyId: keccak256("access token"),
            payer: PAYER,
            asset: ASSET,
            node: vm.addr(NODE_KEY),
            operator: vm.addr(OPERATOR_KEY),
            model: keccak256("smollm2-135m-instruct"),
            priceVersion: 2,
            inputTokens: 1234,
            cachedTokens: 567,
            outputTokens: 89,
            cost: 330,
            keyCumulative: 1_000_000_007,
            accountCumulative: 9_223_372_036_854_775_807,
            nodeCumulative: 1_234_567_890_123,
            epoch: 20_000,
            time: 1_795_000_001
        });
        string memory o = "Receipt";
        vm.serializeBytes32(o, "domainId", r.domainId);
        vm.serializeBytes32(o, "requestId", r.requestId);
        vm.serializeBytes32(o, "keyId", r.keyId);
        vm.serializeAddress(o, "payer", r.payer);
        vm.serializeAddress(o, "asset", r.asset);
        vm.serializeAddress(o, "node", r.node);
        vm.serializeAddress(o, "operator", r.operator);
        vm.serializeBytes32(o, "model", r.model);
        number(o, "priceVersion", r.priceVersion);
        number(o, "inputTokens", r.inputTokens);
        number(o, "cachedTokens", r.cachedTokens);
        number(o, "outputTokens", r.outputTokens);
        number(o, "cost", r.cost);
        number(o, "keyCumulative", r.keyCumulative);
        number(o, "accountCumulative", r.accountCumulative);
        number(o, "nodeCumulative", r.nodeCumulative);
        number(o, "epoch", r.epoch);
        number(o, "time", r.time);
        return statement(o, Statements.RECEIPT_TYPEHASH, Statements.hash(r), GATEWAY_KEY);
    }

    function shares() private returns (string memory) {
        bytes32[] memory leaves = new bytes32[](5);
        string[] memory rows = new string[](5);
        for (uint160 i; i < 5; ++i) {
            address account = address(uint160(0x1000) + i);
            uint64 cumulative = uint64(1_000_000_000 * (i + 1) + i);
            leaves[i] = ShareTree.leaf(account, ASSET, cumulative);
            string memory o = string.concat("share", vm.toString(i));
            vm.serializeAddress(o, "account", account);
            vm.serializeAddress(o, "asset", ASSET);
            number(o, "cumulative", cumulative);
            rows[i] = vm.serializeBytes32(o, "leaf", leaves[i]);
        }
        for (uint256 i; i < 5; ++i) {
            string memory o = string.concat("share", vm.toString(i));
            rows[i] = vm.serializeBytes32(o, "proof", ShareTree.proof(leaves, leaves[i]));
        }
        list("shares", "leaves", rows);
        return vm.serializeBytes32("shares", "root", ShareTree.root(leaves));
    }

    function splits() private returns (string memory all) {
        uint16[] memory bps = new uint16[](4);
        (bps[0], bps[1], bps[2], bps[3]) = (1000, 3333, 3333, 2334);
        uint64[5] memory amounts = [uint64(0), 1, 3, 1_000_000_007, Nano.AMOUNT_MAX];
        string[] memory rows = new string[](5);
        for (uint256 i; i < 5; ++i) {
            string memory o = string.concat("split", vm.toString(i));
            number(o, "amount", amounts[i]);
            uint64[] memory parts = Splits.split(amounts[i], bps);
            string[] memory texts = new string[](4);
            for (uint256 j; j < 4; ++j) {
                texts[j] = vm.toString(parts[j]);
            }
            rows[i] = vm.serializeString(o, "parts", texts);
        }
        string[] memory whole = new string[](4);
        for (uint256 j; j < 4; ++j) {
            whole[j] = vm.toString(bps[j]);
        }
        vm.serializeString("splits", "bps", whole);
        return list("splits", "cases", rows);
    }

    function units() private returns (string memory) {
        uint64[5] memory costs = [uint64(1), 100_000_000_000, 110_000_000_000, 90_000_000_000, 7];
        uint64[5] memory price = [uint64(3), 1_100_000_000, 1_100_000_000, 900_000_000, 1_000_000_000];
        string[] memory rows = new string[](5);
        for (uint256 i; i < 5; ++i) {
            string memory o = string.concat("unit", vm.toString(i));
            uint256 amount = Nano.unitsFor(costs[i], price[i]);
            number(o, "costNanoUsd", costs[i]);
            number(o, "priceNanoUsd", price[i]);
            number(o, "units", amount);
            rows[i] = number(o, "worth", Nano.worth(uint64(amount), price[i]));
        }
        return list("units", "cases", rows);
    }

    function prices() private returns (string memory) {
        PriceRow[] memory rows = new PriceRow[](2);
        rows[0] =
            PriceRow({ model: keccak256("smollm2-135m-instruct"), input: 200_000, cached: 20_000, output: 800_000 });
        rows[1] = PriceRow({ model: keccak256("all-minilm-l6-v2"), input: 10_000, cached: 1000, output: 0 });
        string[] memory texts = new string[](2);
        for (uint256 i; i < 2; ++i) {
            string memory o = string.concat("price", vm.toString(i));
            vm.serializeBytes32(o, "model", rows[i].model);
            number(o, "input", rows[i].input);
            number(o, "cached", rows[i].cached);
            texts[i] = number(o, "output", rows[i].output);
        }
        list("prices", "rows", texts);
        return vm.serializeBytes32("prices", "tableHash", keccak256(abi.encode(rows)));
    }

    function statement(string memory o, bytes32 typehash, bytes32 structHash, uint256 key)
        private
        returns (string memory)
    {
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", separator(), structHash));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        vm.serializeBytes32(o, "typehash", typehash);
        vm.serializeBytes32(o, "structHash", structHash);
        vm.serializeBytes32(o, "digest", digest);
        vm.serializeBytes32(o, "signerKey", bytes32(key));
        vm.serializeAddress(o, "signer", vm.addr(key));
        return vm.serializeString("all", o, vm.serializeBytes(o, "signature", abi.encodePacked(r, s, v)));
    }

    function number(string memory o, string memory key, uint256 value) private returns (string memory) {
        return vm.serializeString(o, key, vm.toString(value));
    }

    /// @dev JSON objects as an object by place, because forge's serialiser knows no list of objects.
    function list(string memory o, string memory key, string[] memory rows) private returns (string memory) {
        string memory inner = string.concat(o, " ", key);
        string memory all;
        for (uint256 i; i < rows.length; ++i) {
            all = vm.serializeString(inner, vm.toString(i), rows[i]);
        }
        return vm.serializeString(o, key, all);
    }

    function separator() private pure returns (bytes32) {
        return Statements.separator(CHAIN_ID, REGISTRY);
    }

    function domainId() private pure returns (bytes32) {
        return keccak256("domain");
    }
}
