# One test file, two interpreters: under pytest a TestCase here is unittest's,
# under MicroPython (which has no unittest) it is the small one below. Use only
# what both have:
#
#     from harness import TestCase, main, run
#
#     class TestThing(TestCase):
#         def test_what_must_hold(self): ...
#
#     if __name__ == "__main__":
#         main()
#
# `run(coroutine)` gives a coroutine's result. run_mpy.py runs many files; with
# its -v every test that passed is named too.

import asyncio
import sys

IS_MICROPYTHON = sys.implementation.name == "micropython"

HERE = __file__.replace("\\", "/")
HERE = HERE[: HERE.rfind("/")] if "/" in HERE else "."
sys.path.insert(0, HERE + "/../../firmware")


def run(coroutine):
    """The result of a coroutine, in an event loop of its own."""
    return asyncio.run(coroutine)


try:
    from unittest import SkipTest, TestCase
except ImportError:

    class SkipTest(Exception):
        pass

    class _Raises:
        """What assertRaises() gives: a context manager that keeps the exception."""

        def __init__(self, expected):
            self.expected = expected
            self.exception = None

        def __enter__(self):
            return self

        def __exit__(self, kind, value, trace):
            if kind is None:
                raise AssertionError("%s was not raised" % self.expected)
            self.exception = value
            return isinstance(value, self.expected)

    def _short(value):
        text = repr(value)
        return text if len(text) < 400 else text[:400] + "..."

    class _SubTest:
        """Says which case of a table failed."""

        def __init__(self, fields):
            self.fields = fields

        def __enter__(self):
            return self

        def __exit__(self, kind, value, trace):
            if kind is not None and not issubclass(kind, SkipTest):
                print("in the case", self.fields)

    class TestCase:
        def setUp(self):
            pass

        def tearDown(self):
            pass

        def fail(self, msg=None):
            raise AssertionError(msg or "failed")

        def skipTest(self, reason):
            raise SkipTest(reason)

        def _check(self, holds, said, values, msg):
            # Words only when they are needed: a value may be a megabyte.
            if not holds:
                said = said % tuple([_short(v) for v in values])
                raise AssertionError("%s: %s" % (msg, said) if msg else said)

        def assertTrue(self, value, msg=None):
            self._check(value, "%s is not true", (value,), msg)

        def assertFalse(self, value, msg=None):
            self._check(not value, "%s is not false", (value,), msg)

        def assertEqual(self, first, second, msg=None):
            self._check(first == second, "%s != %s", (first, second), msg)

        def assertNotEqual(self, first, second, msg=None):
            self._check(first != second, "both are %s", (first,), msg)

        def assertIs(self, first, second, msg=None):
            self._check(first is second, "%s is not %s", (first, second), msg)

        def assertIsNone(self, value, msg=None):
            self._check(value is None, "%s is not None", (value,), msg)

        def assertIsNotNone(self, value, msg=None):
            self._check(value is not None, "it is None", (), msg)

        def assertIn(self, item, many, msg=None):
            self._check(item in many, "%s is not in %s", (item, many), msg)

        def assertNotIn(self, item, many, msg=None):
            self._check(item not in many, "%s is in %s", (item, many), msg)

        def assertIsInstance(self, value, kind, msg=None):
            self._check(isinstance(value, kind), "%s is no %s", (value, kind), msg)

        def assertLess(self, first, second, msg=None):
            self._check(first < second, "%s is not < %s", (first, second), msg)

        def assertLessEqual(self, first, second, msg=None):
            self._check(first <= second, "%s is not <= %s", (first, second), msg)

        def assertGreater(self, first, second, msg=None):
            self._check(first > second, "%s is not > %s", (first, second), msg)

        def assertGreaterEqual(self, first, second, msg=None):
            self._check(first >= second, "%s is not >= %s", (first, second), msg)

        def assertRaises(self, expected, function=None, *args, **kwargs):
            context = _Raises(expected)
            if function is None:
                return context
            with context:
                function(*args, **kwargs)
            return None

        def subTest(self, **fields):
            return _SubTest(fields)


is_verbose = [False]


def _run_one(case_class, name, totals):
    case = case_class()
    try:
        case.setUp()
        try:
            getattr(case, name)()
        finally:
            case.tearDown()
        totals[0] += 1
        if is_verbose[0]:
            print("PASS %s.%s" % (case_class.__name__, name))
    except SkipTest as skip:
        totals[2] += 1
        print("SKIP %s.%s: %s" % (case_class.__name__, name, skip))
    except Exception as error:
        totals[1] += 1
        print("FAIL %s.%s" % (case_class.__name__, name))
        _print_exception(error)


def _print_exception(error):
    if IS_MICROPYTHON:
        sys.print_exception(error)
    else:
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__)


def run_module(module, totals):
    """Run every test of a module; adds to totals = [passed, failed, skipped]."""
    for class_name in sorted(dir(module)):
        case_class = getattr(module, class_name)
        if not isinstance(case_class, type) or not issubclass(case_class, TestCase):
            continue
        for name in sorted(dir(case_class)):
            if name.startswith("test_"):
                _run_one(case_class, name, totals)
    return totals


def main():
    """Run the tests of the file that was started and exit with 1 if one failed."""
    totals = run_module(__import__("__main__"), [0, 0, 0])
    print("%d passed, %d failed, %d skipped" % tuple(totals))
    sys.exit(1 if totals[1] else 0)
