"""lanes: runs a module's stories, several at a time since they mostly wait, and tells of each as TAP does, with its seconds.

A story is a test's method. Those of a class with a fixture (setUpClass) share it: they run one after another.
"""

import concurrent.futures
import io
import sys
import time
import unittest


class Result(unittest.TextTestResult):
    """Remembers (name, did it hold, seconds) of each story."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.told = []

    def startTest(self, test):
        super().startTest(test)
        self.began, self.before = time.monotonic(), len(self.failures) + len(self.errors)

    def stopTest(self, test):
        super().stopTest(test)
        good = len(self.failures) + len(self.errors) == self.before
        self.told.append((test.id().split(".", 1)[1], good, time.monotonic() - self.began))


def cases(suite):
    for item in suite:
        yield from cases(item) if isinstance(item, unittest.TestSuite) else (item,)


def lanes_of(suite):
    """Lists of stories that run one after another."""
    groups = {}
    for case in cases(suite):
        fixture = "setUpClass" in vars(type(case))
        groups.setdefault(type(case) if fixture else case.id(), []).append(case)
    return list(groups.values())


def run_group(group):
    text = io.StringIO()
    result = unittest.TextTestRunner(stream=text, verbosity=0, resultclass=Result).run(unittest.TestSuite(group))
    if not result.wasSuccessful() and all(good for _, good, _ in result.told):  # the fixture failed
        result.told.append((type(group[0]).__name__, False, 0))
    return result.told, text.getvalue()


def run(module, names, lanes):
    """Runs the named stories of a module, all if none is named. Returns the exit status."""
    loader = unittest.defaultTestLoader
    suite = loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
    count = failed = 0
    with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
        for told, text in pool.map(run_group, lanes_of(suite)):
            for name, good, seconds in told:
                count += 1
                failed += not good
                print("%s %d %s (%.0f s)" % ("ok" if good else "not ok", count, name, seconds), flush=True)
            if not all(good for _, good, _ in told):
                print("".join("# %s\n" % line for line in text.splitlines()), end="", flush=True)
    print("1..%d" % count)
    return 1 if failed or not count else 0
