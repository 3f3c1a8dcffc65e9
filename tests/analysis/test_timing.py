"""Test time and memory of calls with known time and memory."""

import time

import pytest
import torch

from tfinet_mm.analysis.timing import PeakMemory, timed


def test_times_are_those_of_the_call():
    calls = []

    def sleep():
        calls.append(time.perf_counter())
        time.sleep(0.02)

    times = timed(sleep, warmup=2, repeats=3)
    assert len(calls) == 5
    assert len(times) == 3
    assert all(0.02 <= seconds < 0.2 for seconds in times)
    assert len(timed(sleep, warmup=0, repeats=100, seconds=0)) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason='measures the memory of the process')
def test_peak_memory_of_one_thing_is_not_that_of_the_one_before():
    memory = PeakMemory()
    large = torch.ones(60 * 2**18)
    del large
    assert memory.mib() == pytest.approx(60, abs=6)
    memory = PeakMemory()
    small = torch.ones(20 * 2**18)
    assert memory.mib() == pytest.approx(20, abs=6)
    assert small.numel()
