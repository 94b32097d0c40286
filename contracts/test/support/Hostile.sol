// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { TestDollar } from "./Tokens.sol";

/// @notice A token that keeps a part of each transfer.
contract FeeToken is TestDollar(6) {
    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0) && to != address(0)) super._update(to, address(0xFEE), value / 100);
    }
}

/// @notice A token that says true and moves nothing.
contract LyingToken is TestDollar(6) {
    function transferFrom(address, address, uint256) public pure override returns (bool) {
        return true;
    }
}

/// @notice A token that says false where others revert.
contract FalseToken is TestDollar(6) {
    function transferFrom(address, address, uint256) public pure override returns (bool) {
        return false;
    }
}

/// @notice A token that returns nothing at all, as some old ones do.
contract SilentToken {
    mapping(address account => uint256) public balanceOf;

    function decimals() external pure returns (uint8) {
        return 6;
    }

    function mint(address account, uint256 value) external {
        balanceOf[account] += value;
    }

    function transferFrom(address from, address to, uint256 value) external {
        balanceOf[from] -= value;
        balanceOf[to] += value;
    }

    function transfer(address to, uint256 value) external {
        balanceOf[msg.sender] -= value;
        balanceOf[to] += value;
    }
}

/// @notice A token that calls back, into what it was told to, on every transfer.
contract ReenteringToken is TestDollar(6) {
    address private _target;
    bytes private _call;
    /// @notice What the call back came to.
    bool public tried;
    bool public succeeded;

    function aim(address target, bytes calldata data) external {
        (_target, _call) = (target, data);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_target == address(0)) return;
        address target = _target;
        _target = address(0);
        tried = true;
        (succeeded,) = target.call(_call);
    }
}

/// @notice An account that takes no coins.
contract CoinRefuser {
    function run(address target, bytes calldata data) external payable returns (bool done) {
        (done,) = target.call{ value: msg.value }(data);
    }
}
