from apps.tenants import silo
from apps.tenants.models import Tenant

from .promote import Command as Promote


class Command(Promote):
    help = "Move a workspace from its own schema back into the pool, while it is being used."
    move, done, nothing_to_do = staticmethod(silo.demote), "is back in the pool", "already is in the pool"

    def require(self, tenant: Tenant) -> None:
        """Back into the pool goes whoever is asked to."""
