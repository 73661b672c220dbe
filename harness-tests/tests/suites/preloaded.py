"""Tests of which one ends otherwise with an object preloaded: what the comparison has to name."""

import os
import unittest


class Tests(unittest.TestCase):
    def test_of_the_environment(self):
        self.assertNotIn("LD_PRELOAD", os.environ)

    def test_of_a_sum(self):
        self.assertEqual(sum(range(10)), 45)

    @unittest.skip("as ever")
    def test_that_is_skipped(self):
        self.fail()
