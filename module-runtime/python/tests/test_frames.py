"""Frames: the bad ones of the protocol's own folder, and good ones however they are cut."""

import unittest

from . import ROOT
from bulkhead.frames import Decoder, encode

BAD = ROOT / "protocol" / "tests" / "bad"


class Frames(unittest.TestCase):
    def test_what_is_no_frame_is_refused_in_the_words_of_the_protocol(self) -> None:
        files = sorted(BAD.glob("*.bin"))
        self.assertGreater(len(files), 8)
        for file in files:
            for step in (1, 3, 1 << 20):
                with self.subTest(file=file.name, step=step):
                    decoder, count = Decoder(16 * 1024 * 1024), 0
                    data = file.read_bytes()
                    for at in range(0, len(data), step):
                        if decoder.fault is None:
                            count += len(decoder.feed(data[at : at + step]))
                    found = f"after {count} frames: {decoder.fault or decoder.finish()}"
                    expected = file.with_suffix(".expected").read_text(encoding="utf-8").strip()
                    if step == 1 << 20 or "found text" not in expected:
                        self.assertEqual(found, expected)
                    else:
                        # As much of the text is quoted as had arrived.
                        self.assertTrue(expected.startswith(found[: found.index("found text") + 12]), found)

    def test_frames_are_the_same_however_they_are_cut(self) -> None:
        bodies = [b"{}", b'{"a":1}', b" " * 70000 + b"{}", b"[]"]
        stream = b"".join(encode(body) for body in bodies)
        for step in (1, 2, 5, 4096, len(stream)):
            decoder = Decoder(1 << 20)
            found = [frame for at in range(0, len(stream), step) for frame in decoder.feed(stream[at : at + step])]
            self.assertEqual(found, bodies)
            self.assertIsNone(decoder.finish())

    def test_a_length_alone_takes_no_memory(self) -> None:
        decoder = Decoder(1 << 28)
        self.assertEqual(decoder.feed((1 << 28).to_bytes(4, "big") + b"{"), [])
        self.assertLess(len(decoder._held), 64)
        self.assertEqual(decoder.missing, (1 << 28) - 1)


if __name__ == "__main__":
    unittest.main()
