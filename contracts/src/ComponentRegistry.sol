// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Share, Splits } from "./Splits.sol";
import { ERC721 } from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import { ERC721Royalty } from "@openzeppelin/contracts/token/ERC721/extensions/ERC721Royalty.sol";

/// @title What answers are made of, and who made it
/// @notice Each release of a model, a knowledge base or a plugin is a token of its author's: its content's hash, what of
/// a request's price its use asks for, and how that is divided. Settlement reads the terms and puts the parts into the
/// tree of shares. Content and usage fee never change; the token's holder says who is paid.
/// @dev An id contains its author's address, so that nobody can take another's name or release. Nobody owns this contract.
contract ComponentRegistry is ERC721Royalty {
    /// @notice The most that a use may ask for, in basis points of the request's price.
    uint16 public constant USAGE_BPS_MAX = 5000;
    /// @notice The most that a resale may ask for, in basis points of its price.
    uint96 public constant ROYALTY_BPS_MAX = 1000;
    /// @notice The longest name, version and address of content, in bytes.
    uint256 public constant TEXT_BYTES_MAX = 256;

    /// @notice What a component is.
    enum Kind {
        Model,
        Knowledge,
        Plugin
    }

    /// @notice A release, as its author describes it.
    /// @param contentHash The SHA-256 of a model's file or a plugin's program, the digest of a knowledge base.
    /// @param uri Where it can be had.
    /// @param usageBps What a use asks for.
    /// @param royaltyBps What a resale of the token pays its author (ERC-2981).
    struct Release {
        Kind kind;
        string name;
        string version;
        bytes32 contentHash;
        string uri;
        uint16 usageBps;
        uint96 royaltyBps;
    }

    /// @dev What is kept of it.
    struct Component {
        address author;
        Kind kind;
        uint16 usageBps;
        bytes32 contentHash;
        string uri;
    }

    event ComponentReleased(uint256 indexed id, address indexed author, Release release);
    event UsageSharesSet(uint256 indexed id, Share[] shares);

    error ComponentExists(uint256 id);
    error ComponentTextLength(uint256 length);
    error ComponentUsageTooHigh(uint16 bps);
    error ComponentRoyaltyTooHigh(uint96 bps);
    error ComponentContentMissing();
    error ComponentNotHolder(uint256 id, address caller);
    error ComponentShareOfNobody();

    mapping(uint256 id => Component) private _components;
    mapping(uint256 id => Share[]) private _shares;

    constructor() ERC721("Gaia components", "GAIA-C") { }

    /// @notice The id of an author's release.
    function idOf(address author, Kind kind, string calldata name, string calldata version)
        public
        pure
        returns (uint256)
    {
        return uint256(keccak256(abi.encode(author, kind, name, version)));
    }

    /// @notice Releases a component; its token is the caller's.
    /// @param shares How its usage fees are divided.
    function release(Release calldata what, Share[] calldata shares) external returns (uint256 id) {
        _checkRelease(what);
        id = idOf(msg.sender, what.kind, what.name, what.version);
        if (_components[id].author != address(0)) revert ComponentExists(id);
        _components[id] = Component({
            author: msg.sender, kind: what.kind, usageBps: what.usageBps, contentHash: what.contentHash, uri: what.uri
        });
        emit ComponentReleased(id, msg.sender, what);
        _setShares(id, shares);
        _setTokenRoyalty(id, msg.sender, what.royaltyBps);
        _mint(msg.sender, id);
    }

    /// @notice Divides the usage fees anew, from the next settlement on.
    function setUsageShares(uint256 id, Share[] calldata shares) external {
        if (_requireOwned(id) != msg.sender) revert ComponentNotHolder(id, msg.sender);
        _setShares(id, shares);
    }

    /// @notice A release.
    function component(uint256 id) external view returns (Component memory) {
        _requireOwned(id);
        return _components[id];
    }

    /// @notice How its usage fees are divided.
    function usageShares(uint256 id) external view returns (Share[] memory) {
        _requireOwned(id);
        return _shares[id];
    }

    /// @notice What of a request's price a use of the component earns, and each account's part of that.
    function usageOf(uint256 id, uint64 amount) external view returns (uint64 fee, uint64[] memory parts) {
        _requireOwned(id);
        // At most the amount.
        // forge-lint: disable-next-line(unsafe-typecast)
        fee = uint64(uint256(amount) * _components[id].usageBps / Splits.WHOLE);
        parts = Splits.split(fee, _bps(_shares[id]));
    }

    /// @notice Where the content can be had.
    function tokenURI(uint256 id) public view override(ERC721) returns (string memory) {
        _requireOwned(id);
        return _components[id].uri;
    }

    function _checkRelease(Release calldata what) private pure {
        _checkText(what.name);
        _checkText(what.version);
        _checkText(what.uri);
        if (what.contentHash == 0) revert ComponentContentMissing();
        if (what.usageBps > USAGE_BPS_MAX) revert ComponentUsageTooHigh(what.usageBps);
        if (what.royaltyBps > ROYALTY_BPS_MAX) revert ComponentRoyaltyTooHigh(what.royaltyBps);
    }

    function _checkText(string calldata text) private pure {
        uint256 length = bytes(text).length;
        if (length == 0 || length > TEXT_BYTES_MAX) revert ComponentTextLength(length);
    }

    function _setShares(uint256 id, Share[] calldata shares) private {
        Splits.check(_bps(shares));
        delete _shares[id];
        for (uint256 i; i < shares.length; ++i) {
            if (shares[i].account == address(0)) revert ComponentShareOfNobody();
            _shares[id].push(shares[i]);
        }
        emit UsageSharesSet(id, shares);
    }

    function _bps(Share[] memory shares) private pure returns (uint16[] memory bps) {
        bps = new uint16[](shares.length);
        for (uint256 i; i < shares.length; ++i) {
            bps[i] = shares[i].bps;
        }
    }
}
