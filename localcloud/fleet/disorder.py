"""What a bad radio link does to messages: some arrive twice, some late, some after those that were sent later."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Disorder:
    """How bad the link is. The same seed does the same to as many messages."""

    seed: int
    duplicates: float = 0.2  # the fraction of messages that is sent twice
    window: int = 8  # how many places a copy ordinarily falls behind, at most
    far: float = 0.05  # the fraction of copies that falls much farther behind
    far_window: int = 60


@dataclass(frozen=True, slots=True)
class Disordered(Generic[T]):
    """Messages in their order of sending, and what was done to them."""

    messages: list[T]
    duplicated: int  # copies beyond the first
    reordered: int  # messages of which the first copy is sent after one that was meant to follow


def scramble(messages: Sequence[T], disorder: Disorder) -> Disordered[T]:
    """Every message at least once, in an order that follows from the seed."""
    random = Random(disorder.seed)  # noqa: S311 - it must be repeatable
    again = random.sample(range(len(messages)), round(disorder.duplicates * len(messages)))
    copies = [*range(len(messages)), *again]
    delayed = sorted((index + _delay(random, disorder), place) for place, index in enumerate(copies))
    order = [copies[place] for _, place in delayed]
    return Disordered([messages[index] for index in order], len(again), _overtaken(order))


def _delay(random: Random, disorder: Disorder) -> float:
    return random.uniform(0, disorder.far_window if random.random() < disorder.far else disorder.window)


def _overtaken(order: Sequence[int]) -> int:
    seen = set[int]()
    overtaken, newest = 0, -1
    for index in order:
        if index not in seen and index < newest:
            overtaken += 1
        seen.add(index)
        newest = max(newest, index)
    return overtaken
