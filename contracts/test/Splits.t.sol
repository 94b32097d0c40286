// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Nano } from "../src/Nano.sol";
import { PriceRow, Prices, TokenCounts } from "../src/Prices.sol";
import { Splits } from "../src/Splits.sol";
import { Test, vm } from "./support/Vm.sol";

/// @notice Libraries revert inside a call, so that a test can expect it.
contract Arithmetic {
    function split(uint64 amount, uint16[] memory bps) external pure returns (uint64[] memory) {
        return Splits.split(amount, bps);
    }

    function fromBase(uint256 baseUnits, uint8 decimals) external pure returns (uint64) {
        return Nano.fromBase(baseUnits, decimals);
    }

    function toBase(uint64 amount, uint8 decimals) external pure returns (uint256, uint64) {
        return Nano.toBase(amount, decimals);
    }
}

contract SplitsTest is Test {
    Arithmetic private arithmetic = new Arithmetic();

    function test_remaindersGoToTheLargestAndOfEqualsToTheFirst() external view {
        checkSplit(10, [3333, 3333, 3334], [3, 3, 4]);
        checkSplit(1, [5000, 5000, 0], [1, 0, 0]);
        checkSplit(1, [0, 1, 9999], [0, 0, 1]);
        checkSplit(2, [3000, 3000, 4000], [1, 0, 1]);
        checkSplit(0, [1, 2, 9997], [0, 0, 0]);
    }

    function testFuzz_partsAddUpAndEachIsWithinOneUnit(uint64 amount, uint16[] memory weights) external view {
        uint16[] memory bps = whole(weights);
        uint64[] memory parts = arithmetic.split(amount, bps);
        uint256 sum;
        for (uint256 i; i < parts.length; ++i) {
            uint256 exact = uint256(amount) * bps[i] / 10_000;
            vm.assertLe(exact, parts[i], "floored part");
            vm.assertLe(parts[i], exact + 1, "one unit more at most");
            sum += parts[i];
        }
        vm.assertEq(sum, amount);
    }

    function test_whatIsNotTheWholeIsRefused() external {
        uint16[] memory bps = new uint16[](2);
        (bps[0], bps[1]) = (5000, 4999);
        vm.expectRevert(abi.encodeWithSelector(Splits.SplitNotWhole.selector, 9999));
        arithmetic.split(1, bps);
        vm.expectRevert(abi.encodeWithSelector(Splits.SplitPartsOutOfRange.selector, 0));
        arithmetic.split(1, new uint16[](0));
        vm.expectRevert(abi.encodeWithSelector(Splits.SplitPartsOutOfRange.selector, 33));
        arithmetic.split(1, new uint16[](33));
        uint16[] memory most = new uint16[](32);
        most[31] = 10_000;
        vm.assertEq(arithmetic.split(7, most)[31], 7);
    }

    function test_baseUnitsAreCreditedExactly() external {
        vm.assertEq(arithmetic.fromBase(1, 6), 1000);
        vm.assertEq(arithmetic.fromBase(5e9, 18), 5);
        vm.assertEq(arithmetic.fromBase(7, 9), 7);
        vm.expectRevert(abi.encodeWithSelector(Nano.NanoNotWhole.selector, 1e9 + 1));
        arithmetic.fromBase(1e9 + 1, 18);
        vm.expectRevert(abi.encodeWithSelector(Nano.NanoTooManyDecimals.selector, 28));
        arithmetic.fromBase(1e9, 28);
        vm.expectRevert(abi.encodeWithSelector(Nano.NanoTooMuch.selector, 2 ** 63));
        arithmetic.fromBase(2 ** 63 * 1e9, 18);
        vm.expectRevert(
            abi.encodeWithSelector(Nano.NanoTooMuch.selector, uint256(Nano.AMOUNT_MAX) / 1000 * 1000 + 1000)
        );
        arithmetic.fromBase(uint256(Nano.AMOUNT_MAX) / 1000 + 1, 6);
        vm.expectRevert(abi.encodeWithSelector(Nano.NanoTooMuch.selector, type(uint256).max));
        arithmetic.fromBase(type(uint256).max, 6);
    }

    function testFuzz_baseUnitsComeBackWholeAndTheRestStays(uint64 amount, uint8 decimals) external view {
        decimals = uint8(bound(decimals, 0, Nano.DECIMALS_MAX));
        amount = uint64(bound(amount, 0, Nano.AMOUNT_MAX));
        (uint256 baseUnits, uint64 worth) = arithmetic.toBase(amount, decimals);
        vm.assertLe(worth, amount, "never more");
        vm.assertEq(arithmetic.fromBase(baseUnits, decimals), worth);
        uint256 unit = decimals < 9 ? 10 ** (9 - decimals) : 1;
        vm.assertGt(unit, amount - worth, "less than one base unit stays");
    }

    function testFuzz_aCostFitsExactlyWhenItsUnitsFit(uint64 cost, uint64 price, uint64 balance) external pure {
        price = uint64(bound(price, 1, 1e15));
        bool byUnits = Nano.unitsFor(cost, price) <= balance;
        bool byWorth = cost <= Nano.worth(balance, price);
        vm.assertTrue(byUnits == byWorth, "two ways to ask the same");
    }

    function test_aRequestIsRoundedOnce() external pure {
        PriceRow memory row = PriceRow({ model: 0, input: 1, cached: 1, output: 1 });
        vm.assertEq(Prices.cost(row, TokenCounts(1, 1, 1)), 1);
        vm.assertEq(Prices.cost(row, TokenCounts(0, 0, 0)), 0);
        vm.assertEq(Prices.cost(row, TokenCounts(1e6, 0, 0)), 1);
        vm.assertEq(Prices.cost(row, TokenCounts(1e6, 1, 0)), 2);
    }

    function testFuzz_aRequestCostsTheSumRoundedUp(uint64 tokens, uint64 price) external pure {
        PriceRow memory row = PriceRow({ model: 0, input: price, cached: price, output: price });
        uint256 cost = Prices.cost(row, TokenCounts(tokens, tokens, tokens));
        uint256 exact = 3 * uint256(tokens) * price;
        vm.assertLe(exact, cost * 1e6, "covers");
        vm.assertTrue(cost == 0 || (cost - 1) * 1e6 < exact, "by less than a unit");
    }

    function checkSplit(uint64 amount, uint16[3] memory bps, uint8[3] memory expected) private view {
        uint16[] memory list = new uint16[](3);
        for (uint256 i; i < 3; ++i) {
            list[i] = bps[i];
        }
        uint64[] memory parts = arithmetic.split(amount, list);
        for (uint256 i; i < 3; ++i) {
            vm.assertEq(parts[i], expected[i]);
        }
    }

    /// @dev Any list made into one that adds up.
    function whole(uint16[] memory weights) private pure returns (uint16[] memory bps) {
        uint256 length = weights.length == 0 ? 1 : weights.length > 32 ? 32 : weights.length;
        bps = new uint16[](length);
        uint16 left = 10_000;
        for (uint256 i; i + 1 < length; ++i) {
            bps[i] = uint16(bound(weights[i], 0, left));
            left -= bps[i];
        }
        bps[length - 1] = left;
    }
}
