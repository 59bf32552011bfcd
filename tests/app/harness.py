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
# `run(coroutine)` gives a coroutine's result. run_mpy.py runs many files.

import asyncio
import os
import sys

IS_MICROPYTHON = sys.implementation.name == "micropython"

if not IS_MICROPYTHON:
    _HERE = os.path.dirname(os.path.abspath(__file__))
    _FIRMWARE = os.path.join(os.path.dirname(os.path.dirname(_HERE)), "firmware")
    if _FIRMWARE not in sys.path:
        sys.path.insert(0, _FIRMWARE)


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

        def _check(self, holds, said, msg):
            if not holds:
                raise AssertionError("%s: %s" % (msg, said) if msg else said)

        def assertTrue(self, value, msg=None):
            self._check(value, "%r is not true" % (value,), msg)

        def assertFalse(self, value, msg=None):
            self._check(not value, "%r is not false" % (value,), msg)

        def assertEqual(self, first, second, msg=None):
            self._check(first == second, "%r != %r" % (first, second), msg)

        def assertNotEqual(self, first, second, msg=None):
            self._check(first != second, "both are %r" % (first,), msg)

        def assertIs(self, first, second, msg=None):
            self._check(first is second, "%r is not %r" % (first, second), msg)

        def assertIsNone(self, value, msg=None):
            self._check(value is None, "%r is not None" % (value,), msg)

        def assertIsNotNone(self, value, msg=None):
            self._check(value is not None, "it is None", msg)

        def assertIn(self, item, many, msg=None):
            self._check(item in many, "%r is not in %r" % (item, many), msg)

        def assertNotIn(self, item, many, msg=None):
            self._check(item not in many, "%r is in %r" % (item, many), msg)

        def assertIsInstance(self, value, kind, msg=None):
            self._check(isinstance(value, kind), "%r is no %s" % (value, kind), msg)

        def assertLess(self, first, second, msg=None):
            self._check(first < second, "%r is not < %r" % (first, second), msg)

        def assertLessEqual(self, first, second, msg=None):
            self._check(first <= second, "%r is not <= %r" % (first, second), msg)

        def assertGreater(self, first, second, msg=None):
            self._check(first > second, "%r is not > %r" % (first, second), msg)

        def assertGreaterEqual(self, first, second, msg=None):
            self._check(first >= second, "%r is not >= %r" % (first, second), msg)

        def assertRaises(self, expected, function=None, *args, **kwargs):
            context = _Raises(expected)
            if function is None:
                return context
            with context:
                function(*args, **kwargs)
            return None

        def subTest(self, **fields):
            return _SubTest(fields)


def _run_one(case_class, name, totals):
    case = case_class()
    try:
        case.setUp()
        try:
            getattr(case, name)()
        finally:
            case.tearDown()
        totals[0] += 1
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


def main(module="__main__"):
    """Run the tests of the calling file and exit with 1 if one failed."""
    totals = run_module(sys.modules[module] if module in sys.modules else __import__(module), [0, 0, 0])
    print("%d passed, %d failed, %d skipped" % tuple(totals))
    sys.exit(1 if totals[1] else 0)
