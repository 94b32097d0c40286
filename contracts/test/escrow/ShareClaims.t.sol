// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { DomainEscrow } from "../../src/DomainEscrow.sol";
import { ShareClaims } from "../../src/escrow/ShareClaims.sol";
import { Fixture } from "../support/Fixture.sol";
import { ReenteringToken } from "../support/Hostile.sol";
import { ShareTree } from "../support/ShareTree.sol";
import { vm } from "../support/Vm.sol";

contract ShareClaimsTest is Fixture {
    address private constant NODE_OWNER = address(0x3001);
    address private constant AUTHOR = address(0x3002);

    function setUp() public override {
        super.setUp();
        depositDollars(payer, 100e6);
        depositDollars(other, 100e6);
        nextEpoch();
    }

    function test_everybodyDrawsItsShare() external {
        earn(10 * DOLLAR, 7 * DOLLAR, 3 * DOLLAR);
        claim(NODE_OWNER, 7 * DOLLAR, 7 * DOLLAR, 3 * DOLLAR);
        claim(AUTHOR, 3 * DOLLAR, 7 * DOLLAR, 3 * DOLLAR);
        vm.assertEq(dollar.balanceOf(NODE_OWNER), 7e6);
        vm.assertEq(dollar.balanceOf(AUTHOR), 3e6);
        vm.assertEq(escrow.paidTo(AUTHOR, address(dollar)), 3 * DOLLAR);
        checkPurse(10 * DOLLAR, 10 * DOLLAR);
    }

    function test_nothingIsClaimedTwice() external {
        earn(10 * DOLLAR, 7 * DOLLAR, 3 * DOLLAR);
        claim(AUTHOR, 3 * DOLLAR, 7 * DOLLAR, 3 * DOLLAR);
        vm.expectRevert(ShareClaims.ClaimNothing.selector);
        this.claim(AUTHOR, 3 * DOLLAR, 7 * DOLLAR, 3 * DOLLAR);
    }

    /// @dev ACPSimple set what was claimed before it subtracted it, so that nobody was ever paid.
    function testFuzz_aClaimPaysTheDifferenceToWhatWasPaid(uint32 first, uint32 second) external {
        uint64 before = uint64(bound(first, 1, 40e6)) * 1000;
        uint64 more = uint64(bound(second, 1, 40e6)) * 1000;
        earn(before, before, 0);
        claim(NODE_OWNER, before, before, 0);
        vm.assertEq(dollar.balanceOf(NODE_OWNER), before / 1000);
        earn(more, before + more, 0);
        claim(NODE_OWNER, before + more, before + more, 0);
        vm.assertEq(dollar.balanceOf(NODE_OWNER), (before + more) / 1000);
    }

    /// @dev A tree that promises more than was earned pays what was earned.
    function testFuzz_aTreeCannotPayMoreThanWasEarned(uint64 promised) external {
        promised = uint64(bound(promised, 10 * DOLLAR, type(uint64).max));
        earn(10 * DOLLAR, promised, 3 * DOLLAR);
        claim(NODE_OWNER, promised, promised, 3 * DOLLAR);
        vm.assertEq(dollar.balanceOf(NODE_OWNER), 10e6);
        vm.expectRevert(ShareClaims.ClaimNothing.selector);
        this.claim(AUTHOR, 3 * DOLLAR, promised, 3 * DOLLAR);
        // What others deposited is untouched.
        vm.assertEq(dollar.balanceOf(address(escrow)), 190e6);
        // What is earned later is paid later.
        earn(3 * DOLLAR, 10 * DOLLAR, 3 * DOLLAR);
        claim(AUTHOR, 3 * DOLLAR, 10 * DOLLAR, 3 * DOLLAR);
        vm.assertEq(dollar.balanceOf(AUTHOR), 3e6);
    }

    function test_lessThanABaseUnitStaysClaimable() external {
        earn(10_999, 1999, 9000);
        claim(NODE_OWNER, 1999, 1999, 9000);
        vm.assertEq(dollar.balanceOf(NODE_OWNER), 1);
        vm.assertEq(escrow.paidTo(NODE_OWNER, address(dollar)), 1000);
        vm.expectRevert(ShareClaims.ClaimNothing.selector);
        this.claim(NODE_OWNER, 1999, 1999, 9000);
        earn(1, 2000, 9000);
        claim(NODE_OWNER, 2000, 2000, 9000);
        vm.assertEq(dollar.balanceOf(NODE_OWNER), 2);
    }

    function testFuzz_aProofIsForOneLeaf(address account, uint64 cumulative) external {
        vm.assume(account != NODE_OWNER || cumulative != 7 * DOLLAR);
        bytes32[] memory leaves = leavesOf(7 * DOLLAR, 3 * DOLLAR);
        bytes32[] memory proof = ShareTree.proof(leaves, leaves[0]);
        vm.expectRevert(ShareClaims.ClaimProofWrong.selector);
        escrow.claim(account, address(dollar), cumulative, proof);
        earn(10 * DOLLAR, 7 * DOLLAR, 3 * DOLLAR);
        vm.expectRevert(ShareClaims.ClaimProofWrong.selector);
        escrow.claim(account, address(dollar), cumulative, proof);
        vm.expectRevert(ShareClaims.ClaimProofWrong.selector);
        escrow.claim(NODE_OWNER, address(token), 7 * DOLLAR, proof);
    }

    function test_aTokenThatCallsBackIsNotPaidTwice() external {
        ReenteringToken twice = new ReenteringToken();
        vm.prank(owner);
        id = registry.createDomain("another", gateway);
        address[] memory list = new address[](1);
        list[0] = address(twice);
        escrow = new DomainEscrow(id, registry, prices, list, terms());
        vm.prank(owner);
        registry.bindContracts(id, address(escrow), address(0));
        twice.mint(address(this), 100e6);
        twice.approve(address(escrow), 100e6);
        escrow.deposit(address(twice), 100e6, payer);
        settle(one(payer, address(twice), DOLLAR), ShareTree.leaf(AUTHOR, address(twice), DOLLAR));
        bytes32[] memory none = new bytes32[](0);
        twice.aim(address(escrow), abi.encodeCall(ShareClaims.claim, (AUTHOR, address(twice), DOLLAR, none)));
        escrow.claim(AUTHOR, address(twice), DOLLAR, none);
        vm.assertTrue(twice.tried() && !twice.succeeded(), "called back and got nowhere");
        vm.assertEq(twice.balanceOf(AUTHOR), 1e6);
    }

    function earn(uint64 cost, uint64 nodeOwner, uint64 author) private {
        bytes32[] memory leaves = leavesOf(nodeOwner, author);
        settle(one(payer, address(dollar), cost), ShareTree.root(leaves));
    }

    function claim(address account, uint64 cumulative, uint64 nodeOwner, uint64 author) public {
        bytes32[] memory leaves = leavesOf(nodeOwner, author);
        bytes32 leaf = ShareTree.leaf(account, address(dollar), cumulative);
        escrow.claim(account, address(dollar), cumulative, ShareTree.proof(leaves, leaf));
    }

    function leavesOf(uint64 nodeOwner, uint64 author) private view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](2);
        leaves[0] = ShareTree.leaf(NODE_OWNER, address(dollar), nodeOwner);
        leaves[1] = ShareTree.leaf(AUTHOR, address(dollar), author);
    }

    function checkPurse(uint128 earned, uint128 paid) private view {
        (uint128 hasEarned, uint128 hasPaid) = escrow.purseOf(address(dollar));
        vm.assertEq(hasEarned, earned);
        vm.assertEq(hasPaid, paid);
    }
}
