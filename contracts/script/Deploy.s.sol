// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ComponentRegistry } from "../src/ComponentRegistry.sol";
import { DomainEscrow } from "../src/DomainEscrow.sol";
import { DomainRegistry } from "../src/DomainRegistry.sol";
import { DomainStake } from "../src/DomainStake.sol";
import { EpochPrice } from "../src/EpochPrice.sol";
import { GaiaGovernor } from "../src/GaiaGovernor.sol";
import { GaiaToken } from "../src/GaiaToken.sol";
import { EpochSettlement } from "../src/escrow/EpochSettlement.sol";
import { TestDollar } from "../test/support/Tokens.sol";
import { vm } from "../test/support/Vm.sol";
import { TimelockController } from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @title Everything onto one chain
/// @notice Deploys what all domains share and a first domain, and writes where it is to `out/deployment.json`. What can
/// be chosen is chosen by environment variables; `contracts/README.md` lists them.
contract Deploy {
    bool public constant IS_SCRIPT = true;

    uint256 private constant ANVIL = 31_337;
    /// @dev The first account of every fresh anvil; known to everybody.
    uint256 private constant ANVIL_KEY = 0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80;

    struct Deployment {
        address deployer;
        TimelockController timelock;
        GaiaToken token;
        GaiaGovernor governor;
        EpochPrice prices;
        DomainRegistry registry;
        ComponentRegistry components;
        address stable;
        bytes32 domainId;
        address gateway;
        DomainEscrow escrow;
        DomainStake stake;
    }

    error DeployKeyMissing();
    error DeployStableMissing();

    function run() external {
        uint256 key = vm.envOr("GAIA_DEPLOY_KEY", block.chainid == ANVIL ? ANVIL_KEY : 0);
        if (key == 0) revert DeployKeyMissing();
        Deployment memory d;
        d.deployer = vm.addr(key);
        vm.startBroadcast(key);
        shared(d);
        firstDomain(d);
        vm.stopBroadcast();
        write(d);
    }

    function shared(Deployment memory d) private {
        address[] memory none = new address[](0);
        address[] memory anybody = new address[](1);
        uint256 wait = vm.envOr("GAIA_TIMELOCK_SECONDS", 2 days);
        d.timelock = new TimelockController(wait, none, anybody, d.deployer);
        d.token =
            new GaiaToken(vm.envOr("GAIA_TOKEN_HOLDER", block.chainid == ANVIL ? d.deployer : address(d.timelock)));
        GaiaGovernor.Terms memory terms = GaiaGovernor.Terms({
            delaySeconds: uint48(vm.envOr("GAIA_VOTE_DELAY_SECONDS", 1 days)),
            voteSeconds: uint32(vm.envOr("GAIA_VOTE_SECONDS", 7 days)),
            threshold: d.token.SUPPLY() / 1000,
            quorumPercent: 4
        });
        d.governor = new GaiaGovernor(d.token, d.timelock, terms);
        d.timelock.grantRole(d.timelock.PROPOSER_ROLE(), address(d.governor));
        d.timelock.grantRole(d.timelock.CANCELLER_ROLE(), address(d.governor));
        d.timelock.renounceRole(d.timelock.DEFAULT_ADMIN_ROLE(), d.deployer);
        d.prices = new EpochPrice(address(d.token), address(d.timelock), reporters(d.deployer), firstPrice(), bounds());
        d.registry = new DomainRegistry();
        d.components = new ComponentRegistry();
        d.stable = vm.envOr("GAIA_STABLE", address(0));
        if (d.stable == address(0)) {
            if (block.chainid != ANVIL) revert DeployStableMissing();
            d.stable = address(new TestDollar(6));
        }
    }

    function firstDomain(Deployment memory d) private {
        d.gateway = vm.envOr("GAIA_GATEWAY", d.deployer);
        d.domainId = d.registry.createDomain(vm.envOr("GAIA_DOMAIN_NAME", string("gaia")), d.gateway);
        address[] memory stables = new address[](1);
        stables[0] = d.stable;
        d.escrow = new DomainEscrow(d.domainId, d.registry, d.prices, stables, escrowTerms());
        uint64 cooldown = uint64(vm.envOr("GAIA_COOLDOWN_SECONDS", uint256(d.escrow.refundDelay()) * 2));
        DomainStake.Terms memory terms = DomainStake.Terms({
            cooldownSeconds: cooldown,
            windowSeconds: uint64(vm.envOr("GAIA_UNSTAKE_WINDOW_SECONDS", 2 days)),
            slashBps: uint16(vm.envOr("GAIA_SLASH_BPS", 1000))
        });
        d.stake = new DomainStake(d.escrow, terms);
        d.registry.bindContracts(d.domainId, address(d.escrow), address(d.stake));
    }

    function bounds() private view returns (EpochPrice.Bounds memory) {
        return EpochPrice.Bounds({
            genesis: uint64(vm.envOr("GAIA_GENESIS", block.timestamp)),
            epochSeconds: uint64(vm.envOr("GAIA_EPOCH_SECONDS", 1 days)),
            quorum: uint8(vm.envOr("GAIA_PRICE_QUORUM", 1)),
            deviationBpsMax: uint16(vm.envOr("GAIA_PRICE_DEVIATION_BPS", 2000)),
            staleEpochsMax: uint16(vm.envOr("GAIA_PRICE_STALE_EPOCHS", 3))
        });
    }

    function escrowTerms() private view returns (EpochSettlement.Terms memory) {
        return EpochSettlement.Terms({
            challengeSeconds: uint64(vm.envOr("GAIA_CHALLENGE_SECONDS", 1 days)),
            responseSeconds: uint64(vm.envOr("GAIA_RESPONSE_SECONDS", 12 hours)),
            refundSeconds: uint64(vm.envOr("GAIA_REFUND_SECONDS", 4 days)),
            bond: vm.envOr("GAIA_BOND_WEI", 0.01 ether),
            slash: vm.envOr("GAIA_SLASH", 1000 ether)
        });
    }

    function firstPrice() private view returns (uint64) {
        return uint64(vm.envOr("GAIA_FIRST_PRICE", 1e9));
    }

    /// @dev One reporter, or three by GAIA_REPORTER_1 to 3.
    function reporters(address deployer) private view returns (address[] memory list) {
        address[3] memory named = [
            vm.envOr("GAIA_REPORTER_1", deployer),
            vm.envOr("GAIA_REPORTER_2", address(0)),
            vm.envOr("GAIA_REPORTER_3", address(0))
        ];
        uint256 count = named[2] != address(0) ? 3 : named[1] != address(0) ? 2 : 1;
        list = new address[](count);
        for (uint256 i; i < count; ++i) {
            list[i] = named[i];
        }
    }

    function write(Deployment memory d) private {
        string memory o = "deployment";
        vm.serializeString(o, "chainId", vm.toString(block.chainid));
        vm.serializeString(o, "genesis", vm.toString(uint256(d.prices.genesis())));
        vm.serializeString(o, "epochSeconds", vm.toString(uint256(d.prices.epochSeconds())));
        vm.serializeAddress(o, "deployer", d.deployer);
        vm.serializeAddress(o, "timelock", address(d.timelock));
        vm.serializeAddress(o, "token", address(d.token));
        vm.serializeAddress(o, "governor", address(d.governor));
        vm.serializeAddress(o, "prices", address(d.prices));
        vm.serializeAddress(o, "registry", address(d.registry));
        vm.serializeAddress(o, "components", address(d.components));
        vm.serializeAddress(o, "stable", d.stable);
        vm.serializeBytes32(o, "domainId", d.domainId);
        vm.serializeAddress(o, "gateway", d.gateway);
        vm.serializeAddress(o, "escrow", address(d.escrow));
        vm.writeJson(vm.serializeAddress(o, "stake", address(d.stake)), "out/deployment.json");
    }
}
