"""Cases as a file in the form of `evals/suites`, to be kept in git or run elsewhere."""

from collections.abc import Iterable
from typing import Any

import yaml

from ..models import EvalCase

HEAD = """\
# Test questions of {workspace}, made of rated answers and reviewed. Personal data was taken out.
# To run them on the demo: name one of its workspaces, and have it hold the same documents. See docs/evals.md.
"""


def as_suite(cases: Iterable[EvalCase], *, workspace: str, name: str) -> str:
    """YAML. `workspace` is the address under which they are asked, `name` is for people."""
    suite = {
        "description": f"Questions from {name}",
        "prompt": "answer",
        "defaults": {"workspace": workspace},
        "tests": [test(case) for case in cases],
    }
    said = yaml.safe_dump(suite, sort_keys=False, allow_unicode=True, width=110)
    return HEAD.format(workspace=" ".join(name.split())) + said


def test(case: EvalCase) -> dict[str, Any]:
    """Named by its id: two may ask the same."""
    return {
        "description": f"{' '.join(case.question.split())[:90]} ({str(case.pk)[:8]})",
        "vars": {"question": case.question},
        "assert": case.asserts,
    }
