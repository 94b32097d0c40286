// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { DomainEscrow } from "../../src/DomainEscrow.sol";
import { DomainRegistry } from "../../src/DomainRegistry.sol";
import { EpochPrice } from "../../src/EpochPrice.sol";
import { Nano } from "../../src/Nano.sol";
import { Receipt } from "../../src/Statements.sol";
import { DisputeBonds } from "../../src/escrow/DisputeBonds.sol";
import { Charge, EpochSettlement } from "../../src/escrow/EpochSettlement.sol";
import { EscrowAccounts } from "../../src/escrow/EscrowAccounts.sol";
import { Fixture } from "../support/Fixture.sol";
import { CoinRefuser } from "../support/Hostile.sol";
import { ShareTree } from "../support/ShareTree.sol";
import { vm } from "../support/Vm.sol";

contract EpochSettlementTest is Fixture {
    function setUp() public override {
        super.setUp();
        depositDollars(payer, 100e6);
        depositTokens(payer, 100e18);
        stakeTokens(address(this), 10_000e18);
    }

    // The litepaper's arithmetic

    /// @dev "A $100 deposit that is worth $110 when it is used buys $110 of service."
    function test_aDepositOfHundredBuysWhatItIsWorthWhenItIsUsed() external {
        nextEpochAt(1_100_000_000);
        nextEpochAt(1_100_000_000);
        Charge[] memory charges = one(payer, address(token), 110 * DOLLAR + 1);
        refused(EscrowAccounts.EscrowBalanceTooSmall.selector, charges);
        settle(one(payer, address(token), 110 * DOLLAR), 0);
        vm.assertEq(balanceOf(payer, address(token)), 0);
        checkPurse(address(token), 100 * DOLLAR);
    }

    /// @dev "Worth $90, it buys $90."
    function test_aDepositOfHundredBuysLessWhenItIsWorthLess() external {
        nextEpochAt(900_000_000);
        nextEpochAt(1_080_000_000);
        // The epoch that is settled is the one at $0.90, whatever the token is worth since.
        refused(EscrowAccounts.EscrowBalanceTooSmall.selector, one(payer, address(token), 90 * DOLLAR + 1));
        settle(one(payer, address(token), 90 * DOLLAR), 0);
        vm.assertEq(balanceOf(payer, address(token)), 0);
    }

    function testFuzz_tokensBuyExactlyTheirWorth(uint64 price, uint64 cost) external {
        price = uint64(bound(price, 800_000_000, 1_200_000_000));
        nextEpochAt(price);
        nextEpochAt(price);
        uint256 worth = Nano.worth(100e9, price);
        cost = uint64(bound(cost, 1, worth));
        settle(one(payer, address(token), cost), 0);
        uint64 taken = 100e9 - balanceOf(payer, address(token));
        vm.assertGe(Nano.worth(taken, price), cost, "paid in full");
        vm.assertTrue(Nano.worth(taken - 1, price) < cost, "and not a unit more");
        refused(EscrowAccounts.EscrowBalanceTooSmall.selector, one(payer, address(token), uint64(worth - cost + 2)));
    }

    // Proposals

    function test_onlyChargesMoveMoneyAndOnlyAfterTheWindow() external {
        nextEpoch();
        Charge[] memory charges = one(payer, address(dollar), 7);
        uint256 proposal = propose(charges, 0);
        vm.assertEq(balanceOf(payer, address(dollar)), 100 * DOLLAR);
        uint64 closesAt = escrow.proposalOf(proposal).closesAt;
        vm.warp(closesAt - 1);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.SettlementWindowOpen.selector, closesAt));
        escrow.finalise(proposal, charges);
        vm.warp(closesAt);
        vm.prank(stranger);
        escrow.finalise(proposal, charges);
        vm.assertEq(balanceOf(payer, address(dollar)), 100 * DOLLAR - 7);
        checkPurse(address(dollar), 7);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.SettlementNotOpen.selector, proposal));
        escrow.finalise(proposal, charges);
    }

    function testFuzz_onlyTheDomainProposes(address caller) external {
        vm.assume(caller != owner && caller != gateway);
        nextEpoch();
        Charge[] memory charges = one(payer, address(dollar), 1);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.SettlementNotAuthorised.selector, caller));
        vm.prank(caller);
        escrow.propose(0, charges, 0);
    }

    function test_anEpochIsSettledAfterItAndNotLongAfterIt() external {
        Charge[] memory charges = one(payer, address(dollar), 1);
        checkEpoch(0, charges, false);
        nextEpoch();
        checkEpoch(1, charges, false);
        vm.warp(block.timestamp + 8 * EPOCH);
        checkEpoch(0, charges, false);
        checkEpoch(1, charges, true);
    }

    function checkEpoch(uint64 epoch, Charge[] memory charges, bool fits) private {
        if (!fits) vm.expectRevert(abi.encodeWithSelector(EpochSettlement.SettlementEpochOutOfRange.selector, epoch));
        vm.prank(owner);
        escrow.propose(epoch, charges, 0);
    }

    function test_aBatchHasItsSize() external {
        nextEpoch();
        refused(EpochSettlement.SettlementChargeCount.selector, new Charge[](0));
        refused(EpochSettlement.SettlementChargeCount.selector, new Charge[](257));
        Charge[] memory most = new Charge[](256);
        for (uint160 i; i < 256; ++i) {
            address account = address(0x10000 + i);
            depositDollars(account, 1);
            most[i] = Charge(account, address(dollar), 1, 1);
        }
        settle(most, 0);
        checkPurse(address(dollar), 256);
    }

    function test_chargesAreSortedAndEachAccountIsThereOnce() external {
        nextEpoch();
        Charge[] memory charges = new Charge[](2);
        charges[0] = Charge(payer, address(dollar), 1, 1);
        charges[1] = Charge(payer, address(dollar), 1, 2);
        refused(EpochSettlement.SettlementNotSorted.selector, charges);
        (address low, address high) =
            address(dollar) < address(token) ? (address(dollar), address(token)) : (address(token), address(dollar));
        charges[0].asset = high;
        charges[1] = Charge(payer, low, 1, 1);
        refused(EpochSettlement.SettlementNotSorted.selector, charges);
        prices.roll();
        (charges[0], charges[1]) = (charges[1], charges[0]);
        propose(charges, 0);
    }

    function test_aChargeSaysWhatTheAccountWasChargedAltogether() external {
        nextEpoch();
        settle(one(payer, address(dollar), 5), 0);
        Charge[] memory charges = one(payer, address(dollar), 5);
        charges[0].cumulative = 5;
        refused(EpochSettlement.SettlementCumulativeWrong.selector, charges);
        charges[0].cumulative = 11;
        refused(EpochSettlement.SettlementCumulativeWrong.selector, charges);
        charges[0] = Charge(payer, address(dollar), 0, 5);
        refused(EpochSettlement.SettlementCostZero.selector, charges);
    }

    function testFuzz_noAccountIsChargedMoreThanItHas(uint64 cost) external {
        nextEpoch();
        cost = uint64(bound(cost, 100 * DOLLAR + 1, type(uint64).max));
        refused(EscrowAccounts.EscrowBalanceTooSmall.selector, one(payer, address(dollar), cost));
        refused(EscrowAccounts.EscrowAssetNotTaken.selector, one(payer, address(0xA55E7), 1));
    }

    function test_aStalePriceChargesNobody() external {
        vm.warp(block.timestamp + 4 * EPOCH);
        Charge[] memory charges = one(payer, address(token), 1);
        refused(EpochPrice.PriceNotRolled.selector, charges);
        prices.roll();
        refused(EpochPrice.PriceStale.selector, charges);
        // Dollars need no price, and tokens can be had back.
        propose(one(payer, address(dollar), 1), 0);
        vm.prank(payer);
        escrow.requestRefund(address(token), 100 * DOLLAR);
        vm.warp(block.timestamp + REFUND);
        vm.prank(payer);
        escrow.withdrawRefund(address(token));
        vm.assertEq(token.balanceOf(payer), 100e18);
    }

    function test_anotherArrayIsNotTheBatch() external {
        nextEpoch();
        Charge[] memory charges = one(payer, address(dollar), 5);
        uint256 proposal = propose(charges, 0);
        charges[0].cost = 6;
        bytes memory refusal = abi.encodeWithSelector(EpochSettlement.SettlementChargesOther.selector, proposal);
        vm.expectRevert(refusal);
        escrow.finalise(proposal, charges);
        vm.expectRevert(refusal);
        escrow.cancel(proposal, charges, 0);
        vm.expectRevert(refusal);
        escrow.challenge{ value: 0 }(proposal, charges, 0);
    }

    /// @dev What was settled later than a refund takes is the domain's loss, not the next payer's.
    function test_aChargeTakesNoMoreThanIsThere() external {
        vm.prank(payer);
        escrow.requestRefund(address(dollar), 100 * DOLLAR);
        vm.warp(block.timestamp + REFUND);
        Charge[] memory charges = one(payer, address(dollar), 60 * DOLLAR);
        uint256 proposal = propose(charges, 0);
        vm.prank(payer);
        escrow.withdrawRefund(address(dollar));
        depositDollars(other, 100e6);
        vm.warp(block.timestamp + CHALLENGE);
        escrow.finalise(proposal, charges);
        checkPurse(address(dollar), 0);
        vm.assertEq(balanceOf(other, address(dollar)), 100 * DOLLAR);
    }

    // Challenges

    function test_anAnsweredChallengePaysItsBondToTheDomain() external {
        nextEpoch();
        Charge[] memory charges = one(payer, address(dollar), 5 * DOLLAR);
        uint256 proposal = propose(charges, 0);
        vm.warp(block.timestamp + CHALLENGE - 1);
        challenge(proposal, charges, 0);
        vm.warp(block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.SettlementChallenged.selector, 1));
        escrow.finalise(proposal, charges);
        vm.warp(escrow.challengeOf(proposal, 0).respondBy);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ChallengeInTime.selector, uint64(block.timestamp)));
        escrow.cancel(proposal, charges, 0);
        answer(proposal, charges, 0);
        vm.assertEq(escrow.bondsOf(gateway), BOND);
        vm.prank(gateway);
        escrow.withdrawBonds();
        vm.assertEq(gateway.balance, BOND);
        vm.expectRevert(DisputeBonds.BondNothing.selector);
        vm.prank(gateway);
        escrow.withdrawBonds();
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ChallengeNotOpen.selector, 0));
        escrow.cancel(proposal, charges, 0);
        escrow.finalise(proposal, charges);
        checkPurse(address(dollar), 5 * DOLLAR);
    }

    function test_anUnansweredChallengeCancelsAndSlashes() external {
        (uint256 proposal, Charge[] memory charges) = challenged();
        uint64 respondBy = escrow.challengeOf(proposal, 0).respondBy;
        vm.warp(respondBy + 1);
        Receipt memory receipt = receiptFor(charges[0], 0);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ChallengeTooLate.selector, respondBy));
        escrow.answer(proposal, charges, 0, receipt, "", "");
        uint256 supply = token.totalSupply();
        vm.prank(stranger);
        escrow.cancel(proposal, charges, 0);
        vm.assertEq(escrow.bondsOf(other), BOND);
        vm.assertEq(stake.totalAssets(), 10_000e18 - SLASH);
        vm.assertEq(token.totalSupply(), supply - SLASH);
        vm.assertEq(balanceOf(payer, address(dollar)), 100 * DOLLAR);
        vm.assertEq(chargedTo(payer, address(dollar)), 0);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.SettlementNotOpen.selector, proposal));
        escrow.finalise(proposal, charges);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.SettlementNotOpen.selector, proposal));
        escrow.cancel(proposal, charges, 0);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ChallengeNotOpen.selector, 0));
        escrow.releaseBond(proposal, 0);
    }

    function test_aCancelledBatchReleasesAllOpenBonds() external {
        nextEpoch();
        depositDollars(other, 100e6);
        Charge[] memory charges = new Charge[](3);
        charges[0] = Charge(payer, address(dollar), 1, 1);
        charges[1] = Charge(other, address(dollar), 2, 2);
        charges[2] = Charge(address(0x1003), address(dollar), 3, 3);
        depositDollars(address(0x1003), 1);
        uint256 proposal = propose(charges, 0);
        for (uint256 i; i < 3; ++i) {
            challenge(proposal, charges, i);
        }
        answer(proposal, charges, 2);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ChallengeNotOpen.selector, 1));
        escrow.releaseBond(proposal, 1);
        vm.warp(block.timestamp + RESPONSE + 1);
        escrow.cancel(proposal, charges, 0);
        escrow.releaseBond(proposal, 1);
        vm.assertEq(escrow.bondsOf(other), 2 * BOND);
        for (uint256 i; i < 4; ++i) {
            vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ChallengeNotOpen.selector, i));
            escrow.releaseBond(proposal, i);
        }
        vm.assertEq(address(escrow).balance, 3 * BOND);
    }

    function test_aChallengeHasItsBondItsTimeAndItsCharge() external {
        nextEpoch();
        Charge[] memory charges = one(payer, address(dollar), 5);
        uint256 proposal = propose(charges, 0);
        vm.deal(address(this), 1 ether);
        vm.expectRevert(abi.encodeWithSelector(DisputeBonds.ChallengeBondWrong.selector, BOND));
        escrow.challenge{ value: BOND - 1 }(proposal, charges, 0);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ChallengeIndex.selector, 1));
        escrow.challenge{ value: BOND }(proposal, charges, 1);
        challenge(proposal, charges, 0);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ChallengeTwice.selector, 0));
        escrow.challenge{ value: BOND }(proposal, charges, 0);
        answer(proposal, charges, 0);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ChallengeTwice.selector, 0));
        escrow.challenge{ value: BOND }(proposal, charges, 0);
        uint64 closesAt = escrow.proposalOf(proposal).closesAt;
        vm.warp(closesAt);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.SettlementWindowClosed.selector, closesAt));
        escrow.challenge{ value: BOND }(proposal, charges, 0);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ChallengeNotOpen.selector, 1));
        escrow.cancel(proposal, charges, 1);
    }

    function test_anAnswerCoversTheCharge() external {
        (uint256 proposal, Charge[] memory charges) = challenged();
        Receipt memory receipt = receiptFor(charges[0], 0);
        bytes memory foreign = abi.encodeWithSelector(EpochSettlement.ReceiptNotOfCharge.selector);
        receipt.domainId = 0;
        refusedAnswer(proposal, charges, receipt, foreign);
        receipt = receiptFor(charges[0], 0);
        receipt.payer = other;
        refusedAnswer(proposal, charges, receipt, foreign);
        receipt = receiptFor(charges[0], 0);
        receipt.asset = address(token);
        refusedAnswer(proposal, charges, receipt, foreign);
        refusedAnswer(proposal, charges, receiptFor(charges[0], 1), foreign);
        receipt = receiptFor(charges[0], 0);
        receipt.cost = 331;
        refusedAnswer(
            proposal, charges, receipt, abi.encodeWithSelector(EpochSettlement.ReceiptCostWrong.selector, 331, 330)
        );
        receipt = receiptFor(charges[0], 0);
        receipt.priceVersion = 2;
        refusedAnswer(
            proposal, charges, receipt, abi.encodeWithSelector(DomainRegistry.PricesUnknown.selector, id, 2, MODEL)
        );
        receipt = receiptFor(charges[0], 0);
        receipt.node = vm.addr(STRANGER_KEY);
        refusedAnswer(
            proposal,
            charges,
            receipt,
            abi.encodeWithSelector(EpochSettlement.ReceiptNodeUnknown.selector, receipt.node)
        );
    }

    function testFuzz_aReceiptProvesNoMoreThanItSays(uint64 cumulative) external {
        (uint256 proposal, Charge[] memory charges) = challenged();
        Receipt memory receipt = receiptFor(charges[0], 0);
        receipt.accountCumulative = uint64(bound(cumulative, 0, charges[0].cumulative - 1));
        refusedAnswer(
            proposal,
            charges,
            receipt,
            abi.encodeWithSelector(
                EpochSettlement.ReceiptTooSmall.selector, receipt.accountCumulative, charges[0].cumulative
            )
        );
    }

    function testFuzz_anAnswerIsSignedByBoth(uint256 key) external {
        key = bound(key, 1, type(uint128).max);
        vm.assume(key != NODE_KEY && key != GATEWAY_KEY);
        (uint256 proposal, Charge[] memory charges) = challenged();
        Receipt memory receipt = receiptFor(charges[0], 0);
        bytes memory byNode = signedReceipt(NODE_KEY, receipt);
        bytes memory byGateway = signedReceipt(GATEWAY_KEY, receipt);
        bytes memory byOther = signedReceipt(key, receipt);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ReceiptNodeSignatureWrong.selector, node));
        escrow.answer(proposal, charges, 0, receipt, byOther, byGateway);
        vm.expectRevert(EpochSettlement.ReceiptGatewaySignatureWrong.selector);
        escrow.answer(proposal, charges, 0, receipt, byNode, byOther);
        vm.expectRevert(EpochSettlement.ReceiptGatewaySignatureWrong.selector);
        escrow.answer(proposal, charges, 0, receipt, byNode, "");
        escrow.answer(proposal, charges, 0, receipt, byNode, byGateway);
    }

    /// @dev One receipt must not cover two batches that are open at once.
    function test_oneReceiptDoesNotProveTwoBatches() external {
        nextEpoch();
        Charge[] memory first = one(payer, address(dollar), 5 * DOLLAR);
        propose(first, 0);
        Charge[] memory second = one(payer, address(dollar), 5 * DOLLAR);
        uint256 proposal = propose(second, 0);
        challenge(proposal, second, 0);
        refusedAnswer(
            proposal,
            second,
            receiptFor(first[0], 0),
            abi.encodeWithSelector(EpochSettlement.ReceiptTooSmall.selector, 5 * DOLLAR, 10 * DOLLAR)
        );
    }

    function test_whatANodeSignedCountsAfterItLeft() external {
        (uint256 proposal, Charge[] memory charges) = challenged();
        vm.prank(owner);
        registry.removeNode(id, node);
        answer(proposal, charges, 0);
    }

    function test_aDomainWithoutStakeIsCancelledToo() external {
        vm.prank(owner);
        id = registry.createDomain("another", gateway);
        escrow = new DomainEscrow(id, registry, prices, stables(), terms());
        vm.prank(owner);
        registry.bindContracts(id, address(escrow), address(0));
        depositDollars(payer, 100e6);
        (uint256 proposal, Charge[] memory charges) = challenged();
        vm.warp(block.timestamp + RESPONSE + 1);
        escrow.cancel(proposal, charges, 0);
        vm.assertEq(escrow.bondsOf(other), BOND);
    }

    function test_aBondIsPaidWhereItIsTaken() external {
        nextEpoch();
        Charge[] memory charges = one(payer, address(dollar), 5);
        uint256 proposal = propose(charges, 0);
        CoinRefuser refuser = new CoinRefuser();
        vm.deal(address(this), BOND);
        bytes memory call = abi.encodeCall(EpochSettlement.challenge, (proposal, charges, 0));
        vm.assertTrue(refuser.run{ value: BOND }(address(escrow), call), "challenged");
        vm.warp(block.timestamp + RESPONSE + 1);
        escrow.cancel(proposal, charges, 0);
        vm.assertTrue(!refuser.run(address(escrow), abi.encodeCall(DisputeBonds.withdrawBonds, ())), "refused");
        vm.assertEq(escrow.bondsOf(address(refuser)), BOND);
    }

    // Two receipts for one request

    function test_twoReceiptsForOneRequestAreSlashedOnce() external {
        Receipt memory first = receiptFor(one(payer, address(dollar), 5)[0], 0);
        Receipt memory second = receiptFor(one(payer, address(dollar), 6)[0], 0);
        bytes memory byGateway = signedReceipt(GATEWAY_KEY, first);
        bytes memory again = signedReceipt(GATEWAY_KEY, second);
        vm.expectRevert(EpochSettlement.ReceiptsAgree.selector);
        escrow.reportConflict(first, byGateway, first, byGateway);
        vm.expectRevert(EpochSettlement.ReceiptGatewaySignatureWrong.selector);
        escrow.reportConflict(first, byGateway, second, byGateway);
        vm.expectRevert(EpochSettlement.ReceiptGatewaySignatureWrong.selector);
        escrow.reportConflict(first, again, second, again);
        escrow.reportConflict(first, byGateway, second, again);
        vm.assertEq(stake.totalAssets(), 10_000e18 - SLASH);
        vm.expectRevert(abi.encodeWithSelector(EpochSettlement.ReceiptsSlashedBefore.selector, first.requestId));
        escrow.reportConflict(second, again, first, byGateway);
    }

    function testFuzz_receiptsThatAreNoConflictSlashNobody(bytes32 request, bytes32 domain, bytes32 domain2) external {
        Receipt memory first = receiptFor(one(payer, address(dollar), 5)[0], 0);
        Receipt memory second = receiptFor(one(payer, address(dollar), 6)[0], 0);
        vm.assume(request != first.requestId && domain != id && domain2 != id);
        second.requestId = request;
        checkAgree(first, second);
        second.requestId = first.requestId;
        second.domainId = domain;
        checkAgree(first, second);
        checkAgree(second, first);
    }

    function checkAgree(Receipt memory first, Receipt memory second) private {
        bytes memory one_ = signedReceipt(GATEWAY_KEY, first);
        bytes memory two = signedReceipt(GATEWAY_KEY, second);
        vm.expectRevert(EpochSettlement.ReceiptsAgree.selector);
        escrow.reportConflict(first, one_, second, two);
    }

    // Terms

    function test_aRefundTakesLongerThanADispute() external {
        EpochSettlement.Terms memory t = terms();
        t.refundSeconds = EPOCH + CHALLENGE + RESPONSE;
        checkTerms(t, false);
        t.refundSeconds += 1;
        checkTerms(t, true);
        t.refundSeconds = 360 days + 1;
        checkTerms(t, false);
        t = terms();
        t.challengeSeconds = 0;
        checkTerms(t, false);
        t.challengeSeconds = 90 days + 1;
        checkTerms(t, false);
        t = terms();
        t.responseSeconds = 0;
        checkTerms(t, false);
        t.responseSeconds = 90 days + 1;
        checkTerms(t, false);
        t = terms();
        t.bond = 0;
        checkTerms(t, false);
        vm.assertEq(keccak256(abi.encode(escrow.terms())), keccak256(abi.encode(terms())));
    }

    function checkTerms(EpochSettlement.Terms memory t, bool sane) private {
        if (!sane) vm.expectRevert(EpochSettlement.SettlementTermsInvalid.selector);
        new DomainEscrow(id, registry, prices, stables(), t);
    }

    // Shares of a proposal

    function test_theLatestTreeStays() external {
        nextEpoch();
        Charge[] memory first = one(payer, address(dollar), 1);
        uint256 one_ = propose(first, "one");
        Charge[] memory second = one(payer, address(dollar), 1);
        uint256 two = propose(second, "two");
        Charge[] memory third = one(payer, address(dollar), 1);
        uint256 three = propose(third, 0);
        vm.assertEq(escrow.proposalCount(), 3);
        vm.warp(block.timestamp + CHALLENGE);
        escrow.finalise(two, second);
        escrow.finalise(one_, first);
        escrow.finalise(three, third);
        (bytes32 root, uint256 of_) = escrow.sharesRoot();
        vm.assertEq(root, bytes32("two"));
        vm.assertEq(of_, two);
    }

    function challenged() private returns (uint256 proposal, Charge[] memory charges) {
        if (prices.currentEpoch() == 0) nextEpoch();
        charges = one(payer, address(dollar), 5 * DOLLAR);
        proposal = propose(charges, ShareTree.leaf(owner, address(dollar), 5));
        challenge(proposal, charges, 0);
    }

    function refused(bytes4 reason, Charge[] memory charges) private {
        uint64 epoch = prices.currentEpoch() - 1;
        vm.expectPartialRevert(reason);
        vm.prank(gateway);
        escrow.propose(epoch, charges, 0);
    }

    function refusedAnswer(uint256 proposal, Charge[] memory charges, Receipt memory receipt, bytes memory reason)
        private
    {
        bytes memory byNode = signedReceipt(NODE_KEY, receipt);
        bytes memory byGateway = signedReceipt(GATEWAY_KEY, receipt);
        vm.expectRevert(reason);
        escrow.answer(proposal, charges, 0, receipt, byNode, byGateway);
    }

    function checkPurse(address asset, uint128 expected) private view {
        (uint128 earned,) = escrow.purseOf(asset);
        vm.assertEq(earned, expected);
    }
}
