from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from django.core.files import File
from django.core.management.base import BaseCommand

from apps.knowledge.add import store
from apps.knowledge.ingest import ingest
from apps.knowledge.models import Document
from apps.prompts.lines import read_fields, read_variables
from apps.prompts.publish import make
from apps.runs.batches.create import create
from apps.runs.batches.read import read_rows
from apps.tenants.context import tenant_context
from apps.tenants.models import Membership, Tenant, User
from apps.tenants.signup import SlugTaken, create_workspace

FOLDER = Path(__file__).parents[2] / "seed"
PASSWORD = "corbel-demo"  # noqa: S105  (the demo's, printed by `make run`)
WORKSPACES = {
    "acme": ("Acme", ("alice@acme.example", "Alice"), [("bob@acme.example", "Bob")]),
    "globex": ("Globex", ("charlie@globex.example", "Charlie"), []),
}
OPERATOR = "admin@corbel.example"
SORT = """Sort a ticket that a customer sent to our support team.

Subject: {subject}

{ticket}

A ticket that stops somebody's work is more urgent than one about money, and that more than a wish or thanks."""
SORT_VARIABLES = "subject: line, What the customer wrote above it\nticket: text, What the customer wrote"
SORT_FIELDS = (
    "team: one of billing, technical, product\nurgency: integer, 1 is the most urgent and 4 the least\nsummary: text"
)


class Command(BaseCommand):
    help = "Two demo workspaces with handbooks that answer the same question differently. Again does nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        if not User.objects.filter(email=OPERATOR).exists():
            User.objects.create_superuser(OPERATOR, PASSWORD, name="Platform operator")
        for slug, (name, owner, members) in WORKSPACES.items():
            try:
                workspace = self.workspace(slug, name, owner, members)
            except SlugTaken:
                continue  # what its people did to it since stays
            with tenant_context(workspace):
                for path in sorted((FOLDER / slug).glob("*.md")):
                    self.document(path)
                if (rows := FOLDER / slug / "tickets.csv").exists():
                    self.batch(rows, User.objects.get(email=owner[0]))

    def workspace(self, slug: str, name: str, owner: tuple[str, str], members: list[tuple[str, str]]) -> Tenant:
        tenant = create_workspace(name, owner=self.user(*owner), slug=slug)
        with tenant_context(tenant):
            for member in members:
                Membership.objects.create(user=self.user(*member), role=Membership.Role.MEMBER)
        return tenant

    def user(self, email: str, name: str) -> User:
        if user := User.objects.filter(email=email).first():
            return user
        user = User.objects.create_user(email, PASSWORD, name=name)
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
        return user

    def document(self, path: Path) -> None:
        with path.open("rb") as file:
            document = store(File(file, name=path.name), user=None)
        if isinstance(document, Document):
            ingest(document.id)
            self.stdout.write(f"Read {path.name}.")

    def batch(self, path: Path, owner: User) -> None:
        """A prompt for batches, and a file of rows to try it on: what is left to do is to choose it."""
        make(
            "sort-tickets",
            SORT,
            description="Which team takes a ticket, how urgent it is, and what it is about.",
            variables=read_variables(SORT_VARIABLES, SORT),
            output_schema=read_fields(SORT_FIELDS),
        )
        with path.open("rb") as file:
            create("Tickets of a week", sheet=read_rows(File(file), path.name), user=owner, source_name=path.name)
