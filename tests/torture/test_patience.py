"""How long torture waits for the last engine."""

from torture.patience import IN_ALL_S, STILL_S, Patience


def test_rows_that_end_one_by_one_are_waited_for_longer_than_rows_that_stand_still():
    patience = Patience()
    asked = [patience.ends((40 - n, 0), n * STILL_S / 2) for n in range(8)]
    assert asked == [None] * 8


def test_a_row_that_is_claimed_again_moves():
    patience = Patience()
    assert patience.ends((1, 1), 0.0) is None
    assert patience.ends((1, 2), STILL_S) is None
    assert patience.ends((1, 2), 2 * STILL_S) is None


def test_rows_that_stand_still_are_given_up():
    patience = Patience()
    assert patience.ends((5, 9), 0.0) is None
    assert "moved" in str(patience.ends((5, 9), STILL_S + 1))


def test_what_never_comes_to_an_end_is_given_up_as_well():
    patience = Patience()
    asked = [patience.ends((3, n), n * STILL_S) for n in range(int(IN_ALL_S / STILL_S) + 2)]
    assert asked[-2] is None
    assert "still move" in str(asked[-1])
