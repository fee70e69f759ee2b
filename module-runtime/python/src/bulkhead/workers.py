"""The loop of a module of which something runs beside other requests: threads for what is concurrent, and one more
thread for all else, one after the other."""

import collections
import threading
from typing import Deque, List, Optional

from .dispatch import Dispatcher, Outcome
from .limits import EXIT_FAILURE, EXIT_OK
from .wire import Ended, Pending, Wire


class _Line:
    """Requests that wait for one of some threads."""

    def __init__(self, threads_max: int) -> None:
        self.threads_max = threads_max
        self.waiting: Deque[Pending] = collections.deque()
        self.threads: List[threading.Thread] = []
        self.idle = 0


class Workers:
    """Hands requests over to threads. The thread that calls ``serve`` reads, so that cancels, pings and answers
    are seen while handlers work."""

    def __init__(self, wire: Wire, dispatcher: Dispatcher, threads_max: int) -> None:
        self._wire = wire
        self._dispatcher = dispatcher
        self._changed = threading.Condition()
        self._answering = threading.Lock()
        self._beside = _Line(threads_max)
        self._in_order = _Line(1)
        self._in_progress = 0
        # Once it is there, nothing more is begun: the last answer promises that.
        self._exit_code: Optional[int] = None

    def serve(self) -> int:
        """Serves until the end, and returns the exit code. Raises ``Ended``."""
        while True:
            try:
                pending = self._wire.next_request()
            except Ended:
                with self._changed:
                    if self._exit_code is not None:
                        return self._exit_code
                raise
            if pending.request.kind == "shutdown":
                return self._shut_down(pending)
            self._add(self._beside if self._dispatcher.is_concurrent(pending) else self._in_order, pending)

    def _add(self, line: _Line, pending: Pending) -> None:
        with self._changed:
            line.waiting.append(pending)
            if line.idle < len(line.waiting) and len(line.threads) < line.threads_max:
                thread = threading.Thread(target=self._work, args=(line,), daemon=True)
                line.threads.append(thread)
                thread.start()
            self._changed.notify_all()

    def _work(self, line: _Line) -> None:
        while True:
            with self._changed:
                line.idle += 1
                self._changed.wait_for(lambda: bool(line.waiting) or self._exit_code is not None)
                line.idle -= 1
                if self._exit_code is not None:
                    return
                pending = line.waiting.popleft()
                self._in_progress += 1
            self._finish(pending, self._dispatcher.outcome(self._wire, pending))

    def _finish(self, pending: Pending, outcome: Outcome) -> None:
        # One answer after the other, so that none leaves after the last one.
        with self._answering:
            with self._changed:
                if outcome.exit_code is not None and self._exit_code is None:
                    self._exit_code = outcome.exit_code
                # While others are in progress this is not the last answer; that of the last one of them is.
                is_last = self._exit_code is not None and self._in_progress == 1
            outcome.answer(self._wire, pending, is_last)
            with self._changed:
                self._in_progress -= 1
                self._changed.notify_all()
        if is_last:
            self._wire.close()

    def _shut_down(self, pending: Pending) -> int:
        """Answers what came before, then the request to shut down."""
        with self._changed:
            self._changed.wait_for(self._is_done)
            if self._exit_code is not None:
                return self._exit_code
        outcome = self._dispatcher.outcome(self._wire, pending)
        outcome.answer(self._wire, pending, False)
        return EXIT_OK if outcome.error is None else EXIT_FAILURE

    def _is_done(self) -> bool:
        if self._exit_code is not None:
            return self._in_progress == 0
        return self._in_progress == 0 and not self._beside.waiting and not self._in_order.waiting
