"""Tests of the stockroom under the real host: `python3 -m unittest` or `pytest` in this folder."""

import unittest

from bulkhead import Error
from stock import app


class Stock(unittest.TestCase):
    def test_what_is_taken_is_gone_and_a_low_shelf_is_announced(self) -> None:
        with app.test(config={"low": 2}) as m:
            m.create("StockItem", {"item": "bolt", "left": 5})
            self.assertEqual(m.call("take", item="bolt", count=4), {"item": "bolt", "left": 1})
            self.assertEqual([shelf.data["left"] for shelf in m.entities("StockItem")], [1])
            self.assertEqual([low.data for low in m.events("stock.low")], [{"item": "bolt", "left": 1}])

    def test_what_is_not_there_cannot_be_taken(self) -> None:
        with app.test() as m:
            with self.assertRaises(Error) as raised:
                m.call("take", item="bolt")
            self.assertEqual(raised.exception.module_code, "out_of_stock")
            self.assertEqual(m.events("stock.*"), [])

    def test_a_delivery_is_put_on_the_shelf(self) -> None:
        with app.test() as m:
            m.deliver("stock.delivered", {"item": "nut", "count": 7})
            self.assertEqual(m.call("count", item="nut"), {"item": "nut", "left": 7})

    def test_an_audit_reports_progress(self) -> None:
        with app.test(config={"audit_pause": 0.0}) as m:
            m.call("put", item="bolt", count=5)
            audit = m.begin("audit")
            self.assertEqual(audit.result(), {"items": 1, "pieces": 5})
            self.assertEqual(audit.progress, [{"items": 0, "item": "bolt"}])

    def test_a_crash_loses_nothing_that_was_committed(self) -> None:
        with app.test() as m:
            m.call("put", item="bolt", count=5)
            with self.assertRaises(Error) as raised:
                m.call("crash")
            self.assertEqual((raised.exception.code, raised.exception.delivery), ("module_crashed", "started"))
            m.kill()
            self.assertEqual(m.call("count", item="bolt")["left"], 5)
            self.assertEqual([crash["reason"] for crash in m.crashes()], ["SIGABRT", "SIGKILL"])


if __name__ == "__main__":
    unittest.main()
