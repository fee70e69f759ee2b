"""Handlers that run beside others: what they wait for, how they are cancelled, and the last answer."""

import unittest
from typing import Any, Dict

from .fake_host import FakeHost

MODULE = """
    import threading
    from typing import Any
    from bulkhead import Context, Error, Module

    app = Module("m", "1", threads=4)
    done = threading.Event()

    @app.command(concurrent=True)
    def meet(ctx: Context) -> str:
        ctx.progress("waiting")
        if not done.wait(10):
            raise Error("the other did not come")
        return "met"

    @app.command(concurrent=True)
    def come(ctx: Context) -> None:
        done.set()

    @app.command
    def ordered(ctx: Context, n: int) -> int:
        return n

    @app.command
    def asks(ctx: Context) -> Any:
        return ctx.call("other", "greet")

    @app.command(concurrent=True)
    def asks_beside(ctx: Context, n: int) -> Any:
        return ctx.call("other", "greet", {"n": n})

    @app.command(concurrent=True)
    def bug(ctx: Context) -> None:
        raise ValueError("a bug")

    @app.command(concurrent=True)
    def leaves(ctx: Context) -> None:
        ctx.last()

    app.run()
"""


class Concurrent(unittest.TestCase):
    def test_a_module_says_that_it_is_concurrent_and_requests_run_beside_each_other(self) -> None:
        for transport in ("socket", "stdio"):
            with FakeHost(MODULE, transport) as host:
                self.assertEqual(host.ready()["features"], ["concurrent"])
                meet = host.command("meet")
                self.assertEqual(host.receive()["data"], "waiting")
                self.assertIsNone(host.data(host.send("ping")))
                come = host.command("come")
                answers = {message["id"]: message["data"] for message in (host.receive(), host.receive())}
                self.assertEqual(answers, {come: None, meet: "met"})
                host.shut_down()

    def test_what_is_not_declared_concurrent_is_in_order(self) -> None:
        with FakeHost(MODULE) as host:
            host.ready()
            asks = host.command("asks")
            asked = host.receive()
            self.assertEqual(asked["of"], asks)
            following = [host.command("ordered", {"n": n}) for n in range(20)]
            beside = host.command("come")
            self.assertIsNone(host.data(beside))
            host.reply(asked, "done")
            self.assertEqual(host.data(asks), "done")
            self.assertEqual([host.data(id) for id in following], list(range(20)))
            host.shut_down()

    def test_each_gets_the_answer_to_its_own_request(self) -> None:
        with FakeHost(MODULE) as host:
            host.ready()
            ids = {host.command("asks_beside", {"n": n}): n for n in range(12)}
            answers: Dict[int, Any] = {}
            while len(answers) < len(ids):
                message = host.receive()
                if "type" in message:
                    n = message["payload"]["args"]["n"]
                    self.assertEqual(ids[message["of"]], n)
                    host.reply(message, {"n": n})
                else:
                    answers[message["id"]] = message["data"]["n"]
            self.assertEqual(answers, ids)
            host.shut_down()

    def test_a_cancel_reaches_the_one_that_it_is_for(self) -> None:
        with FakeHost(MODULE) as host:
            host.ready()
            first = host.command("asks_beside", {"n": 1})
            asked = host.receive()
            second = host.command("asks_beside", {"n": 2})
            host.receive()
            cancel = host.send("cancel", {"id": second})
            seen = [host.receive() for _ in range(3)]
            self.assertIn({"id": cancel, "status": "success", "data": None}, seen)
            failed = [message for message in seen if message.get("id") == second and "status" in message]
            self.assertEqual([message["code"] for message in failed], ["cancelled"])
            host.reply(asked, 1)
            self.assertEqual(host.data(first), 1)
            host.shut_down()

    def test_while_others_are_in_progress_an_answer_is_not_the_last_and_that_of_the_last_one_is(self) -> None:
        for name, status, code in (("bug", "error", 101), ("leaves", "success", 0)):
            with FakeHost(MODULE) as host:
                host.ready()
                first = host.command("asks_beside", {"n": 1})
                asked = host.receive()
                ending = host.answer(host.command(name))
                self.assertEqual((ending["status"], "last" in ending), (status, False))
                following = host.command("ordered", {"n": 1})
                host.reply(asked, "done")
                answer = host.answer(first)
                self.assertEqual((answer["data"], answer["last"]), ("done", True))
                with self.assertRaises(EOFError):
                    host.answer(following)
                self.assertEqual(host.exit_code(), code)

    def test_alone_it_is_the_last(self) -> None:
        with FakeHost(MODULE) as host:
            host.ready()
            self.assertIs(host.answer(host.command("bug"))["last"], True)
            self.assertEqual(host.exit_code(), 101)

    def test_shutdown_waits_for_what_came_before(self) -> None:
        with FakeHost(MODULE) as host:
            host.ready()
            first = host.command("asks_beside", {"n": 1})
            asked = host.receive()
            shutdown = host.send("shutdown")
            host.data(host.send("ping"))
            host.reply(asked, "done")
            # The thread that reads waits for the others, and one of these reads meanwhile.
            self.assertEqual(host.data(first), "done")
            self.assertIsNone(host.data(shutdown))
            self.assertEqual(host.exit_code(), 0)


if __name__ == "__main__":
    unittest.main()
