"""JUnit's XML, which build servers show: a suite for each of ours, a case for each test."""

import re
from xml.etree import ElementTree as Xml

from ..results import SuiteResult
from . import Report

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: Report) -> str:
    root = Xml.Element("testsuites", name="evals", tests=str(report.tests), failures=str(len(report.failed)))
    for result in report.results:
        add(root, result)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def add(root: Xml.Element, result: SuiteResult) -> None:
    broken = [test for test in result.tests if test.error]
    suite = Xml.SubElement(
        root,
        "testsuite",
        name=clean(result.name),
        tests=str(len(result.tests)),
        failures=str(len(result.failed) - len(broken)),
        errors=str(len(broken)),
    )
    for test in result.tests:
        seconds = f"{test.latency_ms / 1000:.3f}"
        case = Xml.SubElement(suite, "testcase", classname=clean(result.name), name=clean(test.key), time=seconds)
        if test.error:
            Xml.SubElement(case, "error", message=clean(test.error))
        elif not test.passed:
            wanted = "; ".join(verdict.asked for verdict in test.verdicts if not verdict.passed)
            Xml.SubElement(case, "failure", message=clean(f"wanted {wanted}")).text = clean(test.output)


def clean(text: str) -> str:
    return NOT_IN_XML.sub("�", text)
