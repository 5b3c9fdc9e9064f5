"""10,000 calls from 8 processes against the same hard budgets: what the ledger admits in a second, and that it holds.

    python -m benchmarks.ledger [CALLS PROCESSES]

Each call is one statement to begin and one to close it; nobody asks a model. Calls of one workspace take turns, so this
is the most that one workspace can begin and close. Ends with an error if a budget was ever exceeded, anything stays
reserved, or a counter isn't the sum of the rows.
"""

import sys
from decimal import Decimal

from benchmarks.stage import stage, workspace


def main(calls: int, processes: int) -> None:
    with stage(), workspace("crowd"):
        from apps.runs.models import Budget, Run
        from apps.tenants.models import User
        from tests.runs.crowd import differences, exceeded, spend_at_once

        share = Decimal(calls) / 2_000
        for scope, subject, cap_usd in (("workspace", "", 20), ("user", "", 12), ("feature", "chat", 9)):
            Budget.objects.create(scope=scope, subject=subject, cap_usd=share * cap_usd)
        users = [User.objects.create_user(f"caller{number}@example.com", None) for number in range(2)]

        outcome = spend_at_once(calls, processes, users)

        is_open = Run.objects.filter(status="running").count()
        faults = [*outcome.over, *exceeded(), *differences()] + [f"{is_open} calls are still open"] * bool(is_open)
        print(
            f"\n{calls:,} calls over {processes} processes in {outcome.seconds:.1f} s: {calls / outcome.seconds:,.0f}/s"
        )
        print(", ".join(f"{count:,} {what}" for what, count in outcome.counts.most_common()))
        print(f"budgets looked at {outcome.looks:,} times meanwhile: {len(outcome.over)} times over")
        print(f"calls still open: {is_open}; counters that differ from the sum of the rows: {len(differences())}")
        for budget in Budget.objects.order_by("-cap_usd"):
            print(f"  {budget}")
    if faults:
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main(*(map(int, sys.argv[1:3]) if len(sys.argv) == 3 else (10_000, 8)))
