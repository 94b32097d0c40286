// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ComponentRegistry } from "../src/ComponentRegistry.sol";
import { Share, Splits } from "../src/Splits.sol";
import { Test, vm } from "./support/Vm.sol";
import { IERC721Errors } from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

contract ComponentRegistryTest is Test {
    address private constant AUTHOR = address(0x6001);
    address private constant COAUTHOR = address(0x6002);
    address private constant BUYER = address(0x6003);
    ComponentRegistry private components = new ComponentRegistry();

    function test_aReleaseIsItsAuthors() external {
        uint256 id = release(AUTHOR);
        vm.assertEq(id, components.idOf(AUTHOR, ComponentRegistry.Kind.Knowledge, "handbook", "1.0"));
        vm.assertEq(components.ownerOf(id), AUTHOR);
        vm.assertEq(components.tokenURI(id), "https://example.org/handbook-1.0");
        vm.assertEq(components.component(id).author, AUTHOR);
        vm.assertEq(components.component(id).contentHash, keccak256("content"));
        (address receiver, uint256 royalty) = components.royaltyInfo(id, 10_000);
        vm.assertEq(receiver, AUTHOR);
        vm.assertEq(royalty, 500);
        vm.assertTrue(components.supportsInterface(0x2a55205a), "ERC-2981");
        vm.assertTrue(components.supportsInterface(0x80ac58cd), "ERC-721");
    }

    function test_nobodyOverwritesARelease() external {
        uint256 id = release(AUTHOR);
        vm.expectRevert(abi.encodeWithSelector(ComponentRegistry.ComponentExists.selector, id));
        release(AUTHOR);
        vm.assertTrue(release(COAUTHOR) != id, "the same name of somebody else is another");
    }

    function testFuzz_anIdBelongsToItsAuthor(address one, address two, string calldata name) external view {
        vm.assume(one != two);
        uint256 left = components.idOf(one, ComponentRegistry.Kind.Model, name, "1");
        vm.assertTrue(left != components.idOf(two, ComponentRegistry.Kind.Model, name, "1"), "authors");
        vm.assertTrue(left != components.idOf(one, ComponentRegistry.Kind.Plugin, name, "1"), "kinds");
    }

    function test_aUseIsDividedToTheUnit() external {
        uint256 id = release(AUTHOR);
        (uint64 fee, uint64[] memory parts) = components.usageOf(id, 1001);
        vm.assertEq(fee, 20);
        vm.assertEq(parts[0], 15);
        vm.assertEq(parts[1], 5);
    }

    function testFuzz_aUsesPartsAddUp(uint64 amount) external {
        (uint64 fee, uint64[] memory parts) = components.usageOf(release(AUTHOR), amount);
        vm.assertEq(fee, uint256(amount) * 200 / 10_000);
        vm.assertEq(uint256(parts[0]) + parts[1], fee);
    }

    function test_theHolderSaysWhoIsPaid() external {
        uint256 id = release(AUTHOR);
        vm.prank(AUTHOR);
        components.transferFrom(AUTHOR, BUYER, id);
        Share[] memory all = new Share[](1);
        all[0] = Share(BUYER, 10_000);
        vm.prank(BUYER);
        components.setUsageShares(id, all);
        vm.assertEq(components.usageShares(id).length, 1);
        vm.assertEq(components.usageShares(id)[0].account, BUYER);
        // The royalty of a resale stays the author's.
        (address receiver,) = components.royaltyInfo(id, 1);
        vm.assertEq(receiver, AUTHOR);
    }

    function testFuzz_nobodyElseSaysWhoIsPaid(address caller) external {
        vm.assume(caller != AUTHOR);
        uint256 id = release(AUTHOR);
        vm.expectRevert(abi.encodeWithSelector(ComponentRegistry.ComponentNotHolder.selector, id, caller));
        vm.prank(caller);
        components.setUsageShares(id, shares());
    }

    function test_whatIsNotThereIsSaidSo() external {
        bytes memory refusal = abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, 1);
        vm.expectRevert(refusal);
        components.component(1);
        vm.expectRevert(refusal);
        components.usageShares(1);
        vm.expectRevert(refusal);
        components.usageOf(1, 1);
        vm.expectRevert(refusal);
        components.tokenURI(1);
        vm.expectRevert(refusal);
        components.setUsageShares(1, shares());
    }

    function test_aReleaseHasLimits() external {
        ComponentRegistry.Release memory what = handbook();
        what.name = "";
        checkRefused(what, abi.encodeWithSelector(ComponentRegistry.ComponentTextLength.selector, 0));
        what = handbook();
        what.version = string(new bytes(257));
        checkRefused(what, abi.encodeWithSelector(ComponentRegistry.ComponentTextLength.selector, 257));
        what = handbook();
        what.contentHash = 0;
        checkRefused(what, abi.encodeWithSelector(ComponentRegistry.ComponentContentMissing.selector));
        what = handbook();
        what.usageBps = 5001;
        checkRefused(what, abi.encodeWithSelector(ComponentRegistry.ComponentUsageTooHigh.selector, 5001));
        what = handbook();
        what.royaltyBps = 1001;
        checkRefused(what, abi.encodeWithSelector(ComponentRegistry.ComponentRoyaltyTooHigh.selector, 1001));
        what = handbook();
        (what.usageBps, what.royaltyBps, what.uri) = (5000, 1000, string(new bytes(256)));
        components.release(what, shares());
    }

    function test_sharesAddUpAndAreSomebodys() external {
        Share[] memory wrong = shares();
        wrong[1].bps = 1;
        vm.expectRevert(abi.encodeWithSelector(Splits.SplitNotWhole.selector, 7501));
        components.release(handbook(), wrong);
        wrong = shares();
        wrong[1].account = address(0);
        vm.expectRevert(ComponentRegistry.ComponentShareOfNobody.selector);
        components.release(handbook(), wrong);
    }

    function checkRefused(ComponentRegistry.Release memory what, bytes memory refusal) private {
        vm.expectRevert(refusal);
        components.release(what, shares());
    }

    function release(address author) private returns (uint256) {
        vm.prank(author);
        return components.release(handbook(), shares());
    }

    function handbook() private pure returns (ComponentRegistry.Release memory) {
        return ComponentRegistry.Release({
            kind: ComponentRegistry.Kind.Knowledge,
            name: "handbook",
            version: "1.0",
            contentHash: keccak256("content"),
            uri: "https://example.org/handbook-1.0",
            usageBps: 200,
            royaltyBps: 500
        });
    }

    function shares() private pure returns (Share[] memory list) {
        list = new Share[](2);
        list[0] = Share(AUTHOR, 7500);
        list[1] = Share(COAUTHOR, 2500);
    }
}
