"""JSON text: numbers that would change, texts as they were sent, values that JSON has not."""

import dataclasses
import unittest
from decimal import Decimal
from typing import Any

from . import SOURCE  # noqa: F401
from bulkhead import NumberText, Raw
from bulkhead import text as json_text


class Numbers(unittest.TestCase):
    def test_a_number_is_exact_or_it_is_its_text(self) -> None:
        for sent, expected in (
            ("1", 1),
            ("-0", 0),
            ("9007199254740993", 9007199254740993),
            ("0.1", 0.1),
            ("0.10", 0.1),
            ("1e3", 1000.0),
            ("1E-7", 1e-7),
            ("5e-324", 5e-324),
            ("123456789012345680000.0", 123456789012345680000.0),
            ("0.1000000000000000055511151231257827", NumberText("0.1000000000000000055511151231257827")),
            ("9007199254740993.0", NumberText("9007199254740993.0")),
            ("1e400", NumberText("1e400")),
            ("1e-400", NumberText("1e-400")),
            ("1e99999999999999999999", NumberText("1e99999999999999999999")),
            ("1" * 5000, NumberText("1" * 5000)),
        ):
            with self.subTest(sent=sent[:40]):
                found = json_text.read(sent)
                self.assertEqual((type(found), found), (type(expected), expected))

    def test_a_number_that_is_kept_as_text_goes_out_as_it_came(self) -> None:
        sent = '{"a":[0.1000000000000000055,1e400],"b":1}'
        self.assertEqual(json_text.write(json_text.read(sent)), sent)

    def test_a_number_text_is_a_number(self) -> None:
        self.assertEqual(NumberText("1.50").decimal, Decimal("1.50"))
        self.assertEqual(float(NumberText("1.50")), 1.5)
        for text in ("", "1.", "01", "NaN", "+1", "1 ", '"1"'):
            with self.assertRaises(ValueError):
                NumberText(text)


class Reading(unittest.TestCase):
    def test_what_is_no_json_is_refused(self) -> None:
        for text in ("", "{", "[1,]", "NaN", "Infinity", "{'a':1}", "1 2", '{"a":1,"a":2}', "[" * 100000):
            with self.subTest(text=text[:20]), self.assertRaises(ValueError):
                json_text.read(text)

    def test_levels_are_counted_outside_of_texts(self) -> None:
        text = '{"a":"[[[{{","b":[[1],{"c":"\\"["}]}'
        self.assertEqual([json_text.is_deep(text, allowed) for allowed in (1, 2, 3, 4)], [True, True, False, False])
        for text in ('["x","[[[","y"]', '[["a"],{"b":"c"},"","\\\\"]', '[{"[]":"{}"}]', '["]"]'):
            depth = 1 if "x" in text or "]\"]" in text else 2
            self.assertEqual([json_text.is_deep(text, n) for n in (depth - 1, depth)], [True, False], text)
        self.assertFalse(json_text.is_deep('"' + "[" * 500 + '"', 128))
        self.assertTrue(json_text.is_deep("[" * 129 + "]" * 129, 128))

    def test_an_outline_has_each_member_as_it_was_sent(self) -> None:
        text = ' { "a" : 1.50 , "b\\u0062" :\t[ 1, "}" , {"x":"\\\\"} ] ,"c":"\\"","d":null}\n'
        found = [(name, raw.text) for name, raw in json_text.outline(text)]
        expected = [("a", "1.50"), ("bb", '[ 1, "}" , {"x":"\\\\"} ]'), ("c", '"\\""'), ("d", "null")]
        self.assertEqual(found, expected)
        self.assertEqual(json_text.outline("{ }"), [])
        deep = '{"a":' + "[" * 100000 + "]" * 100000 + "}"
        self.assertEqual(len(json_text.outline(deep)[0][1].text), 200000)
        for text in ("[]", "1", "{", '{"a"}', '{"a":}', '{"a":[', '{"a":1,}', '{"a":1}x', "{]"):
            with self.subTest(text=text), self.assertRaises(ValueError):
                json_text.outline(text)


class Writing(unittest.TestCase):
    def test_raw_stands_anywhere_and_goes_out_as_it_is(self) -> None:
        raw = Raw('{ "n": 1.50 }')
        value = {"a": raw, "b": [raw, NumberText("1.0"), Decimal("2.50")], "c": "text"}
        expected = '{"a":{ "n": 1.50 },"b":[{ "n": 1.50 },1.0,2.50],"c":"text"}'
        self.assertEqual(json_text.write(value), expected)
        self.assertEqual(json_text.write(raw), raw.text)
        with self.assertRaises(ValueError):
            Raw("{")

    def test_data_classes_are_objects(self) -> None:
        @dataclasses.dataclass
        class Shelf:
            item: str
            count: int

        self.assertEqual(json_text.write([Shelf("é", 3)]), '[{"item":"é","count":3}]')

    def test_what_json_has_not_is_refused(self) -> None:
        circle: Any = []
        circle.append(circle)
        for value in (float("nan"), float("inf"), {1, 2}, b"x", object(), Decimal("NaN"), circle, {(1, 2): 3}):
            with self.subTest(value=repr(value)[:30]), self.assertRaises((TypeError, ValueError)):
                json_text.write(value)

    def test_half_of_a_pair_becomes_its_escape(self) -> None:
        self.assertEqual(json_text.to_bytes(json_text.write(json_text.read('"a\\ud800"'))), b'"a\\ud800"')


if __name__ == "__main__":
    unittest.main()
