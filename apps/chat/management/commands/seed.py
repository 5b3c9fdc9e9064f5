from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from django.core.files import File
from django.core.management.base import BaseCommand

from apps.knowledge.add import store
from apps.knowledge.ingest import ingest
from apps.knowledge.models import Document
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
