"""Messages: the exact bytes of the protocol's own folder, and bad messages of it."""

import unittest

from . import ROOT
from bulkhead.frames import Decoder
from bulkhead.message import MessageError, Request, Response, read

TESTS = ROOT / "protocol" / "tests"


class Messages(unittest.TestCase):
    def test_each_message_that_a_host_sends_is_read(self) -> None:
        files = [*sorted((TESTS / "golden").glob("to-module-*.bin")), *sorted((TESTS / "golden").glob("from-host-*.bin"))]
        self.assertGreater(len(files), 12)
        for file in files:
            with self.subTest(file=file.name):
                (frame,) = Decoder(1 << 20).feed(file.read_bytes())
                message = read(frame)
                self.assertIsInstance(message, Request if file.name.startswith("to-") else Response)
                self.assertEqual(message.id is None, "id-null" in file.name)

    def test_a_message_that_is_none_is_refused(self) -> None:
        names = "array control-character-in-text deadline-above-a-day deadline-as-text deadline-negative empty-object "
        names += "id-above-2-to-53 id-as-text id-negative id-with-fraction key-empty key-not-text key-too-long nan "
        names += "neither-type-nor-status not-json not-utf8 nul-at-the-end null number single-quotes trailing-comma "
        names += "byte-order-mark two-objects utf16"
        for name in names.split():
            with self.subTest(name=name), self.assertRaises(MessageError):
                read((TESTS / "bad" / f"{name}.json").read_bytes())

    def test_a_message_means_the_same_however_it_is_written(self) -> None:
        for text in (
            '{"id":7,"type":"command","payload":{"name":"a","args":{"b":1}},"deadline_ms":5}',
            ' {"deadline_ms":5, "payload":{"args":{"b":1},"name":"\\u0061"},"type":"command","id":7,"of":null}\n',
        ):
            request = read(text.encode())
            assert isinstance(request, Request)
            name, args, is_read, raw = request.command()
            found = (request.id, request.kind, request.deadline_ms, request.key, name, args, is_read, raw().text)
            self.assertEqual(found, (7, "command", 5, None, "a", {"b": 1}, True, '{"b":1}'))


if __name__ == "__main__":
    unittest.main()
