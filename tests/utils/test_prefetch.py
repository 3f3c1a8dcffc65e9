"""Test threads that read ahead and pass results on: order, bounds, errors."""

import threading
import time

import pytest

from tfinet_mm.utils.prefetch import Consumer, beside, map_ahead


@pytest.mark.parametrize('workers', [0, 1, 3])
def test_results_come_in_order(workers):
    def slow(number):
        time.sleep(0.002 * (number % 3))
        return -number

    assert list(map_ahead(slow, range(20), workers, ahead=4)) == [-i for i in range(20)]


def test_no_more_than_asked_for_is_under_way():
    started = []
    results = map_ahead(lambda number: started.append(number) or number, range(50), 2, ahead=3)
    assert next(results) == 0
    time.sleep(0.05)
    assert len(started) == 4
    results.close()
    assert len(started) == 4


def test_an_error_comes_in_its_place_and_ends_all():
    called = []

    def fail(number):
        called.append(number)
        if number == 3:
            raise OSError('no such tile')
        return number

    results = map_ahead(fail, range(100), 1, ahead=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match='no such tile'):
        next(results)
    assert len(called) < 8
    with pytest.raises(ValueError, match='0 or more'):
        next(map_ahead(fail, [1], -1, 1))


def put_all(work, count, error=None):
    with Consumer(work) as consumer:
        for number in range(count):
            consumer.put(number)
        if error is not None:
            raise error


def test_all_is_worked_through_in_order():
    seen = []

    def work(items):
        for item in items:
            time.sleep(0.002)
            seen.append(item)

    with Consumer(work, size=2) as consumer:
        for number in range(20):
            consumer.put(number)
            assert number - len(seen) <= 3
    assert seen == list(range(20))


def test_an_error_of_the_thread_reaches_who_puts():
    def work(items):
        for item in items:
            if item == 2:
                raise OSError('disk full')

    for count in (3, 1000):
        with pytest.raises(OSError, match='disk full'):
            put_all(work, count)


@pytest.mark.parametrize('error', [KeyboardInterrupt, ValueError])
def test_an_error_of_the_block_stops_the_thread(error):
    threads = threading.active_count()
    finished = []

    def work(items):
        list(items)
        finished.append(True)

    with pytest.raises(error):
        put_all(work, 1, error)
    assert threading.active_count() == threads
    assert not finished


def test_a_function_that_ends_too_early():
    with pytest.raises(RuntimeError, match='ended already'):
        put_all(next, 100)


def test_functions_run_beside_a_block_in_their_order():
    met = threading.Barrier(2, timeout=10)
    seen = []
    # Each side waits for the other, so both are under way at once.
    with beside(met.wait, lambda: seen.append('a'), lambda: seen.append('b'), done=seen.clear):
        met.wait()
    assert seen == []
    with beside(lambda: seen.append('a'), lambda: seen.append('b')) as check:
        pass
    check()
    assert seen == ['a', 'b']


def fail():
    raise OSError('no space')


def wait_for_an_error(check):
    for _ in range(1000):
        check()
        time.sleep(0.01)
    pytest.fail('the check passed')


def test_an_error_beside_a_block_is_raised_by_the_check_or_at_its_end():
    seen = []
    with pytest.raises(OSError, match='no space'), beside(fail, seen.append):
        seen.append('block')
    assert seen == ['block']
    with pytest.raises(OSError, match='no space'), beside(fail) as check:
        wait_for_an_error(check)


@pytest.mark.parametrize('fails', [False, True])
def test_an_error_of_the_block_ends_the_thread(fails):
    begun, left = threading.Event(), threading.Event()
    seen = []

    def first():
        begun.set()
        assert left.wait(10)
        seen.append('first')
        if fails:
            fail()

    def block(error):
        begun.wait(10)
        threading.Timer(0.05, left.set).start()
        raise error

    # As if the function had been called before the block, unless the user ends it.
    expected = OSError if fails else KeyError
    with pytest.raises(expected), beside(first, lambda: seen.append('second')):
        block(KeyError())
    # What has begun is waited for, and nothing else begins.
    assert seen == ['first']
    begun.clear()
    left.clear()
    with pytest.raises(KeyboardInterrupt), beside(first, lambda: seen.append('second')):
        block(KeyboardInterrupt())
    assert seen == ['first', 'first']
