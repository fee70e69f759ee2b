"""The way between the host's frames and the handlers: keeps what came for later, counts deadlines, notices
cancels, brings answers to those who wait for them. What a handler is, is not known here.

One thread reads at a time: whichever waits for something, and the others wait for what it finds. In a module
that does one thing after the other there is one thread, and nothing is handed over.
"""

import collections
import threading
from typing import Any, Callable, Deque, Dict, Optional

from . import log, text as json_text
from .channel import Channel, now
from .error import Error
from .frames import Decoder, encode
from .limits import (
    ANSWER_GRACE_SECONDS,
    DEADLINE_MS_MAX,
    FRAME_BYTES_MAX_DEFAULT,
    LONG_READ_BYTES_MAX,
    READ_BYTES,
    REWRITE_BYTES_MAX,
    WAIT_SECONDS_MAX,
)
from .message import MessageError, Request, Response, read


class Ended(Exception):
    """There will be no more requests."""

    def __init__(self, fault: Optional[str]) -> None:
        super().__init__(fault or "the host is gone")
        #: What broke; ``None`` where the host closed the channel.
        self.fault = fault


class Pending:
    """A request that waits to be handled, or is in progress."""

    __slots__ = ("deadline", "is_cancelled", "request")

    def __init__(self, request: Request, deadline: Optional[float]) -> None:
        self.request = request
        #: When its caller stops waiting, by the clock of ``now``.
        self.deadline = deadline
        #: Whether its caller has said that it is not wanted any more.
        self.is_cancelled = False

    def unwanted(self) -> Optional[Error]:
        """Why it need not be begun with, if that is so."""
        if self.is_cancelled:
            return Error("cancelled before the module began with it", code="cancelled")
        if self.deadline is not None and self.deadline <= now():
            return Error("the deadline passed before the module began with it", code="deadline_exceeded")
        return None


class _Answer:
    """Where the answer to a request of the module's own is put."""

    __slots__ = ("response",)

    def __init__(self) -> None:
        self.response: Optional[Response] = None


class Wire:
    """One connection to the host."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._decoder = Decoder(FRAME_BYTES_MAX_DEFAULT + REWRITE_BYTES_MAX)
        self._frame_bytes_max = FRAME_BYTES_MAX_DEFAULT
        # Held for each look at what follows, never while something is waited for.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._is_reading = False
        self._followers = 0
        self._queue: Deque[Pending] = collections.deque()
        self._in_progress: Dict[int, Pending] = {}
        self._awaited: Dict[int, _Answer] = {}
        self._next_id = 1
        self._end: Optional[Ended] = None
        # Held while a frame is written, so that frames of different threads do not mix.
        self._write_lock = threading.Lock()

    def make_wakeable(self) -> None:
        """From now on ``close`` may be called by another thread than the one that waits for requests."""
        self._channel.make_wakeable()

    def limit(self, frame_bytes_max: int) -> None:
        """Puts the host's limit in force. The host sends nothing after ``init`` before that is answered."""
        self._frame_bytes_max = frame_bytes_max
        self._decoder.frame_bytes_max = frame_bytes_max + REWRITE_BYTES_MAX

    # Requests of the host.

    def next_request(self) -> Pending:
        """The next request in the order of arrival. Raises ``Ended``."""
        with self._lock:
            if not self._queue:
                self._wait(lambda: bool(self._queue))
                if not self._queue:
                    raise self._end or Ended(None)
            pending = self._queue.popleft()
            if pending.request.id is not None:
                self._in_progress[pending.request.id] = pending
            return pending

    def is_unwanted(self, pending: Pending) -> bool:
        """Whether the request was cancelled or the host is gone, after a look at what has come."""
        with self._lock:
            self._wait(lambda: pending.is_cancelled, now())
            return pending.is_cancelled or self._end is not None

    def wait(self, pending: Pending, until: float) -> bool:
        """Waits until then, or until the request is not wanted any more, and returns whether that is so."""
        with self._lock:
            self._wait(lambda: pending.is_cancelled, until)
            return pending.is_cancelled or self._end is not None

    # Answers of the module.

    def succeed(self, pending: Pending, data: str, *, last: bool = False) -> None:
        """Answers a request, if it wants an answer."""
        self._answer(pending, f'"success","data":{data}', last)

    def fail(self, pending: Pending, error: Error, *, last: bool = False) -> None:
        """Answers a request with an error, if it wants an answer."""
        try:
            members = json_text.write(error.members())
        except (TypeError, ValueError) as reason:
            error.data = {"reason": f"the data of this error cannot be sent: {reason}"}
            members = json_text.write(error.members())
        self._answer(pending, f'"error",{members[1:-1]}', last)

    def progress(self, pending: Pending, data: str) -> None:
        """Tells the caller how far the work is. Raises ``Error`` for data that is longer than a frame."""
        if pending.request.id is not None:
            body = json_text.to_bytes(f'{{"id":{pending.request.id},"status":"progress","data":{data}}}')
            self._check_length("the progress is too long to send", body)
            self._write(body)
            self.check_end()

    def _answer(self, pending: Pending, status: str, last: bool) -> None:
        id = pending.request.id
        if id is None:
            return
        ending = ',"last":true}' if last else "}"
        body = json_text.to_bytes(f'{{"id":{id},"status":{status}{ending}')
        if len(body) > self._frame_bytes_max:
            sentence = f"the module's answer is too long: {self._length_fault(body)}"
            members = json_text.write(Error(sentence, code="frame_too_large").members())
            body = json_text.to_bytes(f'{{"id":{id},"status":"error",{members[1:-1]}{ending}')
        with self._lock:
            self._in_progress.pop(id, None)
        self._write(body)

    # Requests of the module.

    def ask(
        self,
        pending: Pending,
        kind: str,
        to: Optional[str],
        payload: str,
        timeout: Optional[float],
        key: Optional[str],
    ) -> Response:
        """Sends a request that belongs to the handling of ``pending`` and waits for its answer.

        Raises ``Error``: what was answered, ``deadline_exceeded``, ``cancelled``.
        """
        deadline = pending.deadline
        if timeout is not None:
            given = now() + min(timeout, WAIT_SECONDS_MAX)
            deadline = given if deadline is None else min(given, deadline)
        left_ms = None if deadline is None else int((deadline - now()) * 1000)
        if left_ms is not None and left_ms <= 0:
            raise Error("the deadline passed before the request was sent", code="deadline_exceeded")
        answer = _Answer()
        with self._lock:
            id = self._number()
            self._awaited[id] = answer
        try:
            self._send(pending, id, kind, to, payload, left_ms, key)
            return self._await(pending, answer, deadline)
        except _GivenUp as given_up:
            # A host that cannot be informed still has the deadline.
            self._send(None, self._locked_number(), "cancel", None, f'{{"id":{id}}}', None, None)
            raise given_up.error from None
        finally:
            with self._lock:
                self._awaited.pop(id, None)

    def emit(self, pending: Pending, payload: str) -> None:
        """Publishes an event that belongs to the handling of ``pending``, without waiting for an answer."""
        self._send(pending, None, "event", None, payload, None, None)
        self.check_end()

    def check_end(self) -> None:
        """Raises ``Error`` where the host is gone."""
        if self._end is not None:
            raise Error("the host is gone")

    def _await(self, pending: Pending, answer: _Answer, deadline: Optional[float]) -> Response:
        until = None if deadline is None else deadline + ANSWER_GRACE_SECONDS
        with self._lock:
            self._wait(lambda: answer.response is not None or pending.is_cancelled, until)
            if answer.response is not None:
                return answer.response
            if self._end is not None:
                raise Error("the host is gone")
            if pending.is_cancelled:
                raise _GivenUp(Error("the caller cancelled", code="cancelled"))
        raise _GivenUp(Error("the deadline passed without an answer", code="deadline_exceeded"))

    def _send(
        self,
        pending: Optional[Pending],
        id: Optional[int],
        kind: str,
        to: Optional[str],
        payload: str,
        deadline_ms: Optional[int],
        key: Optional[str],
    ) -> None:
        members: Dict[str, Any] = {} if id is None else {"id": id}
        members["type"] = kind
        if to is not None:
            members["to"] = to
        if deadline_ms is not None:
            members["deadline_ms"] = min(deadline_ms, DEADLINE_MS_MAX)
        if key is not None:
            members["key"] = key
        if pending is not None:
            request = pending.request
            if request.id is not None:
                members["of"] = request.id
            if request.traceparent is not None:
                members["traceparent"] = request.traceparent
            if request.tracestate is not None:
                members["tracestate"] = request.tracestate
        body = json_text.to_bytes(f'{json_text.write(members)[:-1]},"payload":{payload}}}')
        self._check_length(f"the {kind} is too long to send", body)
        self._write(body)

    def _number(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _locked_number(self) -> int:
        with self._lock:
            return self._number()

    def _check_length(self, what: str, body: bytes) -> None:
        if len(body) > self._frame_bytes_max:
            raise Error(f"{what}: {self._length_fault(body)}", code="frame_too_large")

    def _length_fault(self, body: bytes) -> str:
        return f"expected a frame of at most {self._frame_bytes_max} bytes, found a length of {len(body)}"

    def _write(self, body: bytes) -> None:
        if self._end is not None:
            return
        try:
            with self._write_lock:
                self._channel.write(encode(body))
        except (BrokenPipeError, ConnectionResetError):
            self._end = self._end or Ended(None)
        except OSError as error:
            self._end = self._end or Ended(f"writing to the host failed: {error}")

    # Reading.

    def close(self) -> None:
        """No more requests are taken: ``next_request`` raises ``Ended``."""
        with self._lock:
            self._end = self._end or Ended(None)
            self._queue.clear()
            self._changed.notify_all()
        self._channel.wake()

    def _wait(self, is_done: Callable[[], bool], until: Optional[float] = None) -> None:
        """Waits until it is done, the time is over or the end has come. The lock is held, and given away meanwhile."""
        has_looked = False
        while self._end is None and not is_done():
            # No clock of the system takes every time that a float can name.
            left = None if until is None else min(max(until - now(), 0.0), WAIT_SECONDS_MAX)
            if left == 0.0 and has_looked:
                return
            has_looked = True
            if self._is_reading:
                if left == 0.0:
                    return
                self._followers += 1
                self._changed.wait(left)
                self._followers -= 1
            else:
                self._read_once(left)

    def _read_once(self, timeout: Optional[float]) -> None:
        size = max(READ_BYTES, min(self._decoder.missing, LONG_READ_BYTES_MAX))
        self._is_reading = True
        self._lock.release()
        data: Optional[bytes] = None
        end: Optional[Ended] = None
        try:
            data = self._channel.read(size, timeout)
        except ConnectionResetError:
            end = Ended(None)
        except OSError as error:
            end = Ended(f"reading from the host failed: {error}")
        finally:
            self._lock.acquire()
            self._is_reading = False
        if data:
            self._take(data)
        elif data is not None:
            end = Ended(self._decoder.finish())
        if end is not None:
            self._end = self._end or end
        if self._followers:
            self._changed.notify_all()

    def _take(self, data: bytes) -> None:
        # What one read brought came at one time.
        came: Optional[float] = None
        for frame in self._decoder.feed(data):
            try:
                message = read(frame)
            except MessageError as error:
                self._refuse(error)
                continue
            if isinstance(message, Response):
                self._answered(message)
            elif message.kind == "cancel":
                self._cancel(message)
            elif message.kind == "ping" and message.id is not None:
                self._write(b'{"id":%d,"status":"success","data":null}' % message.id)
            else:
                deadline = None
                if message.deadline_ms is not None:
                    came = now() if came is None else came
                    deadline = came + message.deadline_ms / 1000
                self._queue.append(Pending(message, deadline))
        if self._decoder.fault is not None:
            # What came before it is handled first.
            self._end_after_fault(self._decoder.fault)

    def _end_after_fault(self, fault: str) -> None:
        self._end = self._end or Ended(fault)

    def _refuse(self, error: MessageError) -> None:
        """The host reads its own messages, so this is no host, or nothing that it says can be trusted."""
        if error.id is None:
            self._end_after_fault(f"the host sent a message that cannot be read: {error}")
        else:
            members = json_text.write(Error(str(error), code="bad_request").members())
            self._write(json_text.to_bytes(f'{{"id":{error.id},"status":"error",{members[1:-1]}}}'))

    def _cancel(self, cancel: Request) -> None:
        """Marks the request. One that waits still gets its answer in its order, as the host takes the order of the
        answers as proof of how far the module got."""
        try:
            wanted = cancel.body["id"]
        except (KeyError, TypeError, ValueError):
            self._refuse(MessageError(cancel.id, 'expected {"id"} as the payload of cancel'))
            return
        waiting = (pending for pending in self._queue if pending.request.id == wanted)
        found = self._in_progress.get(wanted) or next(waiting, None)
        if found is not None:
            found.is_cancelled = True
        if cancel.id is not None:
            self._write(b'{"id":%d,"status":"success","data":null}' % cancel.id)

    def _answered(self, response: Response) -> None:
        if response.id is None:
            log.error(f"the host could not read a message of this module: {response.members.get('error')}")
        elif response.status != "progress":
            answer = self._awaited.get(response.id)
            if answer is not None:
                answer.response = response


class _GivenUp(Exception):
    """The answer is not waited for any longer."""

    def __init__(self, error: Error) -> None:
        super().__init__(str(error))
        self.error = error
