// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { DomainEscrow } from "../src/DomainEscrow.sol";
import { DomainRegistry } from "../src/DomainRegistry.sol";
import { DomainStake } from "../src/DomainStake.sol";
import { EpochPrice } from "../src/EpochPrice.sol";
import { GaiaGovernor } from "../src/GaiaGovernor.sol";
import { vm } from "../test/support/Vm.sol";
import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @notice Asks a chain whether what `out/deployment.json` says is there, bound to each other and in nobody's hands.
contract CheckDeployment {
    bool public constant IS_SCRIPT = true;

    string private _json;

    function run() external {
        _json = vm.readFile("out/deployment.json");
        checkDomain();
        checkGovernance();
        vm.assertGt(named(".components").code.length, 0, "components");
    }

    function checkDomain() private view {
        bytes32 id = vm.parseJsonBytes32(_json, ".domainId");
        DomainRegistry registry = DomainRegistry(named(".registry"));
        DomainEscrow escrow = DomainEscrow(named(".escrow"));
        vm.assertEq(registry.escrowOf(id), address(escrow));
        vm.assertEq(registry.stakeOf(id), named(".stake"));
        vm.assertEq(registry.gatewayOf(id), named(".gateway"));
        vm.assertEq(address(escrow.registry()), address(registry));
        vm.assertEq(address(escrow.prices()), named(".prices"));
        vm.assertEq(address(DomainStake(named(".stake")).escrow()), address(escrow));
        vm.assertEq(escrow.assets()[0], named(".token"));
        vm.assertEq(escrow.assets()[1], named(".stable"));
    }

    function checkGovernance() private view {
        TimelockController timelock = TimelockController(payable(named(".timelock")));
        EpochPrice prices = EpochPrice(named(".prices"));
        vm.assertTrue(timelock.hasRole(timelock.PROPOSER_ROLE(), named(".governor")), "the governor proposes");
        vm.assertTrue(
            !timelock.hasRole(timelock.DEFAULT_ADMIN_ROLE(), named(".deployer")), "the deployer rules nothing"
        );
        vm.assertEq(GaiaGovernor(payable(named(".governor"))).timelock(), address(timelock));
        vm.assertEq(prices.governance(), address(timelock));
        vm.assertGt(prices.priceAt(0), 0, "a first price");
        vm.assertEq(prices.genesis(), vm.parseJsonUint(_json, ".genesis"));
    }

    function named(string memory key) private view returns (address) {
        return vm.parseJsonAddress(_json, key);
    }
}
