"""Refusals beyond those that the SDKs share, which ``test_shared_refusals.py`` has."""

import dataclasses
import json
import re
import unittest
from random import Random
from typing import Any, Dict, List, Literal, Optional, TypedDict, Union

from . import FOLDER
from bulkhead import Context, Module, NumberText, Raw
from bulkhead import text as json_text
from bulkhead.message import Request, read
from bulkhead.refusal import Refusal, alternatives, hint, nearest


class Line(TypedDict):
    item: str
    count: int


@dataclasses.dataclass
class Order:
    lines: List[Line]
    note: Optional[str] = None


app = Module("m", "1")


@app.command
def do(
    ctx: Context,
    title: str = "",
    limit: int = 1,
    weight: float = 0.0,
    is_new: bool = False,
    colour: Literal["red", "green"] = "red",
    tags: List[str] = [],
    sizes: Dict[str, int] = {},
    order: Optional[Order] = None,
    key: Union[int, str, None] = None,
    both: Union[Line, Order, None] = None,
    anything: Any = None,
    raw: Optional[int] = None,
) -> None: ...


@app.command
def take(ctx: Context, item: str, count: int) -> None: ...


@app.command
def nothing(ctx: Context) -> None: ...


@app.command
def exact(ctx: Context, raw: Raw, number: NumberText, others: List[NumberText] = []) -> None: ...


@app.command
def deep(ctx: Context, any: Any = None, raw: Any = None) -> None: ...


@app.command
def open_(ctx: Context, **rest: int) -> None: ...


@app.command(name="wide_open")
def wide_open(ctx: Context, /, **rest: int) -> None: ...


@app.command
def shapes(ctx: Context, value: Union[Line, Order]) -> None: ...


def bound(command: str, args: str) -> Dict[str, Any]:
    request = read(b'{"id":1,"type":"command","payload":{"name":"%s","args":%s}}' % (command.encode(), args.encode()))
    assert isinstance(request, Request)
    name, values, is_read, raw = request.command()
    return app.commands[name].parameters.bind(values, is_read, raw)


def refused(command: str, args: str) -> str:
    try:
        found = bound(command, args)
    except Refusal as refusal:
        error = refusal.error("argument", "an object of arguments")
        assert error.code == "bad_request"
        return f"{error} [{error.data['at']}]"
    return f"taken: {found}"


class Refusals(unittest.TestCase):
    def check(self, command: str, args: str, sentence: str) -> None:
        with self.subTest(args=args[:60]):
            self.assertEqual(refused(command, args), sentence)

    def test_an_argument_stands_there_once(self) -> None:
        self.check("do", '{"title":"a","title":"b"}', "argument `title` stands there twice [title]")
        args = '{"order":{"lines":[{"item":"a","item":"b","count":1}]}}'
        self.check("do", args, "argument `order.lines.0.item` stands there twice [order.lines.0.item]")
        self.check("deep", '{"any":{"a":[{"b":1,"b":2}]}}', "argument `any.a.0.b` stands there twice [any.a.0.b]")

    def test_an_unknown_argument_is_named_with_the_nearest(self) -> None:
        self.check("do", '{"titel":"a"}', "unknown argument `titel`; did you mean `title`? [titel]")
        self.check("take", '{"colour":1}', "unknown argument `colour`; known are `item`, `count` [colour]")
        self.check("nothing", '{"a":1}', "unknown argument `a`; expected none [a]")
        args = '{"order":{"lines":[{"itm":"a","count":1}]}}'
        sentence = "unknown argument `order.lines.0.itm`; did you mean `item`? [order.lines.0.itm]"
        self.check("do", args, sentence)

    def test_an_argument_with_the_name_of_the_context_is_none_of_the_rest(self) -> None:
        self.check("open_", '{"a":1,"ctx":1}', "unknown argument `ctx`; expected none [ctx]")
        self.assertEqual(bound("open_", '{"a":1,"self":2}'), {"a": 1, "self": 2})
        self.assertEqual(bound("wide_open", '{"ctx":1}'), {"ctx": 1})
        self.check("open_", '{"a":"x"}', 'argument `a`: expected an integer, found "x" [a]')

    def test_a_value_of_another_type_is_reported_with_both(self) -> None:
        for name, value, expected, found in (
            ("title", "5", "a text", "5"),
            ("title", "null", "a text", "null"),
            ("limit", '"5"', "an integer", '"5"'),
            ("limit", "2.50", "an integer", "2.50"),
            ("limit", "true", "an integer", "true"),
            ("limit", "1e-1", "an integer", "1e-1"),
            ("weight", '"1"', "a number", '"1"'),
            ("weight", "false", "a number", "false"),
            ("is_new", "0", "true or false", "0"),
            ("colour", '"blue"', '"red" or "green"', '"blue"'),
            ("tags", '{"a" : 1}', "a list", '{"a":1}'),
            ("sizes", "[ ]", "an object", "[]"),
            ("key", "[]", "an integer, a text or null", "[]"),
            ("key", "1.5", "an integer, a text or null", "1.5"),
            ("order", "5", "an object or null", "5"),
            ("both", "[]", "an object or null", "[]"),
        ):
            sentence = f"argument `{name}`: expected {expected}, found {found} [{name}]"
            self.check("do", f'{{"{name}":{value}}}', sentence)

    def test_a_path_leads_to_the_place(self) -> None:
        self.check("do", '{"tags":["a",1]}', "argument `tags.1`: expected a text, found 1 [tags.1]")
        self.check(
            "do",
            '{"sizes":{"a.b":1,"c\\\\d":"x"}}',
            'argument `sizes.c\\\\d`: expected an integer, found "x" [sizes.c\\\\d]',
        )
        self.check("do", '{"sizes":{"a.b":"x"}}', 'argument `sizes.a\\.b`: expected an integer, found "x" [sizes.a\\.b]')
        args = '{"order":{"lines":[{"item":"a","count":"1"}]}}'
        sentence = 'argument `order.lines.0.count`: expected an integer, found "1" [order.lines.0.count]'
        self.check("do", args, sentence)

    def test_a_number_that_would_change_is_refused_where_a_number_is_expected(self) -> None:
        for name, number in (
            ("weight", "0.1000000000000000055"),
            ("weight", "1e400"),
            ("weight", "9007199254740993"),
            ("limit", "1e400"),
        ):
            sentence = f"argument `{name}`: expected a number that a double holds exactly, found {number} [{name}]"
            self.check("do", f'{{"{name}":{number}}}', sentence)
        sentence = "argument `key`: expected a number that a double holds exactly, found 1e400 [key]"
        self.check("do", '{"key":1e400}', sentence)

    def test_a_number_is_what_it_is_worth(self) -> None:
        for args, name, expected in (
            ('{"limit":1.0}', "limit", 1),
            ('{"limit":1e3}', "limit", 1000),
            ('{"limit":9007199254740993}', "limit", 9007199254740993),
            ('{"weight":2}', "weight", 2.0),
            ('{"anything":[1.50,2]}', "anything", [1.5, 2]),
            ('{"anything":1e400}', "anything", NumberText("1e400")),
        ):
            found = bound("do", args)[name]
            self.assertEqual((type(found), found), (type(expected), expected))

    def test_raw_and_numbers_come_with_their_digits(self) -> None:
        found = bound("exact", '{"raw": { "a": 1.50, "a": 2 } , "number" : 1.50, "others":[1,2.0]}')
        self.assertEqual(found["raw"], Raw.trusted('{ "a": 1.50, "a": 2 }'))
        self.assertEqual(found["number"], NumberText("1.50"))
        self.assertEqual(found["others"], [NumberText("1"), NumberText("2.0")])
        levels = "[" * 5000 + "]" * 5000
        self.assertEqual(bound("exact", f'{{"raw":{levels},"number":1}}')["raw"].text, levels)

    def test_lists_and_objects_lie_at_most_128_deep(self) -> None:
        sentence = "argument `any`: expected at most 128 levels of lists and objects, found more [any]"
        for depth, expected in ((128, None), (129, sentence), (100000, sentence)):
            args = f'{{"any":{"[" * depth + "]" * depth}}}'
            found = refused("deep", args)
            if expected is None:
                self.assertTrue(found.startswith("taken"), found)
            else:
                self.assertEqual(found, expected)
        self.assertTrue(refused("deep", f'{{"any":[{",".join(["[[1]]"] * 500)}]}}').startswith("taken"))

    def test_of_alternatives_the_one_that_was_meant_tells_its_fault(self) -> None:
        self.check("shapes", '{"value":{"item":1}}', 'argument `value`: expected an object, found {"item":1} [value]')
        args = '{"order":{"lines":[],"note":5}}'
        self.check("do", args, "argument `order.note`: expected a text or null, found 5 [order.note]")

    def test_what_is_quoted_is_cut(self) -> None:
        self.check("do", f'{{"limit":"{"x" * 100}"}}', f'argument `limit`: expected an integer, found "{"x" * 59}… [limit]')
        self.check("nothing", f'{{"{"é" * 100}":1}}', f"unknown argument `{'é' * 60}…`; expected none [{'é' * 100}]")

    def test_long_payloads_are_refused_in_the_same_words(self) -> None:
        long = "x" * 1100000
        self.check("do", f'{{"title":"{long}","limt":1}}', "unknown argument `limt`; did you mean `limit`? [limt]")
        self.assertEqual(bound("do", f'{{"title":"{long}"}}'), {"title": long})

    def test_a_member_that_stands_twice_among_many_is_found_at_once(self) -> None:
        many = ",".join(f'"m{n}":1' for n in range(100000))
        self.check("do", f'{{"sizes":{{{many},"m99999":2}}}}', "argument `sizes.m99999` stands there twice [sizes.m99999]")

    def test_names_are_near_by_a_third_of_them_and_one(self) -> None:
        self.assertEqual(nearest("abcdef", ["abcxyz", "abcxyf"]), "abcxyf")
        self.assertEqual(nearest("ab", ["xy", "ax", "ay"]), "ax")
        self.assertIsNone(nearest("ab", ["xyz"]))
        names = [f"name{n}" for n in range(25)]
        self.assertTrue(hint("zzzzzzzzzzz", names, "").endswith("`name18`, `name19` and 5 more"))
        self.assertEqual(alternatives([f'"{n}"' for n in range(23)])[-20:], ', "18", "19" or 3 others'[-20:])



class AnyArguments(unittest.TestCase):
    def test_whatever_comes_is_taken_or_refused_and_alike_from_values_and_from_the_text(self) -> None:
        random = Random(20261130)
        names = ["title", "limit", "weight", "is_new", "colour", "tags", "sizes", "order", "key", "both", "anything"]
        scalars = ["0", "-1", "1.0", "1.50", "1e3", "1e400", "0.1000000000000000055", "true", "null", '"red"', '"\\ud800"']

        def value(depth: int) -> str:
            kind = random.randrange(8 if depth else 5)
            if kind < 5:
                return random.choice(scalars)
            if kind == 5:
                return "[" + ",".join(value(depth - 1) for _ in range(random.randrange(3))) + "]"
            inner = random.sample(["lines", "item", "count", "note", "a.b"], random.randrange(4))
            return "{" + ",".join(f'"{name}":{value(depth - 1)}' for name in inner) + "}"

        taken = 0
        for _ in range(4000):
            given = random.sample(names, random.randrange(4))
            args = "{" + ",".join(f'"{name}":{value(3)}' for name in given) + "}"
            parameters = app.commands["do"].parameters
            from_text: Optional[Dict[str, Any]] = None
            try:
                from_text = parameters._bind_text(args)
            except Refusal as refusal:
                self.assertTrue(refusal.sentence("argument"))
            from_values = parameters._bind_read(json_text.read(args))
            found = [bound if bound is None else repr(sorted(bound.items())) for bound in (from_values, from_text)]
            self.assertEqual(found[0], found[1], args)
            taken += from_text is not None
        self.assertTrue(500 < taken < 3900, taken)


class Table(unittest.TestCase):
    def test_the_table_of_the_readme_has_each_sentence(self) -> None:
        readme = (FOLDER / "README.md").read_text(encoding="utf-8")
        section = readme[readme.index("## Refusals") :]
        sentences = re.findall(r"\| ``(.*?)\s?`` \|", section)
        forms = [Refusal.TWICE, Refusal.MISSING, Refusal.WRONG]
        for form in forms:
            sentence = form.format(what="argument", path="`PATH`", expected="EXPECTED", found="FOUND")
            self.assertIn(sentence, sentences)
        unknown = [Refusal.UNKNOWN.format(what="argument", path="`PATH`", hint=hint) for hint in (
            hint("NAMF", ["NAME"], ""), hint("zzzz", ["NAME", "NAME"], ""), "expected none")]  # fmt: skip
        for sentence in unknown:
            self.assertIn(sentence, sentences)
        self.assertEqual(len(sentences), 9, json.dumps(sentences, indent=1))


if __name__ == "__main__":
    unittest.main()
