"""The Python half: the shared messages, and what must hold for every shift."""

import json
import pathlib
import unittest

import cawsar

MESSAGES = json.loads(pathlib.Path(__file__).with_name("messages.json").read_text(encoding="utf-8"))


class SharedMessages(unittest.TestCase):
    def test_encoding(self):
        for message in MESSAGES:
            with self.subTest(message["name"]):
                self.assertEqual(cawsar.encode(message["plain"], message["shift"]), message["secret"])

    def test_decoding(self):
        for message in MESSAGES:
            with self.subTest(message["name"]):
                self.assertEqual(cawsar.decode(message["secret"], message["shift"]), message["plain"])


class EveryShift(unittest.TestCase):
    PLAIN = "Quoth the raven: nevermore."

    def test_what_was_encoded_can_be_decoded(self):
        for shift in range(-60, 61):
            self.assertEqual(cawsar.decode(cawsar.encode(self.PLAIN, shift), shift), self.PLAIN)

    def test_two_flights_are_one_long_flight(self):
        twice = cawsar.encode(cawsar.encode(self.PLAIN, 5), 9)
        self.assertEqual(twice, cawsar.encode(self.PLAIN, 14))

    def test_a_secret_is_never_the_message(self):
        for shift in range(1, 26):
            self.assertNotEqual(cawsar.encode(self.PLAIN, shift), self.PLAIN)
