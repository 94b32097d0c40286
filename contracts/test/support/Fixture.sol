// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { DomainEscrow } from "../../src/DomainEscrow.sol";
import { DomainRegistry } from "../../src/DomainRegistry.sol";
import { DomainStake } from "../../src/DomainStake.sol";
import { EpochPrice } from "../../src/EpochPrice.sol";
import { GaiaToken } from "../../src/GaiaToken.sol";
import { PriceRow } from "../../src/Prices.sol";
import { NodeJoin, OperatorConsent, Receipt, Statements } from "../../src/Statements.sol";
import { Charge, EpochSettlement } from "../../src/escrow/EpochSettlement.sol";
import { TestDollar } from "./Tokens.sol";
import { Test, vm } from "./Vm.sol";

/// @notice A whole domain: two assets, a gateway, an admitted node, a price table, a stake.
abstract contract Fixture is Test {
    uint256 internal constant NODE_KEY = 0xA11CE;
    uint256 internal constant OPERATOR_KEY = 0xB0B;
    uint256 internal constant GATEWAY_KEY = 0xCAFE;
    uint256 internal constant STRANGER_KEY = 0xBAD;
    uint64 internal constant EPOCH = 1 days;
    uint64 internal constant CHALLENGE = 1 days;
    uint64 internal constant RESPONSE = 12 hours;
    uint64 internal constant REFUND = 4 days;
    uint64 internal constant COOLDOWN = 8 days;
    uint64 internal constant LEAVE_WINDOW = 2 days;
    uint256 internal constant BOND = 0.01 ether;
    uint256 internal constant SLASH = 100 ether;
    bytes32 internal constant MODEL = keccak256("smollm2-135m-instruct");
    uint64 internal constant START = 1_795_000_000;
    uint64 internal constant DOLLAR = 1e9;

    address internal immutable owner = address(0x0A);
    address internal immutable governance = address(0x60);
    address internal immutable payer = address(0x1001);
    address internal immutable other = address(0x1002);
    address internal immutable stranger = vm.addr(STRANGER_KEY);
    address internal immutable gateway = vm.addr(GATEWAY_KEY);
    address internal immutable node = vm.addr(NODE_KEY);
    address internal immutable operator = vm.addr(OPERATOR_KEY);

    GaiaToken internal token;
    TestDollar internal dollar;
    EpochPrice internal prices;
    DomainRegistry internal registry;
    DomainEscrow internal escrow;
    DomainStake internal stake;
    bytes32 internal id;
    address[] internal reporters;

    function setUp() public virtual {
        vm.warp(START);
        token = new GaiaToken(address(this));
        dollar = new TestDollar(6);
        for (uint160 i; i < 3; ++i) {
            reporters.push(address(0x2000 + i));
        }
        prices = new EpochPrice(address(token), governance, reporters, DOLLAR, bounds());
        registry = new DomainRegistry();
        vm.prank(owner);
        id = registry.createDomain("domain", gateway);
        escrow = new DomainEscrow(id, registry, prices, stables(), terms());
        stake = new DomainStake(escrow, DomainStake.Terms(COOLDOWN, LEAVE_WINDOW, 1000));
        vm.prank(owner);
        registry.bindContracts(id, address(escrow), address(stake));
        vm.prank(owner);
        registry.publishPrices(id, table());
        admit(NODE_KEY, 1);
    }

    function bounds() internal pure returns (EpochPrice.Bounds memory) {
        return
            EpochPrice.Bounds({
                genesis: START, epochSeconds: EPOCH, quorum: 2, deviationBpsMax: 2000, staleEpochsMax: 2
            });
    }

    function terms() internal pure returns (EpochSettlement.Terms memory) {
        return EpochSettlement.Terms({
            challengeSeconds: CHALLENGE, responseSeconds: RESPONSE, refundSeconds: REFUND, bond: BOND, slash: SLASH
        });
    }

    function stables() internal view returns (address[] memory list) {
        list = new address[](1);
        list[0] = address(dollar);
    }

    function table() internal pure returns (PriceRow[] memory rows) {
        rows = new PriceRow[](1);
        rows[0] = PriceRow({ model: MODEL, input: 200_000, cached: 20_000, output: 800_000 });
    }

    // Nodes

    function joinOf(uint256 key, uint64 nonce) internal view returns (NodeJoin memory) {
        return NodeJoin({
            domainId: id,
            node: vm.addr(key),
            operator: operator,
            configHash: keccak256("configuration"),
            endpoint: "https://node.example",
            nonce: nonce,
            expiry: uint64(block.timestamp) + 1 hours
        });
    }

    function consentTo(NodeJoin memory join) internal view returns (OperatorConsent memory) {
        return OperatorConsent(join.domainId, join.node, join.operator, join.nonce, uint64(block.timestamp) + 1 hours);
    }

    function digest(bytes32 structHash) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", registry.domainSeparator(), structHash));
    }

    function admit(uint256 key, uint64 nonce) internal {
        NodeJoin memory join = joinOf(key, nonce);
        OperatorConsent memory consent = consentTo(join);
        bytes memory nodeSignature = signed(key, digest(Statements.hash(join)));
        bytes memory operatorSignature = signed(OPERATOR_KEY, digest(Statements.hash(consent)));
        vm.prank(gateway);
        registry.admitNode(join, nodeSignature, consent, operatorSignature);
    }

    // Money

    function depositDollars(address account, uint256 baseUnits) internal {
        dollar.mint(address(this), baseUnits);
        dollar.approve(address(escrow), baseUnits);
        escrow.deposit(address(dollar), baseUnits, account);
    }

    function depositTokens(address account, uint256 baseUnits) internal {
        token.approve(address(escrow), baseUnits);
        escrow.deposit(address(token), baseUnits, account);
    }

    function balanceOf(address account, address asset) internal view returns (uint64) {
        return escrow.accountOf(account, asset).balance;
    }

    function chargedTo(address account, address asset) internal view returns (uint64) {
        return escrow.accountOf(account, asset).charged;
    }

    // Prices and time

    function nextEpoch() internal {
        vm.warp(block.timestamp + EPOCH);
    }

    function post(uint64 price) internal {
        for (uint256 i; i < reporters.length; ++i) {
            vm.prank(reporters[i]);
            prices.post(price);
        }
    }

    /// @dev Ends the epoch; the next has this price.
    function nextEpochAt(uint64 price) internal {
        post(price);
        nextEpoch();
        prices.roll();
    }

    // Settlement

    function one(address account, address asset, uint64 cost) internal view returns (Charge[] memory charges) {
        charges = new Charge[](1);
        charges[0] = Charge(account, asset, cost, chargedTo(account, asset) + cost);
    }

    /// @dev Proposes for the epoch that ended last.
    function propose(Charge[] memory charges, bytes32 root) internal returns (uint256) {
        uint64 epoch = prices.currentEpoch() - 1;
        vm.prank(gateway);
        return escrow.propose(epoch, charges, root);
    }

    function settle(Charge[] memory charges, bytes32 root) internal returns (uint256 proposal) {
        proposal = propose(charges, root);
        vm.warp(block.timestamp + CHALLENGE);
        escrow.finalise(proposal, charges);
    }

    function challenge(uint256 proposal, Charge[] memory charges, uint256 index) internal {
        vm.deal(other, BOND);
        vm.prank(other);
        escrow.challenge{ value: BOND }(proposal, charges, index);
    }

    function receiptFor(Charge memory charge, uint64 epoch) internal view returns (Receipt memory) {
        return Receipt({
            domainId: id,
            requestId: keccak256("request"),
            keyId: keccak256("access token"),
            payer: charge.payer,
            asset: charge.asset,
            node: node,
            operator: operator,
            model: MODEL,
            priceVersion: 1,
            inputTokens: 1234,
            cachedTokens: 567,
            outputTokens: 89,
            cost: 330,
            keyCumulative: charge.cumulative,
            accountCumulative: charge.cumulative,
            nodeCumulative: charge.cumulative,
            epoch: epoch,
            time: uint64(block.timestamp)
        });
    }

    function signedReceipt(uint256 key, Receipt memory receipt) internal view returns (bytes memory) {
        return signed(key, digest(Statements.hash(receipt)));
    }

    function answer(uint256 proposal, Charge[] memory charges, uint256 index) internal {
        Receipt memory receipt = receiptFor(charges[index], escrow.proposalOf(proposal).epoch);
        escrow.answer(
            proposal, charges, index, receipt, signedReceipt(NODE_KEY, receipt), signedReceipt(GATEWAY_KEY, receipt)
        );
    }

    function stakeTokens(address account, uint256 baseUnits) internal {
        token.approve(address(stake), baseUnits);
        stake.deposit(baseUnits, account);
    }
}
