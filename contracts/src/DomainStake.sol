// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { DomainEscrow } from "./DomainEscrow.sol";
import { IEpochPrice } from "./EpochPrice.sol";
import { IDomainStake } from "./escrow/EpochSettlement.sol";
import { ERC20 } from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { ERC20Burnable } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import { ERC4626 } from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import { Math } from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title What stands behind a domain's word
/// @notice Anybody stakes the payment token for a domain. Shares leave after a cooldown that is longer than a dispute
/// takes, and within a window, so that nobody stands always at the door. The domain's escrow slashes on evidence that a
/// contract can check; what is slashed is burnt, so that nobody gains by it, and an epoch's slashing has a cap.
/// @dev Shares that are on their way out are held by the vault and are slashed like all others.
contract DomainStake is ERC4626, IDomainStake {
    /// @notice The most that an epoch's slashing takes, of what was there at its first one, and each of what is there.
    uint256 public constant SLASH_BPS_MAX = 5000;
    /// @notice The longest cooldown, and the longest window to leave in.
    uint256 public constant SECONDS_MAX = 365 days;
    uint256 private constant WHOLE_BPS = 10_000;

    /// @notice How one leaves, and how much can be slashed.
    /// @param cooldownSeconds How long shares wait.
    /// @param windowSeconds How long they can then leave.
    /// @param slashBps An epoch's cap of slashing, in basis points.
    struct Terms {
        uint64 cooldownSeconds;
        uint64 windowSeconds;
        uint16 slashBps;
    }

    /// @notice Shares on their way out.
    struct Leaving {
        uint192 shares;
        uint64 readyAt;
    }

    /// @dev An epoch's slashing.
    struct Slashing {
        uint64 epoch;
        uint256 cap;
        uint256 done;
    }

    event UnstakeRequested(address indexed owner, uint256 shares, uint64 readyAt);
    event UnstakeCancelled(address indexed owner, uint256 shares);
    event Slashed(uint64 indexed epoch, uint256 wanted, uint256 amount);

    error StakeTermsInvalid();
    error StakeNotEscrow(address caller);
    error StakeSharesOutOfRange(uint256 shares);
    error StakeNotLeaving(address owner);

    /// @notice The domain that is staked for.
    bytes32 public immutable domainId;
    /// @notice The domain's escrow, which slashes.
    DomainEscrow public immutable escrow;
    /// @notice The clock.
    IEpochPrice public immutable prices;
    uint64 private immutable _cooldownSeconds;
    uint64 private immutable _windowSeconds;
    uint16 private immutable _slashBps;

    mapping(address owner => Leaving) private _leaving;
    Slashing private _slashing;

    /// @dev The cooldown is longer than a refund takes, which is longer than an epoch and its disputes.
    constructor(DomainEscrow escrow_, Terms memory terms_)
        ERC20("Gaia domain stake", "GAIA-STAKE")
        ERC4626(IERC20(escrow_.prices().token()))
    {
        bool sane = terms_.cooldownSeconds > escrow_.refundDelay() && terms_.cooldownSeconds <= SECONDS_MAX
            && terms_.windowSeconds > 0 && terms_.windowSeconds <= SECONDS_MAX && terms_.slashBps > 0
            && terms_.slashBps <= SLASH_BPS_MAX;
        if (!sane) revert StakeTermsInvalid();
        domainId = escrow_.domainId();
        escrow = escrow_;
        prices = escrow_.prices();
        _cooldownSeconds = terms_.cooldownSeconds;
        _windowSeconds = terms_.windowSeconds;
        _slashBps = terms_.slashBps;
    }

    // Leaving

    /// @notice Puts shares on their way out. More shares may join; the cooldown begins anew for all of them.
    function requestUnstake(uint256 shares) external {
        if (shares == 0 || shares > balanceOf(msg.sender)) revert StakeSharesOutOfRange(shares);
        Leaving storage leaving = _leaving[msg.sender];
        uint64 readyAt = uint64(block.timestamp) + _cooldownSeconds;
        // The token's whole supply, times the offset of shares, is far below 2¹⁹².
        // forge-lint: disable-next-line(unsafe-typecast)
        leaving.shares += uint192(shares);
        leaving.readyAt = readyAt;
        emit UnstakeRequested(msg.sender, shares, readyAt);
        _transfer(msg.sender, address(this), shares);
    }

    /// @notice Takes the caller's shares back in, also when their window has passed.
    function cancelUnstake() external {
        uint256 shares = _leaving[msg.sender].shares;
        if (shares == 0) revert StakeNotLeaving(msg.sender);
        delete _leaving[msg.sender];
        emit UnstakeCancelled(msg.sender, shares);
        _transfer(address(this), msg.sender, shares);
    }

    /// @notice What an owner can redeem now: shares whose cooldown is over and whose window is open.
    function maxRedeem(address owner) public view override returns (uint256) {
        Leaving memory leaving = _leaving[owner];
        bool open = block.timestamp >= leaving.readyAt && block.timestamp < leaving.readyAt + _windowSeconds;
        return open ? leaving.shares : 0;
    }

    // Slashing

    /// @inheritdoc IDomainStake
    function slash(uint256 amount) external returns (uint256 slashed) {
        if (msg.sender != address(escrow)) revert StakeNotEscrow(msg.sender);
        uint64 epoch = prices.currentEpoch();
        uint256 all = totalAssets();
        if (_slashing.cap == 0 || _slashing.epoch != epoch) {
            _slashing = Slashing({ epoch: epoch, cap: all * _slashBps / WHOLE_BPS, done: 0 });
        }
        // Of what is there now, too: who stayed does not bear the part of those who left in between.
        uint256 most = Math.min(_slashing.cap - _slashing.done, all * _slashBps / WHOLE_BPS);
        slashed = Math.min(amount, most);
        _slashing.done += slashed;
        emit Slashed(epoch, amount, slashed);
        ERC20Burnable(asset()).burn(slashed);
    }

    // What is known

    /// @notice Shares of an owner on their way out.
    function leavingOf(address owner) external view returns (Leaving memory) {
        return _leaving[owner];
    }

    /// @notice The stake's terms.
    function terms() external view returns (Terms memory) {
        return Terms({ cooldownSeconds: _cooldownSeconds, windowSeconds: _windowSeconds, slashBps: _slashBps });
    }

    /// @notice What was slashed in the present epoch, and how much of it can be.
    function slashing() external view returns (uint256 done, uint256 cap) {
        if (_slashing.epoch != prices.currentEpoch()) return (0, totalAssets() * _slashBps / WHOLE_BPS);
        return (_slashing.done, _slashing.cap);
    }

    /// @dev Shares leave out of the vault's own hands, where `requestUnstake` has put them.
    function _withdraw(address caller, address receiver, address owner, uint256 assets, uint256 shares)
        internal
        override
    {
        if (caller != owner) _spendAllowance(owner, caller, shares);
        // forge-lint: disable-next-line(unsafe-typecast)
        _leaving[owner].shares -= uint192(shares);
        _burn(address(this), shares);
        emit Withdraw(caller, receiver, owner, assets, shares);
        _transferOut(receiver, assets);
    }

    /// @dev Makes it dear to move the price of a share by a gift before the second staker comes.
    function _decimalsOffset() internal pure override returns (uint8) {
        return 6;
    }
}
