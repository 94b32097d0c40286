// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ComponentRegistry } from "../../src/ComponentRegistry.sol";
import { DomainRegistry } from "../../src/DomainRegistry.sol";
import { Share } from "../../src/Splits.sol";
import { NodeJoin, NodeLeave, OperatorConsent, Statements } from "../../src/Statements.sol";
import { Fixture } from "../support/Fixture.sol";
import { Test, vm } from "../support/Vm.sol";

/// @notice Stakers who come, queue and go, and an escrow that slashes.
contract StakeHandler is Fixture {
    uint256 public paidIn;
    uint256 public paidOut;
    uint256 public slashed;
    uint256 public given;
    mapping(uint64 epoch => uint256) public slashedIn;
    mapping(uint64 epoch => uint256) public capOf;

    constructor() {
        super.setUp();
    }

    function setUp() public pure override { }

    function staker(uint256 who) public pure returns (address) {
        return address(uint160(0xB000 + who % 3));
    }

    function stakeSome(uint256 who, uint96 amount) external {
        uint256 some = bound(amount, 1, 1e24);
        stakeTokens(staker(who), some);
        paidIn += some;
    }

    function gift(uint96 amount) external {
        uint256 some = bound(amount, 0, 1e22);
        vm.assertTrue(token.transfer(address(stake), some), "gift");
        given += some;
    }

    function request(uint256 who, uint256 shares) external {
        uint256 all = stake.balanceOf(staker(who));
        if (all == 0) return;
        vm.prank(staker(who));
        stake.requestUnstake(bound(shares, 1, all));
    }

    function back(uint256 who) external {
        vm.prank(staker(who));
        try stake.cancelUnstake() { } catch { }
    }

    function redeem(uint256 who, uint256 shares, bool wait) external {
        uint64 readyAt = stake.leavingOf(staker(who)).readyAt;
        if (wait && readyAt > block.timestamp) vm.warp(readyAt);
        uint256 some = bound(shares, 0, stake.maxRedeem(staker(who)));
        vm.prank(staker(who));
        paidOut += stake.redeem(some, staker(who), staker(who));
    }

    function slash(uint128 amount) external {
        uint64 epoch = prices.currentEpoch();
        uint256 before = stake.totalAssets();
        vm.prank(address(escrow));
        uint256 done = stake.slash(amount);
        (, capOf[epoch]) = stake.slashing();
        slashed += done;
        slashedIn[epoch] += done;
        vm.assertEq(stake.totalAssets(), before - done);
        vm.assertLe(done, before / 10, "a tenth");
    }

    function pass(uint32 time) external {
        vm.warp(block.timestamp + bound(time, 1, 3 days));
    }

    function assets() external view returns (uint256) {
        return stake.totalAssets();
    }

    function books() external view returns (uint256 sum, uint256 supply, uint256 leaving, uint256 held) {
        for (uint256 i; i < 3; ++i) {
            leaving += stake.leavingOf(staker(i)).shares;
            sum += stake.balanceOf(staker(i));
        }
        return (sum, stake.totalSupply(), leaving, stake.balanceOf(address(stake)));
    }
}

contract StakeInvariants is Test {
    StakeHandler private handler = new StakeHandler();

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @notice What is there is what came in, less what left and what was burnt.
    function invariant_stakeIsAccountedFor() external view {
        uint256 left = handler.paidOut() + handler.slashed();
        vm.assertEq(handler.assets(), handler.paidIn() + handler.given() - left, "assets");
    }

    /// @notice Every share is somebody's, and those on their way out are all in the vault's hands.
    function invariant_sharesAreSomebodys() external view {
        (uint256 sum, uint256 supply, uint256 leaving, uint256 held) = handler.books();
        vm.assertEq(leaving, held, "leaving");
        vm.assertEq(sum + held, supply, "supply");
    }
}

/// @notice Reporters who post anything, and time that passes.
contract PriceHandler is Fixture {
    mapping(uint64 epoch => uint64) public seen;
    uint64 public rolled = 1;

    constructor() {
        super.setUp();
        seen[0] = DOLLAR;
    }

    function setUp() public pure override { }

    function postOne(uint256 who, uint64 price) external {
        vm.prank(reporters[who % 3]);
        try prices.post(uint64(bound(price, 1, 1e15))) { } catch { }
    }

    function pass(uint32 time) external {
        vm.warp(block.timestamp + bound(time, 1, 2 days));
    }

    function roll() external {
        uint64 next = prices.roll();
        for (; rolled < next; ++rolled) {
            seen[rolled] = priceOf(rolled);
        }
    }

    function changeReporter(uint256 who, bool reports) external {
        vm.prank(governance);
        try prices.setReporter(address(uint160(0x2000 + who % 5)), reports) {
            for (uint64 next = prices.roll(); rolled < next; ++rolled) {
                seen[rolled] = priceOf(rolled);
            }
        } catch { }
    }

    function priceOf(uint64 epoch) public view returns (uint64 price) {
        try prices.priceAt(epoch) returns (uint64 known) {
            price = known;
        } catch { }
    }
}

contract PriceInvariants is Test {
    PriceHandler private handler = new PriceHandler();

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @notice An epoch's price never changes, and moves from the one before by no more than the bound.
    function invariant_pricesStayAndMoveWithinTheBound() external view {
        for (uint64 epoch; epoch < handler.rolled(); ++epoch) {
            uint256 price = handler.priceOf(epoch);
            vm.assertEq(price, handler.seen(epoch), "changed");
            if (epoch == 0 || price == 0 || handler.seen(epoch - 1) == 0) continue;
            // At most three epochs' bounds at once: two without news, and this one.
            vm.assertLe(price, uint256(handler.seen(epoch - 1)) * 16 / 10, "up");
            vm.assertGe(price + 1, uint256(handler.seen(epoch - 1)) * 4 / 10, "down");
        }
    }
}

/// @notice Strangers who try to write into a registry that is not theirs, and a node and an author who do as they may.
contract RegistryHandler is Fixture {
    ComponentRegistry public components = new ComponentRegistry();
    uint256 public component;
    bytes32 public expected;
    uint64 private _nonce = 1;
    bytes private _last;

    constructor() {
        super.setUp();
        component = components.release(handbook(), parts());
        expected = nodeHash();
    }

    function setUp() public pure override { }

    function nodeHash() public view returns (bytes32) {
        return keccak256(abi.encode(registry.nodeOf(id, node)));
    }

    function ownJoin(uint64 step, bytes32 config) external {
        _nonce += uint64(bound(step, 1, 1000));
        NodeJoin memory join = joinOf(NODE_KEY, _nonce);
        join.configHash = config;
        OperatorConsent memory consent = consentTo(join);
        bytes memory byNode = signed(NODE_KEY, digest(Statements.hash(join)));
        bytes memory byOperator = signed(OPERATOR_KEY, digest(Statements.hash(consent)));
        _last = abi.encodeCall(DomainRegistry.admitNode, (join, byNode, consent, byOperator));
        vm.prank(gateway);
        registry.admitNode(join, byNode, consent, byOperator);
        expected = nodeHash();
    }

    function ownLeave() external {
        NodeLeave memory leaving = NodeLeave(id, node, ++_nonce, uint64(block.timestamp));
        try registry.releaseNode(leaving, signed(NODE_KEY, digest(Statements.hash(leaving)))) {
            expected = nodeHash();
        } catch {
            --_nonce;
        }
    }

    function replay() external {
        if (_last.length == 0) return;
        vm.prank(gateway);
        (bool done,) = address(registry).call(_last);
        vm.assertTrue(!done, "a replay passed");
    }

    function strangerJoins(uint64 nonce, uint256 key, bool asOwner) external {
        NodeJoin memory join = joinOf(NODE_KEY, nonce);
        join.operator = stranger;
        key = key % 7 + 1;
        bytes memory forged = signed(key, digest(Statements.hash(join)));
        OperatorConsent memory consent = consentTo(join);
        bytes memory byOperator = signed(STRANGER_KEY, digest(Statements.hash(consent)));
        vm.prank(asOwner ? owner : stranger);
        try registry.admitNode(join, forged, consent, byOperator) { } catch { }
    }

    function strangerRules(address account) external {
        vm.assume(account != owner && account != gateway);
        vm.prank(account);
        try registry.setGateway(id, account) { } catch { }
        vm.prank(account);
        try registry.acceptOwnership(id) { } catch { }
        vm.prank(account);
        try registry.removeNode(id, node) { } catch { }
        if (account == address(this)) return;
        vm.prank(account);
        try components.setUsageShares(component, parts()) { } catch { }
    }

    function ownPrices(uint64 price) external {
        vm.prank(owner);
        registry.publishPrices(id, table());
        vm.prank(stranger);
        try registry.publishPrices(id, table()) { } catch { }
        Share[] memory list = parts();
        list[0].bps = uint16(bound(price, 0, 10_000));
        list[1].bps = 10_000 - list[0].bps;
        components.setUsageShares(component, list);
    }

    function ruler() external view returns (address, address, bytes32) {
        return (registry.domain(id).owner, registry.gatewayOf(id), registry.priceTable(id, 1));
    }

    function handbook() private pure returns (ComponentRegistry.Release memory) {
        return ComponentRegistry.Release({
            kind: ComponentRegistry.Kind.Knowledge,
            name: "handbook",
            version: "1.0",
            contentHash: keccak256("content"),
            uri: "https://example.org",
            usageBps: 200,
            royaltyBps: 500
        });
    }

    function parts() private view returns (Share[] memory list) {
        list = new Share[](2);
        list[0] = Share(owner, 7500);
        list[1] = Share(payer, 2500);
    }
}

contract RegistryInvariants is Test {
    RegistryHandler private handler = new RegistryHandler();
    bytes32 private immutable _first;

    constructor() {
        (,, _first) = handler.ruler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @notice A node's record is what the node signed last; domain and first prices are as they were.
    function invariant_onlyWhoMayWrites() external view {
        vm.assertEq(handler.nodeHash(), handler.expected());
        (address owner, address gateway, bytes32 first) = handler.ruler();
        vm.assertEq(owner, address(0x0A));
        vm.assertEq(gateway, vm.addr(0xCAFE));
        vm.assertEq(first, _first);
    }

    /// @notice A component is its author's, and its parts add up.
    function invariant_componentsAddUp() external view {
        ComponentRegistry components = handler.components();
        vm.assertEq(components.ownerOf(handler.component()), address(handler));
        (uint64 fee, uint64[] memory parts) = components.usageOf(handler.component(), 1_000_003);
        vm.assertEq(uint256(parts[0]) + parts[1], fee);
    }
}
