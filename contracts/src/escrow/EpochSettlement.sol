// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { TokenCounts } from "../Prices.sol";
import { Receipt, Statements } from "../Statements.sol";
import { DisputeBonds } from "./DisputeBonds.sol";
import { ShareClaims } from "./ShareClaims.sol";
import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { MessageHashUtils } from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

/// @notice What an escrow asks of the stake behind it.
interface IDomainStake {
    /// @notice Burns up to `amount` of the stake; never reverts for the domain's escrow.
    function slash(uint256 amount) external returns (uint256 slashed);
}

/// @notice What one account is charged by a proposal.
/// @param cost In nano-USD.
/// @param cumulative All that the account was ever charged, this charge included: what a receipt must prove.
struct Charge {
    address payer;
    address asset;
    uint64 cost;
    uint64 cumulative;
}

/// @title An epoch's charges: proposed, open to challenge, then taken
/// @notice The domain proposes charges in batches, all of them in calldata. For a window anybody may demand the receipt
/// of one charge, against a bond. A demand that stays without answer cancels the batch and slashes the domain's stake;
/// an answered one pays its bond to the domain. What passed the window is taken from the accounts, and nothing else is.
abstract contract EpochSettlement is ShareClaims, DisputeBonds {
    /// @notice The most charges in a batch.
    uint256 public constant CHARGES_MAX = 256;
    /// @notice How many epochs back a proposal may reach.
    uint64 public constant EPOCHS_LATE_MAX = 8;
    /// @notice The longest a window may be.
    uint64 public constant WINDOW_SECONDS_MAX = 90 days;

    /// @notice How long things take, and what they cost.
    /// @param challengeSeconds How long charges can be challenged.
    /// @param responseSeconds How long the domain has for an answer.
    /// @param refundSeconds How long a payer waits for a refund: longer than an epoch and both windows, so that the
    /// domain can charge what it had served.
    /// @param bond What a challenge costs if it is answered, in wei.
    /// @param slash What an unanswered challenge costs the stake, in base units.
    struct Terms {
        uint64 challengeSeconds;
        uint64 responseSeconds;
        uint64 refundSeconds;
        uint256 bond;
        uint256 slash;
    }

    /// @notice Where a proposal stands.
    enum State {
        None,
        Open,
        Finalised,
        Cancelled
    }

    /// @notice A batch of charges.
    /// @param gateway The key that signed the domain's receipts when it was proposed.
    /// @param sharesEpoch Through which epoch its tree of shares must say what was earned.
    struct Proposal {
        bytes32 chargesHash;
        bytes32 sharesRoot;
        address proposer;
        uint64 epoch;
        uint16 openChallenges;
        State state;
        uint64 closesAt;
        address gateway;
        uint32 openContests;
        uint64 sharesEpoch;
    }

    /// @notice A demand for one charge's receipt.
    struct Challenge {
        address challenger;
        uint64 respondBy;
        bool answered;
        bool bondPaid;
    }

    event ChargesProposed(
        uint256 indexed proposal, uint64 indexed epoch, bytes32 sharesRoot, uint64 closesAt, Charge[] charges
    );
    event ChargeChallenged(uint256 indexed proposal, uint256 indexed index, address challenger, uint64 respondBy);
    event ChallengeAnswered(uint256 indexed proposal, uint256 indexed index, bytes32 requestId);
    event ProposalCancelled(uint256 indexed proposal, uint256 indexed index, uint256 slashed);
    event ProposalFinalised(uint256 indexed proposal, uint64 indexed epoch);
    event ChargeTaken(uint256 indexed proposal, address indexed payer, address indexed asset, uint64 amount);
    event ReceiptsConflicted(bytes32 indexed requestId, uint256 slashed);

    error SettlementTermsInvalid();
    error SettlementNotAuthorised(address caller);
    error SettlementEpochOutOfRange(uint64 epoch);
    error SettlementChargeCount(uint256 charges);
    error SettlementNotSorted(uint256 index);
    error SettlementCostZero(uint256 index);
    error SettlementCumulativeWrong(uint256 index, uint64 expected);
    error SettlementChargesOther(uint256 proposal);
    error SettlementNotOpen(uint256 proposal);
    error SettlementWindowOpen(uint64 closesAt);
    error SettlementWindowClosed(uint64 closesAt);
    error SettlementChallenged(uint256 openChallenges);
    error ChallengeIndex(uint256 index);
    error ChallengeTwice(uint256 index);
    error ChallengeNotOpen(uint256 index);
    error ChallengeInTime(uint64 respondBy);
    error ChallengeTooLate(uint64 respondBy);
    error ReceiptNotOfCharge();
    error ReceiptTooSmall(uint64 accountCumulative, uint64 cumulative);
    error ReceiptCostWrong(uint64 cost, uint256 expected);
    error ReceiptNodeUnknown(address node);
    error ReceiptNodeSignatureWrong(address node);
    error ReceiptGatewaySignatureWrong();
    error ReceiptsAgree();
    error ReceiptsSlashedBefore(bytes32 requestId);

    uint64 private immutable _challengeSeconds;
    uint64 private immutable _responseSeconds;
    uint256 private immutable _slash;

    uint256 private _proposalCount;
    uint64 private _latestEpoch;
    mapping(uint256 proposal => Proposal) private _proposals;
    mapping(uint256 proposal => mapping(uint256 index => Challenge)) private _challenges;
    mapping(bytes32 requestId => bool) private _conflicts;

    constructor(Terms memory terms_) DisputeBonds(terms_.bond) {
        bool sane = terms_.challengeSeconds > 0 && terms_.challengeSeconds <= WINDOW_SECONDS_MAX
            && terms_.responseSeconds > 0 && terms_.responseSeconds <= WINDOW_SECONDS_MAX
            && terms_.refundSeconds <= 4 * WINDOW_SECONDS_MAX
            && terms_.refundSeconds > prices.epochSeconds() + terms_.challengeSeconds + terms_.responseSeconds
            && _bond > 0;
        if (!sane) revert SettlementTermsInvalid();
        _challengeSeconds = terms_.challengeSeconds;
        _responseSeconds = terms_.responseSeconds;
        _slash = terms_.slash;
    }

    // Proposals

    /// @notice Proposes a batch of charges for an epoch that is over.
    /// @param charges Sorted by payer, then asset; each account once.
    /// @param newSharesRoot The tree of shares when the batch is taken, or 0 to leave the one that is there. A tree says
    /// what was earned in all assets through this epoch, or through the latest that was ever proposed if that is later;
    /// of an epoch's batches, the last brings it.
    function propose(uint64 epoch, Charge[] calldata charges, bytes32 newSharesRoot)
        external
        nonReentrant
        returns (uint256 id)
    {
        if (!registry.speaksFor(domainId, msg.sender)) revert SettlementNotAuthorised(msg.sender);
        uint64 current = prices.currentEpoch();
        if (epoch >= current || current - epoch > EPOCHS_LATE_MAX) revert SettlementEpochOutOfRange(epoch);
        if (charges.length == 0 || charges.length > CHARGES_MAX) revert SettlementChargeCount(charges.length);
        for (uint256 i; i < charges.length; ++i) {
            if (i > 0 && !_before(charges[i - 1], charges[i])) revert SettlementNotSorted(i);
            _promiseCharge(i, charges[i], epoch);
        }
        id = ++_proposalCount;
        uint64 closesAt = uint64(block.timestamp) + _challengeSeconds;
        if (epoch > _latestEpoch) _latestEpoch = epoch;
        _proposals[id] = Proposal({
            chargesHash: keccak256(abi.encode(charges)),
            sharesRoot: newSharesRoot,
            proposer: msg.sender,
            epoch: epoch,
            openChallenges: 0,
            state: State.Open,
            closesAt: closesAt,
            gateway: registry.gatewayOf(domainId),
            openContests: 0,
            sharesEpoch: _latestEpoch
        });
        emit ChargesProposed(id, epoch, newSharesRoot, closesAt, charges);
    }

    /// @notice Takes the charges of a batch that passed its window without an open dispute. Anybody may call it. A tree that
    /// was shown in a contest and promises more than was earned is left out.
    function finalise(uint256 id, Charge[] calldata charges) external nonReentrant {
        Proposal storage proposal = _open(id, charges);
        if (block.timestamp < proposal.closesAt) revert SettlementWindowOpen(proposal.closesAt);
        uint256 disputes = uint256(proposal.openChallenges) + proposal.openContests;
        if (disputes > 0) revert SettlementChallenged(disputes);
        proposal.state = State.Finalised;
        emit ProposalFinalised(id, proposal.epoch);
        for (uint256 i; i < charges.length; ++i) {
            Charge calldata charge = charges[i];
            uint64 price = priceOf(charge.asset, proposal.epoch);
            uint64 amount = _capture(charge.payer, charge.asset, charge.cost, price);
            _earn(charge.asset, amount);
            emit ChargeTaken(id, charge.payer, charge.asset, amount);
        }
        if (_isCovered(id)) _publishShares(id, proposal.sharesRoot);
    }

    // Challenges

    /// @notice Demands the receipt of one charge. The bond comes back if there is no answer in time.
    function challenge(uint256 id, Charge[] calldata charges, uint256 index) external payable nonReentrant {
        Proposal storage proposal = _open(id, charges);
        if (block.timestamp >= proposal.closesAt) revert SettlementWindowClosed(proposal.closesAt);
        _takeBond();
        if (index >= charges.length) revert ChallengeIndex(index);
        if (_challenges[id][index].challenger != address(0)) revert ChallengeTwice(index);
        uint64 respondBy = _respondBy();
        _challenges[id][index] =
            Challenge({ challenger: msg.sender, respondBy: respondBy, answered: false, bondPaid: false });
        proposal.openChallenges += 1;
        emit ChargeChallenged(id, index, msg.sender, respondBy);
    }

    /// @notice Answers a challenge with a receipt that covers the charge. Anybody who has it may.
    function answer(
        uint256 id,
        Charge[] calldata charges,
        uint256 index,
        Receipt calldata receipt,
        bytes calldata nodeSignature,
        bytes calldata gatewaySignature
    ) external nonReentrant {
        Proposal storage proposal = _open(id, charges);
        Challenge storage demand = _openChallenge(id, index);
        if (block.timestamp > demand.respondBy) revert ChallengeTooLate(demand.respondBy);
        _checkCovers(receipt, charges[index], proposal.epoch);
        _checkSigned(receipt, nodeSignature, gatewaySignature);
        demand.answered = true;
        demand.bondPaid = true;
        proposal.openChallenges -= 1;
        emit ChallengeAnswered(id, index, receipt.requestId);
        _creditBond(proposal.proposer);
    }

    /// @notice Cancels a batch one of whose challenges was not answered in time, and slashes. Anybody may call it.
    function cancel(uint256 id, Charge[] calldata charges, uint256 index) external nonReentrant {
        Proposal storage proposal = _open(id, charges);
        Challenge storage demand = _openChallenge(id, index);
        if (block.timestamp <= demand.respondBy) revert ChallengeInTime(demand.respondBy);
        demand.bondPaid = true;
        _creditBond(demand.challenger);
        emit ProposalCancelled(id, index, _cancel(proposal, charges));
    }

    /// @notice Gives the bond of a challenge back whose batch another challenge has cancelled.
    function releaseBond(uint256 id, uint256 index) external {
        Challenge storage demand = _challenges[id][index];
        bool released = _isCancelled(id) && demand.challenger != address(0) && !demand.bondPaid;
        if (!released) revert ChallengeNotOpen(index);
        demand.bondPaid = true;
        _creditBond(demand.challenger);
    }

    /// @notice Slashes a domain whose gateway signed two different receipts for one request, once a request.
    /// @dev Only the gateway's own two signatures are evidence; nodes cannot put it into this.
    function reportConflict(
        Receipt calldata one,
        bytes calldata signatureOne,
        Receipt calldata other,
        bytes calldata signatureOther
    ) external nonReentrant {
        bool conflict = one.domainId == domainId && other.domainId == domainId && one.requestId == other.requestId
            && Statements.hash(one) != Statements.hash(other);
        if (!conflict) revert ReceiptsAgree();
        if (_conflicts[one.requestId]) revert ReceiptsSlashedBefore(one.requestId);
        address gateway = registry.gatewayOf(domainId);
        bool signed = _signer(one, signatureOne) == gateway && _signer(other, signatureOther) == gateway;
        if (!signed) revert ReceiptGatewaySignatureWrong();
        _conflicts[one.requestId] = true;
        emit ReceiptsConflicted(one.requestId, _slashStake());
    }

    // What is known

    /// @notice The domain's terms.
    function terms() external view returns (Terms memory) {
        return Terms({
            challengeSeconds: _challengeSeconds,
            responseSeconds: _responseSeconds,
            refundSeconds: refundDelay,
            bond: _bond,
            slash: _slash
        });
    }

    /// @notice A proposal; ids count from 1.
    function proposalOf(uint256 id) external view returns (Proposal memory) {
        return _proposals[id];
    }

    /// @notice How many proposals there were.
    function proposalCount() external view returns (uint256) {
        return _proposalCount;
    }

    /// @notice The challenge of one charge of a proposal.
    function challengeOf(uint256 id, uint256 index) external view returns (Challenge memory) {
        return _challenges[id][index];
    }

    function _promiseCharge(uint256 index, Charge calldata charge, uint64 epoch) private {
        if (charge.cost == 0) revert SettlementCostZero(index);
        uint64 cumulative = _promise(charge.payer, charge.asset, charge.cost, priceOf(charge.asset, epoch));
        if (cumulative != charge.cumulative) revert SettlementCumulativeWrong(index, cumulative);
    }

    // For disputes

    /// @dev Whether a proposal's tree of shares can be published.
    function _isCovered(uint256 id) internal view virtual returns (bool);

    /// @dev Until when the domain can answer what is demanded now.
    function _respondBy() internal view returns (uint64) {
        return uint64(block.timestamp) + _responseSeconds;
    }

    /// @dev Takes the promises of a batch back; returns what was slashed.
    function _cancel(Proposal storage proposal, Charge[] calldata charges) internal returns (uint256) {
        proposal.state = State.Cancelled;
        for (uint256 i; i < charges.length; ++i) {
            _unpromise(charges[i].payer, charges[i].asset, charges[i].cost);
        }
        return _slashStake();
    }

    /// @dev The stake's slash never reverts, so that a cancellation cannot be held up by it.
    function _slashStake() private returns (uint256) {
        address stake = registry.stakeOf(domainId);
        return stake == address(0) ? 0 : IDomainStake(stake).slash(_slash);
    }

    function _isCancelled(uint256 id) internal view returns (bool) {
        return _proposals[id].state == State.Cancelled;
    }

    function _openProposal(uint256 id) internal view returns (Proposal storage proposal) {
        proposal = _proposals[id];
        if (proposal.state != State.Open) revert SettlementNotOpen(id);
    }

    function _open(uint256 id, Charge[] calldata charges) internal view returns (Proposal storage proposal) {
        proposal = _openProposal(id);
        if (proposal.chargesHash != keccak256(abi.encode(charges))) revert SettlementChargesOther(id);
    }

    function _openChallenge(uint256 id, uint256 index) private view returns (Challenge storage demand) {
        demand = _challenges[id][index];
        if (demand.challenger == address(0) || demand.answered) revert ChallengeNotOpen(index);
    }

    function _checkCovers(Receipt calldata receipt, Charge calldata charge, uint64 epoch) private view {
        bool covers = receipt.domainId == domainId && receipt.payer == charge.payer && receipt.asset == charge.asset
            && receipt.epoch == epoch;
        if (!covers) revert ReceiptNotOfCharge();
        if (receipt.accountCumulative < charge.cumulative) {
            revert ReceiptTooSmall(receipt.accountCumulative, charge.cumulative);
        }
        TokenCounts memory tokens = TokenCounts(receipt.inputTokens, receipt.cachedTokens, receipt.outputTokens);
        uint256 cost = registry.costOf(domainId, receipt.priceVersion, receipt.model, tokens);
        if (cost != receipt.cost) revert ReceiptCostWrong(receipt.cost, cost);
    }

    function _checkSigned(Receipt calldata receipt, bytes calldata nodeSignature, bytes calldata gatewaySignature)
        private
        view
    {
        _checkSignedByNode(receipt, nodeSignature);
        if (_signer(receipt, gatewaySignature) != registry.gatewayOf(domainId)) revert ReceiptGatewaySignatureWrong();
    }

    function _checkSignedByNode(Receipt calldata receipt, bytes calldata signature) internal view {
        if (!registry.wasAdmitted(domainId, receipt.node)) revert ReceiptNodeUnknown(receipt.node);
        if (_signer(receipt, signature) != receipt.node) revert ReceiptNodeSignatureWrong(receipt.node);
    }

    function _signer(Receipt calldata receipt, bytes calldata signature) internal view returns (address signer) {
        bytes32 digest = MessageHashUtils.toTypedDataHash(registry.domainSeparator(), Statements.hash(receipt));
        // A wrong signature gives the zero address, which is nobody's.
        (signer,,) = ECDSA.tryRecover(digest, signature);
    }

    function _before(Charge calldata one, Charge calldata other) private pure returns (bool) {
        return one.payer < other.payer || (one.payer == other.payer && one.asset < other.asset);
    }
}
