"""Modules under the real host."""

import json
import os
import signal
import subprocess
import unittest
from typing import Any, Dict

from . import ROOT
from .real_host import WAIT_SECONDS, RealHost

MODULE = """
import os, time
from typing import Any, Optional
from bulkhead import Context, Error, Event, Module, NumberText, Raw, log

app = Module(os.path.basename(os.getcwd()), "1")

@app.command(idempotent=True)
def echo(ctx: Context, **args: Any) -> dict:
    return args

@app.command
def raw(ctx: Context, value: Raw) -> Raw:
    return value

@app.command
def relay(ctx: Context, to: str, value: Raw) -> Any:
    return ctx.call(to, "raw", {"value": value}, raw=True)

@app.command
def prints(ctx: Context) -> str:
    print("a stray line", flush=True)
    os.system("echo a line of a child")
    log.warn("a line with a level")
    return "printed"

@app.command
def bug(ctx: Context) -> None:
    raise ValueError("a bug")

@app.command
def leaves(ctx: Context) -> int:
    ctx.last()
    return os.getpid()

@app.command
def pid(ctx: Context) -> int:
    return os.getpid()

@app.command(idempotent=True)
def slow(ctx: Context) -> int:
    ctx.progress("begun")
    ctx.wait(60)
    return 1

@app.command
def add(ctx: Context, name: str, fail: bool = False) -> dict:
    known = ctx.find("Thing", {"name": name}, limit=1, count=True)
    if known.entities:
        thing = known.entities[0]
        ctx.update("Thing", thing.id, {"n": thing.data["n"] + 1})
    else:
        ctx.create("Thing", {"name": name, "n": 1, "exact": NumberText("0.1000000000000000055")})
    ctx.emit("thing.added", {"name": name})
    if fail:
        raise Error("as was asked", code="asked")
    return {"n": known.entities[0].data["n"] + 1 if known.entities else 1}

@app.command
def look(ctx: Context) -> list:
    things = list(ctx.entities("Thing", limit=1, order="name"))
    ctx.flush(timeout=10)
    return [{"data": thing.data, "version": thing.version} for thing in things]

@app.command
def clear(ctx: Context) -> int:
    things = list(ctx.entities("Thing"))
    for thing in things:
        ctx.delete("Thing", thing.id, expected_version=thing.version)
    return ctx.count("Thing")

@app.event("thing.*")
def added(ctx: Context, event: Event, name: str) -> None:
    log.info(f"added {name} at {event.cursor}")

app.run()
"""

GRANTS = """
[capabilities]
call = ["a", "b", "supervisor"]
entity_read = ["Thing"]
entity_create = ["Thing"]
entity_write = ["Thing"]
entity_delete = ["Thing"]
event_emit = ["thing.*"]
event_subscribe = ["thing.*"]

[restart]
policy = "always"
"""


class Host(unittest.TestCase):
    host: RealHost

    @classmethod
    def setUpClass(cls) -> None:
        cls.host = RealHost()
        cls.addClassCleanup(cls.host.__exit__)
        cls.host.add("a", MODULE, GRANTS)
        cls.host.add("b", MODULE, GRANTS, transport="stdio")
        cls.host.start("a", "b")

    def data(self, module: str, name: str, args: Any = None, *options: str) -> Any:
        answer = self.host.call(module, name, args, *options)
        self.assertEqual(answer["status"], "success", answer)
        return answer["data"]

    def error(self, module: str, name: str, args: Any = None, *options: str) -> Dict[str, Any]:
        answer = self.host.call(module, name, args, *options)
        self.assertEqual(answer["status"], "error", answer)
        return answer

    def test_answers_and_refusals_come_over_both_transports(self) -> None:
        for module in ("a", "b"):
            args = {"text": "é \U0001f30a", "n": 1.5}
            self.assertEqual(self.data(module, "echo", args), args)
            self.assertEqual(self.error(module, "ecko")["error"], "unknown command `ecko`; did you mean `echo`?")
            error = self.error(module, "add", {"nam": "x"})
            self.assertEqual((error["error"], error["data"]), ("unknown argument `nam`; did you mean `name`?", {"at": "nam"}))

    def test_what_is_printed_is_in_the_log(self) -> None:
        for module in ("a", "b"):
            self.assertEqual(self.data(module, "prints"), "printed")
            lines = ("a stray line", "a line of a child", "a line with a level")
            self.host.until(lambda: all(line in self.host.log(module) for line in lines), "the log has all lines")
            self.assertRegex(self.host.log(module), r"warn +\{.level.:.warn.,.message.:.a line with a level.\}")

    def test_raw_goes_through_two_modules_as_it_was_sent(self) -> None:
        value = '{ "a" : 1.50,"a":[0.1000000000000000055, 1e400 ]}'
        output = self.host.run("call", "a", "relay", f'{{"to":"b","value":{value}}}').stdout
        self.assertEqual(output.strip(), value)

    def test_a_bug_is_answered_and_the_next_process_goes_on(self) -> None:
        for module in ("a", "b"):
            error = self.error(module, "bug")
            self.assertEqual(error["code"], "module_error")
            self.assertRegex(error["error"], r"^the handler raised ValueError at module.py:\d+: a bug$")
            self.assertEqual(self.data(module, "echo"), {})
            crash = json.loads(self.host.run("crashes", module, "--json").stdout.splitlines()[-1])
            self.assertEqual(crash["exit"], {"code": 101})
            self.assertEqual(crash["stderr"][0], error["error"])

    def test_an_end_on_purpose_is_no_crash(self) -> None:
        self.assertNotEqual(self.data("a", "leaves"), self.data("a", "pid"))
        lines = self.host.run("crashes", "a", "--json").stdout.splitlines()
        self.assertFalse(any('"name":"leaves"' in line.replace(" ", "") for line in lines), lines)

    def test_a_deadline_is_kept_by_the_handler_too(self) -> None:
        self.assertEqual(self.error("a", "slow", None, "--timeout", "0.2s")["code"], "deadline_exceeded")
        self.assertEqual(self.data("a", "echo"), {})

    def test_a_killed_process_is_replaced_and_its_idempotent_work_done_again(self) -> None:
        pid = self.data("b", "pid")
        os.kill(pid, signal.SIGSTOP)
        command = [self.host.program, "call", "b", "echo", '{"n":1}']
        call = subprocess.Popen(command, env=self.host.environment, stdout=subprocess.PIPE)
        self.host.until(lambda: self.host.status("b")["in_flight"] == 1, "the request is in flight")
        os.kill(pid, signal.SIGKILL)
        output, _ = call.communicate(timeout=WAIT_SECONDS)
        self.assertEqual((json.loads(output), call.returncode), ({"n": 1}, 0))

    def test_what_a_handler_changes_is_there_with_its_success_and_never_otherwise(self) -> None:
        self.data("a", "clear")
        self.assertEqual(self.error("a", "add", {"name": "x", "fail": True})["module_code"], "asked")
        self.assertEqual(self.data("a", "look"), [])
        self.assertEqual(self.data("a", "add", {"name": "x"}, "--key", "k1"), {"n": 1})
        self.assertEqual(self.data("a", "add", {"name": "x"}, "--key", "k1"), {"n": 1})
        self.assertEqual(self.data("b", "add", {"name": "x"}), {"n": 2})
        self.assertEqual(self.data("b", "add", {"name": "y"}), {"n": 1})
        found = self.host.run("call", "a", "look").stdout
        x = '{"data":{"name":"x","n":2,"exact":0.1000000000000000055},"version":2}'
        y = '{"data":{"name":"y","n":1,"exact":0.1000000000000000055},"version":1}'
        self.assertEqual(found.strip(), f"[{x},{y}]")
        for module in ("a", "b"):
            self.host.until(lambda: "added y at" in self.host.log(module), f"{module} has the event")
        self.assertEqual(self.data("a", "clear"), 0)

    def test_the_host_knows_what_was_declared(self) -> None:
        answer = self.host.call("supervisor", "commands", {"name": "a"})
        echo = next(command for command in answer["data"]["commands"] if command["name"] == "echo")
        self.assertIs(echo["idempotent"], True)


class Sample(unittest.TestCase):
    def test_the_sample_does_what_it_says(self) -> None:
        with RealHost() as host:
            host.add_folder(ROOT / "modules" / "stock-python")
            host.start("stock-python")

            def answer(name: str, args: Any = None) -> Dict[str, Any]:
                return host.call("stock-python", name, args)

            self.assertEqual(answer("put", {"item": "bolt", "count": 5})["data"], {"item": "bolt", "left": 5})
            lines = [{"item": "nut", "count": 2}, {"item": "bolt", "count": 1}]
            self.assertEqual(answer("deliver", {"lines": lines})["data"], 2)
            refused = answer("deliver", {"lines": [{"item": "nut", "count": 1}, {"item": "nut", "count": 0}]})
            self.assertEqual(refused["error"], "expected a count of at least 1, found 0")
            self.assertEqual(answer("count", {"item": "nut"})["data"]["left"], 2)
            self.assertEqual(answer("take", {"item": "bolt", "count": 7})["module_code"], "out_of_stock")
            self.assertEqual(answer("take", {"item": "bolt", "count": 4})["data"], {"item": "bolt", "left": 2})
            self.assertEqual(answer("audit")["data"], {"items": 2, "pieces": 4})
            self.assertEqual(answer("about")["data"], {"restarts": 0})
            self.assertEqual(answer("bug")["code"], "module_error")
            self.assertEqual(answer("crash")["exit"], {"signal": "SIGABRT"})
            self.assertEqual(answer("count", {"item": "bolt"})["data"]["left"], 2)


if __name__ == "__main__":
    unittest.main()
