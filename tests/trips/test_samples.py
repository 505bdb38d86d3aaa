"""The order of samples, whatever messages they came in."""

from functions.trips.samples import Message, in_order
from tests.trips.drives import message
from tests.trips.minutes import at, rows


def test_samples_of_one_moment_keep_the_order_in_which_they_were_sent() -> None:
    def speeds(boot: str, seq: int, *kmh: float) -> Message:
        return message(seq, [{"t": at(0), "speed_kmh": one} for one in kmh], boot=boot)

    messages = [speeds("b", 1, 5.0, 4.0), speeds("a", 7, 2.0), speeds("b", 0, 3.0), speeds("a", 2, 1.0)]
    assert [kmh for chapter in in_order(messages) for kmh in chapter.run.speed_kmh] == [1.0, 2.0, 3.0, 5.0, 4.0]


def test_messages_that_overlap_become_one_run_with_all_that_is_known() -> None:
    first = message(0, [{"t": at(0), "speed_kmh": 1.0}, {"t": at(2), "speed_kmh": 3.0}])
    second = message(1, [{"t": at(1), "soc_pct": 50.0}, {"t": at(3), "soc_pct": 49.0}])
    (chapter,) = in_order([second, first])
    assert chapter.run.t == [at(0), at(1), at(2), at(3)]
    assert chapter.run.speed_kmh == [1.0, None, 3.0, None]
    assert chapter.run.soc_pct == [None, 50.0, None, 49.0]
    assert [chapter.place(index)[2] for index in range(4)] == [0, 1, 0, 1]


def test_of_what_was_folded_already_nothing_comes_again() -> None:
    first, second = message(0, rows(0, 5)), message(1, rows(3, 8))
    (whole,) = in_order([first, second])
    for index in range(len(whole.run.t)):
        place = whole.place(index)
        again = [chapter.place(i) for chapter in in_order([first, second], place) for i in range(len(chapter.run.t))]
        assert again == [whole.place(i) for i in range(index + 1, len(whole.run.t))]
