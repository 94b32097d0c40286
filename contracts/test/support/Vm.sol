// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The part of forge's test machine that is used here: a contract at a fixed address.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function addr(uint256 key) external pure returns (address);
    function assertApproxEqAbs(uint256 left, uint256 right, uint256 delta, string calldata why) external pure;
    function assertEq(address left, address right) external pure;
    function assertEq(bytes32 left, bytes32 right) external pure;
    function assertEq(string calldata left, string calldata right) external pure;
    function assertEq(uint256 left, uint256 right) external pure;
    function assertEq(uint256 left, uint256 right, string calldata why) external pure;
    function assertGe(uint256 left, uint256 right, string calldata why) external pure;
    function assertGt(uint256 left, uint256 right, string calldata why) external pure;
    function assertLe(uint256 left, uint256 right, string calldata why) external pure;
    function assertTrue(bool holds, string calldata why) external pure;
    function assume(bool holds) external pure;
    function chainId(uint256 id) external;
    function deal(address account, uint256 balance) external;
    function envOr(string calldata name, string calldata otherwise) external view returns (string memory);
    function envOr(string calldata name, address otherwise) external view returns (address);
    function envOr(string calldata name, uint256 otherwise) external view returns (uint256);
    function expectEmit() external;
    function expectRevert() external;
    function expectRevert(bytes calldata reason) external;
    function expectRevert(bytes4 reason) external;
    function expectPartialRevert(bytes4 reason) external;
    function parseJsonAddress(string calldata json, string calldata key) external pure returns (address);
    function parseJsonBytes32(string calldata json, string calldata key) external pure returns (bytes32);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function prank(address sender) external;
    function readFile(string calldata path) external view returns (string memory);
    function serializeAddress(string calldata object, string calldata key, address value)
        external
        returns (string memory json);
    function serializeBytes(string calldata object, string calldata key, bytes calldata value)
        external
        returns (string memory json);
    function serializeBytes32(string calldata object, string calldata key, bytes32 value)
        external
        returns (string memory json);
    function serializeBytes32(string calldata object, string calldata key, bytes32[] calldata values)
        external
        returns (string memory json);
    function serializeString(string calldata object, string calldata key, string calldata value)
        external
        returns (string memory json);
    function serializeString(string calldata object, string calldata key, string[] calldata values)
        external
        returns (string memory json);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function startBroadcast() external;
    function startBroadcast(uint256 key) external;
    function stopBroadcast() external;
    function toString(uint256 value) external pure returns (string memory);
    function toString(bytes32 value) external pure returns (string memory);
    function warp(uint256 time) external;
    function writeFile(string calldata path, string calldata text) external;
    function writeLine(string calldata path, string calldata line) external;
    function writeJson(string calldata json, string calldata path) external;
}

/// @dev Where forge puts it: the address of keccak256("hevm cheat code").
Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

/// @notice Where a test or a script begins.
abstract contract Test {
    /// @dev forge looks for this to know a test contract from others.
    bool public constant IS_TEST = true;

    /// @notice `value` moved into `low..=high`, evenly.
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        if (low == 0 && high == type(uint256).max) return value;
        return low + value % (high - low + 1);
    }

    /// @notice A signature as 65 bytes.
    function signed(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }
}
