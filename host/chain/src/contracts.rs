//! The contracts as this program calls them: the functions, events and errors that it uses, no more.
//!
//! Bound by name; a test holds every selector and topic to what the compiler made of `contracts/`.

#![allow(missing_docs, reason = "contracts/src says what each of these is")]

use alloy_sol_types::sol;

sol! {
    /// A charge of a batch.
    #[derive(Debug, PartialEq, Eq)]
    struct Charge {
        address payer;
        address asset;
        uint64 cost;
        uint64 cumulative;
    }

    /// What a request cost, as node and gateway sign it.
    #[derive(Debug)]
    struct Receipt {
        bytes32 domainId;
        bytes32 requestId;
        bytes32 keyId;
        address payer;
        address asset;
        address node;
        address operator;
        bytes32 model;
        uint32 priceVersion;
        uint64 inputTokens;
        uint64 cachedTokens;
        uint64 outputTokens;
        uint64 cost;
        uint64 keyCumulative;
        uint64 accountCumulative;
        uint64 nodeCumulative;
        uint64 epoch;
        uint64 time;
    }

    /// One payer's money in one asset.
    #[derive(Debug, PartialEq, Eq)]
    struct Account {
        uint64 balance;
        uint64 charged;
        uint64 refund;
        uint64 refundAt;
    }

    /// How long things take, and what they cost.
    #[derive(Debug)]
    struct Terms {
        uint64 challengeSeconds;
        uint64 responseSeconds;
        uint64 refundSeconds;
        uint256 bond;
        uint256 slash;
    }

    /// Where a proposal stands.
    #[derive(Debug, PartialEq, Eq)]
    enum State {
        None,
        Open,
        Finalised,
        Cancelled
    }

    /// A batch of charges.
    #[derive(Debug)]
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

    /// A receipt with both signatures.
    #[derive(Debug)]
    struct CoSigned {
        Receipt receipt;
        bytes nodeSignature;
        bytes gatewaySignature;
    }

    /// A leaf of a tree of shares.
    #[derive(Debug)]
    struct Leaf {
        address account;
        address asset;
        uint64 cumulative;
    }

    /// A demand to be shown a tree of shares.
    #[derive(Debug)]
    struct Contest {
        address contester;
        uint64 respondBy;
        bool answered;
        bool bondPaid;
        address operator;
        uint96 least;
        address asset;
    }

    /// A demand for a charge's receipt.
    #[derive(Debug)]
    struct Challenge {
        address challenger;
        uint64 respondBy;
        bool answered;
        bool bondPaid;
    }

    #[derive(Debug)]
    contract Escrow {
        event Deposited(address indexed payer, address indexed asset, uint64 amount, address from);
        event RefundRequested(address indexed payer, address indexed asset, uint64 amount, uint64 availableAt);
        event RefundCancelled(address indexed payer, address indexed asset);
        event Refunded(address indexed payer, address indexed asset, uint64 amount, uint256 baseUnits);
        event Claimed(address indexed account, address indexed asset, uint64 amount, uint256 baseUnits);
        event ChargesProposed(uint256 indexed proposal, uint64 indexed epoch, bytes32 sharesRoot, uint64 closesAt, Charge[] charges);

        function domainId() external view returns (bytes32);
        function prices() external view returns (address);
        function assets() external view returns (address[] memory);
        function accountOf(address payer, address asset) external view returns (Account memory);
        function priceOf(address asset, uint64 epoch) external view returns (uint64);
        function deposit(address asset, uint256 baseUnits, address payer) external;
        function requestRefund(address asset, uint64 amount) external;
        function cancelRefund(address asset) external;
        function withdrawRefund(address asset) external;

        function propose(uint64 epoch, Charge[] calldata charges, bytes32 newSharesRoot) external returns (uint256 id);
        function finalise(uint256 id, Charge[] calldata charges) external;
        function challenge(uint256 id, Charge[] calldata charges, uint256 index) external payable;
        function answer(uint256 id, Charge[] calldata charges, uint256 index, Receipt calldata receipt, bytes calldata nodeSignature, bytes calldata gatewaySignature) external;
        function cancel(uint256 id, Charge[] calldata charges, uint256 index) external;
        function contest(uint256 id, CoSigned[] calldata receipts) external payable returns (uint256 index);
        function answerContest(uint256 id, uint256 index, Leaf[] calldata leaves) external;
        function answerContestByProof(uint256 id, uint256 index, uint64 share, bytes32[] calldata proof) external;
        function contestOf(uint256 id, uint256 index) external view returns (Contest memory);
        function contestCount(uint256 id) external view returns (uint256);
        function withdrawBonds() external;
        function bondsOf(address account) external view returns (uint256);
        function terms() external view returns (Terms memory);
        function proposalOf(uint256 id) external view returns (Proposal memory);
        function proposalCount() external view returns (uint256);
        function challengeOf(uint256 id, uint256 index) external view returns (Challenge memory);

        function claim(address account, address asset, uint64 cumulative, bytes32[] calldata proof) external;
        function sharesRoot() external view returns (bytes32 root, uint256 proposal);
        function paidTo(address account, address asset) external view returns (uint64);
        function purseOf(address asset) external view returns (uint128 earned, uint128 paid);
    }

    #[derive(Debug)]
    contract Prices {
        function token() external view returns (address);
        function currentEpoch() external view returns (uint64);
        function epochSeconds() external view returns (uint64);
        function genesis() external view returns (uint64);
        function priceAt(uint64 epoch) external view returns (uint64);
        function post(uint64 price) external;
        function roll() external returns (uint64 next);
    }

    /// A model's prices in a table.
    #[derive(Debug, PartialEq, Eq)]
    struct PriceRow {
        bytes32 model;
        uint64 input;
        uint64 cached;
        uint64 output;
    }

    /// A node's request to serve.
    #[derive(Debug)]
    struct NodeJoin {
        bytes32 domainId;
        address node;
        address operator;
        bytes32 configHash;
        string endpoint;
        uint64 nonce;
        uint64 expiry;
    }

    /// An operator's word that a node earns for it.
    #[derive(Debug)]
    struct OperatorConsent {
        bytes32 domainId;
        address node;
        address operator;
        uint64 nonce;
        uint64 expiry;
    }

    #[derive(Debug)]
    contract Registry {
        function escrowOf(bytes32 id) external view returns (address);
        function gatewayOf(bytes32 id) external view returns (address);
        function wasAdmitted(bytes32 id, address node) external view returns (bool);
        function priceOf(bytes32 id, uint32 version, bytes32 model) external view returns (PriceRow memory);
        function priceTable(bytes32 id, uint32 version) external view returns (bytes32);
        function speaksFor(bytes32 id, address account) external view returns (bool);
        function publishPrices(bytes32 id, PriceRow[] calldata rows) external returns (uint32 version);
        function setGateway(bytes32 id, address gateway) external;
        function nodeNonce(bytes32 id, address node) external view returns (uint64);
        function admitNode(NodeJoin calldata join, bytes calldata nodeSignature, OperatorConsent calldata consent, bytes calldata operatorSignature) external;
        function removeNode(bytes32 id, address node) external;
    }

    #[derive(Debug)]
    contract Stake {
        function domainId() external view returns (bytes32);
        function asset() external view returns (address);
        function balanceOf(address account) external view returns (uint256);
        function convertToAssets(uint256 shares) external view returns (uint256);
        function deposit(uint256 assets, address receiver) external returns (uint256);
        function requestUnstake(uint256 shares) external;
    }

    #[derive(Debug)]
    contract Token {
        function decimals() external view returns (uint8);
        function symbol() external view returns (string memory);
        function balanceOf(address account) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
        function approve(address spender, uint256 value) external returns (bool);
        function transfer(address to, uint256 value) external returns (bool);
        function mint(address account, uint256 baseUnits) external;
    }

    /// What contracts refuse with.
    #[derive(Debug, PartialEq, Eq)]
    contract Refusals {
        error EscrowAssetNotTaken(address asset);
        error EscrowNotBound(bytes32 domainId);
        error EscrowNothingArrived();
        error EscrowArrivedOther(uint256 arrived, uint256 sent);
        error EscrowBalanceTooLarge();
        error EscrowBalanceTooSmall(address payer, address asset, uint64 cost);
        error RefundAmountOutOfRange(uint64 amount, uint64 balance);
        error RefundNotRequested();
        error RefundNotYet(uint64 availableAt);
        error RefundNothingLeft();
        error NanoNotWhole(uint256 baseUnits);
        error NanoTooMuch(uint256 amount);
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
        error ChallengeBondWrong(uint256 bond);
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
        error BondNothing();
        error BondRefused();
        error ContestNoTree(uint256 proposal);
        error ContestReceiptCount(uint256 receipts);
        error ContestReceiptOther(uint256 index);
        error ContestTreeOther(bytes32 root);
        error ContestTreeNotShown(address asset);
        error ContestShareTooSmall(uint256 share, uint256 least);
        error ClaimProofWrong();
        error ClaimNothing();

        error PriceNotReporter(address caller);
        error PriceOutOfRange(uint64 price);
        error PriceNotRolled(uint64 epoch);
        error PriceStale(uint64 epoch);

        error DomainUnknown(bytes32 domainId);
        error DomainNotOwner(bytes32 domainId, address caller);
        error DomainNotAuthorised(bytes32 domainId, address caller);
        error PricesRowCount(uint256 rows);
        error PricesModelTwice(bytes32 model);
        error PricesTooHigh(bytes32 model);
        error PricesUnknown(bytes32 domainId, uint32 version, bytes32 model);
        error NodeStatementExpired(uint64 expiry);
        error NodeStatementReplayed(address signer, uint64 nonce);
        error NodeSignatureWrong(address node);
        error NodeConsentMismatch();
        error NodeConsentSignatureWrong(address operator);
        error NodeEndpointTooLong(uint256 length);
        error NodeNotActive(bytes32 domainId, address node);

        error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
        error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
    }
}
