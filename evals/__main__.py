"""python -m evals: what answers are worth, and whether a change makes them worse. See docs/evals.md.

    run [SUITE ...]         measure, print and keep it; 1 if a mean is below its floor
    gate [SUITE ...]        measure and compare with evals/baseline.json; 1 if anything became worse
    baseline [SUITE ...]    measure and write evals/baseline.json
    touched --since REV     the suites that what changed since REV can touch
    trend                   a page of what was measured over the revisions
    nightly                 measure yesterday's answers of workspaces that consented; 1 if they have become worse

A suite is a name in evals/suites, or a file; without one it is all of them. 2 if something can't be read.
"""

import argparse
import sys
import traceback
from pathlib import Path

from config.bootstrap import Trouble

from . import commands, nightly
from .bad import Bad
from .gate import SLACK
from .report import markdown


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser("python -m evals", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    verbs = top.add_subparsers(required=True, metavar="COMMAND")

    run = verbs.add_parser("run", help="measure suites")
    run.set_defaults(command=commands.run)
    run.add_argument("--provider", default="", help="offline, rehearsal, openai, anthropic, base_url=URL")
    run.add_argument("--workspace", default="", metavar="SLUG", help="only its tests")
    run.add_argument("--only", default="", metavar="TEXT", help="only tests with TEXT in their name")
    run.add_argument(
        "--judge", default="", metavar="PROVIDER", help="who scores `judged` asserts; else they are skipped"
    )

    run.add_argument(
        "--cases", default="", metavar="SLUG", help="a workspace's approved cases instead, on the live database"
    )

    gate = verbs.add_parser("gate", help="measure suites and compare with the baseline")
    gate.set_defaults(command=commands.gate)
    gate.add_argument("--slack", type=points, default=SLACK, metavar="POINTS", help="how much worse is allowed: 2")

    baseline = verbs.add_parser("baseline", help="measure suites and write the baseline")
    baseline.set_defaults(command=commands.baseline)

    touched = verbs.add_parser("touched", help="the suites that a change can touch")
    touched.set_defaults(command=commands.touched)

    trend = verbs.add_parser("trend", help="a page of the metrics over the revisions")
    trend.set_defaults(command=commands.trend)

    night = verbs.add_parser("nightly", help="measure yesterday's answers on the live database; for a daily job")
    night.set_defaults(command=nightly.command)
    night.add_argument("--workspace", default="", metavar="SLUG", help="only this one")
    night.add_argument("--day", type=nightly.day_of, default=None, help="another day than yesterday, as 2026-11-20")

    for verb in (run, gate, baseline):
        verb.add_argument("suites", nargs="*", metavar="SUITE")
    for verb in (run, gate, trend):
        verb.add_argument("--report", type=Path, metavar="DIR", help="a folder for HTML, JSON, JUnit and Markdown")
    gate.add_argument("--since", default="", metavar="REV", help="only what changed since REV can touch")
    touched.add_argument("--since", required=True, metavar="REV")
    return top


def points(text: str) -> float:
    slack = float(text)
    if not 0 <= slack <= 100:
        raise argparse.ArgumentTypeError(f"{text} is no number of points from 0 to 100")
    return slack / 100


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except KeyboardInterrupt:
        print("\nStopped. Nothing was kept.", file=sys.stderr)
        return 130
    except Exception as error:
        if not isinstance(error, Bad | Trouble):
            traceback.print_exc()  # of ours: what was measured may be fine, and nobody knows
        print(error, file=sys.stderr)
        if report := getattr(options, "report", None):
            report.mkdir(parents=True, exist_ok=True)
            (report / "report.md").write_text(markdown.fault(str(error)))
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
