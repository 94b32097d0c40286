// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Math } from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice What a model costs, in nano-USD per million tokens. `model` is the keccak256 of the model's name.
struct PriceRow {
    bytes32 model;
    uint64 input;
    uint64 cached;
    uint64 output;
}

/// @notice The tokens of one request; `input` excludes the cached ones.
struct TokenCounts {
    uint64 input;
    uint64 cached;
    uint64 output;
}

/// @title What a request costs
library Prices {
    /// @notice Prices are per that many tokens.
    uint256 internal constant TOKENS = 1e6;

    /// @notice The request's cost in nano-USD, rounded up once.
    function cost(PriceRow memory row, TokenCounts memory tokens) internal pure returns (uint256) {
        uint256 sum = uint256(tokens.input) * row.input + uint256(tokens.cached) * row.cached + uint256(tokens.output)
            * row.output;
        return Math.ceilDiv(sum, TOKENS);
    }
}
