// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { DomainEscrow } from "../../src/DomainEscrow.sol";
import { Nano } from "../../src/Nano.sol";
import { EscrowAccounts } from "../../src/escrow/EscrowAccounts.sol";
import { Fixture } from "../support/Fixture.sol";
import { FalseToken, FeeToken, LyingToken, ReenteringToken, SilentToken } from "../support/Hostile.sol";
import { TestDollar } from "../support/Tokens.sol";
import { vm } from "../support/Vm.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

contract EscrowAccountsTest is Fixture {
    uint256 private constant HOLDER_KEY = 0x5EED;

    // Deposits

    function test_aDepositIsCreditedInNanoUnits() external {
        depositDollars(payer, 1);
        vm.assertEq(balanceOf(payer, address(dollar)), 1000);
        depositTokens(payer, 5e9);
        vm.assertEq(balanceOf(payer, address(token)), 5);
    }

    function testFuzz_aDepositIsCreditedExactly(uint64 baseUnits) external {
        baseUnits = uint64(bound(baseUnits, 1, Nano.AMOUNT_MAX / 1000));
        depositDollars(payer, baseUnits);
        vm.assertEq(balanceOf(payer, address(dollar)), uint256(baseUnits) * 1000);
        vm.assertEq(dollar.balanceOf(address(escrow)), baseUnits);
    }

    function test_whatIsNoDepositIsRefused() external {
        vm.expectRevert(EscrowAccounts.EscrowNothingArrived.selector);
        escrow.deposit(address(dollar), 0, payer);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.EscrowAssetNotTaken.selector, address(this)));
        escrow.deposit(address(this), 1, payer);
        vm.expectRevert(abi.encodeWithSelector(Nano.NanoNotWhole.selector, 1));
        escrow.deposit(address(token), 1, payer);
        // Without an allowance nothing moves.
        vm.expectRevert();
        vm.prank(payer);
        escrow.deposit(address(dollar), 1, payer);
    }

    function test_anAccountHoldsSoMuchAndNoMore() external {
        uint256 most = Nano.AMOUNT_MAX / 1000;
        depositDollars(payer, most);
        dollar.mint(address(this), 1);
        dollar.approve(address(escrow), 1);
        vm.expectRevert(EscrowAccounts.EscrowBalanceTooLarge.selector);
        escrow.deposit(address(dollar), 1, payer);
    }

    function test_anUnboundEscrowTakesNothing() external {
        DomainEscrow second = new DomainEscrow(id, registry, prices, stables(), terms());
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.EscrowNotBound.selector, id));
        second.deposit(address(dollar), 1, payer);
    }

    function test_aSignatureCanStandForTheAllowance() external {
        address holder = vm.addr(HOLDER_KEY);
        dollar.mint(holder, 100);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(HOLDER_KEY, permitDigest(holder, 100));
        vm.prank(holder);
        escrow.depositWithPermit(address(dollar), 100, payer, block.timestamp, v, r, s);
        vm.assertEq(balanceOf(payer, address(dollar)), 100_000);
    }

    /// @dev Anybody can bring a permit to the token first; that must not hold up the deposit.
    function testFuzz_aPermitThatWasBroughtFirstIsNoObstacle(uint32 value) external {
        uint256 baseUnits = bound(value, 1, type(uint32).max);
        address holder = vm.addr(HOLDER_KEY);
        dollar.mint(holder, baseUnits);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(HOLDER_KEY, permitDigest(holder, baseUnits));
        dollar.permit(holder, address(escrow), baseUnits, block.timestamp, v, r, s);
        vm.prank(holder);
        escrow.depositWithPermit(address(dollar), baseUnits, holder, block.timestamp, v, r, s);
        vm.assertEq(balanceOf(holder, address(dollar)), baseUnits * 1000);
    }

    function test_aWrongPermitGivesNoAllowance() external {
        address holder = vm.addr(HOLDER_KEY);
        dollar.mint(holder, 100);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(HOLDER_KEY, permitDigest(holder, 99));
        vm.expectRevert();
        vm.prank(holder);
        escrow.depositWithPermit(address(dollar), 100, holder, block.timestamp, v, r, s);
    }

    // Refunds

    function test_aRefundNeedsNobodyButTime() external {
        depositDollars(payer, 5e6);
        request(payer, address(dollar), 3e9);
        vm.warp(block.timestamp + REFUND - 1);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.RefundNotYet.selector, START + REFUND));
        withdraw(payer, address(dollar));
        vm.warp(block.timestamp + 1);
        withdraw(payer, address(dollar));
        vm.assertEq(dollar.balanceOf(payer), 3e6);
        vm.assertEq(balanceOf(payer, address(dollar)), 2e9);
        vm.expectRevert(EscrowAccounts.RefundNotRequested.selector);
        withdraw(payer, address(dollar));
    }

    function testFuzz_aRefundPaysWholeBaseUnitsAndTheRestStays(uint64 deposited, uint64 amount) external {
        deposited = uint64(bound(deposited, 1, 1e15));
        depositDollars(payer, deposited);
        amount = uint64(bound(amount, 1000, uint256(deposited) * 1000));
        request(payer, address(dollar), amount);
        vm.warp(block.timestamp + REFUND);
        withdraw(payer, address(dollar));
        vm.assertEq(dollar.balanceOf(payer), amount / 1000);
        vm.assertEq(balanceOf(payer, address(dollar)), uint256(deposited) * 1000 - amount / 1000 * 1000);
    }

    function test_nobodyElseGetsARefund() external {
        depositDollars(payer, 5e6);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.RefundAmountOutOfRange.selector, 1, 0));
        request(owner, address(dollar), 1);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.RefundAmountOutOfRange.selector, 0, 5e9));
        request(payer, address(dollar), 0);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.RefundAmountOutOfRange.selector, 5e9 + 1, 5e9));
        request(payer, address(dollar), 5e9 + 1);
    }

    function test_aRequestCanBeTakenBackAndReplaced() external {
        depositDollars(payer, 5e6);
        vm.expectRevert(EscrowAccounts.RefundNotRequested.selector);
        vm.prank(payer);
        escrow.cancelRefund(address(dollar));
        request(payer, address(dollar), 5e9);
        vm.prank(payer);
        escrow.cancelRefund(address(dollar));
        vm.expectRevert(EscrowAccounts.RefundNotRequested.selector);
        withdraw(payer, address(dollar));
        request(payer, address(dollar), 5e9);
        vm.warp(block.timestamp + REFUND);
        // A new request waits anew, so that nobody keeps an old one as a way round the delay.
        request(payer, address(dollar), 4e9);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.RefundNotYet.selector, START + 2 * REFUND));
        withdraw(payer, address(dollar));
    }

    function test_chargesComeBeforeARefund() external {
        depositDollars(payer, 5e6);
        request(payer, address(dollar), 5e9);
        nextEpoch();
        settle(one(payer, address(dollar), 2e9), 0);
        vm.warp(START + REFUND);
        withdraw(payer, address(dollar));
        vm.assertEq(dollar.balanceOf(payer), 3e6);
        vm.assertEq(balanceOf(payer, address(dollar)), 0);
    }

    function test_aRefundOfLessThanABaseUnitIsNothing() external {
        depositDollars(payer, 1);
        request(payer, address(dollar), 999);
        vm.warp(block.timestamp + REFUND);
        vm.expectRevert(EscrowAccounts.RefundNothingLeft.selector);
        withdraw(payer, address(dollar));
    }

    // Assets

    function test_whatIsTakenIsFixed() external {
        address[] memory taken = escrow.assets();
        vm.assertEq(taken.length, 2);
        vm.assertEq(taken[0], address(token));
        vm.assertEq(escrow.priceOf(address(dollar), 99), 1e9);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.EscrowAssetNotTaken.selector, owner));
        escrow.priceOf(owner, 0);
        address[] memory twice = new address[](1);
        twice[0] = address(token);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.EscrowAssetTwice.selector, address(token)));
        new DomainEscrow(id, registry, prices, twice, terms());
        vm.expectRevert(EscrowAccounts.EscrowTooManyStables.selector);
        new DomainEscrow(id, registry, prices, new address[](9), terms());
        twice[0] = address(new TestDollar(28));
        vm.expectRevert(abi.encodeWithSelector(Nano.NanoTooManyDecimals.selector, 28));
        new DomainEscrow(id, registry, prices, twice, terms());
    }

    // Hostile tokens

    function test_aTokenThatKeepsAFeeIsRefused() external {
        FeeToken fee = new FeeToken();
        DomainEscrow with = escrowWith(address(fee));
        fee.mint(address(this), 1000);
        fee.approve(address(with), 1000);
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.EscrowArrivedOther.selector, 990, 1000));
        with.deposit(address(fee), 1000, payer);
    }

    function testFuzz_aTokenThatMovesNothingIsRefused(uint32 value) external {
        uint256 baseUnits = bound(value, 1, type(uint32).max);
        LyingToken liar = new LyingToken();
        DomainEscrow with = escrowWith(address(liar));
        vm.expectRevert(abi.encodeWithSelector(EscrowAccounts.EscrowArrivedOther.selector, 0, baseUnits));
        with.deposit(address(liar), baseUnits, payer);
    }

    function test_aTokenThatSaysFalseIsRefused() external {
        FalseToken no = new FalseToken();
        DomainEscrow with = escrowWith(address(no));
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(no)));
        with.deposit(address(no), 1000, payer);
    }

    function test_aTokenThatSaysNothingIsTaken() external {
        SilentToken silent = new SilentToken();
        DomainEscrow with = escrowWith(address(silent));
        silent.mint(address(this), 1000);
        with.deposit(address(silent), 1000, payer);
        vm.prank(payer);
        with.requestRefund(address(silent), 1_000_000);
        vm.warp(block.timestamp + REFUND);
        vm.prank(payer);
        with.withdrawRefund(address(silent));
        vm.assertEq(silent.balanceOf(payer), 1000);
    }

    function test_aTokenThatCallsBackGetsNowhere() external {
        ReenteringToken twice = new ReenteringToken();
        DomainEscrow with = escrowWith(address(twice));
        twice.mint(address(this), 2000);
        twice.approve(address(with), 2000);
        twice.aim(address(with), abi.encodeCall(EscrowAccounts.deposit, (address(twice), 1000, payer)));
        with.deposit(address(twice), 1000, payer);
        vm.assertTrue(twice.tried() && !twice.succeeded(), "into a deposit");
        vm.prank(payer);
        with.requestRefund(address(twice), 1_000_000);
        vm.warp(block.timestamp + REFUND);
        twice.aim(address(with), abi.encodeCall(EscrowAccounts.withdrawRefund, (address(twice))));
        vm.prank(payer);
        with.withdrawRefund(address(twice));
        vm.assertTrue(!twice.succeeded(), "into a refund");
        vm.assertEq(with.accountOf(payer, address(twice)).balance, 0);
    }

    function escrowWith(address asset) private returns (DomainEscrow with) {
        vm.prank(owner);
        bytes32 another = registry.createDomain("another", gateway);
        address[] memory list = new address[](1);
        list[0] = asset;
        with = new DomainEscrow(another, registry, prices, list, terms());
        vm.prank(owner);
        registry.bindContracts(another, address(with), address(0));
    }

    function request(address account, address asset, uint64 amount) private {
        vm.prank(account);
        escrow.requestRefund(asset, amount);
    }

    function withdraw(address account, address asset) private {
        vm.prank(account);
        escrow.withdrawRefund(asset);
    }

    function permitDigest(address holder, uint256 value) private view returns (bytes32) {
        bytes32 typehash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 permit =
            keccak256(abi.encode(typehash, holder, address(escrow), value, dollar.nonces(holder), block.timestamp));
        return keccak256(abi.encodePacked(hex"1901", dollar.DOMAIN_SEPARATOR(), permit));
    }
}
