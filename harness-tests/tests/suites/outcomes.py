"""Runs tests of CPython and writes the outcome of each to a file, as JSON.

python3 outcomes.py FILE MODULE K/N       every Nth test of the module, from the Kth on
python3 outcomes.py FILE MODULE TEST...   the tests of these names
"""

import collections
import importlib.util
import json
import sys
import unittest

FILE, MODULE, *SELECTION = sys.argv[1:]

if importlib.util.find_spec(MODULE) is None:
    version = "%d.%d" % sys.version_info[:2]
    sys.exit(f"there is no {MODULE} here: apt install libpython{version}-testsuite")

from test import support

# As `python3 -m test` has it: what needs a network is skipped, and tests say nothing.
support.use_resources = ["cpu", "walltime"]
support.verbose = 0


def tests(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests(test)
        else:
            yield test


EVERY = list(tests(unittest.defaultTestLoader.loadTestsFromName(MODULE)))
# test_json loads some of its tests twice.
COUNTS = collections.Counter()
NAMES = {}
for test in EVERY:
    COUNTS[test.id()] += 1
    NAMES[id(test)] = f"{test.id()} #{COUNTS[test.id()]}" if COUNTS[test.id()] > 1 else test.id()


def name(test):
    return NAMES.get(id(test), test.id())


def selected():
    if SELECTION[0][0].isdigit():
        first, step = map(int, SELECTION[0].split("/"))
        return EVERY[first::step]
    return [test for test in EVERY if name(test) in SELECTION]


class Outcomes(unittest.TextTestResult):
    """A subtest's failure is its test's; a class that can't be set up has an entry of its own."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.all = {}

    def addSuccess(self, test):
        super().addSuccess(test)
        self.all.setdefault(name(test), "ok")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        test = getattr(test, "test_case", test)
        self.all.setdefault(name(test), f"skipped: {reason}")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.all[name(test)] = "failed"

    def addError(self, test, error):
        super().addError(test, error)
        self.all[name(test)] = "error"

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self.all[name(test)] = "failed"

    def addExpectedFailure(self, test, error):
        super().addExpectedFailure(test, error)
        self.all[name(test)] = "expected failure"

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.all[name(test)] = "unexpected success"


runner = unittest.TextTestRunner(resultclass=Outcomes)
result = runner.run(unittest.TestSuite(selected()))
with open(FILE, "w") as file:
    json.dump(result.all, file)
sys.exit(not result.wasSuccessful())
