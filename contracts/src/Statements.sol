// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice A node's request to serve a domain, signed by the node's key.
struct NodeJoin {
    bytes32 domainId;
    address node;
    address operator;
    bytes32 configHash;
    string endpoint;
    uint64 nonce;
    uint64 expiry;
}

/// @notice An operator's word that a node earns for it, signed by the operator.
struct OperatorConsent {
    bytes32 domainId;
    address node;
    address operator;
    uint64 nonce;
    uint64 expiry;
}

/// @notice A node's word that it serves the domain no longer, signed by the node's key.
struct NodeLeave {
    bytes32 domainId;
    address node;
    uint64 nonce;
    uint64 expiry;
}

/// @notice A node's sign of life. It stays off chain; its form is here so that both sides share one definition.
struct Heartbeat {
    bytes32 domainId;
    address node;
    uint64 sequence;
    uint64 time;
    bytes32 stateHash;
}

/// @notice What a request cost, signed by the node that served it and by the domain's gateway.
/// @dev `cost` and the payer's cumulatives are nano-USD; `inputTokens` excludes the cached ones. `accountCumulative` is
/// all that this payer's account in this asset was ever charged, this request included. `nodeCumulative` is all that
/// the node has earned for `operator` in this asset, through `epoch` and this request included: the operator's parts,
/// in nano-units of the asset, each rounded down at the price of its epoch.
struct Receipt {
    bytes32 domainId;
    bytes32 requestId;
    bytes32 keyId;
    address payer;
    address asset;
    address node;
    address operator;
    bytes32 model;
    uint32 priceVersion;
    uint64 inputTokens;
    uint64 cachedTokens;
    uint64 outputTokens;
    uint64 cost;
    uint64 keyCumulative;
    uint64 accountCumulative;
    uint64 nodeCumulative;
    uint64 epoch;
    uint64 time;
}

/// @title What people and nodes of a domain sign, as EIP-712 hashes it
/// @notice The same structs are hashed off chain; `vectors/eip712.json` holds both sides to each other.
library Statements {
    bytes32 internal constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 internal constant NODE_JOIN_TYPEHASH = keccak256(
        "NodeJoin(bytes32 domainId,address node,address operator,bytes32 configHash,string endpoint,uint64 nonce,uint64 expiry)"
    );
    bytes32 internal constant OPERATOR_CONSENT_TYPEHASH =
        keccak256("OperatorConsent(bytes32 domainId,address node,address operator,uint64 nonce,uint64 expiry)");
    bytes32 internal constant NODE_LEAVE_TYPEHASH =
        keccak256("NodeLeave(bytes32 domainId,address node,uint64 nonce,uint64 expiry)");
    bytes32 internal constant HEARTBEAT_TYPEHASH =
        keccak256("Heartbeat(bytes32 domainId,address node,uint64 sequence,uint64 time,bytes32 stateHash)");
    bytes32 internal constant RECEIPT_TYPEHASH = keccak256(
        "Receipt(bytes32 domainId,bytes32 requestId,bytes32 keyId,address payer,address asset,address node,address operator,bytes32 model,uint32 priceVersion,uint64 inputTokens,uint64 cachedTokens,uint64 outputTokens,uint64 cost,uint64 keyCumulative,uint64 accountCumulative,uint64 nodeCumulative,uint64 epoch,uint64 time)"
    );

    /// @notice The separator that OpenZeppelin's EIP712 computes for name "Gaia", version "1".
    function separator(uint256 chainId, address verifyingContract) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256(bytes("Gaia")), keccak256(bytes("1")), chainId, verifyingContract)
        );
    }

    function hash(NodeJoin memory join) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                NODE_JOIN_TYPEHASH,
                join.domainId,
                join.node,
                join.operator,
                join.configHash,
                keccak256(bytes(join.endpoint)),
                join.nonce,
                join.expiry
            )
        );
    }

    // The other structs hold only values of one word, so that their ABI encoding is what EIP-712 asks for.

    function hash(OperatorConsent memory consent) internal pure returns (bytes32) {
        return keccak256(abi.encode(OPERATOR_CONSENT_TYPEHASH, consent));
    }

    function hash(NodeLeave memory leaving) internal pure returns (bytes32) {
        return keccak256(abi.encode(NODE_LEAVE_TYPEHASH, leaving));
    }

    function hash(Heartbeat memory heartbeat) internal pure returns (bytes32) {
        return keccak256(abi.encode(HEARTBEAT_TYPEHASH, heartbeat));
    }

    function hash(Receipt memory receipt) internal pure returns (bytes32) {
        return keccak256(abi.encode(RECEIPT_TYPEHASH, receipt));
    }
}
