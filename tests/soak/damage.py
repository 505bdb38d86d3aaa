"""Ways to damage a conversation, whatever its protocol. Pure: the same chance does the same damage."""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

Frames = list[bytes]
# Changes the frames at or from an index on, in place.
Damage = Callable[[Frames, int, random.Random], None]

MAX_DAMAGES = 3


class Damaged(NamedTuple):
    """What a client says, and how many of its frames are not what they were."""

    stream: bytes
    damages: int


def damaged(
    frames: Sequence[bytes], kinds: Sequence[Damage], chance: random.Random, *, handshake_frames: int
) -> Damaged:
    """The conversation with one to three kinds of damage, mostly behind the handshake: else little else is reached."""
    changed = list(frames)
    damages = chance.randint(1, MAX_DAMAGES)
    for _ in range(damages):
        first = handshake_frames if chance.random() < 0.85 and len(changed) > handshake_frames else 0
        index = chance.randrange(first, len(changed))
        chance.choice(kinds)(changed, index, chance)
    return Damaged(b"".join(changed), damages)


def flip_bit(frames: Frames, index: int, chance: random.Random) -> None:
    frame = bytearray(frames[index])
    frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)
    frames[index] = bytes(frame)


def change_byte(frames: Frames, index: int, chance: random.Random) -> None:
    frame = bytearray(frames[index])
    frame[chance.randrange(len(frame))] = chance.randrange(256)
    frames[index] = bytes(frame)


def drop_byte(frames: Frames, index: int, chance: random.Random) -> None:
    frame, where = frames[index], chance.randrange(len(frames[index]))
    frames[index] = frame[:where] + frame[where + 1 :] or b"\x00"


def repeat_bytes(frames: Frames, index: int, chance: random.Random) -> None:
    frame = frames[index]
    start = chance.randrange(len(frame))
    end = chance.randint(start + 1, len(frame))
    frames[index] = frame[:end] + frame[start:end] + frame[end:]


def truncate(frames: Frames, index: int, chance: random.Random) -> None:
    """The next frame comes where the rest of this one should be."""
    frames[index] = frames[index][: chance.randrange(1, len(frames[index]) + 1)]


def extend(frames: Frames, index: int, chance: random.Random) -> None:
    frames[index] += chance.randbytes(chance.randint(1, 40))


def randomise(frames: Frames, index: int, chance: random.Random) -> None:
    frames[index] = chance.randbytes(chance.randint(1, 200))


def swap(frames: Frames, index: int, chance: random.Random) -> None:
    other = chance.randrange(len(frames))
    frames[index], frames[other] = frames[other], frames[index]


def repeat_frame(frames: Frames, index: int, chance: random.Random) -> None:
    """The same again, at once or later."""
    frames.insert(chance.randint(index, len(frames)), frames[index])


def drop_frame(frames: Frames, index: int, chance: random.Random) -> None:
    del chance
    if len(frames) > 1:
        del frames[index]


def reorder(frames: Frames, index: int, chance: random.Random) -> None:
    rest = frames[index:]
    chance.shuffle(rest)
    frames[index:] = rest


ANY_PROTOCOL: tuple[Damage, ...] = (
    flip_bit,
    change_byte,
    drop_byte,
    repeat_bytes,
    truncate,
    extend,
    randomise,
    swap,
    repeat_frame,
    drop_frame,
    reorder,
)


def pieces(stream: bytes, chance: random.Random, longest: int = 600) -> list[bytes]:
    """The stream as a network might hand it over: in reads of any size."""
    found = []
    while stream:
        size = chance.choice((1, chance.randint(1, longest), len(stream)))
        found.append(stream[:size])
        stream = stream[size:]
    return found


_NEAR_BYTES = 9  # of a frame: its header, and one


def split_points(frames: Iterable[bytes], step: int) -> list[int]:
    """Where to split or cut: everywhere in and beside the headers of frames, and at every `step`th byte between."""
    found: set[int] = set()
    position = 0
    for frame in frames:
        found |= {position + near for near in range(-1, min(_NEAR_BYTES, len(frame)))}
        found |= set(range(position, position + len(frame), step))
        position += len(frame)
    return sorted(point for point in found if 0 < point < position)
