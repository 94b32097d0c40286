// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Receipt } from "../Statements.sol";
import { Charge, EpochSettlement } from "./EpochSettlement.sol";
import { Hashes } from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import { MerkleProof } from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

/// @notice A receipt with both signatures.
struct CoSigned {
    Receipt receipt;
    bytes nodeSignature;
    bytes gatewaySignature;
}

/// @notice A leaf of a tree of shares: what an account has earned in an asset since the beginning, in nano-units.
struct Leaf {
    address account;
    address asset;
    uint64 cumulative;
}

/// @title A tree of shares, contested by those whom it gives too little
/// @notice A receipt says what its node has earned for its operator. While a batch is open, whoever has such receipts
/// may demand, against a bond, that the domain shows the batch's tree: all its leaves. The operator's leaf must hold what
/// the receipts say. A tree that is not shown in time cancels its batch and slashes the stake, as a charge without
/// receipt does. A tree that was shown is published only if all its leaves in that asset can be paid, so that nobody's
/// share in it is drawn by another's that was made up.
/// @dev A contest moves nothing but its bond. It can be begun only while the window is open, so that it delays a batch by
/// the time for an answer at most.
abstract contract ShareContests is EpochSettlement {
    /// @notice The most receipts in a contest: one of each of an operator's nodes.
    uint256 public constant CONTEST_RECEIPTS_MAX = 16;

    /// @notice A demand to be shown a tree.
    /// @param least What the operator's leaf in the asset must hold at least.
    struct Contest {
        address contester;
        uint64 respondBy;
        bool answered;
        bool bondPaid;
        address operator;
        uint96 least;
        address asset;
    }

    event SharesContested(
        uint256 indexed proposal,
        uint256 indexed index,
        address indexed operator,
        address asset,
        uint256 least,
        address contester,
        uint64 respondBy
    );
    event ContestAnswered(uint256 indexed proposal, uint256 indexed index, uint256 share);
    event ContestUpheld(uint256 indexed proposal, uint256 indexed index, uint256 slashed);

    error ContestNoTree(uint256 proposal);
    error ContestReceiptCount(uint256 receipts);
    error ContestReceiptOther(uint256 index);
    error ContestTreeOther(bytes32 root);
    error ContestTreeNotShown(address asset);
    error ContestShareTooSmall(uint256 share, uint256 least);

    mapping(uint256 proposal => Contest[]) private _contests;
    /// @dev What all leaves of a tree that was shown add up to, and one; 0 where it was not shown.
    mapping(uint256 proposal => mapping(address asset => uint256)) private _shown;

    /// @notice Demands the tree of an open batch, which must give an operator what receipts say that it has earned. The
    /// bond comes back if there is no answer in time.
    /// @param receipts Of one operator and asset, each by another node, sorted by node; none of a later epoch than the
    /// tree's. The gateway's key of now or of when the batch was proposed has signed them.
    function contest(uint256 id, CoSigned[] calldata receipts) external payable nonReentrant returns (uint256 index) {
        Proposal storage proposal = _openProposal(id);
        if (block.timestamp >= proposal.closesAt) revert SettlementWindowClosed(proposal.closesAt);
        if (proposal.sharesRoot == 0) revert ContestNoTree(id);
        if (receipts.length == 0 || receipts.length > CONTEST_RECEIPTS_MAX) {
            revert ContestReceiptCount(receipts.length);
        }
        _takeBond();
        uint96 least;
        for (uint256 i; i < receipts.length; ++i) {
            _checkReceipt(proposal, receipts, i);
            least += receipts[i].receipt.nodeCumulative;
        }
        (address operator, address asset) = (receipts[0].receipt.operator, receipts[0].receipt.asset);
        uint64 respondBy = _respondBy();
        index = _contests[id].length;
        _contests[id].push(Contest(msg.sender, respondBy, false, false, operator, least, asset));
        proposal.openContests += 1;
        emit SharesContested(id, index, operator, asset, least, msg.sender, respondBy);
    }

    /// @notice Answers a contest with all leaves of the batch's tree, in the order of their hashes. Anybody may.
    function answerContest(uint256 id, uint256 index, Leaf[] calldata leaves) external nonReentrant {
        (Proposal storage proposal, Contest storage demand) = _answerable(id, index);
        bytes32 root = _rootOf(leaves);
        if (root != proposal.sharesRoot) revert ContestTreeOther(root);
        (uint256 share, uint256 sum) = _weigh(leaves, demand.operator, demand.asset);
        _shown[id][demand.asset] = sum + 1;
        _answer(proposal, demand, share);
        emit ContestAnswered(id, index, share);
    }

    /// @notice Answers a contest with the operator's leaf alone, in an asset in which all leaves were shown before: so many
    /// contests cost the domain little more than one.
    function answerContestByProof(uint256 id, uint256 index, uint64 share, bytes32[] calldata proof)
        external
        nonReentrant
    {
        (Proposal storage proposal, Contest storage demand) = _answerable(id, index);
        if (_shown[id][demand.asset] == 0) revert ContestTreeNotShown(demand.asset);
        bytes32 leaf = _leafOf(demand.operator, demand.asset, share);
        if (!MerkleProof.verifyCalldata(proof, proposal.sharesRoot, leaf)) revert ClaimProofWrong();
        _answer(proposal, demand, share);
        emit ContestAnswered(id, index, share);
    }

    /// @notice Cancels a batch one of whose contests was not answered in time, and slashes. Anybody may call it.
    function upholdContest(uint256 id, Charge[] calldata charges, uint256 index) external nonReentrant {
        Proposal storage proposal = _open(id, charges);
        Contest storage demand = _openContest(id, index);
        if (block.timestamp <= demand.respondBy) revert ChallengeInTime(demand.respondBy);
        demand.bondPaid = true;
        _creditBond(demand.contester);
        emit ContestUpheld(id, index, _cancel(proposal, charges));
    }

    /// @notice Gives the bond of a contest back whose batch another dispute has cancelled.
    function releaseContestBond(uint256 id, uint256 index) external {
        Contest storage demand = _openContest(id, index);
        bool released = _isCancelled(id) && !demand.bondPaid;
        if (!released) revert ChallengeNotOpen(index);
        demand.bondPaid = true;
        _creditBond(demand.contester);
    }

    /// @notice A contest of a proposal; they count from 0.
    function contestOf(uint256 id, uint256 index) external view returns (Contest memory) {
        return _contests[id][index];
    }

    /// @notice How many contests a proposal has had.
    function contestCount(uint256 id) external view returns (uint256) {
        return _contests[id].length;
    }

    /// @dev Whether all leaves of a tree can be paid, in the assets in which it was shown.
    function _isCovered(uint256 id) internal view override returns (bool) {
        if (_contests[id].length == 0) return true;
        address[] memory list = assets();
        for (uint256 i; i < list.length; ++i) {
            if (_shown[id][list[i]] > _earnedIn(list[i]) + 1) return false;
        }
        return true;
    }

    function _checkReceipt(Proposal storage proposal, CoSigned[] calldata receipts, uint256 place) private view {
        CoSigned calldata signed = receipts[place];
        Receipt calldata first = receipts[0].receipt;
        bool belongs = signed.receipt.domainId == domainId && signed.receipt.epoch <= proposal.sharesEpoch
            && signed.receipt.operator == first.operator && signed.receipt.asset == first.asset
            && (place == 0 || receipts[place - 1].receipt.node < signed.receipt.node);
        if (!belongs) revert ContestReceiptOther(place);
        _checkSignedByNode(signed.receipt, signed.nodeSignature);
        address signer = _signer(signed.receipt, signed.gatewaySignature);
        if (signer != proposal.gateway && signer != registry.gatewayOf(domainId)) {
            revert ReceiptGatewaySignatureWrong();
        }
    }

    function _openContest(uint256 id, uint256 index) private view returns (Contest storage demand) {
        if (index >= _contests[id].length || _contests[id][index].answered) revert ChallengeNotOpen(index);
        return _contests[id][index];
    }

    function _answerable(uint256 id, uint256 index)
        private
        view
        returns (Proposal storage proposal, Contest storage demand)
    {
        proposal = _openProposal(id);
        demand = _openContest(id, index);
        if (block.timestamp > demand.respondBy) revert ChallengeTooLate(demand.respondBy);
    }

    function _answer(Proposal storage proposal, Contest storage demand, uint256 share) private {
        if (share < demand.least) revert ContestShareTooSmall(share, demand.least);
        (demand.answered, demand.bondPaid) = (true, true);
        proposal.openContests -= 1;
        _creditBond(proposal.proposer);
    }

    /// @dev The operator's leaf in the asset, and the sum of all leaves in it.
    function _weigh(Leaf[] calldata leaves, address operator, address asset)
        private
        pure
        returns (uint256 share, uint256 sum)
    {
        for (uint256 i; i < leaves.length; ++i) {
            if (leaves[i].asset != asset) continue;
            sum += leaves[i].cumulative;
            if (leaves[i].account == operator && leaves[i].cumulative > share) share = leaves[i].cumulative;
        }
    }

    /// @dev The root as OpenZeppelin's StandardMerkleTree lays it out: leaves stand, reversed, at the end of an array.
    function _rootOf(Leaf[] calldata leaves) private pure returns (bytes32) {
        if (leaves.length == 0) return 0;
        bytes32[] memory tree = new bytes32[](2 * leaves.length - 1);
        for (uint256 i; i < leaves.length; ++i) {
            tree[tree.length - 1 - i] = _leafOf(leaves[i].account, leaves[i].asset, leaves[i].cumulative);
        }
        for (uint256 i = leaves.length - 1; i > 0; --i) {
            tree[i - 1] = Hashes.commutativeKeccak256(tree[2 * i - 1], tree[2 * i]);
        }
        return tree[0];
    }
}
