"""Messages as rows: those that follow each other share one, and none takes the place of another."""

from random import Random

from functions.trips import compact
from functions.trips.samples import Message
from tests.trips.drives import drive, message
from tests.trips.minutes import at


def _messages(*numbers: int, boot: str = "b1") -> list[Message]:
    return [message(number, drive(1, start_ms=at(number)), boot=boot) for number in numbers]


def test_messages_that_follow_each_other_share_a_row() -> None:
    rows = dict(compact.to_rows("car", [*_messages(3, 4, 5), *_messages(7), *_messages(8, boot="b2")]))
    assert [(key, values["messages"]) for key, values in rows.items()] == [
        ("car|b1|0000000003|0000000005", 3),
        ("car|b1|0000000007|0000000007", 1),
        ("car|b2|0000000008|0000000008", 1),
    ]
    assert rows["car|b1|0000000003|0000000005"]["last_ms"] == at(6)
    assert compact.from_rows("car", rows.values()) == [*_messages(3, 4, 5), *_messages(7), *_messages(8, boot="b2")]


def test_a_message_that_is_kept_twice_comes_back_once_and_takes_no_others_place() -> None:
    """A vehicle that is not remembered to have sent it is heard again, alone or with others."""
    rows = dict(compact.to_rows("car", _messages(3, 4, 5)))
    for again in ((3,), (5,), (3, 4), (4, 5, 6)):
        rows |= compact.to_rows("car", _messages(*again))
    assert len(rows) == 5
    assert sorted(one.seq for one in compact.from_rows("car", rows.values())) == [3, 4, 5, 6]


def test_no_row_exceeds_what_a_property_takes() -> None:
    """Not even with bodies that cannot be deflated."""
    chance = Random(1)
    bodies = [chance.randbytes(chance.choice((100, 20_000, 59_000, compact.MAX_BYTES))) for _ in range(40)]
    (one,) = _messages(0)
    sent = [Message(one.boot, seq, one.arrived_ms, one.run, {}, body) for seq, body in enumerate(bodies)]
    rows = dict(compact.to_rows("car", sent))
    sizes = [len(values["bodies"]) for values in rows.values() if isinstance(values["bodies"], bytes)]
    assert max(sizes) < 64 * 1024
    assert sum(int(values["messages"]) for values in rows.values()) == len(sent)
    assert len(rows) < len(sent)
