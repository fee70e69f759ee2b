"""docs/python.md: its code stands in files that are run, and its commands print what it shows."""

import os
import re
import shlex
import subprocess
import sys
import unittest
from typing import List, Tuple

from . import FOLDER, ROOT, SOURCE
from .real_host import RealHost, program

GUIDE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
FIRST = (FOLDER / "examples" / "guide_first.py").read_text(encoding="utf-8")
SAMPLE = ROOT / "modules" / "stock-python"


def blocks(language: str) -> List[str]:
    """The blocks of code in this language."""
    return re.findall(rf"^```{language}\n(.*?)\n```$", GUIDE, re.DOTALL | re.MULTILINE)


def commands() -> List[Tuple[str, str]]:
    """The commands whose output is compared, with what they print."""
    found: List[Tuple[str, str]] = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output.rstrip("\n")))
    return found


class Guide(unittest.TestCase):
    def test_each_piece_of_code_stands_in_a_file_that_is_run(self) -> None:
        sources = [FIRST, *((SAMPLE / name).read_text(encoding="utf-8") for name in ("stock.py", "test_stock.py"))]
        pieces = blocks("python")
        self.assertGreater(len(pieces), 7)
        for piece in pieces:
            self.assertTrue(any(piece in source for source in sources), f"no file has this piece:\n{piece}")
        self.assertIn(FIRST.partition("\n\n")[2].rstrip("\n"), pieces, "the first module is shown whole")

    def test_each_piece_of_the_manifest_stands_in_the_samples(self) -> None:
        manifest = (SAMPLE / "module.toml").read_text(encoding="utf-8")
        first, *others = blocks("toml")
        self.assertIn('name = "stock"', first)
        self.assertTrue(others)
        for piece in others:
            self.assertIn(piece, manifest)

    def test_the_tests_of_the_sample_pass(self) -> None:
        environment = {**os.environ, "BULKHEAD_BIN": program(), "PYTHONPATH": str(SOURCE)}
        command = [sys.executable, "-m", "unittest"]
        done = subprocess.run(command, cwd=SAMPLE, env=environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Ran 5 tests", done.stderr)

    def test_the_place_of_the_bug_is_the_one_that_is_shown(self) -> None:
        source = (SAMPLE / "stock.py").read_text(encoding="utf-8")
        line = source[: source.index("return 100 / price")].count("\n") + 1
        shown = set(re.findall(r"stock\.py(?::|\", line )(\d+)", GUIDE))
        self.assertEqual(shown, {str(line)})

    def test_the_module_of_both_readmes_is_an_example_that_runs(self) -> None:
        source = (FOLDER / "examples" / "readme_greeter.py").read_text(encoding="utf-8")
        code = source.partition("\n\n")[2]
        for page in (ROOT / "README.md", FOLDER / "README.md"):
            self.assertIn(f"```python\n{code}```", page.read_text(encoding="utf-8"))
        with RealHost() as host:
            host.add("greeter", source)
            host.start("greeter")
            answer = host.call("greeter", "greet", {"name": "Ada", "times": 2})
            self.assertEqual(answer["data"], {"greeting": "hello Ada, hello Ada"})
            self.assertEqual(host.call("greeter", "greet", {"name": "Ada", "times": 4})["module_code"], "too_often")

    def test_each_command_prints_what_is_shown(self) -> None:
        with RealHost() as host:
            host.add("stock", FIRST)
            host.add_folder(SAMPLE)
            host.start("stock", "stock-python")
            found = commands()
            self.assertGreater(len(found), 17)
            for command, shown in found:
                arguments = shlex.split(command)
                self.assertEqual(arguments[0], "bulkhead")
                done = host.run(*arguments[1:])
                self.assertEqual((done.stdout + done.stderr).rstrip("\n"), shown, command)


if __name__ == "__main__":
    unittest.main()
