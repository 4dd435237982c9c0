# SPDX-License-Identifier: GPL-2.0-or-later
'''
Test results in the Test Anything Protocol, for QEMU's functional tests.

QEMU's tests import pycotap, which not every distribution packages.  This
module has the small part of its interface that they use.  It comes last in the
search path, so that an installed pycotap is preferred.
'''

import sys
import unittest


class LogMode:
    '''For callers that pass a mode, which has no effect here'''
    LogToError = None


class _Result(unittest.TestResult):
    failed = None

    def _report(self, ok, test, note=''):
        print(f'{ok} {self.testsRun} - {test.id()}{note}', flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._report('ok', test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._report('ok', test, f' # SKIP {reason}')

    def addError(self, test, err):
        super().addError(test, err)
        self._fail(test, self.errors)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._fail(test, self.failures)

    def _fail(self, test, where):
        # A test that fails may fail once more when it is torn down
        if self.failed is not test:
            self._report('not ok', test)
        self.failed = test
        print(where[-1][1], file=sys.stderr, flush=True)


class TAPTestRunner:
    def __init__(self, message_log=None, test_output_log=None):
        pass

    def run(self, suite):
        print(f'1..{suite.countTestCases()}', flush=True)
        result = _Result()
        suite.run(result)
        return result
