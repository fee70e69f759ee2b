"""The sentences in which arguments are refused are those of every SDK: ``module-runtime/refusals.json`` has them, and
the Rust and the TypeScript SDK try the same cases."""

import json
import unittest
from typing import Any, Dict, List, Literal, Optional, Tuple, TypedDict, Union

from . import FOLDER
from bulkhead import Context, Module
from bulkhead.message import Request, read
from bulkhead.refusal import Refusal, unknown_command

FILE: Dict[str, Any] = json.loads((FOLDER.parent / "refusals.json").read_text(encoding="utf-8"))


class Line(TypedDict):
    item: str
    count: int


class Address(TypedDict):
    street: str


app = Module("shop", "1")


@app.command
def order(
    ctx: Context,
    id: str,
    lines: List[Line],
    colour: Literal["red", "green", 7, None] = None,
    paid: bool = False,
    price: float = 0.0,
    extra: Any = None,
    to: Optional[Address] = None,
    size: Union[str, int, None] = None,
    prices: Dict[str, float] = {},
) -> None: ...


@app.command
def take(ctx: Context, item: str, count: int) -> None: ...


@app.command
def nothing(ctx: Context) -> None: ...


@app.command
def choose(
    ctx: Context,
    number: Literal[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22],
) -> None: ...


many_parameters = ", ".join(f"name_{n}: None = None" for n in range(23))
many: Dict[str, Any] = {}
exec(f"def many(ctx, {many_parameters}): ...", many)
app.command(many["many"])


def parameters(members: Dict[str, Any]) -> Any:
    """What takes these members, as a handler of a command would."""
    hints = {"null": "None", "integer": "int"}
    declared = [f"{name}: {hints[schema['type']]}" for name, schema in members.items()]
    function: Dict[str, Any] = {}
    exec(f"def handler({', '.join(['ctx', *declared])}): ...", function)
    part = Module("part", "1")
    part.command(function["handler"])
    return part.commands["handler"].parameters


def refused(bind: Any, called: str, whole: str, before: str = "") -> Optional[Tuple[str, str]]:
    """The sentence and the place of a refusal."""
    try:
        bind()
    except Refusal as refusal:
        error = refusal.error(called, whole, before)
        assert error.code == "bad_request"
        return str(error), error.data["at"]
    return None


class Shared(unittest.TestCase):
    def test_the_commands_are_those_of_the_file(self) -> None:
        self.assertEqual(set(FILE["commands"]), set(app.commands))
        for name, schema in FILE["commands"].items():
            self.assertEqual(app.commands[name].parameters.schema, schema, name)

    def test_each_case_of_the_file_is_refused_in_its_words_or_taken(self) -> None:
        tried = 0
        for case in FILE["cases"]:
            if "python" not in case.get("sdks", ["python"]):
                continue
            tried += 1
            payload = f'{{"name":"{case["command"]}","args":{case["args"]}}}'
            request = read(f'{{"id":1,"type":"command","payload":{payload}}}'.encode())
            assert isinstance(request, Request)
            name, values, is_read, raw = request.command()
            found = refused(
                lambda: app.commands[name].parameters.bind(values, is_read, raw), "argument", "an object of arguments"
            )
            with self.subTest(args=case["args"][:100]):
                self.assertEqual(found, None if case.get("taken") else (case["sentence"], case["at"]))
        self.assertGreater(tried, 80)

    def test_a_member_of_a_payload_and_a_key_of_the_configuration_are_called_what_they_are(self) -> None:
        for part in FILE["parts"]:
            expected = (part["sentence"], part["at"])
            if part["part"] == "key":
                declared, whole, before = parameters(part["type"]["properties"]), "an object of keys", "[config]: "
                found = refused(lambda: declared._bind_text(part["given"]), "key", whole, before)
            elif part["type"] == {"type": "null"}:

                def take_null(ctx: Context, payload: None) -> None: ...

                app = Module("m", "1")
                app.query(take_null)
                request = read(f'{{"id":1,"type":"query","payload":{part["given"]}}}'.encode())
                handler = app.query_handler
                assert handler is not None and isinstance(request, Request)
                found = refused(lambda: handler.payload.bind(request), "member", "")
            else:
                declared = parameters(part["type"]["properties"])
                found = refused(lambda: declared._bind_text(part["given"]), "member", "")
            self.assertEqual(found, expected)

    def test_an_unknown_command_is_refused_with_the_nearest(self) -> None:
        for case in FILE["unknown_commands"]:
            error = unknown_command(case["name"], case["known"])
            self.assertEqual((str(error), error.code), (case["sentence"], "unknown_command"))


if __name__ == "__main__":
    unittest.main()
