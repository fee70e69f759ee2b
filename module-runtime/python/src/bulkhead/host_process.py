"""The process ``bulkhead test-host`` and the wire to it: requests and answers, events, and what is asked of fakes.
What a test asserts is not known here."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Sequence

from . import text as json_text
from .error import Error
from .frames import Decoder, encode
from .limits import FRAME_BYTES_MAX_DEFAULT, READ_BYTES, REWRITE_BYTES_MAX

#: How long the host may take to end with its modules, in seconds.
END_SECONDS = 30.0

_NOT_FOUND = (
    "expected the command `bulkhead` in $BULKHEAD_BIN or in $PATH, found none; `cargo xtask install` in the repository "
    "of Bulkhead installs it"
)


def find_program() -> str:
    """The command ``bulkhead``: what ``$BULKHEAD_BIN`` names, else that of ``$PATH``. Raises ``Error``."""
    named = os.environ.get("BULKHEAD_BIN")
    if named:
        if not os.access(named, os.X_OK):
            raise Error(f"expected a program in $BULKHEAD_BIN, found {named!r}, which cannot be run")
        return os.path.abspath(named)
    found = shutil.which("bulkhead")
    if found is None:
        raise Error(_NOT_FOUND)
    return os.path.abspath(found)


def matches(pattern: str, name: str) -> bool:
    """Whether an event of this name is one of the pattern: a name, or the beginning of one and ``*``."""
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


class Call:
    """A request on its way."""

    def __init__(self, process: "HostProcess", id: int) -> None:
        self.id = id
        #: What it has sent of its progress so far, in order.
        self.progress: List[Any] = []
        self._process = process
        self._answer: Optional[Dict[str, Any]] = None

    @property
    def is_answered(self) -> bool:
        """Whether its answer has come."""
        return self._answer is not None

    def wait_progress(self, count: int = 1, *, timeout: float = 30.0) -> List[Any]:
        """Waits until it has sent so much progress, or is answered; the progress so far."""
        self._process.wait(
            lambda: len(self.progress) >= count or self.is_answered,
            timeout,
            lambda: f"expected progress {count} times, found {len(self.progress)}",
        )
        return list(self.progress)

    def result(self, *, timeout: Optional[float] = None) -> Any:
        """Waits for its answer: the data. Raises ``Error`` with code, delivery and exit where it failed."""
        self._process.wait(lambda: self.is_answered, timeout, lambda: "expected an answer, found none")
        answer = self._answer or {}
        if answer.get("status") == "error":
            raise Error.of_response(answer)
        return answer.get("data")

    def cancel(self) -> None:
        """Asks the module to stop working on it. It still gets its answer."""
        self._process.ask("cancel", None, {"id": self.id}).result(timeout=30.0)


class HostProcess:
    """A test host that runs. All that it sends is taken by a thread."""

    def __init__(self, arguments: Sequence[str], environment: Dict[str, str], folder: Optional[str]) -> None:
        #: All events so far: the payloads of the messages.
        self.events: List[Dict[str, Any]] = []
        #: What is done with a request to a fake: it gets the message.
        self.asked: Callable[[Dict[str, Any]], None] = lambda _: None
        #: Why it ended, as it said itself.
        self.final_failure: Optional[Dict[str, Any]] = None
        self.has_ended = False
        self._calls: Dict[int, Call] = {}
        self._next_id = 1
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        command = [find_program(), "test-host", "--quiet", *arguments]
        self._stderr = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, env=environment, cwd=folder
        )
        threading.Thread(target=self._read, name="bulkhead test-host", daemon=True).start()

    @property
    def stderr(self) -> str:
        """What it has printed on standard error."""
        self._stderr.seek(0)
        return self._stderr.read().decode("utf-8", "replace").strip()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def ask(self, kind: str, to: Optional[str], payload: Any, **members: Any) -> Call:
        """Sends a request."""
        with self._changed:
            call = Call(self, self._next_id)
            self._next_id += 1
            self._calls[call.id] = call
        message = {"id": call.id, "type": kind, "payload": payload, **members}
        self.send(message if to is None else {**message, "to": to})
        return call

    def send(self, message: Dict[str, Any]) -> None:
        """Sends a message. Raises ``Error`` when the host is gone."""
        body = json_text.to_bytes(json_text.write(message))
        stdin = self._process.stdin
        assert stdin is not None
        try:
            with self._sending:
                stdin.write(encode(body))
                stdin.flush()
        except (OSError, ValueError):
            raise self.ended() from None

    def wait(self, is_there: Callable[[], bool], timeout: Optional[float], otherwise: Callable[[], str]) -> None:
        """Waits until something has come. Raises ``Error`` when it has not in time, or the host ended."""
        until = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not is_there():
                if self.has_ended:
                    raise self.ended()
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    raise Error(f"{otherwise()} within {timeout:g} s", code="deadline_exceeded")
                self._changed.wait(left)

    def ended(self) -> Error:
        """Why nothing can be asked of it any more."""
        if self.final_failure is not None:
            error = Error.of_response(self.final_failure)
            lines = "".join(f"\n  {line}" for line in error.stderr)
            if lines:
                error.sentence += f"\nits last lines:{lines}"
            return error
        code = self._process.poll()
        return Error(f"bulkhead test-host has ended (exit code {code}): {self.stderr or 'it printed nothing'}")

    def close(self) -> str:
        """Ends it with its modules; returns what it has printed on standard error."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.close()
        except OSError:
            pass
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise Error(f"bulkhead test-host did not end within {END_SECONDS:g} s and was killed") from None
        self.wait(lambda: self.has_ended, END_SECONDS, lambda: "expected the end of its output, found none")
        stdout.close()
        printed = self.stderr
        self._stderr.close()
        return printed

    def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        decoder = Decoder(FRAME_BYTES_MAX_DEFAULT + REWRITE_BYTES_MAX)
        while decoder.fault is None:
            data = os.read(stdout.fileno(), READ_BYTES)
            if not data:
                break
            for frame in decoder.feed(data):
                self._take(json_text.read(frame.decode("utf-8")))
        with self._changed:
            self.has_ended = True
            self._changed.notify_all()

    def _take(self, message: Dict[str, Any]) -> None:
        if "type" in message and message.get("id") is not None:
            self.asked(message)
            return
        with self._changed:
            if "type" in message:
                self.events.append(message["payload"])
            elif message.get("id") is None:
                self.final_failure = message
            else:
                call = self._calls.get(message["id"])
                if call is not None and message["status"] == "progress":
                    call.progress.append(message.get("data"))
                elif call is not None:
                    call._answer = message
                    del self._calls[call.id]
            self._changed.notify_all()
