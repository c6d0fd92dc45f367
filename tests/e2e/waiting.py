"""Waiting for something to become true, with an end."""

import time


def wait_until(condition, seconds, what):
    """Returns the first true value of `condition()`; fails when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.01)
