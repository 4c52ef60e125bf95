from stream_processor.health import PATIENCE_SECONDS, Progress, judge_readiness

LATER = PATIENCE_SECONDS + 1
PARTITION = ("raw", 0)


def test_a_worker_with_nothing_to_take_is_alive():
    progress = Progress(now=0)
    progress.judge({PARTITION: 5}, untaken=0, full=False, now=1)
    assert progress.judge({PARTITION: 5}, untaken=0, full=False, now=LATER * 10).good


def test_a_worker_that_moves_is_alive_however_far_it_is_behind():
    progress = Progress(now=0)
    for step in range(5):
        assert progress.judge({PARTITION: step}, untaken=10**9, full=False, now=step * PATIENCE_SECONDS).good


def test_a_worker_that_takes_nothing_of_what_there_is_is_dead_after_the_patience():
    progress = Progress(now=0)
    assert progress.judge({PARTITION: 5}, untaken=1, full=False, now=0).good
    assert progress.judge({PARTITION: 5}, untaken=1, full=False, now=PATIENCE_SECONDS).good
    verdict = progress.judge({PARTITION: 5}, untaken=1, full=False, now=LATER)
    assert verdict == (False, "1 records to take and none taken for 121 s")


def test_a_worker_that_is_full_for_want_of_a_watermark_is_alive():
    progress = Progress(now=0)
    progress.judge({PARTITION: 5}, untaken=1, full=True, now=1)
    assert progress.judge({PARTITION: 5}, untaken=1, full=True, now=LATER * 3).good


def test_a_rebalance_that_never_ends_is_no_life():
    progress = Progress(now=0)
    assert progress.judge_silence("no partitions assigned", now=PATIENCE_SECONDS).good
    assert not progress.judge_silence("no partitions assigned", now=LATER).good


def test_a_worker_is_ready_when_it_knows_everything_and_owns_something():
    assert judge_readiness(inventory_read=True, assigned=3, restored=True).good
    assert judge_readiness(inventory_read=False, assigned=3, restored=True).why == "reading the inventory"
    assert judge_readiness(inventory_read=True, assigned=0, restored=True).why == "no partitions assigned"
    assert judge_readiness(inventory_read=True, assigned=3, restored=False).why == "restoring the edges"
