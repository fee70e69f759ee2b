"""The descriptors that lead to the host, and how they are found. What travels over them is not known here."""

import fcntl
import os
import select
import sys
import time
from typing import List, Optional, Tuple

from . import log
from .limits import EXIT_FAILURE

NO_HOST = (
    "this is a module of Bulkhead and waits for messages of a host, not for a person; "
    "start it with `bulkhead run --modules FOLDER`, and talk to it with `bulkhead call`"
)

_COPY = (
    "a copy of the module's process, made by a fork, came back to serve the channel as well and was ended, as two "
    "processes would answer one request; a forked process has to call os.exec or os._exit before it returns"
)

_opened = False
# Standard input and output, where they were taken before the channel is opened.
_taken: Optional[Tuple[int, int]] = None
# It tells processes that the module starts that their standard streams are no channel.
_TAKEN_VARIABLE = "PYTHON_BULKHEAD_TAKEN"


def protect_channel() -> None:
    """Takes standard input and output in a process that the host has started with ``transport = "stdio"``, so that
    what is printed from now on is log. Anywhere else it does nothing."""
    global _taken
    is_of_host = "BULKHEAD_TREE" in os.environ and "BULKHEAD_FD" not in os.environ
    if not is_of_host or _TAKEN_VARIABLE in os.environ or _taken is not None or os.isatty(0):
        return
    try:
        _taken = _take_standard()
    except OSError:
        # The opening of the channel finds the same, and says so.
        pass


def _take_standard() -> Tuple[int, int]:
    """Takes standard input and output away from the rest of the process: what it prints becomes log, as a stray
    line between two frames would be the end of the module."""
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    os.environ[_TAKEN_VARIABLE] = "1"
    return source, sink


class NoChannel(Exception):
    """There is no channel: a person started the program, or it was taken already."""


class Channel:
    """Both directions; with a socket they are one descriptor."""

    def __init__(self, source: int, sink: int) -> None:
        self._source = source
        self._sink = sink
        self._process = os.getpid()
        self._wake: Optional[List[int]] = None
        self._poll: Optional[select.poll] = None
        for descriptor in {source, sink}:
            # Reads and writes wait, and programs that the module starts do not hold the channel open.
            os.set_blocking(descriptor, True)
            os.set_inheritable(descriptor, False)

    @classmethod
    def open(cls) -> "Channel":
        """The channel that the host gave this process. It is taken once.

        Raises ``NoChannel`` with a sentence where there is none.
        """
        global _opened
        if _opened:
            raise NoChannel("a module runs once in a process, and this one runs already")
        number = os.environ.get("BULKHEAD_FD")
        channel = cls._standard() if number is None else cls._inherited(number)
        _opened = True
        return channel

    @classmethod
    def _inherited(cls, number: str) -> "Channel":
        descriptor = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0
        if descriptor <= 2:
            raise NoChannel(f"expected the number of a descriptor above 2 in BULKHEAD_FD, found {number!r}")
        try:
            fcntl.fcntl(descriptor, fcntl.F_GETFD)
        except OSError:
            raise NoChannel(f"BULKHEAD_FD says {descriptor}, and no such descriptor is open; {NO_HOST}") from None
        log.keep_standard_error()
        return cls(descriptor, descriptor)

    @classmethod
    def _standard(cls) -> "Channel":
        if os.isatty(0):
            raise NoChannel(NO_HOST)
        log.keep_standard_error()
        try:
            return cls(*(_taken or _take_standard()))
        except OSError as error:
            raise NoChannel(f"cannot use standard input and output as the channel: {error}") from None

    def read(self, size: int, timeout: Optional[float] = None) -> Optional[bytes]:
        """What is there, at most ``size`` bytes; nothing at the end; ``None`` after the timeout or a ``wake``."""
        self.end_copy()
        if (timeout is not None or self._wake is not None) and not self._is_readable(timeout):
            return None
        return os.read(self._source, size)

    def write(self, data: bytes) -> None:
        """Writes all of it, waiting for the host to take it."""
        self.end_copy()
        written = os.write(self._sink, data)
        if written < len(data):
            rest = memoryview(data)[written:]
            while rest:
                rest = rest[os.write(self._sink, rest) :]

    def make_wakeable(self) -> None:
        """From now on ``wake`` ends a read that waits."""
        self._wake = list(os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK))
        self._poll = None

    def wake(self) -> None:
        """Ends the read that waits, or the next one."""
        if self._wake is not None:
            try:
                os.write(self._wake[1], b"\0")
            except BlockingIOError:
                # As many are on their way as a pipe holds.
                pass

    def end_copy(self) -> None:
        """Ends this process if it is a copy of the one that serves the channel. Nothing runs that is registered
        for an exit: buffers belong to the process that was copied."""
        if os.getpid() != self._process:
            log.error(_COPY)
            os._exit(EXIT_FAILURE)

    def _is_readable(self, timeout: Optional[float]) -> bool:
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._source, select.POLLIN)
            if self._wake is not None:
                self._poll.register(self._wake[0], select.POLLIN)
        # Rounded up, as a poll that returns a fraction too early would be called again and again.
        wait = None if timeout is None else max(int(timeout * 1000 + 0.999), 0)
        ready = self._poll.poll(wait)
        if self._wake is not None and any(descriptor == self._wake[0] for descriptor, _ in ready):
            os.read(self._wake[0], 4096)
            return False
        return bool(ready)


def take_standard_streams() -> None:
    """What is printed is in the log with the end of its line, and not when a buffer is full."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)


def now() -> float:
    """The clock that deadlines are counted by; it cannot be set."""
    return time.monotonic()
