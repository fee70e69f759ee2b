"""A command is a function: tests call it. Run them with `python3 -m unittest`."""

import unittest
from typing import Any

from main import greet

#: `greet` does not use its context.
NO_CONTEXT: Any = None


class Greet(unittest.TestCase):
    def test_a_greeting_has_the_name(self) -> None:
        self.assertEqual(greet(NO_CONTEXT, "Ada"), {"greeting": "hello, Ada"})


if __name__ == "__main__":
    unittest.main()
