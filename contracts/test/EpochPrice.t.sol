// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { EpochPrice } from "../src/EpochPrice.sol";
import { Fixture } from "./support/Fixture.sol";
import { vm } from "./support/Vm.sol";

contract EpochPriceTest is Fixture {
    function test_anEpochsPriceIsTheMedian() external {
        checkMedian([uint64(900_000_000), 1_050_000_000, 1_100_000_000], 1_050_000_000);
    }

    function test_oneWhoLiesDoesNotMoveTheMedian() external {
        checkMedian([uint64(1_010_000_000), 1e15, 1_020_000_000], 1_020_000_000);
    }

    function test_ofTwoTheLowerCounts() external {
        checkMedian([uint64(0), 1_100_000_000, 1_050_000_000], 1_050_000_000);
    }

    function testFuzz_theMedianIsOneThatWasPostedOrABound(uint64 a, uint64 b, uint64 c) external {
        uint64[3] memory posts = [inRange(a), inRange(b), inRange(c)];
        postEach(posts);
        nextEpoch();
        prices.roll();
        uint64 low = posts[0] < posts[1] ? posts[0] : posts[1];
        uint64 high = posts[0] < posts[1] ? posts[1] : posts[0];
        uint64 median = posts[2] < low ? low : posts[2] > high ? high : posts[2];
        uint64 bounded = median < 800_000_000 ? 800_000_000 : median > 1_200_000_000 ? 1_200_000_000 : median;
        vm.assertEq(prices.priceAt(1), bounded);
    }

    function test_aPriceMovesByTheBoundAndNoMore() external {
        checkMedian([uint64(5e9), 5e9, 5e9], 1_200_000_000);
        nextEpochAt(5e9);
        vm.assertEq(prices.priceAt(2), 1_440_000_000);
        nextEpochAt(1);
        vm.assertEq(prices.priceAt(3), 1_152_000_000);
    }

    function test_theBoundGrowsWithTheTimeWithoutNews() external {
        vm.warp(block.timestamp + 4 * EPOCH);
        nextEpochAt(5e9);
        // Five epochs of 20 % each since the last fresh price.
        vm.assertEq(prices.priceAt(5), 2e9);
        vm.warp(block.timestamp + 100 * EPOCH);
        prices.roll();
        nextEpochAt(1);
        vm.assertEq(prices.priceAt(106), 1);
    }

    function test_withoutPostsAPriceStaysForAWhile() external {
        nextEpochAt(1_100_000_000);
        postEach([uint64(1_150_000_000), 0, 0]);
        vm.warp(block.timestamp + 3 * EPOCH);
        prices.roll();
        vm.assertEq(prices.priceAt(2), 1_100_000_000);
        vm.assertEq(prices.priceAt(3), 1_100_000_000);
        vm.expectRevert(abi.encodeWithSelector(EpochPrice.PriceStale.selector, 4));
        prices.priceAt(4);
        vm.expectRevert(abi.encodeWithSelector(EpochPrice.PriceNotRolled.selector, 5));
        prices.priceAt(5);
        nextEpochAt(1_150_000_000);
        vm.assertEq(prices.priceAt(5), 1_150_000_000);
    }

    /// @dev When somebody rolls must not matter.
    function testFuzz_aPriceDoesNotDependOnWhenItIsRolled(uint64 first, uint64 second, bool early) external {
        post(inRange(first));
        nextEpoch();
        if (early) prices.roll();
        post(inRange(second));
        nextEpoch();
        prices.roll();
        uint64 one_ = clamp(inRange(first), 1e9);
        vm.assertEq(prices.priceAt(1), one_);
        vm.assertEq(prices.priceAt(2), clamp(inRange(second), one_));
    }

    function test_oneCallRollsSoFar() external {
        vm.warp(block.timestamp + 65 * EPOCH);
        vm.assertEq(prices.roll(), 65);
        vm.expectRevert(abi.encodeWithSelector(EpochPrice.PriceNotRolled.selector, 65));
        prices.priceAt(65);
        vm.assertEq(prices.roll(), 66);
        vm.assertEq(prices.roll(), 66);
    }

    function test_aReporterMayCorrectItself() external {
        postEach([uint64(5e9), 5e9, 5e9]);
        postEach([uint64(1_100_000_000), 1_100_000_000, 1_100_000_000]);
        vm.assertEq(prices.postOf(1, reporters[0]), 1_100_000_000);
        nextEpoch();
        prices.roll();
        vm.assertEq(prices.priceAt(1), 1_100_000_000);
    }

    function testFuzz_onlyReportersPost(address caller, uint64 price) external {
        vm.assume(caller != reporters[0] && caller != reporters[1] && caller != reporters[2]);
        vm.expectRevert(abi.encodeWithSelector(EpochPrice.PriceNotReporter.selector, caller));
        vm.prank(caller);
        prices.post(price);
    }

    function test_aPriceIsInRange() external {
        vm.expectRevert(abi.encodeWithSelector(EpochPrice.PriceOutOfRange.selector, 0));
        vm.prank(reporters[0]);
        prices.post(0);
        vm.expectRevert(abi.encodeWithSelector(EpochPrice.PriceOutOfRange.selector, 1e15 + 1));
        vm.prank(reporters[0]);
        prices.post(1e15 + 1);
    }

    // Reporters

    function testFuzz_onlyGovernanceChoosesReporters(address caller) external {
        vm.assume(caller != governance);
        vm.expectRevert(abi.encodeWithSelector(EpochPrice.PriceNotGovernance.selector, caller));
        vm.prank(caller);
        prices.setReporter(caller, true);
    }

    function test_reportersComeAndGo() external {
        setReporter(
            reporters[0], true, abi.encodeWithSelector(EpochPrice.PriceReporterUnchanged.selector, reporters[0])
        );
        setReporter(other, false, abi.encodeWithSelector(EpochPrice.PriceReporterUnchanged.selector, other));
        setReporter(reporters[0], false, "");
        vm.assertEq(prices.reporters().length, 2);
        setReporter(reporters[1], false, abi.encodeWithSelector(EpochPrice.PriceTooFewReporters.selector));
        for (uint160 i; i < 13; ++i) {
            setReporter(address(0x4000 + i), true, "");
        }
        setReporter(other, true, abi.encodeWithSelector(EpochPrice.PriceTooManyReporters.selector));
        setReporter(address(0x400C), false, "");
        setReporter(address(0x4005), false, "");
    }

    /// @dev What has begun is fixed with those who reported then.
    function test_whoLeavesHasReported() external {
        postEach([uint64(1_100_000_000), 1_100_000_000, 0]);
        nextEpoch();
        setReporter(reporters[0], false, "");
        vm.assertEq(prices.priceAt(1), 1_100_000_000);
        vm.warp(block.timestamp + 70 * EPOCH);
        setReporter(other, true, abi.encodeWithSelector(EpochPrice.PriceNotRolled.selector, 66));
        prices.roll();
        setReporter(other, true, "");
    }

    function test_boundsMakeSense() external {
        EpochPrice.Bounds memory b = bounds();
        b.epochSeconds = 0;
        checkBounds(b, 1, EpochPrice.PriceBoundsInvalid.selector);
        b = bounds();
        b.quorum = 0;
        checkBounds(b, 1, EpochPrice.PriceBoundsInvalid.selector);
        b = bounds();
        b.deviationBpsMax = 0;
        checkBounds(b, 1, EpochPrice.PriceBoundsInvalid.selector);
        b = bounds();
        b.genesis = START + 1;
        checkBounds(b, 1, EpochPrice.PriceBoundsInvalid.selector);
        checkBounds(bounds(), 0, EpochPrice.PriceOutOfRange.selector);
        checkBounds(bounds(), 1e15 + 1, EpochPrice.PriceOutOfRange.selector);
        b = bounds();
        b.quorum = 4;
        checkBounds(b, 1, EpochPrice.PriceTooFewReporters.selector);
        vm.assertEq(prices.genesis(), START);
        vm.assertEq(prices.epochSeconds(), EPOCH);
    }

    function checkBounds(EpochPrice.Bounds memory b, uint64 price, bytes4 reason) private {
        vm.expectPartialRevert(reason);
        new EpochPrice(address(token), governance, reporters, price, b);
    }

    function setReporter(address reporter, bool reports, bytes memory refusal) private {
        if (refusal.length > 0) vm.expectRevert(refusal);
        vm.prank(governance);
        prices.setReporter(reporter, reports);
    }

    function checkMedian(uint64[3] memory posts, uint64 expected) private {
        postEach(posts);
        nextEpoch();
        prices.roll();
        vm.assertEq(prices.priceAt(1), expected);
    }

    function postEach(uint64[3] memory posts) private {
        for (uint256 i; i < 3; ++i) {
            if (posts[i] == 0) continue;
            vm.prank(reporters[i]);
            prices.post(posts[i]);
        }
    }

    function inRange(uint64 price) private pure returns (uint64) {
        return uint64(bound(price, 1, 1e15));
    }

    function clamp(uint64 price, uint64 last) private pure returns (uint64) {
        uint64 low = last * 8 / 10;
        uint64 high = last * 12 / 10;
        return price < low ? low : price > high ? high : price;
    }
}
