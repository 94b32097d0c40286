// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { VectorFile } from "./VectorFile.sol";

/// @notice Writes `vectors/eip712.json` anew.
contract Vectors {
    bool public constant IS_SCRIPT = true;

    function run() external {
        VectorFile.write("vectors/eip712.json");
    }
}
