// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { Math } from "@openzeppelin/contracts/utils/math/Math.sol";

/// @notice What others ask of the clock and the price.
interface IEpochPrice {
    /// @notice The payment token that is priced.
    function token() external view returns (address);
    /// @notice How long an epoch is, in seconds.
    function epochSeconds() external view returns (uint64);
    /// @notice The epoch that runs now.
    function currentEpoch() external view returns (uint64);
    /// @notice The token's price in an epoch, in nano-USD for one whole token. Reverts where there is none.
    function priceAt(uint64 epoch) external view returns (uint64);
}

/// @title The clock of all domains, and the payment token's price, one per epoch
/// @notice Reporters post what the token is worth for the epoch to come. When it begins, anybody rolls the price
/// forward: the median of what was posted, moved from the last price by no more than a bound. With too few posts the
/// last price stays, for a bounded number of epochs; then there is none until there are enough posts again.
/// @dev Epochs have one definite price each, whenever `roll` is called. Governance chooses reporters and nothing else.
contract EpochPrice is IEpochPrice {
    /// @notice The most reporters.
    uint256 public constant REPORTERS_MAX = 15;
    /// @notice The most epochs that one call rolls forward.
    uint256 public constant EPOCHS_PER_ROLL_MAX = 64;
    /// @notice The highest price: a million dollars a token.
    uint64 public constant PRICE_MAX = 1e15;
    uint256 private constant WHOLE_BPS = 10_000;

    /// @notice The clock, and how prices may move.
    /// @param genesis When epoch 0 begins; not in the future.
    /// @param epochSeconds How long an epoch is.
    /// @param quorum The fewest reporters whose median counts.
    /// @param deviationBpsMax How far the price moves per epoch since the last fresh one, in basis points.
    /// @param staleEpochsMax For how many epochs a price stays without fresh posts.
    struct Bounds {
        uint64 genesis;
        uint64 epochSeconds;
        uint8 quorum;
        uint16 deviationBpsMax;
        uint16 staleEpochsMax;
    }

    event PricePosted(uint64 indexed epoch, address indexed reporter, uint64 price);
    event PriceFixed(uint64 indexed epoch, uint64 price, uint64 median, uint256 posts);
    event ReporterChanged(address indexed reporter, bool reports);

    error PriceBoundsInvalid();
    error PriceNotReporter(address caller);
    error PriceNotGovernance(address caller);
    error PriceReporterUnchanged(address reporter);
    error PriceTooManyReporters();
    error PriceTooFewReporters();
    error PriceOutOfRange(uint64 price);
    error PriceNotRolled(uint64 epoch);
    error PriceStale(uint64 epoch);

    /// @inheritdoc IEpochPrice
    address public immutable token;
    /// @notice Who chooses reporters.
    address public immutable governance;
    uint64 private immutable _genesis;
    uint64 private immutable _epochSeconds;
    uint8 private immutable _quorum;
    uint16 private immutable _deviationBpsMax;
    uint16 private immutable _staleEpochsMax;

    address[] private _reporters;
    mapping(address reporter => bool) private _reports;
    mapping(uint64 epoch => mapping(address reporter => uint64)) private _posts;
    mapping(uint64 epoch => uint64) private _prices;
    /// @dev The last fresh price and its epoch; the epoch that is rolled next.
    uint64 private _freshPrice;
    uint64 private _freshEpoch;
    uint64 private _nextEpoch;

    /// @param firstPrice The price of epoch 0.
    constructor(
        address token_,
        address governance_,
        address[] memory reporters_,
        uint64 firstPrice,
        Bounds memory bounds
    ) {
        bool sane = bounds.genesis <= block.timestamp && bounds.epochSeconds > 0 && bounds.quorum > 0
            && bounds.deviationBpsMax > 0;
        if (!sane) revert PriceBoundsInvalid();
        if (firstPrice == 0 || firstPrice > PRICE_MAX) revert PriceOutOfRange(firstPrice);
        token = token_;
        governance = governance_;
        _genesis = bounds.genesis;
        _epochSeconds = bounds.epochSeconds;
        _quorum = bounds.quorum;
        _deviationBpsMax = bounds.deviationBpsMax;
        _staleEpochsMax = bounds.staleEpochsMax;
        for (uint256 i; i < reporters_.length; ++i) {
            _addReporter(reporters_[i]);
        }
        if (reporters_.length < bounds.quorum) revert PriceTooFewReporters();
        _fix(0, firstPrice, firstPrice, 0);
        _freshPrice = firstPrice;
        _nextEpoch = 1;
    }

    /// @notice Posts the price for the next epoch. Until that begins, a reporter may post again.
    function post(uint64 price) external {
        if (!_reports[msg.sender]) revert PriceNotReporter(msg.sender);
        if (price == 0 || price > PRICE_MAX) revert PriceOutOfRange(price);
        uint64 epoch = currentEpoch() + 1;
        _posts[epoch][msg.sender] = price;
        emit PricePosted(epoch, msg.sender, price);
    }

    /// @notice Fixes the prices of the epochs that have begun, as many as one call may.
    /// @return next The first epoch without a price yet.
    function roll() public returns (uint64 next) {
        uint64 current = currentEpoch();
        next = _nextEpoch;
        for (uint256 i; i < EPOCHS_PER_ROLL_MAX && next <= current; ++i) {
            _rollOne(next++);
        }
        _nextEpoch = next;
    }

    /// @notice Adds or removes a reporter. What has begun is fixed with those who reported then.
    function setReporter(address reporter, bool reports) external {
        if (msg.sender != governance) revert PriceNotGovernance(msg.sender);
        uint64 next = roll();
        if (next <= currentEpoch()) revert PriceNotRolled(next);
        if (reports) _addReporter(reporter);
        else _removeReporter(reporter);
    }

    /// @inheritdoc IEpochPrice
    function priceAt(uint64 epoch) external view returns (uint64 price) {
        if (epoch >= _nextEpoch) revert PriceNotRolled(epoch);
        price = _prices[epoch];
        if (price == 0) revert PriceStale(epoch);
    }

    /// @inheritdoc IEpochPrice
    function currentEpoch() public view returns (uint64) {
        return uint64((block.timestamp - _genesis) / _epochSeconds);
    }

    /// @inheritdoc IEpochPrice
    function epochSeconds() external view returns (uint64) {
        return _epochSeconds;
    }

    /// @notice When epoch 0 began.
    function genesis() external view returns (uint64) {
        return _genesis;
    }

    /// @notice Who posts prices.
    function reporters() external view returns (address[] memory) {
        return _reporters;
    }

    /// @notice What a reporter posted for an epoch, 0 for nothing.
    function postOf(uint64 epoch, address reporter) external view returns (uint64) {
        return _posts[epoch][reporter];
    }

    function _rollOne(uint64 epoch) private {
        (uint64[] memory posts, uint256 count) = _sortedPosts(epoch);
        uint256 age = epoch - _freshEpoch;
        if (count < _quorum) {
            _fix(epoch, age > _staleEpochsMax ? 0 : _freshPrice, 0, count);
            return;
        }
        // Of two in the middle the lower: a price that somebody named.
        uint64 median = posts[(count - 1) / 2];
        uint64 price = _bounded(median, age);
        _freshPrice = price;
        _freshEpoch = epoch;
        _fix(epoch, price, median, count);
    }

    function _fix(uint64 epoch, uint64 price, uint64 median, uint256 posts) private {
        _prices[epoch] = price;
        emit PriceFixed(epoch, price, median, posts);
    }

    /// @dev The median, moved into what the last fresh price allows after `age` epochs.
    function _bounded(uint64 median, uint256 age) private view returns (uint64) {
        uint256 bps = Math.min(age * _deviationBpsMax, type(uint32).max);
        uint256 high = Math.min(uint256(_freshPrice) * (WHOLE_BPS + bps) / WHOLE_BPS, PRICE_MAX);
        uint256 low = Math.max(uint256(_freshPrice) * (WHOLE_BPS - Math.min(bps, WHOLE_BPS)) / WHOLE_BPS, 1);
        // Both bounds are at most PRICE_MAX.
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint64(Math.max(low, Math.min(median, high)));
    }

    function _sortedPosts(uint64 epoch) private view returns (uint64[] memory sorted, uint256 count) {
        uint256 length = _reporters.length;
        sorted = new uint64[](length);
        for (uint256 i; i < length; ++i) {
            uint64 price = _posts[epoch][_reporters[i]];
            if (price == 0) continue;
            uint256 place = count++;
            for (; place > 0 && sorted[place - 1] > price; --place) {
                sorted[place] = sorted[place - 1];
            }
            sorted[place] = price;
        }
    }

    function _addReporter(address reporter) private {
        if (_reports[reporter]) revert PriceReporterUnchanged(reporter);
        if (_reporters.length == REPORTERS_MAX) revert PriceTooManyReporters();
        _reports[reporter] = true;
        _reporters.push(reporter);
        emit ReporterChanged(reporter, true);
    }

    function _removeReporter(address reporter) private {
        if (!_reports[reporter]) revert PriceReporterUnchanged(reporter);
        if (_reporters.length <= _quorum) revert PriceTooFewReporters();
        _reports[reporter] = false;
        uint256 place;
        while (_reporters[place] != reporter) ++place;
        _reporters[place] = _reporters[_reporters.length - 1];
        _reporters.pop();
        emit ReporterChanged(reporter, false);
    }
}
