// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Receipt } from "../../src/Statements.sol";
import { DisputeBonds } from "../../src/escrow/DisputeBonds.sol";
import { Charge, EpochSettlement } from "../../src/escrow/EpochSettlement.sol";
import { ShareClaims } from "../../src/escrow/ShareClaims.sol";
import { CoSigned, Leaf, ShareContests } from "../../src/escrow/ShareContests.sol";
import { Fixture } from "../support/Fixture.sol";
import { ShareTree } from "../support/ShareTree.sol";
import { vm } from "../support/Vm.sol";

contract ShareContestsTest is Fixture {
    uint256 private constant OTHER_NODE_KEY = 0xD0D0;
    uint256 private constant NEW_GATEWAY_KEY = 0xFACE;
    uint64 private constant COST = 10 * DOLLAR;

    function setUp() public override {
        super.setUp();
        depositDollars(payer, 100e6);
        stakeTokens(address(this), 10_000e18);
        nextEpoch();
    }

    // What a contest decides

    function test_aTreeThatGivesEnoughIsShownAndPublished() external {
        (uint256 proposal, Charge[] memory charges) = proposed(7 * DOLLAR, 3 * DOLLAR);
        vm.warp(block.timestamp + CHALLENGE - 1);
        contest(proposal, promised(7 * DOLLAR));
        ShareContests.Contest memory demand = escrow.contestOf(proposal, 0);
        vm.assertEq(demand.operator, operator);
        vm.assertEq(demand.asset, address(dollar));
        vm.assertEq(demand.least, 7 * DOLLAR);
        vm.assertEq(demand.contester, other);
        vm.warp(block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.SettlementChallenged.selector, 1));
        escrow.finalise(proposal, charges);
        vm.warp(demand.respondBy);
        vm.prank(stranger);
        escrow.answerContest(proposal, 0, leavesOf(7 * DOLLAR, 3 * DOLLAR));
        vm.assertEq(escrow.bondsOf(gateway), BOND);
        escrow.finalise(proposal, charges);
        claim(operator, 7 * DOLLAR, 7 * DOLLAR, 3 * DOLLAR);
        claim(owner, 3 * DOLLAR, 7 * DOLLAR, 3 * DOLLAR);
        vm.assertEq(dollar.balanceOf(operator), 7e6);
        vm.assertEq(dollar.balanceOf(owner), 3e6);
    }

    function test_aTreeThatGivesTooLittleCancelsAndSlashes() external {
        (uint256 proposal, Charge[] memory charges) = proposed(7 * DOLLAR - 1, 3 * DOLLAR + 1);
        contest(proposal, promised(7 * DOLLAR));
        vm.expectRevert(abi.encodeWithSelector(ShareContests.ContestShareTooSmall.selector, 7 * DOLLAR - 1, 7 * DOLLAR));
        escrow.answerContest(proposal, 0, leavesOf(7 * DOLLAR - 1, 3 * DOLLAR + 1));
        uint64 respondBy = escrow.contestOf(proposal, 0).respondBy;
        vm.warp(respondBy);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ChallengeInTime.selector, respondBy));
        escrow.upholdContest(proposal, charges, 0);
        vm.warp(respondBy + 1);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ChallengeTooLate.selector, respondBy));
        escrow.answerContest(proposal, 0, leavesOf(7 * DOLLAR, 3 * DOLLAR));
        vm.prank(stranger);
        escrow.upholdContest(proposal, charges, 0);
        vm.assertEq(escrow.bondsOf(other), BOND);
        vm.assertEq(stake.totalAssets(), 10_000e18 - SLASH);
        vm.assertEq(chargedTo(payer, address(dollar)), 0);
        vm.assertTrue(escrow.proposalOf(proposal).state == EpochSettlement.State.Cancelled, "cancelled");
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.SettlementNotOpen.selector, proposal));
        escrow.finalise(proposal, charges);
        // The domain comes back with what it owes.
        (proposal, charges) = proposed(7 * DOLLAR, 3 * DOLLAR);
        vm.warp(block.timestamp + CHALLENGE);
        escrow.finalise(proposal, charges);
        claim(operator, 7 * DOLLAR, 7 * DOLLAR, 3 * DOLLAR);
    }

    function testFuzz_aTreeAnswersExactlyWhenItGivesWhatReceiptsSay(uint64 given, uint64 least) external {
        (uint256 proposal,) = proposed(given, 0);
        contest(proposal, promised(least));
        if (given < least) {
            vm.expectRevert(abi.encodeWithSelector(ShareContests.ContestShareTooSmall.selector, given, least));
        }
        escrow.answerContest(proposal, 0, leavesOf(given, 0));
    }

    function test_aTreeWithoutTheOperatorGivesItNothing() external {
        uint256 proposal = propose(one(payer, address(dollar), COST), ShareTree.leaf(owner, address(dollar), COST));
        contest(proposal, promised(1));
        Leaf[] memory leaves = new Leaf[](1);
        leaves[0] = Leaf(owner, address(dollar), COST);
        vm.expectRevert(abi.encodeWithSelector(ShareContests.ContestShareTooSmall.selector, 0, 1));
        escrow.answerContest(proposal, 0, leaves);
        leaves[0].account = operator;
        vm.expectPartialRevert(ShareContests.ContestTreeOther.selector);
        escrow.answerContest(proposal, 0, leaves);
        vm.expectRevert(abi.encodeWithSelector(ShareContests.ContestTreeOther.selector, bytes32(0)));
        escrow.answerContest(proposal, 0, new Leaf[](0));
    }

    /// @dev A leaf in one asset is none in another.
    function test_aShareInAnotherAssetIsNone() external {
        Leaf[] memory leaves = sorted(Leaf(operator, address(token), COST), Leaf(owner, address(dollar), COST));
        uint256 proposal = propose(one(payer, address(dollar), COST), ShareTree.root(hashesOf(leaves)));
        contest(proposal, promised(1));
        vm.expectRevert(abi.encodeWithSelector(ShareContests.ContestShareTooSmall.selector, 0, 1));
        escrow.answerContest(proposal, 0, leaves);
    }

    function test_nodesOfAnOperatorAddUp() external {
        admit(OTHER_NODE_KEY, 1);
        (uint256 proposal,) = proposed(10 * DOLLAR, 0);
        CoSigned[] memory both = new CoSigned[](2);
        (uint256 low, uint256 high) =
            vm.addr(OTHER_NODE_KEY) < node ? (OTHER_NODE_KEY, NODE_KEY) : (NODE_KEY, OTHER_NODE_KEY);
        both[0] = coSigned(low, receiptOf(low, 6 * DOLLAR));
        both[1] = coSigned(high, receiptOf(high, 5 * DOLLAR));
        contest(proposal, both);
        vm.assertEq(escrow.contestOf(proposal, 0).least, 11 * DOLLAR);
        (both[0], both[1]) = (both[1], both[0]);
        refused(proposal, both, abi.encodeWithSelector(ShareContests.ContestReceiptOther.selector, 1));
        both[0] = both[1];
        refused(proposal, both, abi.encodeWithSelector(ShareContests.ContestReceiptOther.selector, 1));
    }

    // What is no contest

    function test_receiptsAreOfOneOperatorAssetAndTree() external {
        admit(OTHER_NODE_KEY, 1);
        (uint256 proposal,) = proposed(COST, 0);
        Receipt memory receipt = receiptOf(NODE_KEY, 1);
        receipt.domainId = 0;
        refusedReceipt(proposal, receipt, 0);
        receipt = receiptOf(NODE_KEY, 1);
        receipt.epoch = 1;
        refusedReceipt(proposal, receipt, 0);
        CoSigned[] memory both = new CoSigned[](2);
        (uint256 low, uint256 high) =
            vm.addr(OTHER_NODE_KEY) < node ? (OTHER_NODE_KEY, NODE_KEY) : (NODE_KEY, OTHER_NODE_KEY);
        both[0] = coSigned(low, receiptOf(low, 1));
        receipt = receiptOf(high, 1);
        receipt.operator = stranger;
        both[1] = coSigned(high, receipt);
        bytes memory reason = abi.encodeWithSelector(ShareContests.ContestReceiptOther.selector, 1);
        refused(proposal, both, reason);
        receipt = receiptOf(high, 1);
        receipt.asset = address(token);
        both[1] = coSigned(high, receipt);
        refused(proposal, both, reason);
    }

    function test_aContestHasItsBondItsTimeAndItsTree() external {
        (uint256 proposal, Charge[] memory charges) = proposed(COST, 0);
        refused(proposal, new CoSigned[](0), abi.encodeWithSelector(ShareContests.ContestReceiptCount.selector, 0));
        refused(proposal, new CoSigned[](17), abi.encodeWithSelector(ShareContests.ContestReceiptCount.selector, 17));
        CoSigned[] memory receipts = promised(1);
        vm.expectRevert(abi.encodeWithSelector(DisputeBonds.ChallengeBondWrong.selector, BOND));
        escrow.contest(proposal, receipts);
        uint64 closesAt = escrow.proposalOf(proposal).closesAt;
        vm.warp(closesAt);
        refused(proposal, receipts, abi.encodeWithSelector(EpochSettlement.SettlementWindowClosed.selector, closesAt));
        escrow.finalise(proposal, charges);
        refused(proposal, receipts, abi.encodeWithSelector(EpochSettlement.SettlementNotOpen.selector, proposal));
        proposal = propose(one(payer, address(dollar), 1), 0);
        refused(proposal, receipts, abi.encodeWithSelector(ShareContests.ContestNoTree.selector, proposal));
    }

    function test_aContestTakesSixteenReceipts() external {
        (uint256 proposal,) = proposed(COST, 0);
        uint256[] memory keys = new uint256[](16);
        for (uint256 i; i < 16; ++i) {
            keys[i] = 0x5000 + i;
            admit(keys[i], 1);
            for (uint256 j = i; j > 0 && vm.addr(keys[j]) < vm.addr(keys[j - 1]); --j) {
                (keys[j], keys[j - 1]) = (keys[j - 1], keys[j]);
            }
        }
        CoSigned[] memory receipts = new CoSigned[](16);
        for (uint256 i; i < 16; ++i) {
            // Sums do not overflow, whatever a gateway signs.
            receipts[i] = coSigned(keys[i], receiptOf(keys[i], type(uint64).max));
        }
        contest(proposal, receipts);
        vm.assertEq(escrow.contestOf(proposal, 0).least, uint256(type(uint64).max) * 16);
    }

    function testFuzz_receiptsAreSignedByBoth(uint256 key) external {
        key = bound(key, 1, type(uint128).max);
        vm.assume(key != NODE_KEY && key != GATEWAY_KEY);
        (uint256 proposal,) = proposed(COST, 0);
        CoSigned[] memory receipts = promised(1);
        bytes memory byOther = signedReceipt(key, receipts[0].receipt);
        bytes memory byNode = receipts[0].nodeSignature;
        receipts[0].nodeSignature = byOther;
        refused(proposal, receipts, abi.encodeWithSelector(EpochSettlement.ReceiptNodeSignatureWrong.selector, node));
        (receipts[0].nodeSignature, receipts[0].gatewaySignature) = (byNode, byOther);
        refused(proposal, receipts, abi.encodeWithSelector(EpochSettlement.ReceiptGatewaySignatureWrong.selector));
        receipts[0] = coSigned(STRANGER_KEY, receiptOf(STRANGER_KEY, 1));
        refused(proposal, receipts, abi.encodeWithSelector(EpochSettlement.ReceiptNodeUnknown.selector, stranger));
    }

    /// @dev A domain that changes its key after it has proposed does not get away; a stolen key is worth nothing later.
    function test_theKeyOfTheProposalAndThePresentOneCount() external {
        (uint256 proposal, Charge[] memory charges) = proposed(COST, 0);
        vm.prank(owner);
        registry.setGateway(id, vm.addr(NEW_GATEWAY_KEY));
        CoSigned[] memory old = promised(1);
        contest(proposal, old);
        CoSigned[] memory signedAgain = promised(1);
        signedAgain[0].gatewaySignature = signedReceipt(NEW_GATEWAY_KEY, old[0].receipt);
        contest(proposal, signedAgain);
        vm.assertEq(escrow.contestCount(proposal), 2);
        vm.warp(block.timestamp + RESPONSE + 1);
        escrow.upholdContest(proposal, charges, 0);
        uint64 epoch = prices.currentEpoch() - 1;
        vm.prank(owner);
        proposal = escrow.propose(epoch, charges, "tree");
        refused(proposal, old, abi.encodeWithSelector(EpochSettlement.ReceiptGatewaySignatureWrong.selector));
        contest(proposal, signedAgain);
    }

    // What is published

    /// @dev A domain that keeps its word to the nodes and promises itself the rest of the purse as well.
    function test_aTreeThatWasShownAndCannotBePaidIsNotPublished() external {
        (uint256 proposal, Charge[] memory charges) = proposed(7 * DOLLAR, 3 * DOLLAR + 1);
        contest(proposal, promised(7 * DOLLAR));
        escrow.answerContest(proposal, 0, leavesOf(7 * DOLLAR, 3 * DOLLAR + 1));
        vm.warp(block.timestamp + CHALLENGE);
        escrow.finalise(proposal, charges);
        (bytes32 root,) = escrow.sharesRoot();
        vm.assertEq(root, 0);
        (uint128 earned,) = escrow.purseOf(address(dollar));
        vm.assertEq(earned, COST);
        // The next batch brings a tree that can be paid.
        nextEpoch();
        charges = one(payer, address(dollar), 1);
        settle(charges, ShareTree.root(hashesOf(leavesOf(7 * DOLLAR, 3 * DOLLAR + 1))));
        claim(operator, 7 * DOLLAR, 7 * DOLLAR, 3 * DOLLAR + 1);
    }

    function testFuzz_aTreeThatWasShownIsPublishedIfItCanBePaid(uint64 given, uint64 rest) external {
        (uint256 proposal, Charge[] memory charges) = proposed(given, rest);
        contest(proposal, promised(0));
        escrow.answerContest(proposal, 0, leavesOf(given, rest));
        vm.warp(block.timestamp + CHALLENGE);
        escrow.finalise(proposal, charges);
        (, uint256 of_) = escrow.sharesRoot();
        vm.assertEq(of_, uint256(given) + rest <= COST ? proposal : 0);
    }

    /// @dev The tree of a batch that comes late must not say less than the latest one's.
    function test_aLateBatchBringsNoOlderTree() external {
        nextEpoch();
        uint64 epoch = prices.currentEpoch() - 1;
        Charge[] memory charges = one(payer, address(dollar), COST);
        vm.prank(gateway);
        escrow.propose(epoch, charges, "through the epoch");
        charges = one(payer, address(dollar), 1);
        vm.prank(gateway);
        uint256 late = escrow.propose(epoch - 1, charges, "an older one");
        vm.assertEq(escrow.proposalOf(late).sharesEpoch, epoch);
        Receipt memory receipt = receiptOf(NODE_KEY, 5);
        receipt.epoch = epoch;
        CoSigned[] memory receipts = new CoSigned[](1);
        receipts[0] = coSigned(NODE_KEY, receipt);
        contest(late, receipts);
        receipts[0].receipt.epoch = epoch + 1;
        refused(late, receipts, abi.encodeWithSelector(ShareContests.ContestReceiptOther.selector, 0));
    }

    // Bonds

    function test_aCancelledBatchReleasesTheBondsOfItsContests() external {
        (uint256 proposal, Charge[] memory charges) = proposed(COST, 0);
        for (uint256 i; i < 3; ++i) {
            contest(proposal, promised(1));
        }
        challenge(proposal, charges, 0);
        escrow.answerContest(proposal, 2, leavesOf(COST, 0));
        vm.warp(block.timestamp + CHALLENGE);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.SettlementChallenged.selector, 3));
        escrow.finalise(proposal, charges);
        notOpen(1);
        escrow.releaseContestBond(proposal, 1);
        notOpen(2);
        escrow.upholdContest(proposal, charges, 2);
        notOpen(3);
        escrow.upholdContest(proposal, charges, 3);
        escrow.upholdContest(proposal, charges, 0);
        vm.assertEq(stake.totalAssets(), 10_000e18 - SLASH);
        escrow.releaseContestBond(proposal, 1);
        escrow.releaseBond(proposal, 0);
        vm.assertEq(escrow.bondsOf(other), 3 * BOND);
        vm.assertEq(escrow.bondsOf(gateway), BOND);
        for (uint256 i; i < 4; ++i) {
            notOpen(i);
            escrow.releaseContestBond(proposal, i);
        }
        vm.assertEq(address(escrow).balance, 4 * BOND);
    }

    /// @dev So that many contests cost the domain little more than one.
    function testFuzz_aTreeThatWasShownAnswersTheNextByALeaf(uint64 given, uint64 least) external {
        (uint256 proposal, Charge[] memory charges) = proposed(given, 1);
        contest(proposal, promised(0));
        contest(proposal, promised(least));
        bytes32[] memory proof = proofOf(given, 1, ShareTree.leaf(operator, address(dollar), given));
        vm.expectRevert(abi.encodeWithSelector(ShareContests.ContestTreeNotShown.selector, address(dollar)));
        escrow.answerContestByProof(proposal, 1, given, proof);
        escrow.answerContest(proposal, 0, leavesOf(given, 1));
        notOpen(0);
        escrow.answerContestByProof(proposal, 0, given, proof);
        vm.expectRevert(ShareClaims.ClaimProofWrong.selector);
        escrow.answerContestByProof(proposal, 1, given ^ 1, proof);
        if (given < least) {
            vm.expectRevert(abi.encodeWithSelector(ShareContests.ContestShareTooSmall.selector, given, least));
        }
        escrow.answerContestByProof(proposal, 1, given, proof);
        vm.assertTrue(escrow.contestOf(proposal, 1).answered == (given >= least), "answered");
        vm.warp(block.timestamp + RESPONSE + 1);
        if (given >= least) return;
        vm.expectPartialRevert(EpochSettlement.ChallengeTooLate.selector);
        escrow.answerContestByProof(proposal, 1, given, proof);
        escrow.upholdContest(proposal, charges, 1);
    }

    /// @dev What an answer costs the domain with a thousand who earn; the snapshot holds it.
    function test_aTreeOfAThousandIsShown() external {
        Leaf[] memory leaves = new Leaf[](1000);
        bytes32[] memory tree = new bytes32[](2 * leaves.length - 1);
        for (uint160 i; i < 1000; ++i) {
            leaves[i] = Leaf(address(0x7000_0000 + i), address(dollar), 1000);
        }
        leaves[500].account = operator;
        // In any order: a root is a root.
        for (uint256 i; i < 1000; ++i) {
            tree[tree.length - 1 - i] = ShareTree.leaf(leaves[i].account, leaves[i].asset, leaves[i].cumulative);
        }
        bytes32 root = ShareTree.rootInOrder(tree);
        uint256 proposal = propose(one(payer, address(dollar), COST), root);
        contest(proposal, promised(1000));
        escrow.answerContest(proposal, 0, leaves);
        vm.assertTrue(escrow.contestOf(proposal, 0).answered, "answered");
    }

    function proposed(uint64 given, uint64 rest) private returns (uint256 proposal, Charge[] memory charges) {
        charges = one(payer, address(dollar), COST);
        proposal = propose(charges, ShareTree.root(hashesOf(leavesOf(given, rest))));
    }

    function leavesOf(uint64 given, uint64 rest) private view returns (Leaf[] memory) {
        return sorted(Leaf(operator, address(dollar), given), Leaf(owner, address(dollar), rest));
    }

    function sorted(Leaf memory first, Leaf memory second) private pure returns (Leaf[] memory leaves) {
        leaves = new Leaf[](2);
        (leaves[0], leaves[1]) = (first, second);
        bytes32[] memory hashes = hashesOf(leaves);
        if (hashes[0] > hashes[1]) (leaves[0], leaves[1]) = (second, first);
    }

    function hashesOf(Leaf[] memory leaves) private pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](leaves.length);
        for (uint256 i; i < leaves.length; ++i) {
            hashes[i] = ShareTree.leaf(leaves[i].account, leaves[i].asset, leaves[i].cumulative);
        }
    }

    function receiptOf(uint256 key, uint64 cumulative) private view returns (Receipt memory receipt) {
        receipt = receiptFor(Charge(payer, address(dollar), 330, 330), 0);
        receipt.node = vm.addr(key);
        receipt.nodeCumulative = cumulative;
    }

    function coSigned(uint256 key, Receipt memory receipt) private view returns (CoSigned memory) {
        return CoSigned(receipt, signedReceipt(key, receipt), signedReceipt(GATEWAY_KEY, receipt));
    }

    function promised(uint64 cumulative) private view returns (CoSigned[] memory receipts) {
        receipts = new CoSigned[](1);
        receipts[0] = coSigned(NODE_KEY, receiptOf(NODE_KEY, cumulative));
    }

    function contest(uint256 proposal, CoSigned[] memory receipts) private {
        vm.deal(other, BOND);
        vm.prank(other);
        escrow.contest{ value: BOND }(proposal, receipts);
    }

    function refused(uint256 proposal, CoSigned[] memory receipts, bytes memory reason) private {
        vm.deal(address(this), BOND);
        vm.expectRevert(reason);
        escrow.contest{ value: BOND }(proposal, receipts);
    }

    function refusedReceipt(uint256 proposal, Receipt memory receipt, uint256 place) private {
        CoSigned[] memory receipts = new CoSigned[](1);
        receipts[0] = coSigned(NODE_KEY, receipt);
        refused(proposal, receipts, abi.encodeWithSelector(ShareContests.ContestReceiptOther.selector, place));
    }

    function notOpen(uint256 index) private {
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ChallengeNotOpen.selector, index));
    }

    function claim(address account, uint64 cumulative, uint64 given, uint64 rest) private {
        bytes32 leaf = ShareTree.leaf(account, address(dollar), cumulative);
        escrow.claim(account, address(dollar), cumulative, proofOf(given, rest, leaf));
    }

    function proofOf(uint64 given, uint64 rest, bytes32 leaf) private view returns (bytes32[] memory) {
        return ShareTree.proof(hashesOf(leavesOf(given, rest)), leaf);
    }
}
