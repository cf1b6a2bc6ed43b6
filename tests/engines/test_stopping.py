"""Signals: the first one asks, the second one leaves."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from bninit.engines.stopping import TERMINATED, Stop, stopping


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_leaves(first: signal.Signals) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with stopping() as stop:
        assert not stop()
        stop.check()
        send(first)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)
        with pytest.raises(SystemExit):
            send(signal.SIGTERM)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_after_the_step_it_is_as_if_the_signal_came_then() -> None:
    with stopping() as stop:
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            stop.check()
    with stopping() as stop:
        send(signal.SIGTERM)
        with pytest.raises(SystemExit) as caught:
            stop.check()
    assert caught.value.code == TERMINATED == 143


def test_what_the_process_ignores_stays_ignored() -> None:
    """As after nohup, or for a child that a shell runs in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping() as stop:
            send(signal.SIGINT)
            assert not stop()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    found: list[Stop] = []

    def work() -> None:
        with stopping() as stop:
            assert signal.getsignal(signal.SIGINT) is before
            stop.set()
            found.append(stop)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0]()
