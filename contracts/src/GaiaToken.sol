// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ERC20 } from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import { ERC20Burnable } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import { ERC20Permit } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import { ERC20Votes } from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import { Nonces } from "@openzeppelin/contracts/utils/Nonces.sol";

/// @title The token that pays, is staked and votes
/// @notice A fixed supply, all of it to one holder at the start. Nobody can make more; slashing burns.
contract GaiaToken is ERC20, ERC20Burnable, ERC20Permit, ERC20Votes {
    /// @notice All there will ever be: a thousand million tokens of 18 decimals.
    uint256 public constant SUPPLY = 1e9 * 1e18;

    /// @param holder Who gets the supply: the treasury.
    constructor(address holder) ERC20("Gaia", "GAIA") ERC20Permit("Gaia") {
        _mint(holder, SUPPLY);
    }

    /// @notice Votes are counted by time, not by blocks.
    function clock() public view override returns (uint48) {
        return uint48(block.timestamp);
    }

    /// @notice How ERC-6372 says that.
    // solhint-disable-next-line func-name-mixedcase
    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
        super._update(from, to, value);
    }

    /// @inheritdoc ERC20Permit
    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }
}
