"""A module's process over a real channel, without a host: each test over the socket and over standard streams."""

import json
import os
import signal
import unittest
from typing import Any

from .fake_host import FakeHost

MODULE = """
    import os, sys
    from typing import Any, Optional
    from bulkhead import Context, Error, Event, Init, Module, Raw, log

    app = Module("m", "0.1.0", keys=True)
    print("printed before anything")

    @app.init
    def start(init: Init, low: int = 3, name: str = "") -> None:
        log.info(f"started as {init.instance} with {low}")
        if name == "bad":
            raise Error("the name is bad", permanent=True)
        if name == "later":
            raise Error("not now")
        if name == "bug":
            raise KeyError("name")

    @app.command(idempotent=True)
    def echo(ctx: Context, **args: Any) -> dict:
        "Answers with its arguments."
        return args

    @app.command
    def raw(ctx: Context, value: Raw) -> Raw:
        return value

    @app.command
    def whole(ctx: Context, args: Raw, /) -> Raw:
        return args

    @app.command
    def whole_list(ctx: Context, args: list, /) -> int:
        return len(args)

    @app.command
    def prints(ctx: Context) -> None:
        print("one line")
        sys.stdout.write("half a line")
        os.write(1, b"past the buffer\\n")
        os.system("echo from a child")
        ctx.log("warn", "two\\nlines")

    @app.command
    def facts(ctx: Context) -> dict:
        left = ctx.deadline
        return {
            "id": ctx.id, "key": ctx.key, "has_deadline": left is not None and 0 < left <= 60,
            "traceparent": ctx.traceparent, "tracestate": ctx.tracestate,
        }

    @app.command
    def ask(ctx: Context, to: str = "other", timeout: Optional[float] = None, raw: bool = False) -> Any:
        ctx.progress({"done": 0})
        return ctx.call(to, "greet", {"who": "Ada"}, timeout=timeout, key="k", raw=raw)

    @app.command
    def catch(ctx: Context) -> Any:
        try:
            return ctx.call("other", "greet")
        except Error as error:
            return [str(error), error.code, error.module_code, error.delivery, error.retryable, error.data]

    @app.command
    def shelf(ctx: Context, id: str) -> dict:
        item = ctx.entity("Item", id)
        changed = ctx.update("Item", id, {"left": item.data["left"] - 1}, expected_version=item.version)
        ctx.emit("stock.taken", {"id": id})
        return {"version": changed.version}

    @app.command
    def waits(ctx: Context, seconds: float) -> None:
        ctx.progress("begun")
        ctx.wait(seconds)

    @app.command
    def endless(ctx: Context) -> None:
        ctx.progress("begun")
        ctx.wait(float("inf"))

    @app.command
    def fails(ctx: Context, code: str = "module_error", retryable: Optional[bool] = None) -> None:
        raise Error("it failed", code=code, data={"n": 1}, retryable=retryable)

    @app.command
    def bug(ctx: Context) -> None:
        raise ZeroDivisionError("by nothing")

    @app.command
    def leaves(ctx: Context, code: int) -> str:
        ctx.last(code)
        return "bye"

    @app.command
    def exits(ctx: Context) -> None:
        sys.exit(7)

    @app.command
    def permanent(ctx: Context) -> None:
        raise Error("no licence", permanent=True)

    @app.command
    def sets(ctx: Context) -> Any:
        return {1, 2}

    @app.command
    def long(ctx: Context, bytes: int) -> str:
        return "x" * bytes

    @app.command
    def forks(ctx: Context) -> Any:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            return None
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    @app.query
    def look(ctx: Context, payload: dict) -> Any:
        return {"looked": payload}

    @app.event("a.b")
    def ab(ctx: Context, event: Event, n: int) -> None:
        log.info(f"n is {n} at {event.cursor} of {event.epoch}")

    @app.event("a.*")
    def others(ctx: Context, event: Event) -> None:
        log.info(f"other {event.name} {event.data}")

    @app.shutdown
    def stop(ctx: Context) -> None:
        log.info("stopped")

    app.run()
"""


class Both:
    """The tests; ``transport`` says over what."""

    transport = ""

    def host(self) -> FakeHost:
        return FakeHost(MODULE, self.transport)

    def test_a_module_says_who_it_is_and_is_shut_down(self: Any) -> None:
        with self.host() as host:
            ready = host.ready({"low": 5})
            self.assertEqual((ready["name"], ready["version"], ready["protocol"]), ("m", "0.1.0", 1))
            self.assertEqual(ready["features"], ["keys"])
            echo = next(command for command in ready["commands"] if command["name"] == "echo")
            self.assertEqual((echo["idempotent"], echo["description"]), (True, "Answers with its arguments."))
            host.shut_down()
            self.assertIn('{"level":"info","message":"started as m#1 with 5"}', host.log_lines())
            self.assertIn('{"level":"info","message":"stopped"}', host.log_lines())

    def test_the_end_of_the_channel_is_an_end_with_0(self: Any) -> None:
        with self.host() as host:
            host.ready()
            host.close()
            self.assertEqual(host.exit_code(), 0)

    def test_an_end_inside_a_frame_is_a_failure(self: Any) -> None:
        with self.host() as host:
            host.ready()
            host.write(b"\0\0\0\x20{")
            host.close()
            self.assertEqual(host.exit_code(), 1)
            self.assertIn("the stream ended inside a frame: expected 36 bytes, found 5", host.stderr.decode())

    def test_text_in_the_stream_is_quoted(self: Any) -> None:
        with self.host() as host:
            host.ready()
            host.write(b"hello\n")
            self.assertEqual(host.exit_code(), 1)
            self.assertIn('expected a 4-byte length, found text: \\"hello', host.stderr.decode())

    def test_a_length_above_the_limit_ends_it_before_anything_is_kept(self: Any) -> None:
        with self.host() as host:
            host.ready()
            host.write((65536 + 65).to_bytes(4, "big"))
            self.assertEqual(host.exit_code(), 1)
            self.assertIn("expected a frame of at most 65600 bytes, found a length of 65601", host.stderr.decode())

    def test_another_version_of_the_wire_is_permanent(self: Any) -> None:
        with self.host() as host:
            error = host.error(host.init(protocol=2))
            self.assertIn("version 1 of the wire, and the host version 2", error["error"])
            self.assertEqual(host.exit_code(), 125)

    def test_a_config_that_does_not_fit_is_permanent(self: Any) -> None:
        for config, sentence in (
            ({"lwo": 2}, "[config]: unknown key `lwo`; did you mean `low`?"),
            ({"low": "2"}, '[config]: key `low`: expected an integer, found "2"'),
        ):
            with self.host() as host:
                error = host.error(host.init(config))
                self.assertEqual((error["error"], error["code"]), (sentence, "bad_request"))
                self.assertEqual(host.exit_code(), 125)

    def test_an_init_that_fails_is_a_failure_or_permanent(self: Any) -> None:
        for name, code in (("bad", 125), ("later", 1), ("bug", 1)):
            with self.host() as host:
                self.assertEqual(host.error(host.init({"name": name}))["code"], "module_error")
                self.assertEqual(host.exit_code(), code)

    def test_arguments_come_and_answers_go(self: Any) -> None:
        with self.host() as host:
            host.ready()
            args: Any = {"text": "é \U0001f30a", "n": [1, 2.5, None, True, {"a": {}}]}
            self.assertEqual(host.data(host.command("echo", args)), args)
            self.assertEqual(host.data(host.command("echo")), {})
            error = host.error(host.command("ecko"))
            self.assertEqual(error["code"], "unknown_command")
            self.assertEqual(error["error"], "unknown command `ecko`; did you mean `echo`?")
            error = host.error(host.command("facts", {"a": 1}))
            self.assertEqual(error["error"], "unknown argument `a`; expected none")
            self.assertEqual((error["code"], error["data"]), ("bad_request", {"at": "a"}))
            self.assertNotIn("last", error)
            host.shut_down()

    def test_a_command_means_the_same_however_its_payload_is_written(self: Any) -> None:
        with self.host() as host:
            host.ready()
            for payload in (
                '{"name":"echo","args":{"a":"}"}}',
                ' { "args" : {"a":"}"} , "name" : "ech\\u006f" } ',
                '{"name":"echo","\\u0061rgs":{"a":"}"},"more":[{}]}',
            ):
                host.send_text(f'{{"deadline_ms":1000,"id":90,"type":"command","payload":{payload},"unknown":1}}')
                self.assertEqual(host.data(90), {"a": "}"})
            for payload in ("null", "{}", '{"name":1}', '{"name":"echo","args":{},"args":{}}', '{"name":"echo","name":"echo"}'):
                host.send_text(f'{{"id":91,"type":"command","payload":{payload}}}')
                self.assertEqual(host.error(91)["code"], "bad_request")
            host.shut_down()

    def test_raw_goes_out_as_it_came(self: Any) -> None:
        with self.host() as host:
            host.ready()
            for value in ('{ "a" : 1.50,"a":[0.1000000000000000055, 1e400 ]}', "1.50", "[" * 5000 + "]" * 5000):
                host.send_text(f'{{"id":90,"type":"command","payload":{{"name":"raw","args":{{"value":{value}}}}}}}')
                self.assertEqual(host.receive_text(), f'{{"id":90,"status":"success","data":{value}}}')
            host.shut_down()

    def test_what_is_printed_is_log_and_no_frame(self: Any) -> None:
        for unbuffered in ("", "1"):
            with FakeHost(MODULE, self.transport, unbuffered) as host:
                host.ready()
                self.assertIsNone(host.data(host.command("prints")))
                host.shut_down()
                printed = (host.stderr + host.stdout).decode()
                for line in ("printed before anything", "one line", "half a line", "past the buffer", "from a child"):
                    self.assertIn(line, printed)
                self.assertIn('{"level":"warn","message":"two\\nlines"}', host.log_lines())

    def test_a_handler_sees_what_its_request_says(self: Any) -> None:
        with self.host() as host:
            host.ready()
            members = {"key": "k", "deadline_ms": 60000, "traceparent": "00-1-2-01", "tracestate": "a=b"}
            id = host.command("facts", **members)
            expected = {"id": id, "key": "k", "has_deadline": True, "traceparent": "00-1-2-01", "tracestate": "a=b"}
            self.assertEqual(host.data(id), expected)
            host.shut_down()

    def test_a_request_of_the_module_says_for_which_it_is_and_others_wait_meanwhile(self: Any) -> None:
        with self.host() as host:
            host.ready()
            id = host.command("ask", deadline_ms=60000, traceparent="00-1-2-01", tracestate="a=b")
            self.assertEqual(host.receive(), {"id": id, "status": "progress", "data": {"done": 0}})
            asked = host.receive()
            left = asked.pop("deadline_ms")
            self.assertTrue(50000 < left <= 60000, left)
            payload = {"name": "greet", "args": {"who": "Ada"}}
            expected = {"id": asked["id"], "type": "command", "to": "other", "payload": payload, "key": "k", "of": id}
            self.assertEqual(asked, {**expected, "traceparent": "00-1-2-01", "tracestate": "a=b"})
            following = host.command("echo", {"n": 1})
            self.assertIsNone(host.data(host.send("ping")))
            host.send_text(f'{{"id":{asked["id"]},"status":"progress","data":1}}')
            host.reply(asked, {"text": "hello"})
            self.assertEqual(host.data(id), {"text": "hello"})
            self.assertEqual(host.data(following), {"n": 1})
            host.shut_down()

    def test_numbers_of_an_answer_keep_their_digits(self: Any) -> None:
        with self.host() as host:
            host.ready()
            for raw, data in ((False, "[0.1000000000000000055,1e400]"), (True, "[ 1.50, {} ]")):
                id = host.command("ask", {"raw": raw})
                host.receive()
                asked = host.receive()
                host.send_text(f'{{"id":{asked["id"]},"status":"success","data":{data}}}')
                self.assertEqual(host.receive_text(), f'{{"id":{id},"status":"success","data":{data}}}')
            host.shut_down()

    def test_one_parameter_alone_takes_the_arguments_whole_whatever_they_are(self: Any) -> None:
        with self.host() as host:
            entries = {entry["name"]: entry for entry in host.ready()["commands"]}
            self.assertEqual((entries["whole"]["args"], entries["whole_list"]["args"]["type"]), ({}, "array"))
            for args in ("7", "1.00", '"\\u00e9"', "[ 1 , 2 ]", '{"a":1,"a":2}', "true", "[" * 10_000 + "]" * 10_000):
                host.send_text(f'{{"id":7,"type":"command","payload":{{"name":"whole","args":{args}}}}}')
                self.assertEqual(host.receive_text(), f'{{"id":7,"status":"success","data":{args}}}')
            for payload in ({"name": "whole"}, {"name": "whole", "args": None}):
                self.assertEqual(host.data(host.send("command", payload)), {})
            self.assertEqual(host.data(host.command("whole_list", [1, 2])), 2)
            refused = host.error(host.command("whole_list", {"a": 1}))
            self.assertEqual((refused["code"], refused["error"]), ("bad_request", 'expected a list, found {"a":1}'))
            host.shut_down()

    def test_the_error_of_another_is_caught_with_all_that_it_says_or_passed_on(self: Any) -> None:
        with self.host() as host:
            host.ready()
            members = {"error": "other crashed", "code": "module_crashed", "delivery": "started", "retryable": True}
            id = host.command("catch")
            host.reply(host.receive(), {"n": 1}, **members)
            expected = ["other crashed", "module_crashed", None, "started", True, {"n": 1}]
            self.assertEqual(host.data(id), expected)
            id = host.command("ask")
            host.receive()
            host.reply(host.receive(), None, exit={"code": 3}, stderr=["x"], **members)
            expected_error = {"error": "other crashed", "code": "module_error", "module_code": "module_crashed"}
            self.assertEqual(host.error(id), {"id": id, "status": "error", **expected_error, "retryable": True})
            host.shut_down()

    def test_a_cancel_ends_what_a_handler_waits_for(self: Any) -> None:
        with self.host() as host:
            host.ready()
            id = host.command("ask")
            host.receive()
            asked = host.receive()
            cancel = host.send("cancel", {"id": id})
            self.assertIsNone(host.data(cancel))
            cancelled = host.receive()
            self.assertEqual((cancelled["type"], cancelled["payload"]), ("cancel", {"id": asked["id"]}))
            self.assertEqual(host.error(id)["code"], "cancelled")
            host.reply(asked, "too late")
            host.reply(cancelled)
            for name, args in (("waits", {"seconds": 60}), ("endless", None)):
                id = host.command(name, args)
                host.receive()
                host.data(host.send("cancel", {"id": id}))
                self.assertEqual(host.error(id)["code"], "cancelled")
            host.shut_down()

    def test_a_request_that_waits_is_answered_in_its_order_when_it_is_cancelled(self: Any) -> None:
        with self.host() as host:
            host.ready()
            first = host.command("ask")
            host.receive()
            asked = host.receive()
            second, third = host.command("echo"), host.command("echo", {"n": 3})
            host.data(host.send("cancel", {"id": second}))
            host.data(host.send("cancel", {"id": 12345}))
            host.reply(asked, 1)
            self.assertEqual(host.data(first), 1)
            self.assertEqual(host.error(second)["code"], "cancelled")
            self.assertEqual(host.data(third), {"n": 3})
            host.shut_down()

    def test_a_deadline_ends_what_is_waited_for(self: Any) -> None:
        with self.host() as host:
            host.ready()
            self.assertEqual(host.error(host.command("echo", deadline_ms=0))["code"], "deadline_exceeded")
            id = host.command("ask", {"timeout": 0.01})
            host.receive()
            asked = host.receive()
            self.assertLessEqual(asked["deadline_ms"], 10)
            self.assertEqual(host.receive()["type"], "cancel")
            self.assertEqual(host.error(id)["code"], "deadline_exceeded")
            id = host.command("waits", {"seconds": 60}, deadline_ms=20)
            host.receive()
            self.assertEqual(host.error(id)["code"], "deadline_exceeded")
            host.shut_down()

    def test_entities_are_read_and_changed_in_the_words_of_the_store(self: Any) -> None:
        with self.host() as host:
            host.ready()
            id = host.command("shelf", {"id": "i1"})
            asked = host.receive()
            self.assertEqual((asked["type"], asked["payload"]), ("query", {"entity": "Item", "id": "i1"}))
            self.assertEqual((asked["of"], "to" in asked), (id, False))
            times = {"created_at": "2026-01-01T00:00:00.000000Z", "updated_at": "2026-01-01T00:00:00.000000Z"}
            entity = {"id": "i1", "entity": "Item", "version": 4, "data": {"left": 3}, **times}
            host.reply(asked, {"entities": [entity], "next": None})
            asked = host.receive()
            change = {"entity": "Item", "operation": "update", "id": "i1", "data": {"left": 2}, "expected_version": 4}
            self.assertEqual((asked["type"], asked["payload"]), ("mutation", change))
            host.reply(asked, {"id": "i1", "version": 5})
            event = host.receive()
            expected = {"type": "event", "of": id, "payload": {"event": "stock.taken", "data": {"id": "i1"}}}
            self.assertEqual(event, expected)
            self.assertEqual(host.data(id), {"version": 5})
            id = host.command("shelf", {"id": "i2"})
            host.reply(host.receive(), {"entities": [], "next": None})
            self.assertEqual((host.error(id)["code"]), "not_found")
            host.shut_down()

    def test_an_error_of_the_module_is_an_answer_and_it_goes_on(self: Any) -> None:
        with self.host() as host:
            host.ready()
            error = host.error(host.command("fails", {"code": "out_of_ink", "retryable": True}))
            expected = {"error": "it failed", "code": "module_error", "module_code": "out_of_ink", "retryable": True}
            self.assertEqual({**error, "id": 0}, {"id": 0, "status": "error", **expected, "data": {"n": 1}})
            self.assertEqual(host.error(host.command("fails", {"code": "conflict"}))["code"], "conflict")
            self.assertEqual(host.data(host.command("echo")), {})
            host.shut_down()

    def test_an_exception_is_answered_as_the_last_and_nothing_after_it_is_begun(self: Any) -> None:
        with self.host() as host:
            host.ready()
            ask = host.command("ask")
            host.receive()
            asked = host.receive()
            bug, following = host.command("bug"), host.command("echo")
            host.reply(asked)
            host.data(ask)
            error = host.error(bug)
            line = MODULE[: MODULE.index("raise ZeroDivisionError")].count("\n") + 1
            sentence = f"the handler raised ZeroDivisionError at module.py:{line}: by nothing"
            self.assertEqual((error["error"], error["code"], error["last"]), (sentence, "module_error", True))
            with self.assertRaises(EOFError):
                host.answer(following)
            self.assertEqual(host.exit_code(), 101)
            log = host.stderr.decode()
            self.assertIn("ZeroDivisionError: by nothing", log)
            self.assertNotIn("dispatch.py", log)

    def test_after_an_exception_a_module_goes_on_where_its_manifest_says_so(self: Any) -> None:
        with self.host() as host:
            host.ready(on_panic="continue")
            self.assertNotIn("last", host.error(host.command("bug")))
            self.assertEqual(host.data(host.command("echo")), {})
            host.shut_down()

    def test_an_end_on_purpose_says_last_and_has_the_code_that_was_chosen(self: Any) -> None:
        for name, args, status, code in (
            ("leaves", {"code": 0}, "success", 0),
            ("leaves", {"code": 3}, "success", 3),
            ("exits", {}, "error", 7),
            ("permanent", {}, "error", 125),
        ):
            with self.host() as host:
                host.ready()
                answer = host.answer(host.command(name, args))
                self.assertEqual((answer["status"], answer["last"]), (status, True))
                self.assertEqual(host.exit_code(), code)

    def test_what_json_has_not_is_an_error_and_it_goes_on(self: Any) -> None:
        with self.host() as host:
            host.ready()
            sentence = "what the handler returned cannot be sent: expected a value that JSON has, found one of the type set"
            self.assertEqual(host.error(host.command("sets"))["error"], sentence)
            error = host.error(host.command("long", {"bytes": 70000}))
            self.assertEqual(error["code"], "frame_too_large")
            self.assertIn("expected a frame of at most 65536 bytes, found a length of 70", error["error"])
            self.assertEqual(len(host.data(host.command("long", {"bytes": 60000}))), 60000)
            host.shut_down()

    def test_a_copy_that_comes_back_is_ended(self: Any) -> None:
        with self.host() as host:
            host.ready()
            self.assertEqual(host.data(host.command("forks")), 1)
            self.assertEqual(host.data(host.command("echo")), {})
            host.shut_down()
            self.assertIn("a copy of the module's process", host.stderr.decode())

    def test_queries_events_and_unknown_types_have_their_answers(self: Any) -> None:
        with self.host() as host:
            host.ready()
            self.assertEqual(host.data(host.send("query", {"a": 1})), {"looked": {"a": 1}})
            self.assertEqual(host.error(host.send("query", [1]))["error"], "expected an object, found [1]")
            self.assertEqual(host.error(host.send("mutation", {}))["code"], "unknown_type")
            self.assertEqual(host.error(host.send("dance"))["code"], "unknown_type")
            self.assertEqual(host.error(host.send("init", {}))["code"], "bad_request")
            event = {"event": "a.b", "data": {"n": 1}, "cursor": 7, "epoch": "e"}
            self.assertIsNone(host.data(host.send("event", event)))
            host.until_logged("n is 1 at 7 of e")
            error = host.error(host.send("event", {"event": "a.b", "data": {"n": "x"}}))
            self.assertEqual(error["error"], 'member `n`: expected an integer, found "x"')
            host.until_logged("an event was not handled")
            host.data(host.send("event", {"event": "a.c", "data": [1]}))
            host.until_logged("other a.c [1]")
            self.assertIsNone(host.data(host.send("event", {"event": "b"})))
            host.shut_down()

    def test_a_message_with_a_wrong_member_is_refused_and_one_that_is_none_ends_it(self: Any) -> None:
        with self.host() as host:
            host.ready()
            for members in ('"deadline_ms":"soon"', '"key":""', '"key":5', '"traceparent":5', '"deadline_ms":-1'):
                host.send_text(f'{{"id":90,"type":"ping",{members}}}')
                self.assertEqual(host.error(90)["code"], "bad_request")
            host.send_text('{"id":"7","type":"ping"}')
            self.assertEqual(host.exit_code(), 1)
            self.assertIn("the host sent a message that cannot be read", host.stderr.decode())


class Socket(Both, unittest.TestCase):
    transport = "socket"


class Stdio(Both, unittest.TestCase):
    transport = "stdio"


class NoHost(unittest.TestCase):
    def test_a_person_who_starts_it_learns_what_it_is(self) -> None:
        with FakeHost("import os\nos.environ['BULKHEAD_FD'] = 'x'\n" + _MINIMAL) as host:
            self.assertEqual(host.exit_code(), 2)
            self.assertIn("m: expected the number of a descriptor above 2 in BULKHEAD_FD, found 'x'", host.stderr.decode())
        with FakeHost("import os\nos.environ['BULKHEAD_FD'] = '99'\n" + _MINIMAL) as host:
            self.assertEqual(host.exit_code(), 2)
            self.assertIn("no such descriptor is open; this is a module of Bulkhead", host.stderr.decode())
        with FakeHost(_MINIMAL, "stdio") as host:
            host.close()
            self.assertEqual(host.exit_code(), 2)
            self.assertIn("the channel ended before a first message", host.stderr.decode())

    def test_a_signal_ends_it_as_any_program(self) -> None:
        with FakeHost(_MINIMAL) as host:
            host.ready()
            os.kill(host.process.pid, signal.SIGTERM)
            self.assertEqual(host.exit_code(), -signal.SIGTERM)

    def test_a_module_without_handlers_declares_nothing_and_is_shut_down(self) -> None:
        with FakeHost(_MINIMAL) as host:
            ready = host.ready()
            self.assertEqual(json.dumps(ready["commands"]), "[]")
            host.shut_down()


_MINIMAL = 'from bulkhead import Module\nModule("m", "1").run()\n'


if __name__ == "__main__":
    unittest.main()
