"""Tests of a module with the real host: ``with app.test() as m: m.call("take", item="bolt")``.

The module runs as a process of its own, under the program ``bulkhead test-host``, which has the host's rules and its
data store. Nothing of it is left after the test. What the host does is not done here again.
"""

import dataclasses
import os
import signal as signals
import sys
import time
from types import TracebackType
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Type

from .entities import Changed, Entities, Entity, Page
from .error import Error
from .fakes import Answers, Asked, Fakes
from .host_process import Call, HostProcess, find_program, matches

__all__ = ["Answers", "Asked", "Call", "Line", "Seen", "TestHost", "find_program"]

#: How long is waited for anything, in seconds, unless a test says otherwise.
TIMEOUT_SECONDS = 30.0
#: The time between two looks at something that no event announces.
LOOK_SECONDS = 0.002
#: Lines of a log that are looked at.
LINES_MAX = 10_000
#: Events that say that a process has ended.
ENDS = ("module.crashed", "module.failed", "module.finished", "module.exited", "module.lost")


@dataclasses.dataclass(frozen=True)
class Seen:
    """An event that was published."""

    name: str
    data: Any
    #: Its place among all stored events; of one of the host's own, such as ``module.ready``, that of the one before.
    cursor: int
    #: The module that published it; ``None`` for the test.
    source: Optional[str]
    #: Whether it is one of the host's own.
    is_of_host: bool


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of the module's log."""

    text: str
    #: ``stdout``, ``stderr`` or ``host``.
    stream: str
    level: Optional[str]


class _Store(Entities):
    """The data store as a client sees it."""

    def __init__(self, host: "TestHost") -> None:
        self._host = host

    def query(self, payload: Any, *, to: Optional[str] = None, timeout: Optional[float] = None) -> Any:
        return self._host.query(payload, to=to or "layer1", timeout=timeout)

    def mutate(self, payload: Any, *, to: Optional[str] = None, timeout: Optional[float] = None) -> Any:
        return self._host.mutate(payload, to=to or "layer1", timeout=timeout)


class TestHost:
    """A module that runs under a host of its own. ``Module.test`` makes it; it is entered by ``with``."""

    # pytest takes classes of this name for tests.
    __test__ = False

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Optional[Mapping[str, str]] = None,
        folder: Optional[str] = None,
        fakes: Optional[Mapping[str, Answers]] = None,
        timeout: float = TIMEOUT_SECONDS,
        hint: str = "",
    ) -> None:
        """``arguments`` are those of ``bulkhead test-host``; ``hint`` is added where the module does not start."""
        #: The name of the module under test.
        self.name = ""
        #: How long is waited for anything, in seconds.
        self.timeout = timeout
        self._fakes = Fakes(fakes or {})
        self._arguments = [*(f"--fake={name}" for name in fakes or {}), *arguments]
        self._environment = dict(os.environ if environment is None else environment)
        self._folder = folder
        self._hint = hint
        self._seen: Dict[str, int] = {}
        self._store = _Store(self)
        self._running: Optional[HostProcess] = None

    def __enter__(self) -> "TestHost":
        self._running = host = HostProcess(self._arguments, self._environment, self._folder)
        host.asked = lambda message: self._fakes.take(message, host.send)
        try:
            ready = self._wait_own_event("test_host.ready", None)
        except Error as error:
            self.close()
            if self._hint:
                error.sentence += f"\n{self._hint}"
            raise
        self.name = ready["module"]
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        lines: List[Line] = []
        if error is not None:
            try:
                lines = self.logs(20)
            except Error:
                pass
        self.close()
        if lines:
            shown = "".join(f"\n  {line.text}" for line in lines)
            print(f"the last lines of {self.name}:{shown}", file=sys.stderr)

    def close(self) -> None:
        """Ends the host with all modules, and removes what they stored. ``with`` does it."""
        running, self._running = self._running, None
        if running is not None:
            printed = running.close()
            if printed and running.final_failure is None and running.events:
                print(printed, file=sys.stderr)

    @property
    def _host(self) -> HostProcess:
        if self._running is None:
            raise Error("the test host does not run: it runs inside of `with app.test() as m:`")
        return self._running

    # Requests.

    def begin(
        self,
        name: str,
        args: Any = None,
        /,
        *,
        to: Optional[str] = None,
        key: Optional[str] = None,
        timeout: Optional[float] = None,
        **arguments: Any,
    ) -> Call:
        """Sends a command and does not wait: ``.progress``, ``.wait_progress()``, ``.result()`` and ``.cancel()`` are
        those of its call."""
        if arguments:
            args = {**(args or {}), **arguments}
        payload = {"name": name} if args is None else {"name": name, "args": args}
        return self._send("command", to, payload, key, timeout)

    def call(
        self,
        name: str,
        args: Any = None,
        /,
        *,
        to: Optional[str] = None,
        key: Optional[str] = None,
        timeout: Optional[float] = None,
        **arguments: Any,
    ) -> Any:
        """Calls a command, of the module under test unless ``to`` names another: ``m.call("take", item="bolt")``.
        Arguments that are called ``to``, ``key`` or ``timeout`` are given in a ``dict``: ``m.call("send", {"to": "x"})``.

        Raises ``Error``, with ``code``, ``module_code``, ``delivery``, ``exit`` and ``stderr``. ``timeout`` is the
        deadline, in seconds.
        """
        return self.begin(name, args, to=to, key=key, timeout=timeout, **arguments).result()

    def query(
        self, payload: Any, *, to: Optional[str] = None, timeout: Optional[float] = None
    ) -> Any:
        """Sends a query to the module under test, or to ``to``."""
        return self._send("query", to, payload, None, timeout).result()

    def mutate(
        self,
        payload: Any,
        *,
        to: Optional[str] = None,
        key: Optional[str] = None,
        timeout: Optional[float] = None,
    ) -> Any:
        """Sends a mutation to the module under test, or to ``to``."""
        return self._send("mutation", to, payload, key, timeout).result()

    def supervisor(self, command: str, args: Any = None, /, **arguments: Any) -> Any:
        """Calls a command of the host itself: ``m.supervisor("status")``."""
        return self.call(command, args, to="supervisor", **arguments)

    def _send(self, kind: str, to: Optional[str], payload: Any, key: Optional[str], timeout: Optional[float]) -> Call:
        deadline = self.timeout if timeout is None else timeout
        members: Dict[str, Any] = {"deadline_ms": int(deadline * 1000)}
        if key is not None:
            members["key"] = key
        return self._host.ask(kind, to or self.name, payload, **members)

    # The data store.

    def create(self, entity: str, data: Any, *, id: Optional[str] = None) -> Changed:
        """Creates an entity, before or between calls."""
        return self._store.create(entity, data, id=id)

    def update(self, entity: str, id: str, patch: Any, *, expected_version: Optional[int] = None) -> Changed:
        """Changes an entity by a merge patch."""
        return self._store.update(entity, id, patch, expected_version=expected_version)

    def delete(self, entity: str, id: str, *, expected_version: Optional[int] = None) -> Changed:
        """Deletes an entity."""
        return self._store.delete(entity, id, expected_version=expected_version)

    def entity(self, entity: str, id: str) -> Entity:
        """The entity with this id. Raises ``Error`` with ``not_found``."""
        return self._store.entity(entity, id)

    def entities(self, entity: str, filters: Optional[Dict[str, Any]] = None, **asked: Any) -> List[Entity]:
        """All entities for which the filters hold; takes what ``find`` takes."""
        return list(self._store.entities(entity, filters, **asked))

    def find(self, entity: str, filters: Optional[Dict[str, Any]] = None, **asked: Any) -> Page:
        """One page of them, as ``Context.find``."""
        return self._store.find(entity, filters, **asked)

    def count(self, entity: str, filters: Optional[Dict[str, Any]] = None) -> int:
        """For how many entities the filters hold."""
        return self._store.count(entity, filters)

    # Events.

    def emit(self, event: str, data: Any = None) -> Dict[str, Any]:
        """Publishes an event, and does not wait for those who subscribe to it."""
        payload = {"event": event, "data": data}
        answer: Dict[str, Any] = self._host.ask("event", None, payload).result(timeout=self.timeout)
        return answer

    def deliver(self, event: str, data: Any = None, *, timeout: Optional[float] = None) -> None:
        """Publishes an event and waits until the module under test has handled it."""
        until = time.monotonic() + (self.timeout if timeout is None else timeout)
        cursor = self.emit(event, data)["cursor"]
        while True:
            subscriptions = self.supervisor("layer1")["subscriptions"]
            own = next((found for found in subscriptions if found["module"] == self.name), None)
            if own is None:
                raise Error(f"{self.name} subscribes to no events; its manifest says to which, in event_subscribe")
            if own["cursor"] >= cursor:
                return
            if time.monotonic() > until:
                raise Error(f"{self.name} has not handled {event} in time; m.logs() shows why", code="deadline_exceeded")
            time.sleep(LOOK_SECONDS)

    def events(self, pattern: str = "*") -> List[Seen]:
        """All stored events of this pattern so far, in order; those of all that was answered are among them."""
        newest = self.supervisor("status")["host"]["layer1"]["cursor"]
        host = self._host
        host.wait(
            lambda: newest == 0 or any(payload.get("cursor", 0) >= newest for payload in reversed(host.events)),
            self.timeout,
            lambda: f"expected the event {newest}, found none",
        )
        return [seen for seen in self._all_seen() if not seen.is_of_host and matches(pattern, seen.name)]

    def host_events(self, pattern: str = "*") -> List[Seen]:
        """The host's own events so far, such as ``module.ready`` and ``module.crashed``."""
        # What the host has announced before it answers comes before the answer.
        self._host.ask("ping", None, None).result(timeout=self.timeout)
        return [seen for seen in self._all_seen() if seen.is_of_host and matches(pattern, seen.name)]

    def wait_event(
        self,
        pattern: str,
        *,
        where: Callable[[Seen], bool] = lambda _: True,
        timeout: Optional[float] = None,
    ) -> Seen:
        """Waits for the next event of this pattern: the first one is the first since the start, and each wait for the
        same pattern goes on after the event that the last one returned."""
        found: List[Seen] = []

        def look() -> bool:
            for at in range(self._seen.get(pattern, 0), len(self._host.events)):
                seen = _seen(self._host.events[at])
                if seen is not None and matches(pattern, seen.name) and where(seen):
                    self._seen[pattern] = at + 1
                    found.append(seen)
                    return True
            return False

        wait = self.timeout if timeout is None else timeout
        self._host.wait(look, wait, lambda: f"expected an event {pattern}, found none")
        return found[0]

    def _all_seen(self) -> Iterable[Seen]:
        return [seen for seen in map(_seen, list(self._host.events)) if seen is not None]

    def _wait_own_event(self, name: str, timeout: Optional[float]) -> Dict[str, Any]:
        host = self._host
        host.wait(
            lambda: any(payload["event"] == name for payload in host.events), timeout, lambda: f"expected {name}"
        )
        data: Dict[str, Any] = next(payload["data"] for payload in host.events if payload["event"] == name)
        return data

    # Processes.

    def status(self, module: Optional[str] = None) -> Dict[str, Any]:
        """The status of the module under test, or of another."""
        found: Dict[str, Any] = self.supervisor("status", name=module or self.name)
        return found

    def crashes(self, module: Optional[str] = None) -> List[Dict[str, Any]]:
        """The records of its crashes, the oldest first: ``reason``, ``exit``, ``stderr``, ``in_flight``."""
        found: List[Dict[str, Any]] = self.supervisor("crashes", name=module or self.name)["crashes"]
        return found

    def logs(self, lines: int = 1000, *, module: Optional[str] = None) -> List[Line]:
        """The last lines of its log, the oldest first. A line may come a moment after the answer to the call that has
        printed it: ``wait_log`` waits for one."""
        call = self.begin("logs", to="supervisor", name=module or self.name, lines=lines)
        call.result()
        return [_line(line) for line in call.progress]

    def wait_log(self, text: str, *, module: Optional[str] = None, timeout: Optional[float] = None) -> Line:
        """Waits for a line that has this text in it; the first one since the start."""
        wait = self.timeout if timeout is None else timeout
        args = {"name": module or self.name, "lines": LINES_MAX, "follow": True}
        call = self._send("command", "supervisor", {"name": "logs", "args": args}, None, wait)

        def found() -> List[Dict[str, Any]]:
            return [line for line in list(call.progress) if text in line["line"]]

        self._host.wait(lambda: bool(found()) or call.is_answered, wait, lambda: f"expected a line with {text!r}")
        lines = found()
        if not lines:
            raise Error(f"expected a line with {text!r}, found none within {wait:g} s", code="deadline_exceeded")
        call.cancel()
        return _line(lines[0])

    def kill(self, signal: int = signals.SIGKILL, *, module: Optional[str] = None) -> int:
        """Sends the process, once it is ready, a signal that ends it, and waits until it has; returns its number. The
        host starts another one by the module's rules: the next call waits for it."""
        status = self._with_process(module)
        pid = status["pid"]
        instance = next(found["instance"] for found in status["instances"] if found["pid"] == pid)
        host, begin = self._host, len(self._host.events)

        def has_ended() -> bool:
            ended = [payload for payload in host.events[begin:] if payload["event"] in ENDS]
            return any(payload["data"]["instance"] == instance for payload in ended)

        os.kill(pid, signal)
        host.wait(has_ended, self.timeout, lambda: f"expected the end of process {pid}, found none")
        return int(pid)

    def _with_process(self, module: Optional[str]) -> Dict[str, Any]:
        """The status, once it has a process that is ready. The host learns its number apart from the readiness, and
        may learn it later."""
        until = time.monotonic() + self.timeout
        while True:
            self.wait_ready(module)
            status = self.status(module)
            if status["pid"] is not None:
                return status
            if time.monotonic() > until:
                raise Error(f"{status['name']} has no process", code="deadline_exceeded")
            time.sleep(LOOK_SECONDS)

    def wait_ready(self, module: Optional[str] = None) -> None:
        """Waits until it is ready again. Raises ``Error`` where it will not be by itself."""
        self._send("command", "supervisor", _wait_ready(module or self.name), None, None).result()

    def start(self) -> None:
        """Starts the module under test, after ``app.test(start=False)`` or ``stop``. Raises ``Error`` where it fails."""
        self.supervisor("start", name=self.name)

    def stop(self) -> None:
        """Stops it."""
        self.supervisor("stop", name=self.name)

    def restart(self) -> None:
        """Stops it and starts it again."""
        self.supervisor("restart", name=self.name)

    # Fakes.

    def fake(self, name: str, answers: Answers) -> None:
        """Has a fake answer in another way from now on."""
        self._fakes.set(name, answers)

    def asked(self, fake: str) -> List[Asked]:
        """What was asked of a fake so far, in order."""
        return self._fakes.asked_of(fake)


def _line(found: Dict[str, Any]) -> Line:
    return Line(found["line"], found["stream"], found["level"])


def _wait_ready(module: str) -> Dict[str, Any]:
    # `for` is a word of the language.
    return {"name": "wait", "args": {"name": module, "for": "ready"}}


def _seen(payload: Dict[str, Any]) -> Optional[Seen]:
    """An event of a message; ``None`` for one of the test host's own."""
    if "cursor" not in payload:
        return None
    return Seen(
        payload["event"], payload.get("data"), payload["cursor"], payload.get("source"), bool(payload.get("live"))
    )
