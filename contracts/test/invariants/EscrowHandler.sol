// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Nano } from "../../src/Nano.sol";
import { Receipt } from "../../src/Statements.sol";
import { Charge, EpochSettlement } from "../../src/escrow/EpochSettlement.sol";
import { EscrowAccounts } from "../../src/escrow/EscrowAccounts.sol";
import { CoSigned, Leaf, ShareContests } from "../../src/escrow/ShareContests.sol";
import { Fixture } from "../support/Fixture.sol";
import { ShareTree } from "../support/ShareTree.sol";
import { vm } from "../support/Vm.sol";

/// @notice Everybody at once: payers, a domain that proposes whatever it likes, strangers who challenge, claimants with
/// trees that promise anything. Receipts are signed for what was really served and for nothing else. It keeps its own
/// books beside the escrow's.
contract EscrowHandler is Fixture {
    uint256 public constant PAYERS = 3;
    uint256 public constant CLAIMANTS = 2;

    /// @dev A tree's leaves: what each claimant is promised in each asset.
    struct Promised {
        uint64[2][2] cumulative;
    }

    address[2] private _assets;
    mapping(address asset => uint256) public deposited;
    mapping(address asset => uint256) public refunded;
    mapping(address asset => uint256) public claimed;
    mapping(address asset => uint256) public allowed;
    mapping(address payer => mapping(address asset => uint64)) public served;
    mapping(address payer => mapping(address asset => uint256)) public promisedTo;
    mapping(uint256 proposal => bytes) private _charges;
    mapping(uint256 proposal => Promised) private _trees;
    uint256 public bondsIn;
    uint256 public bondsOut;
    uint256 public finalised;
    uint256 public cancelled;
    uint256 public answered;
    uint256 public contested;
    uint256 public shown;
    uint256 public upheld;
    uint256 public coveredTrees;

    constructor() {
        super.setUp();
        _assets = [address(dollar), address(token)];
        stakeTokens(address(this), 10_000e18);
        for (uint256 i; i < PAYERS * 2; ++i) {
            deposit(i / 2, i, 1e6);
        }
        passEpoch(DOLLAR);
    }

    function setUp() public pure override { }

    function payerAt(uint256 index) public pure returns (address) {
        return address(uint160(0x9000 + index % PAYERS));
    }

    function claimantAt(uint256 index) public pure returns (address) {
        return address(uint160(0xA000 + index % CLAIMANTS));
    }

    function assetAt(uint256 index) public view returns (address) {
        return _assets[index % 2];
    }

    // Payers

    function deposit(uint256 who, uint256 what, uint64 amount) public {
        address asset = assetAt(what);
        uint64 whole = uint64(bound(amount, 1, 1e6));
        if (asset == address(dollar)) depositDollars(payerAt(who), whole);
        else depositTokens(payerAt(who), uint256(whole) * 1e12);
        deposited[asset] += uint256(whole) * 1000;
    }

    function requestRefund(uint256 who, uint256 what, uint64 amount) external {
        uint64 balance = balanceOf(payerAt(who), assetAt(what));
        if (balance == 0) return;
        vm.prank(payerAt(who));
        escrow.requestRefund(assetAt(what), uint64(bound(amount, 1, balance)));
    }

    function cancelRefund(uint256 who, uint256 what) external {
        vm.prank(payerAt(who));
        try escrow.cancelRefund(assetAt(what)) { } catch { }
    }

    function withdrawRefund(uint256 who, uint256 what) public {
        uint64 before = balanceOf(payerAt(who), assetAt(what));
        vm.prank(payerAt(who));
        try escrow.withdrawRefund(assetAt(what)) {
            refunded[assetAt(what)] += before - balanceOf(payerAt(who), assetAt(what));
        } catch { }
    }

    // The domain

    function serve(uint256 who, uint256 what, uint64 cost) external {
        served[payerAt(who)][assetAt(what)] += uint64(bound(cost, 1, 1e8));
    }

    /// @dev Charges what was served when `honest`, else any amount; with a tree that promises anything.
    function propose(uint256 mask, uint64 cost, bool honest, uint64[2][2] memory tree) external {
        prices.roll();
        // Half of the trees promise amounts that were perhaps earned.
        for (uint256 i; i < 4 && mask % 2 == 0; ++i) {
            tree[i / 2][i % 2] %= 1e7;
        }
        Charge[] memory charges = chargesOf(uint256(keccak256(abi.encode(mask))), cost, honest);
        if (charges.length == 0) return;
        uint64 epoch = prices.currentEpoch() - 1;
        vm.prank(gateway);
        try escrow.propose(epoch, charges, rootOf(tree)) returns (uint256 id_) {
            _charges[id_] = abi.encode(charges);
            _trees[id_].cumulative = tree;
            for (uint256 i; i < charges.length; ++i) {
                promisedTo[charges[i].payer][charges[i].asset] += charges[i].cost;
            }
        } catch { }
    }

    function finalise(uint256 which, bool wait) external {
        (uint256 proposal, Charge[] memory charges) = pick(which);
        if (proposal == 0) return;
        uint64 epoch = escrow.proposalOf(proposal).epoch;
        if (wait) waitUntil(escrow.proposalOf(proposal).closesAt);
        try escrow.finalise(proposal, charges) {
            ++finalised;
            for (uint256 i; i < charges.length; ++i) {
                uint64 price = escrow.priceOf(charges[i].asset, epoch);
                allowed[charges[i].asset] += Nano.unitsFor(charges[i].cost, price);
            }
            checkPublished(proposal);
        } catch { }
    }

    /// @dev A tree that was shown gives what receipts say, and all of it can be paid.
    function checkPublished(uint256 proposal) private {
        (, uint256 published) = escrow.sharesRoot();
        if (published != proposal) return;
        if (escrow.contestCount(proposal) > 0) ++coveredTrees;
        uint64[2][2] memory tree = _trees[proposal].cumulative;
        for (uint256 i; i < escrow.contestCount(proposal); ++i) {
            ShareContests.Contest memory demand = escrow.contestOf(proposal, i);
            uint256 what = demand.asset == _assets[0] ? 0 : 1;
            (uint128 earned,) = escrow.purseOf(demand.asset);
            vm.assertLe(uint256(tree[0][what]) + tree[1][what], earned, "a published tree can be paid");
            uint256 who = demand.operator == claimantAt(0) ? 0 : 1;
            vm.assertLe(demand.least, tree[who][what], "a published tree gives what receipts say");
        }
    }

    // Disputes

    function challenge(uint256 which, uint256 index) external {
        (uint256 proposal, Charge[] memory charges) = pick(which);
        if (proposal == 0) return;
        vm.deal(other, BOND);
        vm.prank(other);
        try escrow.challenge{ value: BOND }(proposal, charges, index % charges.length) {
            bondsIn += BOND;
        } catch { }
    }

    function answerTruly(uint256 which, uint256 index) external {
        (uint256 proposal, Charge[] memory charges) = pick(which);
        if (proposal == 0) return;
        Charge memory charge = charges[index % charges.length];
        Receipt memory receipt = receiptFor(charge, escrow.proposalOf(proposal).epoch);
        receipt.accountCumulative = served[charge.payer][charge.asset];
        bytes memory byNode = signedReceipt(NODE_KEY, receipt);
        bytes memory byGateway = signedReceipt(GATEWAY_KEY, receipt);
        try escrow.answer(proposal, charges, index % charges.length, receipt, byNode, byGateway) {
            ++answered;
            vm.assertLe(charge.cumulative, served[charge.payer][charge.asset], "an answer proves what was served");
        } catch { }
    }

    /// @dev The gateway has promised anybody anything, about what trees give, and now and then more.
    function contest(uint256 which, uint256 who, uint256 what, uint64 more) external {
        (uint256 proposal,) = pick(which);
        if (proposal == 0) return;
        uint64 given = _trees[proposal].cumulative[who % CLAIMANTS][what % 2];
        Receipt memory receipt = receiptFor(Charge(payer, assetAt(what), 1, 1), escrow.proposalOf(proposal).epoch);
        receipt.operator = claimantAt(who);
        receipt.nodeCumulative = more % 4 == 0 && given < type(uint64).max ? given + 1 : given / 2;
        CoSigned[] memory receipts = new CoSigned[](1);
        receipts[0] = CoSigned(receipt, signedReceipt(NODE_KEY, receipt), signedReceipt(GATEWAY_KEY, receipt));
        vm.deal(other, BOND);
        vm.prank(other);
        try escrow.contest{ value: BOND }(proposal, receipts) {
            ++contested;
            bondsIn += BOND;
        } catch { }
    }

    function answerContests(uint256 which) external {
        (uint256 proposal,) = pick(which);
        if (proposal == 0) return;
        uint64[2][2] memory tree = _trees[proposal].cumulative;
        Leaf[] memory leaves = shownLeaves(tree);
        for (uint256 i; i < escrow.contestCount(proposal); ++i) {
            ShareContests.Contest memory demand = escrow.contestOf(proposal, i);
            uint64 share = tree[demand.operator == claimantAt(0) ? 0 : 1][demand.asset == _assets[0] ? 0 : 1];
            bytes32 leaf = ShareTree.leaf(demand.operator, demand.asset, share);
            bytes32[] memory proof = ShareTree.proof(leavesOf(tree), leaf);
            try escrow.answerContestByProof(proposal, i, share, proof) {
                ++shown;
                continue;
            } catch { }
            try escrow.answerContest(proposal, i, leaves) {
                ++shown;
            } catch { }
        }
    }

    function upholdContest(uint256 which, uint256 index, bool wait) external {
        (uint256 proposal, Charge[] memory charges) = pick(which);
        if (proposal == 0) return;
        uint256 count = escrow.contestCount(proposal);
        if (count == 0) return;
        if (wait) waitUntil(escrow.contestOf(proposal, index % count).respondBy + 1);
        try escrow.upholdContest(proposal, charges, index % count) {
            ++upheld;
            wasCancelled(proposal, charges);
        } catch { }
    }

    function cancel(uint256 which, uint256 index, bool wait) external {
        (uint256 proposal, Charge[] memory charges) = pick(which);
        if (proposal == 0) return;
        if (wait) waitUntil(escrow.challengeOf(proposal, index % charges.length).respondBy + 1);
        try escrow.cancel(proposal, charges, index % charges.length) {
            ++cancelled;
            wasCancelled(proposal, charges);
        } catch { }
    }

    function wasCancelled(uint256 proposal, Charge[] memory charges) private {
        for (uint256 i; i < charges.length; ++i) {
            promisedTo[charges[i].payer][charges[i].asset] -= charges[i].cost;
            try escrow.releaseBond(proposal, i) { } catch { }
        }
        for (uint256 i; i < escrow.contestCount(proposal); ++i) {
            try escrow.releaseContestBond(proposal, i) { } catch { }
        }
    }

    function withdrawBonds(bool domain) external {
        address account = domain ? gateway : other;
        uint256 amount = escrow.bondsOf(account);
        vm.prank(account);
        try escrow.withdrawBonds() {
            bondsOut += amount;
        } catch { }
    }

    // Claims

    function claim(uint256 who, uint256 what) public {
        (, uint256 proposal) = escrow.sharesRoot();
        if (proposal == 0) return;
        uint64[2][2] memory tree = _trees[proposal].cumulative;
        uint64 cumulative = tree[who % CLAIMANTS][what % 2];
        address asset = assetAt(what);
        bytes32[] memory proof = ShareTree.proof(leavesOf(tree), ShareTree.leaf(claimantAt(who), asset, cumulative));
        uint64 before = escrow.paidTo(claimantAt(who), asset);
        try escrow.claim(claimantAt(who), asset, cumulative, proof) {
            claimed[asset] += escrow.paidTo(claimantAt(who), asset) - before;
            vm.assertLe(escrow.paidTo(claimantAt(who), asset), cumulative, "never more than promised");
        } catch { }
    }

    // Time

    function pass(uint32 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 1, 1 days));
    }

    function passEpoch(uint64 price) public {
        post(uint64(bound(price, 5e8, 2e9)));
        nextEpoch();
        prices.roll();
    }

    function waitUntil(uint256 time) private {
        if (time > block.timestamp) vm.warp(time);
    }

    /// @dev Everybody leaves: whatever happened before, the money is had back without the domain.
    function everybodyLeaves() external {
        for (uint256 i; i < PAYERS * 2; ++i) {
            uint64 balance = balanceOf(payerAt(i / 2), assetAt(i));
            if (balance < 1000) continue;
            vm.prank(payerAt(i / 2));
            escrow.requestRefund(assetAt(i), balance);
        }
        vm.warp(block.timestamp + REFUND);
        for (uint256 i; i < PAYERS * 2; ++i) {
            withdrawRefund(i / 2, i);
            vm.assertLe(balanceOf(payerAt(i / 2), assetAt(i)), 999, "all of it but a part of a base unit");
        }
    }

    function chargesOf(uint256 mask, uint64 cost, bool honest) private view returns (Charge[] memory charges) {
        charges = new Charge[](PAYERS * 2);
        uint256 count;
        bool dollarFirst = address(dollar) < address(token);
        for (uint256 i; i < PAYERS * 2; ++i) {
            if (mask >> i & 1 == 0) continue;
            address account = payerAt(i / 2);
            address asset = assetAt(dollarFirst ? i : i + 1);
            uint64 before = chargedTo(account, asset);
            uint64 due = honest ? owed(account, asset, before) : anyCost(account, asset, cost);
            if (due > 0) charges[count++] = Charge(account, asset, due, before + due);
        }
        assembly ("memory-safe") {
            mstore(charges, count)
        }
    }

    /// @dev Up to the balance, and now and then beyond it, which the escrow has to refuse.
    function anyCost(address account, address asset, uint64 cost) private view returns (uint64) {
        if (cost % 16 == 0) return cost == 0 ? 1 : cost;
        return uint64(bound(cost, 0, balanceOf(account, asset) / 2));
    }

    function owed(address account, address asset, uint64 before) private view returns (uint64) {
        uint64 all = served[account][asset];
        return all > before ? all - before : 0;
    }

    function pick(uint256 which) private view returns (uint256 proposal, Charge[] memory charges) {
        uint256 count = escrow.proposalCount();
        if (count == 0) return (0, charges);
        // The last few: older ones are over.
        proposal = count - which % (count < 6 ? count : 6);
        charges = abi.decode(_charges[proposal], (Charge[]));
    }

    function rootOf(uint64[2][2] memory tree) private view returns (bytes32) {
        return ShareTree.root(leavesOf(tree));
    }

    function shownLeaves(uint64[2][2] memory tree) private view returns (Leaf[] memory leaves) {
        leaves = new Leaf[](4);
        bytes32[] memory sorted = ShareTree.sort(leavesOf(tree));
        for (uint256 i; i < 4; ++i) {
            bytes32 hash = ShareTree.leaf(claimantAt(i / 2), assetAt(i), tree[i / 2][i % 2]);
            for (uint256 place; place < 4; ++place) {
                if (sorted[place] == hash) {
                    leaves[place] = Leaf(claimantAt(i / 2), assetAt(i), tree[i / 2][i % 2]);
                }
            }
        }
    }

    function leavesOf(uint64[2][2] memory tree) private view returns (bytes32[] memory leaves) {
        leaves = new bytes32[](4);
        for (uint256 i; i < 4; ++i) {
            leaves[i] = ShareTree.leaf(claimantAt(i / 2), assetAt(i), tree[i / 2][i % 2]);
        }
    }

    // What invariants look at

    function balances(address asset) external view returns (uint256 sum) {
        for (uint256 i; i < PAYERS; ++i) {
            sum += balanceOf(payerAt(i), asset);
        }
    }

    function held(address asset) external view returns (uint256) {
        return
            asset == address(dollar) ? dollar.balanceOf(address(escrow)) * 1000 : token.balanceOf(address(escrow)) / 1e9;
    }

    function purse(address asset) external view returns (uint128 earned, uint128 paid) {
        return escrow.purseOf(asset);
    }

    function charged(uint256 who, uint256 what) external view returns (uint64) {
        return chargedTo(payerAt(who), assetAt(what));
    }

    function coins() external view returns (uint256) {
        return address(escrow).balance;
    }
}
