// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { DomainEscrow } from "../src/DomainEscrow.sol";
import { DomainRegistry } from "../src/DomainRegistry.sol";
import { PriceRow, TokenCounts } from "../src/Prices.sol";
import { NodeJoin, NodeLeave, OperatorConsent, Statements } from "../src/Statements.sol";
import { Fixture } from "./support/Fixture.sol";
import { vm } from "./support/Vm.sol";

/// @notice An operator that is a contract and knows one signature (ERC-1271).
contract ContractOperator {
    function isValidSignature(bytes32, bytes calldata signature) external pure returns (bytes4) {
        return keccak256(signature) == keccak256("agreed") ? this.isValidSignature.selector : bytes4(0);
    }
}

contract DomainRegistryTest is Fixture {
    // Domains

    function test_nobodyOverwritesADomain() external {
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.DomainExists.selector, id));
        vm.prank(owner);
        registry.createDomain("domain", gateway);
        // The same name of somebody else is another domain.
        vm.prank(stranger);
        bytes32 another = registry.createDomain("domain", gateway);
        vm.assertTrue(another != id, "own id");
        vm.assertEq(registry.domain(id).owner, owner);
    }

    function testFuzz_anIdBelongsToItsCreator(address one_, address two, string calldata name) external view {
        vm.assume(one_ != two);
        vm.assertTrue(registry.domainIdOf(one_, name) != registry.domainIdOf(two, name), "ids differ");
    }

    function test_aNameHasALength() external {
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.DomainNameLength.selector, 0));
        registry.createDomain("", gateway);
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.DomainNameLength.selector, 65));
        registry.createDomain(string(new bytes(65)), gateway);
        registry.createDomain(string(new bytes(64)), gateway);
    }

    function test_aDomainHasAGateway() external {
        vm.expectRevert(DomainRegistry.DomainGatewayMissing.selector);
        registry.createDomain("another", address(0));
        vm.expectRevert(DomainRegistry.DomainGatewayMissing.selector);
        vm.prank(owner);
        registry.setGateway(id, address(0));
        vm.prank(owner);
        registry.setGateway(id, other);
        vm.assertEq(registry.gatewayOf(id), other);
        vm.assertTrue(!registry.speaksFor(id, gateway), "the old key says nothing any more");
    }

    function testFuzz_onlyTheOwnerRulesADomain(address caller) external {
        vm.assume(caller != owner);
        bytes memory refusal = abi.encodeWithSelector(DomainRegistry.DomainNotOwner.selector, id, caller);
        vm.expectRevert(refusal);
        vm.prank(caller);
        registry.setGateway(id, caller);
        vm.expectRevert(refusal);
        vm.prank(caller);
        registry.offerOwnership(id, caller);
        vm.expectRevert(refusal);
        vm.prank(caller);
        registry.bindContracts(id, caller, caller);
        vm.expectRevert(refusal);
        vm.prank(caller);
        registry.publishPrices(id, table());
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.DomainNotPendingOwner.selector, id, caller));
        vm.prank(caller);
        registry.acceptOwnership(id);
    }

    function test_aDomainThatIsNotThereIsNobodys() external {
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.DomainUnknown.selector, bytes32("no")));
        registry.setGateway("no", gateway);
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.DomainUnknown.selector, bytes32("no")));
        registry.removeNode("no", node);
        vm.assertTrue(!registry.speaksFor("no", address(0)), "nobody is no owner");
        // Nobody offered it, so the zero address has nothing to accept either.
        vm.expectRevert(
            abi.encodeWithSelector(DomainRegistry.DomainNotPendingOwner.selector, bytes32("no"), address(0))
        );
        vm.prank(address(0));
        registry.acceptOwnership("no");
    }

    function test_ownershipIsOfferedAndTaken() external {
        vm.prank(owner);
        registry.offerOwnership(id, other);
        vm.assertEq(registry.domain(id).owner, owner);
        vm.prank(other);
        registry.acceptOwnership(id);
        vm.assertEq(registry.domain(id).owner, other);
        vm.assertEq(registry.domain(id).pendingOwner, address(0));
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.DomainNotOwner.selector, id, owner));
        vm.prank(owner);
        registry.setGateway(id, owner);
    }

    function test_contractsAreBoundOnce() external {
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.DomainContractsBound.selector, id));
        vm.prank(owner);
        registry.bindContracts(id, address(escrow), address(stake));
        vm.assertEq(registry.escrowOf(id), address(escrow));
        vm.assertEq(registry.stakeOf(id), address(stake));
    }

    function test_contractsOfAnotherDomainAreNotBound() external {
        bytes32 another = registry.createDomain("another", gateway);
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.DomainContractForeign.selector, address(escrow), another));
        registry.bindContracts(another, address(escrow), address(0));
        DomainEscrow own = new DomainEscrow(another, registry, prices, stables(), terms());
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.DomainContractForeign.selector, address(stake), another));
        registry.bindContracts(another, address(own), address(stake));
        registry.bindContracts(another, address(own), address(0));
        vm.assertEq(registry.stakeOf(another), address(0));
    }

    // Prices

    function test_priceTablesAreVersionedAndStay() external {
        vm.assertEq(registry.priceTable(id, 1), keccak256(abi.encode(table())));
        PriceRow[] memory dearer = table();
        dearer[0].output *= 2;
        vm.prank(owner);
        vm.assertEq(registry.publishPrices(id, dearer), 2);
        vm.assertEq(registry.costOf(id, 1, MODEL, TokenCounts(1234, 567, 89)), 330);
        vm.assertEq(registry.costOf(id, 2, MODEL, TokenCounts(1234, 567, 89)), 401);
        vm.assertEq(registry.domain(id).priceVersion, 2);
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.PricesUnknown.selector, id, 3, MODEL));
        registry.priceOf(id, 3, MODEL);
    }

    function testFuzz_whatWasPublishedIsWhatIsKnown(uint64 input, uint64 cached, uint64 output) external {
        PriceRow[] memory rows = new PriceRow[](1);
        rows[0] = PriceRow(
            MODEL, uint64(bound(input, 0, 1e15)), uint64(bound(cached, 0, 1e15)), uint64(bound(output, 0, 1e15))
        );
        vm.prank(owner);
        uint32 version = registry.publishPrices(id, rows);
        vm.assertEq(keccak256(abi.encode(registry.priceOf(id, version, MODEL))), keccak256(abi.encode(rows[0])));
    }

    function test_aTableHasLimits() external {
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.PricesRowCount.selector, 0));
        vm.prank(owner);
        registry.publishPrices(id, new PriceRow[](0));
        PriceRow[] memory most = new PriceRow[](65);
        for (uint256 i; i < 65; ++i) {
            most[i].model = bytes32(i);
        }
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.PricesRowCount.selector, 65));
        vm.prank(owner);
        registry.publishPrices(id, most);
        PriceRow[] memory rows = new PriceRow[](64);
        for (uint256 i; i < 64; ++i) {
            rows[i].model = bytes32(i);
        }
        vm.prank(owner);
        registry.publishPrices(id, rows);
        rows[1].model = 0;
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.PricesModelTwice.selector, bytes32(0)));
        vm.prank(owner);
        registry.publishPrices(id, rows);
        checkTooHigh(PriceRow(MODEL, 1e15 + 1, 0, 0));
        checkTooHigh(PriceRow(MODEL, 0, 1e15 + 1, 0));
        checkTooHigh(PriceRow(MODEL, 0, 0, 1e15 + 1));
    }

    function checkTooHigh(PriceRow memory row) private {
        PriceRow[] memory rows = new PriceRow[](1);
        rows[0] = row;
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.PricesTooHigh.selector, MODEL));
        vm.prank(owner);
        registry.publishPrices(id, rows);
    }

    // Nodes

    function test_aNodeIsAdmittedByItsOwnWord() external view {
        DomainRegistry.Node memory known = registry.nodeOf(id, node);
        vm.assertTrue(known.active, "active");
        vm.assertEq(known.operator, operator);
        vm.assertEq(known.endpoint, "https://node.example");
        vm.assertEq(known.admittedAt, START);
        vm.assertEq(registry.nodeNonce(id, node), 1);
        vm.assertEq(registry.consentNonce(id, node, operator), 1);
    }

    /// @dev GaiaNet's registry let anybody overwrite a node.
    function testFuzz_nobodyOverwritesANode(uint256 key, uint64 nonce) external {
        key = bound(key, 1, type(uint128).max);
        vm.assume(key != NODE_KEY);
        NodeJoin memory join = joinOf(NODE_KEY, uint64(bound(nonce, 2, type(uint64).max)));
        join.operator = vm.addr(key);
        OperatorConsent memory consent = consentTo(join);
        bytes memory forged = signed(key, digest(Statements.hash(join)));
        bytes memory consented = signed(key, digest(Statements.hash(consent)));
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.NodeSignatureWrong.selector, node));
        vm.prank(owner);
        registry.admitNode(join, forged, consent, consented);
        vm.assertEq(registry.nodeOf(id, node).operator, operator);
    }

    function testFuzz_onlyTheDomainAdmits(address caller) external {
        vm.assume(caller != owner && caller != gateway);
        NodeJoin memory join = joinOf(NODE_KEY, 2);
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.DomainNotAuthorised.selector, id, caller));
        vm.prank(caller);
        registry.admitNode(join, "", consentTo(join), "");
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.DomainNotAuthorised.selector, id, caller));
        vm.prank(caller);
        registry.removeNode(id, node);
    }

    function testFuzz_aReplayedStatementIsRefused(uint64 nonce) external {
        nonce = uint64(bound(nonce, 2, type(uint64).max));
        admit(NODE_KEY, nonce);
        checkJoin(
            joinOf(NODE_KEY, nonce), abi.encodeWithSelector(DomainRegistry.NodeStatementReplayed.selector, node, nonce)
        );
    }

    function testFuzz_anExpiredStatementIsRefused(uint64 late) external {
        NodeJoin memory join = joinOf(NODE_KEY, 2);
        join.expiry = uint64(block.timestamp - bound(late, 1, START));
        checkJoin(join, abi.encodeWithSelector(DomainRegistry.NodeStatementExpired.selector, join.expiry));
        join.expiry = uint64(block.timestamp);
        checkJoin(join, "");
    }

    function test_aStatementForAnotherDomainOrChainIsRefused() external {
        NodeJoin memory join = joinOf(NODE_KEY, 2);
        bytes memory signature = signed(NODE_KEY, digest(Statements.hash(join)));
        vm.prank(owner);
        bytes32 another = registry.createDomain("another", gateway);
        join.domainId = another;
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.NodeSignatureWrong.selector, node));
        vm.prank(owner);
        registry.admitNode(join, signature, consentTo(join), "");
        join.domainId = id;
        vm.chainId(1);
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.NodeSignatureWrong.selector, node));
        vm.prank(owner);
        registry.admitNode(join, signature, consentTo(join), "");
    }

    function test_aSignatureOfOtherLengthIsRefused() external {
        NodeJoin memory join = joinOf(NODE_KEY, 2);
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.NodeSignatureWrong.selector, node));
        vm.prank(owner);
        registry.admitNode(join, hex"00", consentTo(join), "");
    }

    function test_anEndpointHasALength() external {
        NodeJoin memory join = joinOf(NODE_KEY, 2);
        join.endpoint = string(new bytes(257));
        checkJoin(join, abi.encodeWithSelector(DomainRegistry.NodeEndpointTooLong.selector, 257));
        join.endpoint = string(new bytes(256));
        checkJoin(join, "");
    }

    function test_anOperatorHasToConsent() external {
        NodeJoin memory join = joinOf(NODE_KEY, 2);
        OperatorConsent memory consent = consentTo(join);
        consent.node = other;
        checkConsent(join, consent, OPERATOR_KEY, abi.encodeWithSelector(DomainRegistry.NodeConsentMismatch.selector));
        consent = consentTo(join);
        consent.domainId = 0;
        checkConsent(join, consent, OPERATOR_KEY, abi.encodeWithSelector(DomainRegistry.NodeConsentMismatch.selector));
        consent = consentTo(join);
        consent.operator = other;
        checkConsent(join, consent, OPERATOR_KEY, abi.encodeWithSelector(DomainRegistry.NodeConsentMismatch.selector));
        consent = consentTo(join);
        consent.expiry = START - 1;
        checkConsent(
            join, consent, OPERATOR_KEY, abi.encodeWithSelector(DomainRegistry.NodeStatementExpired.selector, START - 1)
        );
        consent = consentTo(join);
        consent.nonce = 1;
        checkConsent(
            join,
            consent,
            OPERATOR_KEY,
            abi.encodeWithSelector(DomainRegistry.NodeStatementReplayed.selector, operator, 1)
        );
        consent = consentTo(join);
        checkConsent(
            join,
            consent,
            STRANGER_KEY,
            abi.encodeWithSelector(DomainRegistry.NodeConsentSignatureWrong.selector, operator)
        );
        checkConsent(join, consent, OPERATOR_KEY, "");
    }

    function testFuzz_onlyTheOperatorConsents(uint256 key) external {
        key = bound(key, 1, type(uint128).max);
        vm.assume(key != OPERATOR_KEY);
        NodeJoin memory join = joinOf(NODE_KEY, 2);
        checkConsent(
            join,
            consentTo(join),
            key,
            abi.encodeWithSelector(DomainRegistry.NodeConsentSignatureWrong.selector, operator)
        );
    }

    function test_aNodeMayBeItsOwnOperator() external {
        NodeJoin memory join = joinOf(NODE_KEY, 2);
        join.operator = node;
        bytes memory signature = signed(NODE_KEY, digest(Statements.hash(join)));
        OperatorConsent memory none;
        vm.prank(owner);
        registry.admitNode(join, signature, none, "");
        vm.assertEq(registry.nodeOf(id, node).operator, node);
    }

    function test_anOperatorMayBeAContract() external {
        NodeJoin memory join = joinOf(NODE_KEY, 2);
        join.operator = address(new ContractOperator());
        OperatorConsent memory consent = consentTo(join);
        bytes memory signature = signed(NODE_KEY, digest(Statements.hash(join)));
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.NodeConsentSignatureWrong.selector, join.operator));
        vm.prank(owner);
        registry.admitNode(join, signature, consent, "not agreed");
        vm.prank(owner);
        registry.admitNode(join, signature, consent, "agreed");
        vm.assertEq(registry.nodeOf(id, node).operator, join.operator);
    }

    function test_aNodeLeavesByItsOwnWord() external {
        NodeLeave memory leaving = NodeLeave(id, node, 2, uint64(block.timestamp));
        bytes memory signature = signed(NODE_KEY, digest(Statements.hash(leaving)));
        vm.prank(stranger);
        registry.releaseNode(leaving, signature);
        vm.assertTrue(!registry.nodeOf(id, node).active, "gone");
        vm.assertTrue(registry.wasAdmitted(id, node), "what it signed still counts");
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.NodeStatementReplayed.selector, node, 2));
        registry.releaseNode(leaving, signature);
        leaving.nonce = 3;
        signature = signed(NODE_KEY, digest(Statements.hash(leaving)));
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.NodeNotActive.selector, id, node));
        registry.releaseNode(leaving, signature);
        // An old join does not bring it back, a new one does.
        checkJoin(joinOf(NODE_KEY, 2), abi.encodeWithSelector(DomainRegistry.NodeStatementReplayed.selector, node, 2));
        admit(NODE_KEY, 4);
        vm.assertEq(registry.nodeOf(id, node).admittedAt, START);
    }

    function testFuzz_nobodyElseSaysThatANodeLeaves(uint256 key) external {
        key = bound(key, 1, type(uint128).max);
        vm.assume(key != NODE_KEY);
        NodeLeave memory leaving = NodeLeave(id, node, 2, uint64(block.timestamp));
        bytes memory forged = signed(key, digest(Statements.hash(leaving)));
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.NodeSignatureWrong.selector, node));
        registry.releaseNode(leaving, forged);
    }

    function test_aLeaveOfNoDomainIsForeign() external {
        NodeLeave memory leaving = NodeLeave("no", node, 2, uint64(block.timestamp));
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.NodeStatementForeign.selector, bytes32("no")));
        registry.releaseNode(leaving, "");
    }

    function test_theDomainRemovesANode() external {
        vm.prank(gateway);
        registry.removeNode(id, node);
        vm.assertTrue(!registry.nodeOf(id, node).active, "gone");
        vm.expectRevert(abi.encodeWithSelector(DomainRegistry.NodeNotActive.selector, id, node));
        vm.prank(owner);
        registry.removeNode(id, node);
    }

    function test_theSeparatorIsTheSharedOne() external view {
        vm.assertEq(registry.domainSeparator(), Statements.separator(block.chainid, address(registry)));
    }

    function checkJoin(NodeJoin memory join, bytes memory refusal) private {
        OperatorConsent memory consent = consentTo(join);
        bytes memory nodeSignature = signed(NODE_KEY, digest(Statements.hash(join)));
        bytes memory operatorSignature = signed(OPERATOR_KEY, digest(Statements.hash(consent)));
        if (refusal.length > 0) vm.expectRevert(refusal);
        vm.prank(owner);
        registry.admitNode(join, nodeSignature, consent, operatorSignature);
    }

    function checkConsent(NodeJoin memory join, OperatorConsent memory consent, uint256 key, bytes memory refusal)
        private
    {
        bytes memory nodeSignature = signed(NODE_KEY, digest(Statements.hash(join)));
        bytes memory operatorSignature = signed(key, digest(Statements.hash(consent)));
        if (refusal.length > 0) vm.expectRevert(refusal);
        vm.prank(owner);
        registry.admitNode(join, nodeSignature, consent, operatorSignature);
    }
}
