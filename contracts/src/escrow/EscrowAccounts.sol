// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { DomainRegistry } from "../DomainRegistry.sol";
import { IEpochPrice } from "../EpochPrice.sol";
import { Nano } from "../Nano.sol";
import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { IERC20Metadata } from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import { IERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @title Deposits, and their way back to whom they belong
/// @notice An account is one payer's money in one asset, in nano-units. It grows by deposits of exactly what arrives. It
/// falls by charges that passed the challenge window, or by the payer's own refund. There is no third way.
abstract contract EscrowAccounts is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice The most stablecoins that a domain takes.
    uint256 public constant STABLES_MAX = 8;

    /// @notice One payer's money in one asset; one storage word.
    /// @param balance What is there, in nano-units of the asset.
    /// @param charged All that was ever charged or is proposed to be, in nano-USD.
    /// @param refund What the payer asked back, in nano-units.
    /// @param refundAt From when on it can be had.
    struct Account {
        uint64 balance;
        uint64 charged;
        uint64 refund;
        uint64 refundAt;
    }

    /// @dev An asset that is taken. A stablecoin is worth one dollar; the payment token what the epoch's price says.
    struct Asset {
        bool taken;
        bool stable;
        uint8 decimals;
    }

    event Deposited(address indexed payer, address indexed asset, uint64 amount, address from);
    event RefundRequested(address indexed payer, address indexed asset, uint64 amount, uint64 availableAt);
    event RefundCancelled(address indexed payer, address indexed asset);
    event Refunded(address indexed payer, address indexed asset, uint64 amount, uint256 baseUnits);

    error EscrowTooManyStables();
    error EscrowAssetTwice(address asset);
    error EscrowAssetNotTaken(address asset);
    error EscrowNotBound(bytes32 domainId);
    error EscrowNothingArrived();
    error EscrowArrivedOther(uint256 arrived, uint256 sent);
    error EscrowBalanceTooLarge();
    error EscrowBalanceTooSmall(address payer, address asset, uint64 cost);
    error RefundAmountOutOfRange(uint64 amount, uint64 balance);
    error RefundNotRequested();
    error RefundNotYet(uint64 availableAt);
    error RefundNothingLeft();

    /// @notice The domain whose users deposit here.
    bytes32 public immutable domainId;
    /// @notice Where the domain, its nodes and its prices are registered.
    DomainRegistry public immutable registry;
    /// @notice The clock, and the payment token's price.
    IEpochPrice public immutable prices;
    /// @notice How long a payer waits for a refund, in seconds.
    uint64 public immutable refundDelay;

    address[] private _assetList;
    mapping(address asset => Asset) private _assets;
    mapping(address payer => mapping(address asset => Account)) private _accounts;

    constructor(
        bytes32 domainId_,
        DomainRegistry registry_,
        IEpochPrice prices_,
        address[] memory stables,
        uint64 refundDelay_
    ) {
        if (stables.length > STABLES_MAX) revert EscrowTooManyStables();
        domainId = domainId_;
        registry = registry_;
        prices = prices_;
        refundDelay = refundDelay_;
        _takeAsset(prices_.token(), false);
        for (uint256 i; i < stables.length; ++i) {
            _takeAsset(stables[i], true);
        }
    }

    // Deposits

    /// @notice Deposits `baseUnits` of the caller's into `payer`'s account.
    function deposit(address asset, uint256 baseUnits, address payer) external nonReentrant {
        _deposit(asset, baseUnits, payer);
    }

    /// @notice The same with a signed allowance (ERC-2612). An allowance that somebody else used up first is no error
    /// as long as it is there.
    function depositWithPermit(
        address asset,
        uint256 baseUnits,
        address payer,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant {
        try IERC20Permit(asset).permit(msg.sender, address(this), baseUnits, deadline, v, r, s) { } catch { }
        _deposit(asset, baseUnits, payer);
    }

    // Refunds

    /// @notice Asks `amount` nano-units back. Replaces an earlier request, and the delay begins anew. The gateway serves
    /// on credit for what is asked back no longer; what was served before is charged while the delay runs.
    function requestRefund(address asset, uint64 amount) external {
        Account storage account = _accounts[msg.sender][asset];
        if (amount == 0 || amount > account.balance) revert RefundAmountOutOfRange(amount, account.balance);
        uint64 availableAt = uint64(block.timestamp) + refundDelay;
        account.refund = amount;
        account.refundAt = availableAt;
        emit RefundRequested(msg.sender, asset, amount, availableAt);
    }

    /// @notice Takes the request back.
    function cancelRefund(address asset) external {
        Account storage account = _accounts[msg.sender][asset];
        if (account.refund == 0) revert RefundNotRequested();
        (account.refund, account.refundAt) = (0, 0);
        emit RefundCancelled(msg.sender, asset);
    }

    /// @notice Pays what the caller asked back, or what charges have left of it. It needs nobody's consent.
    function withdrawRefund(address asset) external nonReentrant {
        Account storage account = _accounts[msg.sender][asset];
        if (account.refund == 0) revert RefundNotRequested();
        if (block.timestamp < account.refundAt) revert RefundNotYet(account.refundAt);
        uint64 wanted = account.refund < account.balance ? account.refund : account.balance;
        (uint256 baseUnits, uint64 amount) = Nano.toBase(wanted, _assets[asset].decimals);
        if (baseUnits == 0) revert RefundNothingLeft();
        account.balance -= amount;
        (account.refund, account.refundAt) = (0, 0);
        emit Refunded(msg.sender, asset, amount, baseUnits);
        IERC20(asset).safeTransfer(msg.sender, baseUnits);
    }

    // What is known

    /// @notice A payer's account in an asset.
    function accountOf(address payer, address asset) external view returns (Account memory) {
        return _accounts[payer][asset];
    }

    /// @notice What is taken: the payment token, then stablecoins.
    function assets() public view returns (address[] memory) {
        return _assetList;
    }

    /// @notice An asset's price in an epoch, in nano-USD for a whole unit.
    function priceOf(address asset, uint64 epoch) public view returns (uint64) {
        Asset memory known = _assets[asset];
        if (!known.taken) revert EscrowAssetNotTaken(asset);
        return known.stable ? uint64(Nano.ONE) : prices.priceAt(epoch);
    }

    // For settlement and claims

    /// @dev Promises a charge: the account's cumulative rises to exactly `cumulative`.
    function _promise(address payer, address asset, uint64 cost, uint64 price) internal returns (uint64 cumulative) {
        Account storage account = _accounts[payer][asset];
        if (Nano.unitsFor(cost, price) > account.balance) revert EscrowBalanceTooSmall(payer, asset, cost);
        cumulative = account.charged + cost;
        account.charged = cumulative;
    }

    /// @dev Takes a promise back.
    function _unpromise(address payer, address asset, uint64 cost) internal {
        _accounts[payer][asset].charged -= cost;
    }

    /// @dev Takes a promised charge out of the account, or what is there if it is less: the domain bears what it
    /// settled too late. Returns the nano-units taken.
    function _capture(address payer, address asset, uint64 cost, uint64 price) internal returns (uint64 amount) {
        Account storage account = _accounts[payer][asset];
        uint256 due = Nano.unitsFor(cost, price);
        // The smaller of the two fits what the balance fits.
        // forge-lint: disable-next-line(unsafe-typecast)
        amount = due < account.balance ? uint64(due) : account.balance;
        account.balance -= amount;
    }

    /// @dev Pays out the whole base units of `amount`; returns the nano-units that these are worth.
    function _baseUnits(address asset, uint64 amount) internal view returns (uint256 baseUnits, uint64 whole) {
        return Nano.toBase(amount, _assets[asset].decimals);
    }

    function _takeAsset(address asset, bool stable) private {
        if (_assets[asset].taken) revert EscrowAssetTwice(asset);
        uint8 decimals = IERC20Metadata(asset).decimals();
        if (decimals > Nano.DECIMALS_MAX) revert Nano.NanoTooManyDecimals(decimals);
        _assets[asset] = Asset({ taken: true, stable: stable, decimals: decimals });
        _assetList.push(asset);
    }

    function _deposit(address asset, uint256 baseUnits, address payer) private {
        if (!_assets[asset].taken) revert EscrowAssetNotTaken(asset);
        if (registry.escrowOf(domainId) != address(this)) revert EscrowNotBound(domainId);
        uint64 amount = Nano.fromBase(baseUnits, _assets[asset].decimals);
        if (amount == 0) revert EscrowNothingArrived();
        Account storage account = _accounts[payer][asset];
        if (amount > Nano.AMOUNT_MAX - account.balance) revert EscrowBalanceTooLarge();
        account.balance += amount;
        emit Deposited(payer, asset, amount, msg.sender);
        // A token that keeps a fee, or lies, is refused: the books hold what is there.
        uint256 before = IERC20(asset).balanceOf(address(this));
        IERC20(asset).safeTransferFrom(msg.sender, address(this), baseUnits);
        uint256 arrived = IERC20(asset).balanceOf(address(this)) - before;
        if (arrived != baseUnits) revert EscrowArrivedOther(arrived, baseUnits);
    }
}
