"""A module as its author declares it: handlers and what is said of them. How they are served is not known here."""

import dataclasses
import functools
import inspect
import sys
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Mapping,
    NoReturn,
    Optional,
    Sequence,
    TypeVar,
    Union,
    overload,
)

from . import text as json_text
from .channel import protect_channel
from .hints import HintError
from .launch import origin_of_caller, test_of
from .limits import (
    EVENT_NAME_BYTES_MAX,
    PROTOCOL_VERSION,
    SCHEMA_BYTES_MAX,
    SCHEMAS_BYTES_MAX,
    THREADS_DEFAULT,
    THREADS_MAX,
)
from .refusal import Refusal
from .signature import Parameters, Payload, returned_type
from .values import Raw

if TYPE_CHECKING:
    from .testing import TestHost

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True)
class Command:
    """A command that the module declares."""

    name: str
    function: Callable[..., Any]
    parameters: Parameters
    is_concurrent: bool
    #: What is said of it in the answer to ``init``.
    entry: Dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Handler:
    """What handles queries or mutations."""

    function: Callable[..., Any]
    payload: Payload
    is_concurrent: bool


@dataclasses.dataclass(frozen=True)
class Event:
    """An event, as its handler gets it."""

    #: Its name.
    name: str
    #: What it brings. A number that a float would change is a ``NumberText``.
    data: Any
    #: Its place among all stored events, and the history that this belongs to: the same event comes again with the
    #: same. ``None`` for the host's own events, such as ``module.ready``.
    cursor: Optional[int]
    epoch: Optional[str]


@dataclasses.dataclass(frozen=True)
class Subscription:
    """What handles the events of a pattern."""

    pattern: str
    function: Callable[..., Any]
    parameters: Parameters

    def matches(self, name: str) -> bool:
        """Whether an event of this name is for it."""
        if self.pattern.endswith("*"):
            return name.startswith(self.pattern[:-1])
        return name == self.pattern


class Module:
    """A module: its name, its version and its handlers.

    Handlers are called one at a time and in the order in which requests came, so the host knows after a crash how
    far each request got. Those that are declared ``concurrent`` run beside others, on at most ``threads`` threads;
    then no request has that verdict any more.

    In a process that the host has started it takes the channel when it is made, so that what is printed after that
    is log, whatever the transport.

    ``keys`` says that the module recognises ``Context.key`` and does the work of one key once, outside of the
    host's data store as well.
    """

    def __init__(self, name: str, version: str, *, keys: bool = False, threads: int = THREADS_DEFAULT) -> None:
        if not 1 <= threads <= THREADS_MAX:
            raise ValueError(f"expected 1 to {THREADS_MAX} threads, found {threads}")
        protect_channel()
        self._origin = origin_of_caller(self)
        self.name = name
        self.version = version
        self.threads = threads
        self.commands: Dict[str, Command] = {}
        self.subscriptions: List[Subscription] = []
        self.query_handler: Optional[Handler] = None
        self.mutation_handler: Optional[Handler] = None
        self.init_handler: Optional[Callable[..., Any]] = None
        self.init_parameters: Optional[Parameters] = None
        self.shutdown_handler: Optional[Callable[..., Any]] = None
        self._keys = keys
        self._schema_bytes = 0

    @overload
    def command(self, function: Function) -> Function: ...

    @overload
    def command(
        self,
        *,
        name: Optional[str] = None,
        idempotent: bool = False,
        read_only: bool = False,
        concurrent: bool = False,
        examples: Optional[Sequence[Dict[str, Any]]] = None,
    ) -> Callable[[Function], Function]: ...

    def command(
        self,
        function: Optional[Function] = None,
        *,
        name: Optional[str] = None,
        idempotent: bool = False,
        read_only: bool = False,
        concurrent: bool = False,
        examples: Optional[Sequence[Dict[str, Any]]] = None,
    ) -> Union[Function, Callable[[Function], Function]]:
        """Declares the command that a function handles: ``def take(ctx: Context, id: str, count: int = 1)``.

        The parameters after the context are the arguments. Their hints are the schema, and what does not fit is
        refused before the function is called. One parameter alone before ``/`` takes them as a whole, whatever they
        are: ``def pass_on(ctx: Context, args: Raw, /)``. The docstring's first paragraph is the description.

        - ``idempotent``: doing it twice is the same as doing it once; after a crash the host does it again.
        - ``read_only``: it changes nothing; ``bulkhead mcp --read-only`` shows only such commands.
        - ``concurrent``: it runs beside other requests, on a thread.
        - ``examples``: for people, ``[{"args": {"id": "a"}, "returns": 3}]``.
        """

        def declare(function: Function) -> Function:
            self._add_command(function, name or function.__name__, idempotent, read_only, concurrent, examples)
            return function

        return declare if function is None else declare(function)

    @overload
    def query(self, function: Function) -> Function: ...

    @overload
    def query(self, *, concurrent: bool = False) -> Callable[[Function], Function]: ...

    def query(
        self, function: Optional[Function] = None, *, concurrent: bool = False
    ) -> Union[Function, Callable[[Function], Function]]:
        """Declares what handles queries: ``def read(ctx: Context, payload: dict)``."""

        def declare(function: Function) -> Function:
            self._once(self.query_handler, "queries")
            self.query_handler = Handler(function, Payload(function, f"query {function.__name__}"), concurrent)
            return function

        return declare if function is None else declare(function)

    @overload
    def mutation(self, function: Function) -> Function: ...

    @overload
    def mutation(self, *, concurrent: bool = False) -> Callable[[Function], Function]: ...

    def mutation(
        self, function: Optional[Function] = None, *, concurrent: bool = False
    ) -> Union[Function, Callable[[Function], Function]]:
        """Declares what handles mutations: ``def write(ctx: Context, payload: dict)``."""

        def declare(function: Function) -> Function:
            self._once(self.mutation_handler, "mutations")
            self.mutation_handler = Handler(function, Payload(function, f"mutation {function.__name__}"), concurrent)
            return function

        return declare if function is None else declare(function)

    def event(self, pattern: str) -> Callable[[Function], Function]:
        """Declares what handles the events of a pattern: ``def low(ctx: Context, event: Event, item: str)``.

        A pattern is a name, or the beginning of one and ``*``. Parameters after the event are the members of its
        data; without any, the data is in ``event.data`` as it is. Of several patterns that match, the first that
        was declared counts. The manifest says which events come (``event_subscribe``).
        """
        if not pattern or "*" in pattern[:-1] or len(json_text.to_bytes(pattern)) > EVENT_NAME_BYTES_MAX:
            rule = f"1 to {EVENT_NAME_BYTES_MAX} bytes, with `*` at the end at most"
            raise ValueError(f"a pattern of events has {rule}, found {pattern!r}")
        self._once(next((s for s in self.subscriptions if s.pattern == pattern), None), f"events {pattern}")

        def declare(function: Function) -> Function:
            parameters = Parameters(function, ["ctx", "event"], f"event {pattern}")
            self.subscriptions.append(Subscription(pattern, parameters.callable(function), parameters))
            return function

        return declare

    def init(self, function: Function) -> Function:
        """Declares what is done before the module is ready: ``def start(init: Init, low: int = 3)``.

        Parameters after ``init`` are the keys of the manifest's ``[config]``; without any, ``init.config`` has them
        as they are. A key that does not fit fails the start for good.
        """
        self._once(self.init_handler, "init")
        parameters = Parameters(function, ["init"], f"init {function.__name__}")
        self.init_handler = parameters.callable(function)
        self.init_parameters = parameters
        return function

    def shutdown(self, function: Function) -> Function:
        """Declares what is done before the process ends on the host's request: ``def stop(ctx: Context)``."""
        self._once(self.shutdown_handler, "shutdown")
        self.shutdown_handler = function
        return function

    @property
    def is_concurrent(self) -> bool:
        """Whether something of it runs beside other requests."""
        handlers = [*self.commands.values(), self.query_handler, self.mutation_handler]
        return any(handler is not None and handler.is_concurrent for handler in handlers)

    def ready(self) -> Dict[str, Any]:
        """What the module says of itself in its answer to ``init``."""
        features = (["concurrent"] if self.is_concurrent else []) + (["keys"] if self._keys else [])
        return {
            "name": self.name,
            "version": self.version,
            "protocol": PROTOCOL_VERSION,
            "commands": [command.entry for command in self.commands.values()],
            "features": features,
        }

    def run(self) -> NoReturn:
        """Serves the host until it says ``shutdown`` or is gone, and ends the process.

        | exit code | meaning |
        |---|---|
        | 0 | shut down, or the host is gone |
        | 1 | ``init`` or ``shutdown`` failed, or the channel broke |
        | 2 | there is no host: a person started the program |
        | 101 | a handler raised another exception than ``Error`` |
        | 125 | starting again would not help |
        | other | what ``Context.last`` was given |
        """
        from .serve import run

        sys.exit(run(self))

    def test(
        self,
        *,
        config: Optional[Mapping[str, Any]] = None,
        fakes: Optional[Mapping[str, Any]] = None,
        with_modules: Sequence[str] = (),
        settings: Optional[Mapping[str, Any]] = None,
        manifest: Union[str, bool, None] = None,
        command: Optional[Sequence[str]] = None,
        start: bool = True,
        real_waits: bool = False,
        timeout: float = 30.0,
    ) -> "TestHost":
        """Runs the module as a process of its own under a real host, for ``with app.test() as m:``.

        - ``config``: members that replace those of the manifest's ``[config]``.
        - ``fakes``: modules that the test answers, ``{"mailer": {"send": lambda to, text: {"sent": True}}}``: for
          each command a function of its arguments, an ``Error`` or the answer itself; or one function of ``Asked``.
        - ``with_modules``: folders of other modules that run beside it.
        - ``settings``: other values for keys of the manifest, ``{"limits.deadline_default": "1s"}``.
        - ``manifest``: the folder whose ``module.toml`` counts. Left out: that of the script, if it has one for this
          module; otherwise, or with ``False``, one is made that grants everything and subscribes to the events that
          the module handles.
        - ``command``: what starts the module, where it is not the script that made it.
        - ``start``: with ``False`` the module waits for ``m.start()``, so that the test can ``create`` first.
        - ``real_waits``: with ``True`` restarts and stops take the time that they take in production.
        - ``timeout``: how long a test waits for anything, in seconds.

        The program ``bulkhead`` is what ``$BULKHEAD_BIN`` names, or that of ``$PATH``.
        """
        patterns = [subscription.pattern for subscription in self.subscriptions]
        return test_of(
            self.name,
            self._origin,
            patterns,
            config=config,
            fakes=fakes,
            with_modules=with_modules,
            settings=settings,
            manifest=manifest,
            command=command,
            start=start,
            real_waits=real_waits,
            timeout=timeout,
        )

    def _add_command(
        self,
        function: Callable[..., Any],
        name: str,
        idempotent: bool,
        read_only: bool,
        concurrent: bool,
        examples: Optional[Sequence[Dict[str, Any]]],
    ) -> None:
        place = f"command {name}"
        self._once(self.commands.get(name), place)
        parameters = Parameters(function, ["ctx"], place)
        entry: Dict[str, Any] = {"name": name}
        if idempotent:
            entry["idempotent"] = True
        if read_only:
            entry["read_only"] = True
        description = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")
        if description:
            entry["description"] = description
        entry["args"] = parameters.schema
        returned = returned_type(function, place)
        if returned is not None:
            entry["returns"] = returned.schema
        if examples is not None:
            entry["examples"] = _checked(list(examples), parameters, place)
        self._limit(entry, place)
        self.commands[name] = Command(name, parameters.callable(function), parameters, concurrent, entry)

    def _limit(self, entry: Dict[str, Any], place: str) -> None:
        for member in ("args", "returns", "examples"):
            length = len(json_text.to_bytes(json_text.write(entry[member]))) if member in entry else 0
            if length >= SCHEMA_BYTES_MAX:
                sentence = f"expected {member} of less than {SCHEMA_BYTES_MAX} bytes as JSON, found {length}"
                raise HintError(f"{place}: {sentence}; Any in the place of a part makes them shorter")
            self._schema_bytes += length
        if self._schema_bytes >= SCHEMAS_BYTES_MAX:
            sentence = f"expected less than {SCHEMAS_BYTES_MAX} bytes of args, returns and examples in all commands"
            raise HintError(f"{place}: {sentence}, found {self._schema_bytes}")

    def _once(self, known: object, what: str) -> None:
        if known is not None:
            raise ValueError(f"expected one handler of {what}, found another one")


def _itself(raw: Raw) -> Raw:
    return raw


def _checked(examples: List[Dict[str, Any]], parameters: Parameters, place: str) -> List[Dict[str, Any]]:
    """The examples, each of which the command would take."""
    for number, example in enumerate(examples, 1):
        there = f"{place}: example {number}"
        if not isinstance(example, dict) or not {"args"} <= example.keys() <= {"args", "returns", "description"}:
            raise ValueError(f"{there}: expected args, and returns and description if wanted, found {example!r}")
        args = Raw.trusted(json_text.write(example["args"]))
        try:
            parameters.bind(None, False, functools.partial(_itself, args))
        except Refusal as refusal:
            raise ValueError(f"{there}: {refusal.sentence('argument', parameters.words or 'an object of arguments')}") from None
    return examples
