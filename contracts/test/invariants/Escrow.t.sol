// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Test, vm } from "../support/Vm.sol";
import { EscrowHandler } from "./EscrowHandler.sol";

/// @notice What holds after any sequence of calls by anybody.
contract EscrowInvariants is Test {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    EscrowHandler private handler;

    function setUp() external {
        handler = new EscrowHandler();
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory calls = new bytes4[](20);
        calls[0] = EscrowHandler.deposit.selector;
        calls[1] = EscrowHandler.requestRefund.selector;
        calls[2] = EscrowHandler.cancelRefund.selector;
        calls[3] = EscrowHandler.withdrawRefund.selector;
        calls[4] = EscrowHandler.serve.selector;
        calls[5] = EscrowHandler.propose.selector;
        calls[6] = EscrowHandler.finalise.selector;
        calls[7] = EscrowHandler.challenge.selector;
        calls[8] = EscrowHandler.answerTruly.selector;
        calls[9] = EscrowHandler.cancel.selector;
        calls[10] = EscrowHandler.withdrawBonds.selector;
        calls[11] = EscrowHandler.claim.selector;
        calls[12] = EscrowHandler.pass.selector;
        calls[13] = EscrowHandler.passEpoch.selector;
        calls[16] = EscrowHandler.contest.selector;
        calls[17] = EscrowHandler.answerContests.selector;
        calls[18] = EscrowHandler.upholdContest.selector;
        calls[19] = EscrowHandler.finalise.selector;
        // Twice, because the rest needs them.
        calls[14] = EscrowHandler.propose.selector;
        calls[15] = EscrowHandler.serve.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), calls);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @notice What came in is what is there, in accounts and purses, and what was refunded and paid out.
    function invariant_everyUnitIsAccountedFor() external view {
        for (uint256 i; i < 2; ++i) {
            address asset = handler.assetAt(i);
            (uint128 earned, uint128 paid) = handler.purse(asset);
            uint256 balances = handler.balances(asset);
            vm.assertEq(handler.deposited(asset), balances + handler.refunded(asset) + earned, "deposits");
            vm.assertEq(handler.held(asset), balances + earned - paid, "what the escrow holds");
        }
    }

    /// @notice The domain and its friends take no more than charges that passed the window, whatever their trees say.
    function invariant_nobodyTakesMoreThanWasEarned() external view {
        for (uint256 i; i < 2; ++i) {
            address asset = handler.assetAt(i);
            (uint128 earned, uint128 paid) = handler.purse(asset);
            vm.assertLe(paid, earned, "paid");
            vm.assertEq(handler.claimed(asset), paid, "nothing is claimed twice");
            vm.assertLe(earned, handler.allowed(asset), "only finalised charges earn");
        }
    }

    /// @notice What an account was charged is what finalised and open batches say, and nothing of cancelled ones.
    function invariant_chargesAreTheBatches() external view {
        for (uint256 i; i < handler.PAYERS() * 2; ++i) {
            vm.assertEq(
                handler.charged(i / 2, i), handler.promisedTo(handler.payerAt(i / 2), handler.assetAt(i)), "charged"
            );
        }
    }

    /// @notice Bonds are not mixed with anything.
    function invariant_bondsAreThere() external view {
        vm.assertEq(handler.coins(), handler.bondsIn() - handler.bondsOut(), "bonds");
    }

    /// @notice However it went, payers have their money back without anybody's help.
    function afterInvariant() external {
        handler.everybodyLeaves();
        this.invariant_everyUnitIsAccountedFor();
        if (vm.envOr("GAIA_INVARIANT_COUNTS", uint256(0)) == 1) count();
    }

    function contests() private view returns (string memory) {
        return string.concat(
            vm.toString(handler.contested()),
            " contested, ",
            vm.toString(handler.shown()),
            " shown, ",
            vm.toString(handler.upheld()),
            " upheld, ",
            vm.toString(handler.coveredTrees()),
            " published after that, "
        );
    }

    /// @dev How often the runs got anywhere, for whoever changes the handler: a line a run in out/invariants.txt.
    function count() private {
        string memory line = string.concat(
            vm.toString(handler.finalised()),
            " finalised, ",
            vm.toString(handler.cancelled()),
            " cancelled, ",
            vm.toString(handler.answered()),
            " answered, ",
            contests(),
            vm.toString(handler.claimed(handler.assetAt(0)) + handler.claimed(handler.assetAt(1))),
            " claimed"
        );
        vm.writeLine("out/invariants.txt", line);
    }
}
