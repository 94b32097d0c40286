// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice One party's part of an amount, in basis points.
struct Share {
    address account;
    uint16 bps;
}

/// @title Exact splits
/// @notice An amount divided by basis points so that the parts add up to it: each part is floored, and what is left
/// goes, one unit each, to those with the largest remainders; of equal remainders the earlier in the list comes first.
library Splits {
    /// @notice The whole, in basis points.
    uint256 internal constant WHOLE = 10_000;
    /// @notice The most parts an amount is divided into.
    uint256 internal constant PARTS_MAX = 32;

    /// @dev No parts at all, or more than PARTS_MAX.
    error SplitPartsOutOfRange(uint256 parts);
    /// @dev The parts do not add up to the whole.
    error SplitNotWhole(uint256 bps);

    /// @notice Reverts unless the parts are 1 to PARTS_MAX and add up to 10,000.
    function check(uint16[] memory bps) internal pure {
        if (bps.length == 0 || bps.length > PARTS_MAX) revert SplitPartsOutOfRange(bps.length);
        uint256 sum;
        for (uint256 i; i < bps.length; ++i) {
            sum += bps[i];
        }
        if (sum != WHOLE) revert SplitNotWhole(sum);
    }

    /// @notice `amount` divided; the parts' sum is `amount`.
    function split(uint64 amount, uint16[] memory bps) internal pure returns (uint64[] memory parts) {
        check(bps);
        parts = new uint64[](bps.length);
        uint256[] memory remainders = new uint256[](bps.length);
        uint256 left = amount;
        for (uint256 i; i < bps.length; ++i) {
            uint256 product = uint256(amount) * bps[i];
            // A part is at most the amount, because bps[i] is at most the whole.
            // forge-lint: disable-next-line(unsafe-typecast)
            parts[i] = uint64(product / WHOLE);
            remainders[i] = product % WHOLE;
            left -= parts[i];
        }
        // What is left is the remainders' sum divided by the whole, so fewer units than parts with a remainder.
        for (; left > 0; --left) {
            uint256 place = _largest(remainders);
            parts[place] += 1;
            remainders[place] = 0;
        }
    }

    function _largest(uint256[] memory values) private pure returns (uint256 place) {
        for (uint256 i = 1; i < values.length; ++i) {
            if (values[i] > values[place]) place = i;
        }
    }
}
