// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ReentrancyGuardTransient } from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @title What a dispute costs whoever is wrong
/// @notice Every dispute comes with a bond of one size, in the chain's coin. It is credited to the domain that answers, or
/// back to whoever was right, and drawn from there. Nothing else of the escrow's is in coins.
abstract contract DisputeBonds is ReentrancyGuardTransient {
    event BondCredited(address indexed account, uint256 amount);
    event BondWithdrawn(address indexed account, uint256 amount);

    error ChallengeBondWrong(uint256 bond);
    error BondNothing();
    error BondRefused();

    /// @dev In wei.
    uint256 internal immutable _bond;

    mapping(address account => uint256) private _bonds;

    constructor(uint256 bond) {
        _bond = bond;
    }

    /// @notice Pays out the caller's bonds.
    function withdrawBonds() external nonReentrant {
        uint256 amount = _bonds[msg.sender];
        if (amount == 0) revert BondNothing();
        _bonds[msg.sender] = 0;
        emit BondWithdrawn(msg.sender, amount);
        (bool done,) = msg.sender.call{ value: amount }("");
        if (!done) revert BondRefused();
    }

    /// @notice What an account can withdraw in bonds, in wei.
    function bondsOf(address account) external view returns (uint256) {
        return _bonds[account];
    }

    /// @dev Takes the bond that comes with a dispute.
    function _takeBond() internal view {
        if (msg.value != _bond) revert ChallengeBondWrong(_bond);
    }

    /// @dev Gives a dispute's bond to whoever has it now.
    function _creditBond(address account) internal {
        _bonds[account] += _bond;
        emit BondCredited(account, _bond);
    }
}
