"""The schema that type hints make, and the limits on it."""

import dataclasses
import sys
import types
import unittest
from typing import Any, Dict, List, Literal, Optional, TypedDict, Union

from . import SOURCE  # noqa: F401
from bulkhead import Context, Error, Module, NumberText, Raw


class Line(TypedDict):
    item: str
    count: int


class Order(Line, total=False):
    note: Optional[str]


@dataclasses.dataclass
class Shelf:
    item: str
    left: int = 0
    tags: List[str] = dataclasses.field(default_factory=list)


class Itself(TypedDict):
    inner: "Itself"


LINE = {
    "type": "object",
    "properties": {"item": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["item", "count"],
    "additionalProperties": False,
}


class Schema(unittest.TestCase):
    def entry(self, function: Any, **options: Any) -> Dict[str, Any]:
        app = Module("m", "1")
        app.command(name="do", **options)(function)
        entry: Dict[str, Any] = app.ready()["commands"][0]
        return entry

    def test_each_hint_has_its_schema(self) -> None:
        def do(  # type: ignore[no-untyped-def]
            ctx: Context,
            a: str,
            b: int,
            c: float,
            d: bool,
            e: None,
            f: Optional[str],
            g: Union[int, str, None],
            h: List[Line],
            i: Dict[str, float],
            j: Literal["red", 1, None],
            k: Line,
            l: Shelf,  # noqa: E741
            m: Any,
            n: Raw,
            o: NumberText,
            p,
            q: list = [],  # type: ignore[type-arg]
            *,
            r: dict = {},  # type: ignore[type-arg]
        ) -> Order:
            raise NotImplementedError

        entry = self.entry(do)
        self.assertEqual(
            entry["args"]["properties"],
            {
                "a": {"type": "string"},
                "b": {"type": "integer"},
                "c": {"type": "number"},
                "d": {"type": "boolean"},
                "e": {"type": "null"},
                "f": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "g": {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
                "h": {"type": "array", "items": LINE},
                "i": {"type": "object", "additionalProperties": {"type": "number"}},
                "j": {"enum": ["red", 1, None]},
                "k": LINE,
                "l": {
                    "type": "object",
                    "properties": {
                        "item": {"type": "string"},
                        "left": {"type": "integer"},
                        "tags": {"type": "array", "items": {"type": "string"}},
                    },
                    "required": ["item"],
                    "additionalProperties": False,
                },
                "m": {},
                "n": {},
                "o": {"type": "number"},
                "p": {},
                "q": {"type": "array", "items": {}},
                "r": {"type": "object", "additionalProperties": {}},
            },
        )
        self.assertEqual(entry["args"]["required"], list("abcdefghijklmnop"))
        self.assertIs(entry["args"]["additionalProperties"], False)
        self.assertEqual(entry["returns"]["required"], ["item", "count"])
        self.assertIn("note", entry["returns"]["properties"])

    def test_an_entry_has_what_was_declared_and_no_more(self) -> None:
        def do(ctx, **rest: int):  # type: ignore[no-untyped-def]
            """Does it
            at once.

            More of it.
            """

        examples = [{"args": {"n": 1}, "returns": None}]
        entry = self.entry(do, idempotent=True, read_only=True, examples=examples)
        schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": {"type": "integer"}}
        expected = {"name": "do", "idempotent": True, "read_only": True, "description": "Does it at once.", "args": schema}
        self.assertEqual(entry, {**expected, "examples": examples})

    def test_a_hint_without_a_schema_is_refused_with_its_place(self) -> None:
        def sets(ctx: Context, a: "set[int]") -> None: ...

        def numbers(ctx: Context, a: Dict[int, str]) -> None: ...

        def itself(ctx: Context, a: Itself) -> None: ...

        def raw_part(ctx: Context, a: List[Raw]) -> None: ...

        def unknown(ctx: Context, a: "Nothing") -> None: ...  # type: ignore[name-defined]  # noqa: F821

        def positional(ctx: Context, *a: int) -> None: ...

        def whole_and_more(ctx: Context, a: Raw, b: int, /) -> None: ...

        def none() -> None: ...

        async def later(ctx: Context) -> None: ...

        def pieces(ctx: Context) -> Any:
            yield 1

        for function, words in (
            (sets, "command do: parameter `a`: expected a hint of str, int"),
            (numbers, "expected dict[str, …], as names are texts in JSON"),
            (itself, "Itself has itself as a part"),
            (raw_part, "Raw is the type of a whole argument or payload only"),
            (unknown, "command do: a hint cannot be read by Python"),
            (positional, "parameter `a`: expected one that can be given by its name"),
            (whole_and_more, "parameter `a`: expected one that can be given by its name, or one parameter alone before `/`"),
            (none, "command do: expected the parameters ctx first"),
            (later, "command do: expected a plain function that returns its answer"),
            (pieces, "command do: expected a plain function that returns its answer"),
        ):
            with self.subTest(function=function.__name__), self.assertRaises(TypeError) as caught:
                self.entry(function)
            self.assertIn(words, str(caught.exception))

    def test_hints_that_are_texts_are_read_and_newer_forms_where_python_has_them(self) -> None:
        def declared(source: str) -> Any:
            module = types.ModuleType("of_texts")
            self.addCleanup(sys.modules.pop, module.__name__, None)
            sys.modules[module.__name__] = module
            exec("from __future__ import annotations\nimport typing\nfrom bulkhead import *\n" + source, module.__dict__)
            return self.entry(module.__dict__["do"])["args"]["properties"]

        found = declared("def do(ctx: Context, a: list[dict[str, int]], b: typing.Optional[str] = None): ...")
        self.assertEqual(found["a"], {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "integer"}}})
        newer = "def do(ctx: Context, a: int | None = None): ..."
        if sys.version_info >= (3, 10):
            self.assertEqual(declared(newer)["a"], {"anyOf": [{"type": "integer"}, {"type": "null"}]})
        else:
            with self.assertRaises(TypeError) as caught:
                declared(newer)
            self.assertIn("`X | Y` needs Python 3.10", str(caught.exception))
        marked = "class Part(typing.TypedDict):\n    a: int\n    b: typing.NotRequired[str]\n"
        if sys.version_info >= (3, 11):
            self.assertEqual(declared(marked + "def do(ctx: Context, a: Part): ...")["a"]["required"], ["a"])
        else:
            with self.assertRaises(TypeError) as caught:
                declared(marked + "def do(ctx: Context, a: Part): ...")
            self.assertIn("a hint cannot be read by Python 3.", str(caught.exception))

    def test_an_example_that_would_be_refused_is_refused(self) -> None:
        def do(ctx: Context, n: int) -> None: ...

        for example, words in (
            ({"args": {"n": "x"}}, 'example 1: argument `n`: expected an integer, found "x"'),
            ({"n": 1}, "example 1: expected args"),
        ):
            with self.assertRaises(ValueError) as caught:
                self.entry(do, examples=[example])
            self.assertIn(words, str(caught.exception))

    def test_a_schema_has_less_than_64_kib_and_all_have_less_than_256(self) -> None:
        def do(ctx: Context, a: str) -> None: ...

        def long(bytes: int) -> Any:
            return [{"args": {"a": "x" * (bytes - len('[{"args":{"a":""}}]'))}}]

        self.entry(do, examples=long(65535))
        with self.assertRaises(TypeError) as caught:
            self.entry(do, examples=long(65536))
        self.assertIn("expected examples of less than 65536 bytes as JSON, found 65536", str(caught.exception))
        app = Module("m", "1")
        for name in "abcd":
            app.command(name=name, examples=long(65000))(do)
        with self.assertRaises(TypeError) as caught:
            app.command(name="e", examples=long(65000))(do)
        self.assertIn("less than 262144 bytes", str(caught.exception))

    def test_there_is_one_handler_of_each(self) -> None:
        app = Module("m", "1")
        for declare in (app.command, app.query, app.mutation, app.init, app.shutdown, app.event("a.*")):

            def handler(ctx: Any, payload: Any) -> None: ...

            declare(handler)
            with self.assertRaises(ValueError):
                declare(handler) if declare in (app.command, app.query, app.mutation, app.init, app.shutdown) else (
                    app.event("a.*")
                )

    def test_an_error_has_a_code_of_the_wire_or_one_of_its_own(self) -> None:
        self.assertEqual(Error("no", code="not_found").members(), {"error": "no", "code": "not_found"})
        own = Error("no ink", code="out_of_ink", data={"n": 2}, retryable=True)
        expected = {"error": "no ink", "code": "module_error", "module_code": "out_of_ink"}
        self.assertEqual(own.members(), {**expected, "data": {"n": 2}, "retryable": True})
        crashed = Error("it crashed", code="module_crashed").members()
        self.assertEqual(crashed, {"error": "it crashed", "code": "module_error", "module_code": "module_crashed"})
        passed_on = Error.of_response({"error": "it crashed", "code": "module_crashed"}).members()
        self.assertEqual(passed_on, {**crashed, "retryable": True})


if __name__ == "__main__":
    unittest.main()
