"""Following the desired properties, and reacting to the newest of them only."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.fleet.link import HubRequestError
from localcloud.fleet.reactor import Reactor
from localcloud.fleet.twin import DesiredProperties

values = st.recursive(st.none() | st.integers(0, 3), lambda inner: st.dictionaries(st.sampled_from("abc"), inner))
patches = st.dictionaries(st.sampled_from("abc"), values)


def reference_merge(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2, word by word."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = reference_merge(result.get(name), value)
    return result


@given(st.lists(patches, max_size=6))
def test_patches_merge_as_json_merge_patches_do(sequence: list[dict[str, Any]]) -> None:
    desired = DesiredProperties()
    desired.replace({"$version": 1})
    expected: dict[str, Any] = {}
    for version, patch in enumerate(sequence, start=2):
        assert desired.apply({**patch, "$version": version})
        expected = reference_merge(expected, patch)
    assert {name: desired[name] for name in "abc"} == {name: expected.get(name) for name in "abc"}


def test_a_missed_patch_is_noticed_and_an_old_one_ignored() -> None:
    desired = DesiredProperties()
    assert not desired.apply({"a": 1, "$version": 1})  # nothing is known yet
    desired.replace({"a": {"b": 1}, "$version": 5})
    assert not desired.apply({"a": 2, "$version": 7})
    assert desired.apply({"a": 3, "$version": 5})
    assert desired["a"] == {"b": 1}
    desired.replace({"a": 0, "$version": 4})
    assert desired["a"] == {"b": 1}
    assert desired["absent"] is None


class Reactions:
    """Notes what is begun and what is finished; a reaction ends when it is let go."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.finished: list[Any] = []
        self.go = asyncio.Event()

    async def react(self, value: Mapping[str, Any]) -> None:
        self.begun.append(value["n"])
        await self.go.wait()
        self.finished.append(value["n"])


async def test_a_newer_wish_replaces_the_one_under_way() -> None:
    reactions = Reactions()
    reactor = Reactor("test", reactions.react, 0)
    reactor.wish({"n": 1})
    await asyncio.sleep(0)
    reactor.wish({"n": 2})
    reactor.wish({"n": 3})
    reactions.go.set()
    await reactor.settle()
    assert reactions.finished == [3]


async def test_a_wish_that_is_taken_back_is_given_up() -> None:
    reactions = Reactions()
    reactor = Reactor("test", reactions.react, 0)
    reactor.wish({"n": 1})
    await asyncio.sleep(0)
    reactor.wish(None)
    reactions.go.set()
    await reactor.settle()
    assert (reactions.begun, reactions.finished) == ([1], [])


async def test_the_same_wish_is_fulfilled_once_unless_it_is_said_again_afterwards() -> None:
    reactions = Reactions()
    reactor = Reactor("test", reactions.react, 0)
    reactor.wish({"n": 1})
    reactor.wish({"n": 1}, again=True)  # still under way
    reactions.go.set()
    await reactor.settle()
    reactor.wish({"n": 1})
    await reactor.settle()
    assert reactions.finished == [1]
    reactor.wish({"n": 1}, again=True)
    await reactor.settle()
    assert reactions.finished == [1, 1]


async def test_a_fault_in_one_reaction_does_not_prevent_the_next(caplog: pytest.LogCaptureFixture) -> None:
    seen = []

    async def react(value: Mapping[str, Any]) -> None:
        seen.append(value["n"])
        match value["n"]:
            case 1:
                raise RuntimeError("a bug")
            case 2:
                msgspec.convert(value, int)

    reactor = Reactor("colour", react, 0)
    for number in (1, 2, 3):
        reactor.wish({"n": number})
        await reactor.settle()
    assert seen == [1, 2, 3]
    assert "a bug" in caplog.text
    assert "desired property colour makes no sense" in caplog.text


async def test_a_throttled_reaction_is_tried_again() -> None:
    attempts = []

    async def react(value: Mapping[str, Any]) -> None:
        attempts.append(value)
        if len(attempts) < 3:
            raise HubRequestError("429")

    reactor = Reactor("test", react, 0)
    reactor.wish({"n": 1})
    await reactor.settle()
    assert len(attempts) == 3


async def test_stopping_ends_what_is_under_way() -> None:
    reactions = Reactions()
    reactor = Reactor("test", reactions.react, 0)
    reactor.wish({"n": 1})
    await asyncio.sleep(0)
    await reactor.stop()
    reactions.go.set()
    await reactor.settle()
    assert (reactions.begun, reactions.finished) == ([1], [])
