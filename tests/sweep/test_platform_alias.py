"""Who names the database alias that sees every tenant: these functions, each with a reason, and nobody else.

That no other module imports `apps.tenants.platform` is import-linter's to check, in pyproject.toml. This reads the
source: which functions of those modules use what it offers, and that nobody spells the alias out.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from .report import tried

ROOT = Path(__file__).resolve().parents[2]
OFFERS = {"PLATFORM", "require_platform", "find_workspace", "AcrossTenants"}
TAKES_ALIAS = {"using", "db_manager", "atomic", "on_commit", "get_connection", "set_rollback"}

OPERATORS = {
    "apps/billing/admin.py:MeterEventAdmin": "a read-only page of the platform's admin",
    "apps/billing/admin.py:StripeEventAdmin.get_queryset": "what Stripe told us, which belongs to no tenant",
    "apps/billing/admin.py:SubscriptionAdmin": "a read-only page of the platform's admin",
    "apps/billing/everybody.py:with_events_to_send": "a job: whose outbox holds something, by id alone",
    "apps/billing/everybody.py:with_hours_to_meter": "a job: whose hours are over, by id alone",
    "apps/billing/everybody.py:with_periods_over": "a job: whose month is over, by id alone",
    "apps/billing/everybody.py:with_periods_since": "a job: who had a plan then, by id alone",
    "apps/billing/management/commands/meter.py:Command.handle": "an operator names the workspace",
    "apps/billing/management/commands/reconcile.py:Command.tenants": "an operator names the workspace",
    "apps/billing/webhooks.py:process": "a job: events that nobody has processed, of whoever's customer they are about",
    "apps/billing/webhooks.py:replay": "an operator has events processed again",
    "apps/billing/webhooks.py:work_off": "the same job: what became of an event is written down",
    "apps/billing/webhooks.py:workspace_of": "the same job: whose a customer is, by our own record",
    "apps/knowledge/management/commands/silo_index.py:Command.handle": "an operator names the workspace",
    "apps/knowledge/unfinished.py:queue_unfinished": "a start-up job: which documents of anybody's nobody works on",
    "apps/prompts/admin.py:PromptVersionAdmin": "a read-only page of the platform's admin",
    "apps/prompts/defaults.py:locked": "an operator changes a default: of two, one waits",
    "apps/prompts/defaults.py:running": "the same: whether an experiment on it is running",
    "apps/prompts/sync.py:misfits": "a release's: whose own versions name what the default has no more",
    "apps/prompts/defaults.py:publish": "default prompts belong to no tenant, so no tenant's role may write them",
    "apps/prompts/defaults.py:roll_back": "the same, by an operator",
    "apps/prompts/defaults.py:start": "the same: an experiment on everybody's default",
    "apps/prompts/defaults.py:stop": "the same",
    "apps/prompts/management/commands/prompts.py:Command.rollback": "an operator names the workspace",
    "apps/prompts/sync.py:sync": "default prompts belong to no tenant, so no tenant's role may write them",
    "apps/prompts/sync.py:sync_one": "the same, one prompt",
    "apps/runs/admin.py:EveryPolicyAdmin": "a read-only page of the platform's admin",
    "apps/runs/admin.py:EveryRouteAdmin.delete_model": "everybody's routes, which no tenant's role may write",
    "apps/runs/admin.py:EveryRouteAdmin.get_form": "whether everybody has such a route already",
    "apps/runs/admin.py:EveryRouteAdmin.get_queryset": "everybody's routes and, to be read, each workspace's own",
    "apps/runs/admin.py:EveryRouteAdmin.save_model": "everybody's routes, which no tenant's role may write",
    "apps/runs/admin.py:RunAdmin": "a read-only page of the platform's admin",
    "apps/runs/batches/due.py:due_files": "a job: whose files with providers something is due for",
    "apps/runs/batches/due.py:known_elsewhere": "which files of an account that all share are another's, by id alone",
    "apps/runs/batches/unfinished.py:everybodys": "a job: whose batches go on, and have nobody who does it",
    "apps/runs/budget_admin.py:EveryBudgetAdmin": "a read-only page of the platform's admin",
    "apps/runs/management/commands/experiments.py:Command.show": "an operator sees what came of everybody's experiment",
    "apps/runs/lost.py:queue_unsent": "a job: which tenants have alerts that were never mailed",
    "apps/runs/circuit_admin.py:workspaces": "a read-only page of the platform's admin: whose account a circuit is of",
    "apps/runs/lost.py:close_lost": "a job: runs of anybody's whose process died",
    "apps/tenants/admin.py:FlagAdmin.delete_model": "an operator's switch, which may hold for everybody",
    "apps/tenants/admin.py:FlagAdmin.formfield_for_foreignkey": "an operator chooses the workspace of a switch",
    "apps/tenants/admin.py:FlagAdmin.get_queryset": "operators' switches, for everybody and for each workspace",
    "apps/tenants/admin.py:FlagAdmin.save_model": "an operator's switch, which may hold for everybody",
    "apps/tenants/admin.py:tell": "what has waited is taken up when the operator's switch is committed",
    "apps/tenants/admin.py:FlagForm.clean": "one switch of a feature for each workspace, compared among all",
    "apps/tenants/dead_letter_admin.py:EveryDeadLetterAdmin": "a read-only page of the platform's admin",
    "apps/tenants/dead_letters.py:whose": "a task of no tenant was given up, and no tenant's role may write that",
    "apps/tenants/once.py:forget_old": "a job: what anybody's tasks did outside long ago",
    "apps/tenants/queue_admin.py:named": "a read-only page of the platform's admin: whose tasks wait",
    "apps/tenants/queue_admin.py:queues_page": "the same: how many were given up",
    "apps/tenants/queue_weight.py:copy_all": "a job: whose turns weigh more than others'",
    "apps/runs/purge.py:expire": "a job: cached answers of anybody's that expired long ago",
    "apps/runs/purge.py:purge_everybodys": "an operator forgets every cached answer",
    "apps/runs/purge.py:purge_of": "an operator names the workspace",
    "apps/tenants/admin.py:MembershipAdmin": "a read-only page of the platform's admin",
    "apps/tenants/admin.py:TenantAdmin.get_queryset": "the platform's list of workspaces",
    "apps/tenants/admin.py:TenantForm.clean_slug": "whether any workspace has that address",
    "apps/tenants/exporting.py:queue_expired": "a job: which tenants have archives past their time",
    "apps/tenants/exporting.py:queue_unfinished": "a start-up job: which exports nobody works on",
    "apps/tenants/leaving.py:queue_interrupted": "a start-up job: which workspaces' deletion isn't done",
    "apps/tenants/management/commands/erase_workspace.py:Command.handle": "an operator names the workspace",
    "apps/tenants/management/commands/promote.py:Command.handle": "an operator names the workspace",
    "apps/tenants/management/commands/rotate_keys.py:Command.handle": "which workspaces have a data key, by id alone",
}


class Uses(ast.NodeVisitor):
    """The functions of one module in which the alias is named, by what is offered or spelt out."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.imported: set[str] = set()
        self.found: set[str] = set()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if (node.module or "").rpartition(".")[2] == "platform":
            self.imported |= {name.asname or name.name for name in node.names}

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.enter(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.enter(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.enter(node)

    def enter(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.inside.append(node.name)
        self.generic_visit(node)
        self.inside.pop()

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in self.imported:
            self.note()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in OFFERS and ast.unparse(node.value).rpartition(".")[2] == "platform":
            self.note()
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func).rpartition(".")[2]
        keywords = [
            keyword.value for keyword in node.keywords if keyword.arg in ("using", "database", "databases", "alias")
        ]
        if any(spells_alias(value) for value in (*(node.args if name in TAKES_ALIAS else ()), *keywords)):
            self.note()
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if ast.unparse(node.value).endswith("connections") and spells_alias(node.slice):
            self.note()
        self.generic_visit(node)

    def note(self) -> None:
        self.found.add(".".join(self.inside))


def spells_alias(node: ast.expr) -> bool:
    return any(isinstance(each, ast.Constant) and each.value == "platform" for each in ast.walk(node))


def uses(source: str) -> set[str]:
    visitor = Uses()
    visitor.visit(ast.parse(source))
    return visitor.found


def modules() -> Iterator[Path]:
    for folder in ("apps", "config"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_only_these_functions_reach_every_tenant() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{where}"
        for path in modules()
        if path != ROOT / "apps/tenants/platform.py"
        for where in uses(path.read_text())
    }
    tried("operators' functions", "", len(found))

    assert found - OPERATORS.keys() == set(), "give OPERATORS a line with the reason, or use the tenant's context"
    assert OPERATORS.keys() - found == set(), "these no longer do: remove their lines"


def test_every_way_to_name_the_alias_is_noticed() -> None:
    ways = [
        "Run.unscoped.using('platform')",
        "Run.objects.db_manager('platform').all()",
        "connections['platform'].cursor()",
        "django.db.connections['platform']",
        "transaction.atomic('platform')",
        "transaction.atomic(using='platform')",
        "run.save(using='platform')",
        "Run.objects.using(PLATFORM)",
        "Run.objects.using(require_platform())",
        "Run.objects.using(platform.PLATFORM)",
        "platform.find_workspace('acme')",
        "class Page(AcrossTenants): pass",
    ]

    imports = "from .platform import PLATFORM, AcrossTenants, require_platform"

    assert [way for way in ways if not uses(f"{imports}\ndef f():\n    {way}")] == []
    assert uses("payer = models.CharField(default=Payer.PLATFORM)") == set()
