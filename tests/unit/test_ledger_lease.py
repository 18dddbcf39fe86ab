from shared.ledger.lease import LeaseWatch, RunBeat

LEASE_S = 30.0


def expired_over_time(watch, *observations):
    return [[beat.run_id for beat in watch.observe(now_s, beats)] for now_s, beats in observations]


def test_a_beat_that_stands_still_for_the_lease_is_expired():
    held = [RunBeat(1, 1, 5)]
    looks = [(second, held) for second in (0, 10, 20, 29, 30, 40)]
    assert expired_over_time(LeaseWatch(LEASE_S), *looks) == [[], [], [], [], [1], [1]]


def test_a_beat_that_moves_never_expires():
    looks = [(second, [RunBeat(1, 1, second)]) for second in range(0, 200, 10)]
    assert expired_over_time(LeaseWatch(LEASE_S), *looks) == [[]] * 20


def test_each_run_is_watched_by_itself():
    looks = [(second, [RunBeat(1, 1, 1), RunBeat(2, 1, second)]) for second in (0, 10, 20, 30)]
    assert expired_over_time(LeaseWatch(LEASE_S), *looks)[-1] == [1]


def test_a_new_attempt_begins_a_new_lease():
    watch = LeaseWatch(LEASE_S)
    expired_over_time(watch, *[(second, [RunBeat(1, 1, 1)]) for second in (0, 10, 20)])
    assert watch.observe(30, [RunBeat(1, 2, 1)]) == []


def test_time_in_which_the_watcher_saw_nothing_counts_for_nobody():
    watch = LeaseWatch(LEASE_S)
    held = [RunBeat(1, 1, 1)]
    assert expired_over_time(watch, (0, held), (10, held), (100, held), (110, held), (120, held)) == [[]] * 5
    assert [beat.run_id for beat in watch.observe(130, held)] == [1]


def test_a_run_that_was_gone_for_a_while_begins_anew():
    watch = LeaseWatch(LEASE_S)
    held = [RunBeat(1, 1, 1)]
    assert expired_over_time(watch, (0, held), (10, []), (20, held), (30, held), (40, held)) == [[]] * 5
