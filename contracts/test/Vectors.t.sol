// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { VectorFile } from "../script/VectorFile.sol";
import { Test, vm } from "./support/Vm.sol";

contract VectorsTest is Test {
    /// @notice What the other side is held to is what the contracts compute.
    function test_theFileSaysWhatTheCodeComputes() external {
        VectorFile.write("out/vectors.json");
        vm.assertEq(vm.readFile("vectors/eip712.json"), vm.readFile("out/vectors.json"));
    }
}
