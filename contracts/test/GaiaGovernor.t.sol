// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { EpochPrice } from "../src/EpochPrice.sol";
import { GaiaGovernor } from "../src/GaiaGovernor.sol";
import { GaiaToken } from "../src/GaiaToken.sol";
import { Test, vm } from "./support/Vm.sol";
import { IGovernor } from "@openzeppelin/contracts/governance/IGovernor.sol";
import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";

contract GaiaGovernorTest is Test {
    address private constant VOTER = address(0x7001);
    address private constant MINOR = address(0x7002);
    address private constant REPORTER = address(0x7003);
    uint256 private constant WAIT = 2 days;

    GaiaToken private token;
    TimelockController private timelock;
    GaiaGovernor private governor;
    EpochPrice private prices;

    function setUp() external {
        vm.warp(1_795_000_000);
        address[] memory anybody = new address[](1);
        timelock = new TimelockController(WAIT, new address[](0), anybody, address(this));
        token = new GaiaToken(address(timelock));
        governor = new GaiaGovernor(token, timelock, GaiaGovernor.Terms(1 days, 7 days, 1e6 * 1e18, 4));
        timelock.grantRole(timelock.PROPOSER_ROLE(), address(governor));
        timelock.grantRole(timelock.CANCELLER_ROLE(), address(governor));
        timelock.renounceRole(timelock.DEFAULT_ADMIN_ROLE(), address(this));
        EpochPrice.Bounds memory bounds = EpochPrice.Bounds(uint64(block.timestamp), 1 days, 1, 2000, 3);
        address[] memory reporters = new address[](1);
        reporters[0] = address(this);
        prices = new EpochPrice(address(token), address(timelock), reporters, 1e9, bounds);
        give(VOTER, 100e6 * 1e18);
        give(MINOR, 1e6 * 1e18);
        vm.warp(block.timestamp + 1);
    }

    function test_votersChooseAReporter() external {
        uint256 id = propose(VOTER);
        vm.warp(block.timestamp + 1 days + 1);
        vote(id, VOTER, 1);
        vm.warp(block.timestamp + 7 days);
        vm.assertTrue(governor.state(id) == IGovernor.ProposalState.Succeeded, "succeeded");
        vm.assertTrue(governor.proposalNeedsQueuing(id), "waits");
        (address[] memory targets, uint256[] memory values, bytes[] memory calls, bytes32 description) = what();
        governor.queue(targets, values, calls, description);
        vm.expectRevert();
        governor.execute(targets, values, calls, description);
        vm.warp(block.timestamp + WAIT);
        vm.prank(MINOR);
        governor.execute(targets, values, calls, description);
        vm.assertEq(prices.reporters()[1], REPORTER);
    }

    function testFuzz_withoutAQuorumNothingHappens(uint128 votes) external {
        address small = address(0x7004);
        give(small, bound(votes, 0, 39e6 * 1e18));
        uint256 id = propose(VOTER);
        vm.warp(block.timestamp + 1 days + 1);
        vote(id, small, 1);
        vm.warp(block.timestamp + 7 days);
        vm.assertTrue(governor.state(id) == IGovernor.ProposalState.Defeated, "defeated");
        (address[] memory targets, uint256[] memory values, bytes[] memory calls, bytes32 description) = what();
        vm.expectRevert();
        governor.queue(targets, values, calls, description);
    }

    function test_proposingTakesVotes() external {
        vm.assertEq(governor.proposalThreshold(), 1e6 * 1e18);
        vm.expectPartialRevert(IGovernor.GovernorInsufficientProposerVotes.selector);
        this.propose(address(0x7005));
        propose(MINOR);
    }

    function test_aProposerMayTakeItBackAndNobodyHasAnAdminsHand() external {
        uint256 id = propose(MINOR);
        (address[] memory targets, uint256[] memory values, bytes[] memory calls, bytes32 description) = what();
        vm.prank(MINOR);
        governor.cancel(targets, values, calls, description);
        vm.assertTrue(governor.state(id) == IGovernor.ProposalState.Canceled, "cancelled");
        vm.assertTrue(!timelock.hasRole(timelock.DEFAULT_ADMIN_ROLE(), address(this)), "renounced");
        vm.expectRevert();
        timelock.schedule(targets[0], 0, calls[0], 0, 0, WAIT);
    }

    function test_thereIsOneSupply() external view {
        vm.assertEq(token.totalSupply(), 1e9 * 1e18);
        vm.assertEq(token.CLOCK_MODE(), "mode=timestamp");
        vm.assertEq(token.clock(), block.timestamp);
        vm.assertEq(token.nonces(VOTER), 0);
    }

    function testFuzz_votesFollowTheTokens(uint128 amount) external {
        uint256 moved = bound(amount, 0, 100e6 * 1e18);
        vm.prank(VOTER);
        vm.assertTrue(token.transfer(MINOR, moved), "moved");
        vm.assertEq(token.getVotes(VOTER), 100e6 * 1e18 - moved);
        vm.assertEq(token.getVotes(MINOR), 1e6 * 1e18 + moved);
    }

    function propose(address proposer) public returns (uint256) {
        (address[] memory targets, uint256[] memory values, bytes[] memory calls,) = what();
        vm.prank(proposer);
        return governor.propose(targets, values, calls, "one more reporter");
    }

    function vote(uint256 id, address voter, uint8 support) private {
        vm.prank(voter);
        governor.castVote(id, support);
    }

    function give(address account, uint256 amount) private {
        vm.prank(address(timelock));
        vm.assertTrue(token.transfer(account, amount), "given");
        vm.prank(account);
        token.delegate(account);
        vm.warp(block.timestamp + 1);
    }

    function what()
        private
        view
        returns (address[] memory targets, uint256[] memory values, bytes[] memory calls, bytes32 description)
    {
        (targets, values, calls) = (new address[](1), new uint256[](1), new bytes[](1));
        targets[0] = address(prices);
        calls[0] = abi.encodeCall(EpochPrice.setReporter, (REPORTER, true));
        description = keccak256("one more reporter");
    }
}
