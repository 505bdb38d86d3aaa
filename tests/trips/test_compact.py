"""Messages as they are kept: those that follow each other share a row, and none takes the place of another."""

from random import Random

from functions.trips import compact
from functions.trips.compact import Kept
from tests.trips.drives import drive, message
from tests.trips.minutes import at


def _kept(*numbers: int, boot: str = "b1") -> list[Kept]:
    return [compact.keep(message(number, drive(1, start_ms=at(number)), boot=boot)) for number in numbers]


def test_messages_that_follow_each_other_share_a_row() -> None:
    kept = [*_kept(3, 4, 5), *_kept(7), *_kept(8, boot="b2")]
    rows = dict(compact.to_rows("car", kept))
    assert [(key, values["messages"]) for key, values in rows.items()] == [
        ("car|b1|0000000003|0000000005", 3),
        ("car|b1|0000000007|0000000007", 1),
        ("car|b2|0000000008|0000000008", 1),
    ]
    assert rows["car|b1|0000000003|0000000005"]["last_ms"] == at(6)
    assert _in(rows) == kept


def _in(rows: dict[str, dict[str, int | bytes]]) -> list[Kept]:
    parts = [values["kept"] for values in rows.values()]
    return compact.each_once(one for part in parts if isinstance(part, bytes) for one in compact.decoded(part))


def test_a_message_that_is_kept_twice_counts_once_and_takes_no_others_place() -> None:
    """A vehicle that is not remembered to have sent it is heard again, alone or with others."""
    rows = dict(compact.to_rows("car", _kept(3, 4, 5)))
    for again in ((3,), (5,), (3, 4), (4, 5, 6)):
        rows |= compact.to_rows("car", _kept(*again))
    assert len(rows) == 5
    assert _in(rows) == _kept(3, 4, 5, 6)
    assert len(dict(compact.to_rows("car", compact.each_once([*_kept(3), *_kept(3)])))) == 1


def test_what_an_older_version_believed_and_this_one_does_not_is_left_out() -> None:
    ahead = compact.keep(message(1, [{"t": at(60)}]))._replace(arrived_ms=at(0))
    assert [one.seq for one in compact.messages("car", [*_kept(0), ahead, *_kept(2)])] == [0, 2]


def test_no_row_exceeds_what_a_property_takes() -> None:
    """Not even with bodies that cannot be deflated."""
    chance = Random(1)
    sizes = [chance.choice((100, 20_000, 59_000, compact.MAX_BYTES)) for _ in range(40)]
    kept = [Kept("b1", seq, at(seq), at(seq), chance.randbytes(size)) for seq, size in enumerate(sizes)]
    rows = dict(compact.to_rows("car", kept))
    packed = [values["kept"] for values in rows.values()]
    assert max(len(one) for one in packed if isinstance(one, bytes)) < 64 * 1024
    assert len(rows) < len(kept)
    assert _in(rows) == kept
