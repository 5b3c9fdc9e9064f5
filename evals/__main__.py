"""python -m evals [SUITE ...]: run suites on the demo's workspaces; exits 1 if a share is below its floor."""

import sys
from io import StringIO
from pathlib import Path

from benchmarks.stage import stage

from .run import run, shares
from .suite import BadSuite, read

SUITES = Path(__file__).parent / "suites"


def main(names: list[str]) -> int:
    try:
        suites = [read(path) for path in ([Path(name) for name in names] or sorted(SUITES.glob("*.yaml")))]
    except (BadSuite, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    failed = False
    with stage():
        from django.core.management import call_command

        for command in (("prompts", "sync"), ("prices", "sync"), ("seed",)):
            call_command(*command, stdout=StringIO())
        for suite in suites:
            print(f"{suite.name}: {suite.description}")
            outcomes = run(suite)
            for outcome in outcomes:
                if not outcome.passed:
                    print(f"  FAILED  {outcome.case.workspace}: {outcome.case.question}\n          {outcome.text!r}")
            for name, share in shares(outcomes).items():
                floor = suite.floors.get(name, 0.0)
                failed |= share < floor
                print(f"  {name:8} {share:6.1%}  (floor {floor:.0%}){'  BELOW' if share < floor else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
