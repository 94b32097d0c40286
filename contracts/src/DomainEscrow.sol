// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { DomainRegistry } from "./DomainRegistry.sol";
import { IEpochPrice } from "./EpochPrice.sol";
import { EpochSettlement } from "./escrow/EpochSettlement.sol";
import { EscrowAccounts } from "./escrow/EscrowAccounts.sol";
import { ShareContests } from "./escrow/ShareContests.sol";

/// @title Purpose bound money of one domain
/// @notice Users deposit here for a domain's service. Money leaves as an earned share, or as the payer's refund; nobody,
/// the domain's owner and governance included, has another way to it. Nothing here can be changed, paused or upgraded.
/// @dev Accounts, claims, bonds, settlement and contests are one contract in five files, each the only writer of its own state.
contract DomainEscrow is ShareContests {
    /// @param stables What counts as a dollar. The payment token is the one that `prices_` prices.
    constructor(
        bytes32 domainId_,
        DomainRegistry registry_,
        IEpochPrice prices_,
        address[] memory stables,
        Terms memory terms_
    ) EscrowAccounts(domainId_, registry_, prices_, stables, terms_.refundSeconds) EpochSettlement(terms_) { }
}
