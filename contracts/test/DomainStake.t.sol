// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { DomainStake } from "../src/DomainStake.sol";
import { Fixture } from "./support/Fixture.sol";
import { vm } from "./support/Vm.sol";
import { ERC4626 } from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";

contract DomainStakeTest is Fixture {
    address private constant STAKER = address(0x5001);
    address private constant LATER = address(0x5002);

    function setUp() public override {
        super.setUp();
        stakeTokens(STAKER, 1000e18);
    }

    function test_stakeLeavesAfterTheCooldownAndWithinTheWindow() external {
        uint256 all = stake.balanceOf(STAKER);
        checkRedeem(all, false);
        request(all);
        vm.assertEq(stake.balanceOf(STAKER), 0);
        vm.assertEq(stake.leavingOf(STAKER).shares, all);
        vm.warp(START + COOLDOWN - 1);
        checkRedeem(all, false);
        vm.warp(START + COOLDOWN + LEAVE_WINDOW);
        checkRedeem(all, false);
        vm.warp(START + COOLDOWN);
        checkRedeem(all + 1, false);
        checkRedeem(all, true);
        vm.assertEq(token.balanceOf(STAKER), 1000e18);
        vm.assertEq(stake.totalSupply(), 0);
        checkRedeem(1, false);
    }

    function testFuzz_onlyWhatIsLeavingLeaves(uint128 leaving, uint128 taken) external {
        uint256 all = stake.balanceOf(STAKER);
        uint256 shares = bound(leaving, 1e6, all);
        request(shares);
        vm.warp(START + COOLDOWN);
        vm.assertEq(stake.maxRedeem(STAKER), shares);
        uint256 some = bound(taken, 0, stake.maxWithdraw(STAKER));
        vm.prank(STAKER);
        stake.withdraw(some, LATER, STAKER);
        vm.assertEq(token.balanceOf(LATER), some);
        vm.assertEq(stake.balanceOf(STAKER), all - shares);
        vm.assertApproxEqAbs(stake.totalAssets(), 1000e18 - some, 0, "the rest stays");
    }

    /// @dev A request whose cooldown is over must not let other shares out.
    function test_anOldRequestIsNoWayOutForOtherShares() external {
        request(1);
        stakeTokens(LATER, 1000e18);
        uint256 bought = stake.balanceOf(LATER);
        vm.warp(START + COOLDOWN);
        vm.prank(LATER);
        vm.assertTrue(stake.transfer(STAKER, bought), "shares can be handed on");
        vm.assertEq(stake.maxRedeem(STAKER), 1);
    }

    function test_aRequestCanBeTakenBackAndJoined() external {
        uint256 all = stake.balanceOf(STAKER);
        vm.expectRevert(abi.encodeWithSelector(DomainStake.StakeSharesOutOfRange.selector, 0));
        request(0);
        vm.expectRevert(abi.encodeWithSelector(DomainStake.StakeSharesOutOfRange.selector, all + 1));
        request(all + 1);
        request(all / 2);
        vm.warp(START + COOLDOWN);
        request(all / 2);
        checkRedeem(1, false);
        vm.prank(STAKER);
        stake.cancelUnstake();
        vm.assertEq(stake.balanceOf(STAKER), all);
        vm.expectRevert(abi.encodeWithSelector(DomainStake.StakeNotLeaving.selector, STAKER));
        vm.prank(STAKER);
        stake.cancelUnstake();
    }

    function test_somebodyWithAnAllowanceMayRedeem() external {
        uint256 all = stake.balanceOf(STAKER);
        request(all);
        vm.warp(START + COOLDOWN);
        vm.expectRevert();
        vm.prank(LATER);
        stake.redeem(all, LATER, STAKER);
        vm.prank(STAKER);
        stake.approve(LATER, all);
        vm.prank(LATER);
        stake.redeem(all, LATER, STAKER);
        vm.assertEq(token.balanceOf(LATER), 1000e18);
    }

    // Slashing

    function testFuzz_onlyTheEscrowSlashes(address caller) external {
        vm.assume(caller != address(escrow));
        vm.expectRevert(abi.encodeWithSelector(DomainStake.StakeNotEscrow.selector, caller));
        vm.prank(caller);
        stake.slash(1);
    }

    function test_anEpochsSlashingHasACap() external {
        vm.assertEq(slash(60e18), 60e18);
        (uint256 done, uint256 cap) = stake.slashing();
        vm.assertEq(done, 60e18);
        vm.assertEq(cap, 100e18);
        vm.assertEq(slash(60e18), 40e18);
        vm.assertEq(slash(60e18), 0);
        vm.assertEq(stake.totalAssets(), 900e18);
        nextEpoch();
        (done, cap) = stake.slashing();
        vm.assertEq(done, 0);
        vm.assertEq(cap, 90e18);
        vm.assertEq(slash(type(uint256).max), 90e18);
    }

    function testFuzz_slashingNeverRevertsAndNeverTakesMoreThanTheCap(uint256 amount, uint256 again) external {
        vm.assertLe(slash(amount) + slash(again), 100e18, "cap");
        vm.assertGe(stake.totalAssets(), 900e18, "what stays");
    }

    function test_anEmptyStakeIsSlashedByNothing() external {
        request(stake.balanceOf(STAKER));
        vm.warp(START + COOLDOWN);
        checkRedeem(stake.leavingOf(STAKER).shares, true);
        vm.assertEq(slash(1e18), 0);
        stakeTokens(LATER, 100e18);
        vm.assertEq(slash(100e18), 10e18);
    }

    function test_whatIsOnItsWayOutIsSlashedToo() external {
        stakeTokens(LATER, 1000e18);
        request(stake.balanceOf(STAKER));
        slash(200e18);
        vm.warp(START + COOLDOWN);
        checkRedeem(stake.leavingOf(STAKER).shares, true);
        vm.assertApproxEqAbs(token.balanceOf(STAKER), 900e18, 1, "a tenth less");
    }

    function test_whatIsSlashedIsBurnt() external {
        uint256 supply = token.totalSupply();
        slash(100e18);
        vm.assertEq(token.totalSupply(), supply - 100e18);
    }

    // A gift before the second staker comes

    function testFuzz_aGiftDoesNotTakeTheNextStakersMoney(uint96 gift, uint96 later) external {
        request(stake.balanceOf(STAKER) - 1);
        vm.warp(START + COOLDOWN);
        checkRedeem(stake.leavingOf(STAKER).shares, true);
        uint256 given = bound(gift, 1, 1e26);
        uint256 staked = bound(later, 1e18, 1e26);
        vm.assertTrue(token.transfer(address(stake), given), "gift");
        stakeTokens(LATER, staked);
        uint256 worth = stake.convertToAssets(stake.balanceOf(LATER));
        // What rounding takes is a millionth of the gift at most, so the gift is lost and nothing won.
        vm.assertGe(worth + given / 1e6 + 1, staked, "kept");
    }

    function test_rewardsRaiseWhatASharesIsWorth() external {
        vm.assertTrue(token.transfer(address(stake), 100e18), "a claim for the vault arrives so");
        vm.assertApproxEqAbs(stake.convertToAssets(stake.balanceOf(STAKER)), 1100e18, 1, "worth more");
        vm.assertEq(stake.decimals(), 24);
    }

    function test_termsMakeSense() external {
        checkTerms(DomainStake.Terms(REFUND, LEAVE_WINDOW, 1000));
        checkTerms(DomainStake.Terms(365 days + 1, LEAVE_WINDOW, 1000));
        checkTerms(DomainStake.Terms(COOLDOWN, 0, 1000));
        checkTerms(DomainStake.Terms(COOLDOWN, 365 days + 1, 1000));
        checkTerms(DomainStake.Terms(COOLDOWN, LEAVE_WINDOW, 0));
        checkTerms(DomainStake.Terms(COOLDOWN, LEAVE_WINDOW, 5001));
        DomainStake.Terms memory t = stake.terms();
        vm.assertEq(t.cooldownSeconds, COOLDOWN);
        vm.assertEq(t.windowSeconds, LEAVE_WINDOW);
        vm.assertEq(t.slashBps, 1000);
        vm.assertEq(stake.domainId(), id);
    }

    function checkTerms(DomainStake.Terms memory t) private {
        vm.expectRevert(DomainStake.StakeTermsInvalid.selector);
        new DomainStake(escrow, t);
    }

    function request(uint256 shares) private {
        vm.prank(STAKER);
        stake.requestUnstake(shares);
    }

    function slash(uint256 amount) private returns (uint256) {
        vm.prank(address(escrow));
        return stake.slash(amount);
    }

    function checkRedeem(uint256 shares, bool allowed) private {
        if (!allowed) vm.expectPartialRevert(ERC4626.ERC4626ExceededMaxRedeem.selector);
        vm.prank(STAKER);
        stake.redeem(shares, STAKER, STAKER);
    }
}
