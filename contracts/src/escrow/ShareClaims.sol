// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { EscrowAccounts } from "./EscrowAccounts.sol";
import { IERC20 } from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import { SafeERC20 } from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

/// @title Earned shares, drawn by those who earned them
/// @notice A Merkle tree says what each account has earned in an asset since the beginning; a claim pays what was not
/// paid yet. Whatever a tree says, an asset's claims never add up to more than charges have earned.
abstract contract ShareClaims is EscrowAccounts {
    using SafeERC20 for IERC20;

    /// @dev What charges have earned in an asset and what was paid of it, in nano-units.
    struct Purse {
        uint128 earned;
        uint128 paid;
    }

    event SharesPublished(uint256 indexed proposal, bytes32 root);
    event Claimed(address indexed account, address indexed asset, uint64 amount, uint256 baseUnits);

    error ClaimProofWrong();
    error ClaimNothing();

    bytes32 private _root;
    uint256 private _rootOf;
    mapping(address asset => Purse) private _purses;
    mapping(address account => mapping(address asset => uint64)) private _paid;

    /// @notice Pays `account` what it earned and was not paid yet. Anybody may call it; the money goes to the account.
    /// @dev Base units are whole; what is left of a nano-unit stays claimable.
    function claim(address account, address asset, uint64 cumulative, bytes32[] calldata proof) external nonReentrant {
        bytes32 leaf = _leafOf(account, asset, cumulative);
        if (_root == 0 || !MerkleProof.verifyCalldata(proof, _root, leaf)) revert ClaimProofWrong();
        (uint256 baseUnits, uint64 amount) = _baseUnits(asset, _payable(account, asset, cumulative));
        if (baseUnits == 0) revert ClaimNothing();
        _paid[account][asset] += amount;
        _purses[asset].paid += amount;
        emit Claimed(account, asset, amount, baseUnits);
        IERC20(asset).safeTransfer(account, baseUnits);
    }

    /// @notice The root of the tree of shares, and the proposal that brought it.
    function sharesRoot() external view returns (bytes32 root, uint256 proposal) {
        return (_root, _rootOf);
    }

    /// @notice What an account was paid in an asset, in nano-units.
    function paidTo(address account, address asset) external view returns (uint64) {
        return _paid[account][asset];
    }

    /// @notice What charges have earned in an asset, and what was paid of it, in nano-units.
    function purseOf(address asset) external view returns (uint128 earned, uint128 paid) {
        return (_purses[asset].earned, _purses[asset].paid);
    }

    /// @dev Puts a captured charge into the asset's purse.
    function _earn(address asset, uint64 amount) internal {
        _purses[asset].earned += amount;
    }

    /// @dev Hashed twice, so that no inner node of a tree passes for a leaf.
    function _leafOf(address account, address asset, uint64 cumulative) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(account, asset, cumulative))));
    }

    /// @dev What charges have earned in an asset.
    function _earnedIn(address asset) internal view returns (uint256) {
        return _purses[asset].earned;
    }

    /// @dev Takes a finalised proposal's tree, unless a later proposal's is there already or it brings none.
    function _publishShares(uint256 proposal, bytes32 root) internal {
        if (root == 0 || proposal < _rootOf) return;
        _root = root;
        _rootOf = proposal;
        emit SharesPublished(proposal, root);
    }

    /// @dev What is due and there. The difference is taken before anything is set.
    function _payable(address account, address asset, uint64 cumulative) private view returns (uint64) {
        uint64 paid = _paid[account][asset];
        if (cumulative <= paid) return 0;
        uint64 due = cumulative - paid;
        uint128 there = _purses[asset].earned - _purses[asset].paid;
        // The smaller of the two fits what the due fits.
        // forge-lint: disable-next-line(unsafe-typecast)
        return due < there ? due : uint64(there);
    }
}
