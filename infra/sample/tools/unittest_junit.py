"""Runs the unittest suite and writes JUnit XML: what pytest does, for machines that have none.

Usage: python3 tools/unittest_junit.py REPORT.xml
"""

import sys
import time
import unittest
import xml.etree.ElementTree as ET


class Recorder(unittest.TextTestResult):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.suite = ET.Element("testsuite", name="unittest")
        self.cases = {}

    def startTest(self, test):
        super().startTest(test)
        classname, _, name = test.id().rpartition(".")
        self.cases[test.id()] = (ET.SubElement(self.suite, "testcase", classname=classname, name=name), time.monotonic())

    def stopTest(self, test):
        super().stopTest(test)
        case, began = self.cases[test.id()]
        case.set("time", f"{time.monotonic() - began:.6f}")


def main(report):
    # Beside the tests themselves, the code that they import.
    sys.path.insert(0, ".")
    suite = unittest.defaultTestLoader.discover("tests")
    result = unittest.TextTestRunner(resultclass=Recorder, verbosity=2).run(suite)
    for tag, reports in (("failure", result.failures), ("error", result.errors)):
        for test, text in reports:
            # A subtest reports under its test's name.
            case, _ = result.cases[getattr(test, "test_case", test).id()]
            ET.SubElement(case, tag, message=text.strip().splitlines()[-1]).text = text
    for test, reason in result.skipped:
        ET.SubElement(result.cases[test.id()][0], "skipped", message=reason)
    counts = {"tests": result.testsRun, "failures": len(result.failures), "errors": len(result.errors)}
    for name, count in counts.items():
        result.suite.set(name, str(count))
    result.suite.set("skipped", str(len(result.skipped)))
    ET.ElementTree(result.suite).write(report, encoding="utf-8", xml_declaration=True)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
