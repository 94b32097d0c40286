// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Hashes } from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";

/// @title The Merkle tree of shares, as OpenZeppelin's StandardMerkleTree lays it out
/// @notice Leaves are sorted by their hash and stand, reversed, at the end of an array; its first element is the root.
library ShareTree {
    function leaf(address account, address asset, uint64 cumulative) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, asset, cumulative))));
    }

    function build(bytes32[] memory leaves) internal pure returns (bytes32[] memory tree) {
        bytes32[] memory sorted = sort(leaves);
        tree = new bytes32[](2 * sorted.length - 1);
        for (uint256 i; i < sorted.length; ++i) {
            tree[tree.length - 1 - i] = sorted[i];
        }
        rootInOrder(tree);
    }

    /// @dev Fills a tree in whose second half the leaves stand; returns its root.
    function rootInOrder(bytes32[] memory tree) internal pure returns (bytes32) {
        for (uint256 i = tree.length / 2; i > 0; --i) {
            tree[i - 1] = Hashes.commutativeKeccak256(tree[2 * i - 1], tree[2 * i]);
        }
        return tree[0];
    }

    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        return build(leaves)[0];
    }

    function proof(bytes32[] memory leaves, bytes32 wanted) internal pure returns (bytes32[] memory path) {
        bytes32[] memory tree = build(leaves);
        uint256 place = leaves.length - 1;
        while (tree[place] != wanted) ++place;
        uint256 depth;
        for (uint256 i = place; i > 0; i = (i - 1) / 2) {
            ++depth;
        }
        path = new bytes32[](depth);
        for (uint256 i; place > 0; place = (place - 1) / 2) {
            path[i++] = tree[place % 2 == 0 ? place - 1 : place + 1];
        }
    }

    function sort(bytes32[] memory leaves) internal pure returns (bytes32[] memory sorted) {
        sorted = new bytes32[](leaves.length);
        for (uint256 i; i < leaves.length; ++i) {
            uint256 place = i;
            for (; place > 0 && sorted[place - 1] > leaves[i]; --place) {
                sorted[place] = sorted[place - 1];
            }
            sorted[place] = leaves[i];
        }
    }
}
