"""``Module.test``: modules under ``bulkhead test-host``, as tests of modules use it."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path
from typing import Any, Dict, List
from unittest import mock

from bulkhead import Error, Module
from bulkhead.launch import Origin
from bulkhead.testing import Asked

from . import SOURCE
from .real_host import program

SPEAKER = '''
import os
from typing import Any
from bulkhead import Context, Error, Event, Init, Module

app = Module("speaker", "1")
settings = {}

@app.init
def start(init: Init, greeting: str = "hello") -> None:
    settings["greeting"] = greeting
    if greeting == "no":
        raise Error("there is no greeting")

@app.command
def greet(ctx: Context, name: str) -> str:
    print("greets", name)
    return f"{settings['greeting']} {name}"

@app.command
def ask(ctx: Context, **args: Any) -> Any:
    return ctx.call("mailer", "send", args)

@app.command
def steps(ctx: Context) -> None:
    for n in (1, 2, 3):
        ctx.progress(n)
    ctx.wait(20)

@app.command
def abort(ctx: Context) -> None:
    os.abort()

@app.event("told.*")
def told(ctx: Context, event: Event) -> None:
    ctx.create("Told", {"name": event.name})

@app.query
def read(ctx: Context, payload: dict) -> dict:
    return {"read": payload}
'''


class Testing(unittest.TestCase):
    def setUp(self) -> None:
        found = mock.patch.dict(os.environ, {"BULKHEAD_BIN": program()})
        found.start()
        self.addCleanup(found.stop)
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def app(self, source: str = SPEAKER, run: str = 'if __name__ == "__main__":\n    app.run()\n') -> Module:
        """The module that a script makes, as an import of the script has it."""
        file = self.folder / "speaker.py"
        file.write_text(source + "\n" + run)
        names: Dict[str, Any] = {"__name__": "speaker", "__file__": str(file)}
        exec(compile(source, str(file), "exec"), names)
        app: Module = names["app"]
        return app

    def test_commands_queries_events_and_entities_are_those_of_a_process_of_its_own(self) -> None:
        with self.app().test(config={"greeting": "good day"}) as m:
            self.assertEqual(m.name, "speaker")
            self.assertEqual(m.call("greet", name="Ada"), "good day Ada")
            self.assertEqual(m.call("greet", {"name": "Eve"}), "good day Eve")
            self.assertNotEqual(m.status()["pid"], os.getpid())
            self.assertEqual(m.query({"a": 1}), {"read": {"a": 1}})
            m.deliver("told.once", {})
            (told,) = m.entities("Told", {"name": "told.once"})
            self.assertEqual(m.entity("Told", told.id).data, {"name": "told.once"})
            self.assertEqual([event.name for event in m.events()], ["told.once", "Told.created"])
            self.assertEqual(m.wait_event("Told.*").data["id"], told.id)
            self.assertEqual(m.update("Told", told.id, {"more": 1}).version, 2)
            m.delete("Told", told.id)
            self.assertEqual(m.count("Told"), 0)
            self.assertEqual(m.wait_log("greets A").text, "greets Ada")
            self.assertIn("greets Ada", [line.text for line in m.logs()])
            with self.assertRaises(Error) as raised:
                m.wait_log("greets Grace", timeout=0.05)
            self.assertEqual(raised.exception.code, "deadline_exceeded")

    def test_a_failed_call_raises_the_error_with_code_delivery_and_exit(self) -> None:
        with self.app().test() as m:
            with self.assertRaises(Error) as raised:
                m.call("greet", nmae="Ada")
            self.assertEqual((raised.exception.code, raised.exception.data), ("bad_request", {"at": "nmae"}))
            with self.assertRaises(Error) as raised:
                m.call("abort")
            error = raised.exception
            self.assertEqual((error.code, error.delivery), ("module_crashed", "started"))
            self.assertEqual(error.exit, {"signal": "SIGABRT"})
            m.kill()
            self.assertEqual(m.call("greet", name="Ada"), "hello Ada")
            self.assertEqual([crash["reason"] for crash in m.crashes()], ["SIGABRT", "SIGKILL"])
            self.assertEqual(len(m.host_events("module.crashed")), 2)

    def test_a_call_shows_its_progress_and_can_be_cancelled(self) -> None:
        with self.app().test() as m:
            call = m.begin("steps")
            self.assertEqual(call.wait_progress(3), [1, 2, 3])
            call.cancel()
            with self.assertRaises(Error) as raised:
                call.result()
            self.assertEqual(raised.exception.code, "cancelled")
            with self.assertRaises(Error) as raised:
                m.call("steps", timeout=0.1)
            self.assertEqual(raised.exception.code, "deadline_exceeded")
            with self.assertRaises(Error) as raised:
                m.wait_event("never", timeout=0.05)
            self.assertEqual(raised.exception.code, "deadline_exceeded")

    def test_a_fake_answers_by_a_function_a_value_or_an_error(self) -> None:
        asked: List[Asked] = []

        def whole(request: Asked) -> Any:
            asked.append(request)
            return {"whole": request.args}

        with self.app().test(fakes={"mailer": {"send": lambda to, text="": f"{to}: {text}"}}) as m:
            self.assertEqual(m.call("ask", {"to": "ada", "text": "hi"}), "ada: hi")
            self.assertEqual([(one.name, one.args) for one in m.asked("mailer")], [("send", {"to": "ada", "text": "hi"})])
            m.fake("mailer", {"send": 5})
            self.assertEqual(m.call("ask"), 5)
            m.fake("mailer", {"send": Error("there is no paper", code="no_paper")})
            with self.assertRaisesRegex(Error, "there is no paper"):
                m.call("ask")
            m.fake("mailer", whole)
            self.assertEqual(m.call("ask", n=1), {"whole": {"n": 1}})
            self.assertEqual([one.args for one in asked], [{"n": 1}])
            with contextlib.redirect_stderr(io.StringIO()) as printed:
                m.fake("mailer", {"send": lambda: 1 / 0})
                with self.assertRaisesRegex(Error, "ZeroDivisionError"):
                    m.call("ask")
            self.assertIn("the fake mailer raised ZeroDivisionError", printed.getvalue())

    def test_what_is_created_before_the_start_is_there(self) -> None:
        with self.app().test(start=False) as m:
            m.create("Told", {"name": "seed"})
            self.assertEqual(m.status()["state"], "stopped")
            m.start()
            self.assertEqual(m.call("greet", name="Ada"), "hello Ada")
            m.restart()
            self.assertEqual(len(m.host_events("module.ready")), 2)
            m.stop()

    def test_a_module_that_does_not_start_is_reported_with_its_reason_and_its_last_lines(self) -> None:
        with self.assertRaisesRegex(Error, "init failed: there is no greeting"):
            with self.app().test(config={"greeting": "no"}):
                self.fail("it does not start")
        with self.assertRaisesRegex(Error, r"(?s)exit code 0 before it was ready.*speaker\.py has to call `run\(\)`"):
            with self.app(run="").test():
                self.fail("it does not run")
        with self.assertRaisesRegex(Error, r"limits\.que.*did you mean"):
            with self.app().test(settings={"limits.que": 1}):
                self.fail("there is no such key")

    def test_a_test_that_fails_shows_the_last_lines_of_the_module(self) -> None:
        with contextlib.redirect_stderr(io.StringIO()) as printed:
            with self.assertRaises(KeyError):
                with self.app().test() as m:
                    m.call("greet", name="Ada")
                    m.wait_log("greets Ada")
                    raise KeyError("of the test")
        self.assertIn("the last lines of speaker:\n  greets Ada", printed.getvalue())

    def test_a_manifest_beside_the_script_counts_if_it_is_of_this_module(self) -> None:
        app = self.app()
        manifest = '[module]\nname = "NAME"\ncommand = ["python3", "speaker.py"]\n[config]\ngreeting = "salve"\n'
        manifest += f'[module.env]\nPYTHONPATH = "{SOURCE}"\n'
        (self.folder / "module.toml").write_text(manifest.replace("NAME", "another"))
        with app.test() as m:
            self.assertEqual(m.call("greet", name="Ada"), "hello Ada")
        (self.folder / "module.toml").write_text(manifest.replace("NAME", "speaker"))
        with app.test() as m:
            self.assertEqual(m.call("greet", name="Ada"), "salve Ada")
            with self.assertRaisesRegex(Error, "subscribes to no events"):
                m.deliver("told.once")
        with app.test(manifest=False) as m:
            self.assertEqual(m.call("greet", name="Ada"), "hello Ada")

    def test_a_module_in_a_package_is_run_by_its_name(self) -> None:
        package = self.folder / "talk"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "words.py").write_text('GREETING = "from a package"\n')
        source = SPEAKER.replace("settings = {}", "from .words import GREETING\nsettings = {}")
        source = source.replace('f"{settings[\'greeting\']} {name}"', "GREETING")
        (package / "speaker.py").write_text(source + '\nif __name__ == "__main__":\n    app.run()\n')
        test = f"""
            import sys
            sys.path.insert(0, {str(self.folder)!r})
            from talk.speaker import app
            with app.test() as m:
                print(m.call("greet", name="Ada"))
        """
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(test)], env=environment, cwd="/", capture_output=True, text=True
        )
        self.assertEqual((done.stdout, done.stderr), ("from a package\n", ""))

    def test_without_the_program_the_error_says_what_to_install(self) -> None:
        with mock.patch.dict(os.environ, {"BULKHEAD_BIN": "", "PATH": "/nowhere"}):
            with self.assertRaisesRegex(Error, "expected the command `bulkhead`.*cargo xtask install"):
                with self.app().test():
                    self.fail("there is no program")

    def test_outside_of_with_nothing_is_asked(self) -> None:
        host = self.app().test()
        with self.assertRaisesRegex(Error, "runs inside of"):
            host.call("greet", name="Ada")

    def test_a_module_of_no_file_needs_a_command(self) -> None:
        app = self.app()
        app._origin = Origin(None, None, None)
        with self.assertRaisesRegex(Error, r"test\(command="):
            app.test()
        with app.test(command=[sys.executable, str(self.folder / "speaker.py")]) as m:
            self.assertEqual(m.call("greet", name="Ada"), "hello Ada")


if __name__ == "__main__":
    unittest.main()
