// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { PriceRow, Prices, TokenCounts } from "./Prices.sol";
import { NodeJoin, NodeLeave, OperatorConsent, Statements } from "./Statements.sol";
import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import { SignatureChecker } from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @notice What a contract must say to be a domain's escrow or stake.
interface IOfDomain {
    /// @notice The domain that the contract belongs to.
    function domainId() external view returns (bytes32);
}

/// @title Domains: who owns one, who speaks for it, what it charges, which nodes serve it
/// @notice Nobody can overwrite anything of somebody else's. A domain's id contains its creator's address, so that a name
/// cannot be squatted; a node's record changes only by the node's own signature or ends by the domain's word; a price
/// table, once published, stays as it is; escrow and stake are bound once.
/// @dev Nobody owns this contract and nothing in it can be switched off.
contract DomainRegistry is EIP712 {
    /// @notice The longest name, in bytes.
    uint256 public constant NAME_BYTES_MAX = 64;
    /// @notice The longest endpoint of a node, in bytes.
    uint256 public constant ENDPOINT_BYTES_MAX = 256;
    /// @notice The most models in one price table.
    uint256 public constant PRICE_ROWS_MAX = 64;
    /// @notice The highest price of a million tokens, in nano-USD: a million dollars.
    uint64 public constant PRICE_MAX = 1e15;

    /// @notice A domain. `pendingOwner` becomes the owner when it accepts.
    struct Domain {
        address owner;
        address pendingOwner;
        address gateway;
        uint32 priceVersion;
        address escrow;
        address stake;
    }

    /// @notice A node in a domain. `admittedAt` is the first time, 0 for a node never admitted.
    struct Node {
        address operator;
        uint64 admittedAt;
        bool active;
        bytes32 configHash;
        string endpoint;
    }

    /// @dev Prices of one model in one table, in one word.
    struct StoredPrice {
        uint64 input;
        uint64 cached;
        uint64 output;
        bool known;
    }

    event DomainCreated(bytes32 indexed domainId, address indexed owner, address gateway, string name);
    event OwnershipOffered(bytes32 indexed domainId, address indexed owner, address indexed pendingOwner);
    event OwnershipAccepted(bytes32 indexed domainId, address indexed owner);
    event GatewayChanged(bytes32 indexed domainId, address indexed gateway);
    event ContractsBound(bytes32 indexed domainId, address escrow, address stake);
    event PricesPublished(bytes32 indexed domainId, uint32 indexed version, bytes32 tableHash, PriceRow[] rows);
    event NodeAdmitted(
        bytes32 indexed domainId, address indexed node, address indexed operator, bytes32 configHash, string endpoint
    );
    event NodeLeft(bytes32 indexed domainId, address indexed node);
    event NodeRemoved(bytes32 indexed domainId, address indexed node, address by);

    error DomainNameLength(uint256 length);
    error DomainExists(bytes32 domainId);
    error DomainUnknown(bytes32 domainId);
    error DomainGatewayMissing();
    error DomainNotOwner(bytes32 domainId, address caller);
    error DomainNotPendingOwner(bytes32 domainId, address caller);
    error DomainNotAuthorised(bytes32 domainId, address caller);
    error DomainContractsBound(bytes32 domainId);
    error DomainContractForeign(address contractOf, bytes32 domainId);
    error PricesRowCount(uint256 rows);
    error PricesModelTwice(bytes32 model);
    error PricesTooHigh(bytes32 model);
    error PricesUnknown(bytes32 domainId, uint32 version, bytes32 model);
    error NodeStatementExpired(uint64 expiry);
    error NodeStatementReplayed(address signer, uint64 nonce);
    error NodeStatementForeign(bytes32 domainId);
    error NodeSignatureWrong(address node);
    error NodeConsentMismatch();
    error NodeConsentSignatureWrong(address operator);
    error NodeEndpointTooLong(uint256 length);
    error NodeNotActive(bytes32 domainId, address node);

    mapping(bytes32 domainId => Domain) private _domains;
    mapping(bytes32 domainId => mapping(address node => Node)) private _nodes;
    mapping(bytes32 domainId => mapping(address node => uint64)) private _nodeNonces;
    mapping(bytes32 domainId => mapping(address node => mapping(address operator => uint64))) private _consentNonces;
    mapping(bytes32 domainId => mapping(uint32 version => bytes32)) private _priceTables;
    mapping(bytes32 domainId => mapping(uint32 version => mapping(bytes32 model => StoredPrice))) private _prices;

    constructor() EIP712("Gaia", "1") { }

    modifier onlyOwner(bytes32 id) {
        _checkOwner(id);
        _;
    }

    modifier onlyDomain(bytes32 id) {
        _checkDomain(id);
        _;
    }

    // Domains

    /// @notice The id that `creator`'s domain of that name has.
    function domainIdOf(address creator, string calldata name) public pure returns (bytes32) {
        return keccak256(abi.encode(creator, name));
    }

    /// @notice Creates a domain that the caller owns.
    /// @param gateway The key that signs the domain's receipts.
    function createDomain(string calldata name, address gateway) external returns (bytes32 id) {
        if (bytes(name).length == 0 || bytes(name).length > NAME_BYTES_MAX) {
            revert DomainNameLength(bytes(name).length);
        }
        id = domainIdOf(msg.sender, name);
        if (_domains[id].owner != address(0)) revert DomainExists(id);
        _domains[id].owner = msg.sender;
        emit DomainCreated(id, msg.sender, gateway, name);
        _setGateway(id, gateway);
    }

    /// @notice Offers the domain to another owner, who has to accept it. The zero address withdraws the offer.
    function offerOwnership(bytes32 id, address pendingOwner) external onlyOwner(id) {
        _domains[id].pendingOwner = pendingOwner;
        emit OwnershipOffered(id, msg.sender, pendingOwner);
    }

    /// @notice Takes a domain that was offered to the caller.
    function acceptOwnership(bytes32 id) external {
        address pendingOwner = _domains[id].pendingOwner;
        bool offered = pendingOwner != address(0) && pendingOwner == msg.sender;
        if (!offered) revert DomainNotPendingOwner(id, msg.sender);
        _domains[id].owner = msg.sender;
        _domains[id].pendingOwner = address(0);
        emit OwnershipAccepted(id, msg.sender);
    }

    /// @notice Changes the key that signs the domain's receipts. Only the present key's signatures count, also for what
    /// was served before: an honest domain signs those receipts again, a stolen key is worth nothing from here on.
    function setGateway(bytes32 id, address gateway) external onlyOwner(id) {
        _setGateway(id, gateway);
    }

    /// @notice Names the domain's escrow and stake, once and for all: receipts can be answered with in one place only.
    /// @param stake May be the zero address: a domain without stake.
    function bindContracts(bytes32 id, address escrow, address stake) external onlyOwner(id) {
        if (_domains[id].escrow != address(0)) revert DomainContractsBound(id);
        if (IOfDomain(escrow).domainId() != id) revert DomainContractForeign(escrow, id);
        if (stake != address(0) && IOfDomain(stake).domainId() != id) revert DomainContractForeign(stake, id);
        _domains[id].escrow = escrow;
        _domains[id].stake = stake;
        emit ContractsBound(id, escrow, stake);
    }

    // Prices

    /// @notice Publishes the next version of the domain's price table. Versions count from 1 and never change.
    function publishPrices(bytes32 id, PriceRow[] calldata rows) external onlyOwner(id) returns (uint32 version) {
        if (rows.length == 0 || rows.length > PRICE_ROWS_MAX) revert PricesRowCount(rows.length);
        version = ++_domains[id].priceVersion;
        bytes32 tableHash = keccak256(abi.encode(rows));
        _priceTables[id][version] = tableHash;
        for (uint256 i; i < rows.length; ++i) {
            _storePrice(_prices[id][version][rows[i].model], rows[i]);
        }
        emit PricesPublished(id, version, tableHash, rows);
    }

    /// @notice What a request cost by a table that the domain published, in nano-USD.
    function costOf(bytes32 id, uint32 version, bytes32 model, TokenCounts calldata tokens)
        external
        view
        returns (uint256)
    {
        return Prices.cost(priceOf(id, version, model), tokens);
    }

    /// @notice A model's prices in a version of the table.
    function priceOf(bytes32 id, uint32 version, bytes32 model) public view returns (PriceRow memory) {
        StoredPrice storage stored = _prices[id][version][model];
        if (!stored.known) revert PricesUnknown(id, version, model);
        return PriceRow({ model: model, input: stored.input, cached: stored.cached, output: stored.output });
    }

    /// @notice The hash of a version of the table, 0 if there is none.
    function priceTable(bytes32 id, uint32 version) external view returns (bytes32) {
        return _priceTables[id][version];
    }

    // Nodes

    /// @notice Admits a node, or changes what is known of it, by the node's own statement.
    /// @param consent Its operator's word; not looked at when the node is its own operator.
    function admitNode(
        NodeJoin calldata join,
        bytes calldata nodeSignature,
        OperatorConsent calldata consent,
        bytes calldata operatorSignature
    ) external onlyDomain(join.domainId) {
        if (bytes(join.endpoint).length > ENDPOINT_BYTES_MAX) {
            revert NodeEndpointTooLong(bytes(join.endpoint).length);
        }
        _useNodeStatement(join.domainId, join.node, join.nonce, join.expiry, Statements.hash(join), nodeSignature);
        if (join.operator != join.node) _useConsent(join, consent, operatorSignature);
        Node storage node = _nodes[join.domainId][join.node];
        if (node.admittedAt == 0) node.admittedAt = uint64(block.timestamp);
        node.active = true;
        node.operator = join.operator;
        node.configHash = join.configHash;
        node.endpoint = join.endpoint;
        emit NodeAdmitted(join.domainId, join.node, join.operator, join.configHash, join.endpoint);
    }

    /// @notice Takes a node out by its own statement, whoever brings it.
    function releaseNode(NodeLeave calldata leaving, bytes calldata signature) external {
        if (_domains[leaving.domainId].owner == address(0)) revert NodeStatementForeign(leaving.domainId);
        _useNodeStatement(
            leaving.domainId, leaving.node, leaving.nonce, leaving.expiry, Statements.hash(leaving), signature
        );
        _endNode(leaving.domainId, leaving.node);
        emit NodeLeft(leaving.domainId, leaving.node);
    }

    /// @notice Takes a node out by the domain's word. It comes back by a new statement of its own only.
    function removeNode(bytes32 id, address node) external onlyDomain(id) {
        _endNode(id, node);
        emit NodeRemoved(id, node, msg.sender);
    }

    // What is known

    /// @notice A domain, all zero if there is none of that id.
    function domain(bytes32 id) external view returns (Domain memory) {
        return _domains[id];
    }

    /// @notice A node in a domain, all zero if it never was in it.
    function nodeOf(bytes32 id, address node) external view returns (Node memory) {
        return _nodes[id][node];
    }

    /// @notice Whether the node serves or served the domain. What it signed while it did stays worth something.
    function wasAdmitted(bytes32 id, address node) external view returns (bool) {
        return _nodes[id][node].admittedAt != 0;
    }

    /// @notice The key that signs the domain's receipts.
    function gatewayOf(bytes32 id) external view returns (address) {
        return _domains[id].gateway;
    }

    /// @notice The domain's one escrow.
    function escrowOf(bytes32 id) external view returns (address) {
        return _domains[id].escrow;
    }

    /// @notice The domain's one stake, or zero.
    function stakeOf(bytes32 id) external view returns (address) {
        return _domains[id].stake;
    }

    /// @notice Whether the account may act for the domain: its owner and its gateway's key may.
    function speaksFor(bytes32 id, address account) public view returns (bool) {
        return account != address(0) && (account == _domains[id].owner || account == _domains[id].gateway);
    }

    /// @notice The last nonce of a node's statements to a domain; the next must be higher.
    function nodeNonce(bytes32 id, address node) external view returns (uint64) {
        return _nodeNonces[id][node];
    }

    /// @notice The last nonce of an operator's consents to a node in a domain; the next must be higher.
    function consentNonce(bytes32 id, address node, address operator) external view returns (uint64) {
        return _consentNonces[id][node][operator];
    }

    /// @notice EIP-712's domain separator of everything that is signed in Gaia's domains.
    function domainSeparator() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    function _checkOwner(bytes32 id) private view {
        if (_domains[id].owner == address(0)) revert DomainUnknown(id);
        if (_domains[id].owner != msg.sender) revert DomainNotOwner(id, msg.sender);
    }

    function _checkDomain(bytes32 id) private view {
        if (_domains[id].owner == address(0)) revert DomainUnknown(id);
        if (!speaksFor(id, msg.sender)) revert DomainNotAuthorised(id, msg.sender);
    }

    function _setGateway(bytes32 id, address gateway) private {
        if (gateway == address(0)) revert DomainGatewayMissing();
        _domains[id].gateway = gateway;
        emit GatewayChanged(id, gateway);
    }

    function _storePrice(StoredPrice storage stored, PriceRow calldata row) private {
        if (stored.known) revert PricesModelTwice(row.model);
        if (row.input > PRICE_MAX || row.cached > PRICE_MAX || row.output > PRICE_MAX) revert PricesTooHigh(row.model);
        stored.input = row.input;
        stored.cached = row.cached;
        stored.output = row.output;
        stored.known = true;
    }

    /// @dev Checks a node's statement and spends its nonce.
    function _useNodeStatement(
        bytes32 id,
        address node,
        uint64 nonce,
        uint64 expiry,
        bytes32 structHash,
        bytes calldata signature
    ) private {
        if (expiry < block.timestamp) revert NodeStatementExpired(expiry);
        if (nonce <= _nodeNonces[id][node]) revert NodeStatementReplayed(node, nonce);
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(_hashTypedDataV4(structHash), signature);
        if (problem != ECDSA.RecoverError.NoError || signer != node) revert NodeSignatureWrong(node);
        _nodeNonces[id][node] = nonce;
    }

    /// @dev Checks an operator's consent and spends its nonce. An operator may be a contract (ERC-1271).
    function _useConsent(NodeJoin calldata join, OperatorConsent calldata consent, bytes calldata signature) private {
        if (consent.domainId != join.domainId || consent.node != join.node || consent.operator != join.operator) {
            revert NodeConsentMismatch();
        }
        if (consent.expiry < block.timestamp) revert NodeStatementExpired(consent.expiry);
        if (consent.nonce <= _consentNonces[consent.domainId][consent.node][consent.operator]) {
            revert NodeStatementReplayed(consent.operator, consent.nonce);
        }
        bytes32 digest = _hashTypedDataV4(Statements.hash(consent));
        if (!SignatureChecker.isValidSignatureNow(consent.operator, digest, signature)) {
            revert NodeConsentSignatureWrong(consent.operator);
        }
        _consentNonces[consent.domainId][consent.node][consent.operator] = consent.nonce;
    }

    function _endNode(bytes32 id, address node) private {
        if (!_nodes[id][node].active) revert NodeNotActive(id, node);
        _nodes[id][node].active = false;
    }
}
