// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Math } from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Amounts in nano-units
/// @notice All books are kept in 10⁻⁹ of an asset; a token has its own smallest unit, the base unit. An asset with more
/// than nine decimals has several base units to a nano-unit, one with fewer has several nano-units to a base unit.
library Nano {
    /// @notice One whole unit of an asset.
    uint256 internal constant ONE = 1e9;
    /// @notice The most an account or a sum of charges can hold: what fits an `i64` off chain.
    uint64 internal constant AMOUNT_MAX = uint64(type(int64).max);
    /// @notice The most decimals an asset may have.
    uint8 internal constant DECIMALS_MAX = 27;

    /// @dev The asset has more decimals than this counts with.
    error NanoTooManyDecimals(uint8 decimals);
    /// @dev The amount is not a whole number of nano-units, so that a part of it could not be credited.
    error NanoNotWhole(uint256 baseUnits);
    /// @dev The amount is more than AMOUNT_MAX nano-units.
    error NanoTooMuch(uint256 amount);

    /// @notice Nano-units for that many base units, exactly.
    function fromBase(uint256 baseUnits, uint8 decimals) internal pure returns (uint64) {
        uint256 amount;
        if (decimals > 9) {
            uint256 unit = baseUnitsPerNano(decimals);
            if (baseUnits % unit != 0) revert NanoNotWhole(baseUnits);
            amount = baseUnits / unit;
        } else {
            if (baseUnits > AMOUNT_MAX) revert NanoTooMuch(baseUnits);
            amount = baseUnits * 10 ** (9 - decimals);
        }
        if (amount > AMOUNT_MAX) revert NanoTooMuch(amount);
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(amount);
    }

    /// @notice Base units for that many nano-units, floored, and the nano-units that they are worth.
    function toBase(uint64 amount, uint8 decimals) internal pure returns (uint256 baseUnits, uint64 whole) {
        if (decimals > 9) return (amount * baseUnitsPerNano(decimals), amount);
        uint256 unit = 10 ** (9 - decimals);
        baseUnits = amount / unit;
        // forge-lint: disable-next-line(unsafe-typecast)
        whole = uint64(baseUnits * unit);
    }

    /// @notice Nano-units of an asset at `price` (nano-USD for one whole unit) that pay for `cost` nano-USD, rounded up.
    function unitsFor(uint64 cost, uint64 price) internal pure returns (uint256) {
        return Math.ceilDiv(uint256(cost) * ONE, price);
    }

    /// @notice What nano-units of an asset are worth at `price`, in nano-USD, rounded down.
    function worth(uint64 amount, uint64 price) internal pure returns (uint256) {
        return uint256(amount) * price / ONE;
    }

    /// @dev For assets of more than nine decimals.
    function baseUnitsPerNano(uint8 decimals) private pure returns (uint256) {
        if (decimals > DECIMALS_MAX) revert NanoTooManyDecimals(decimals);
        return 10 ** (decimals - 9);
    }
}
