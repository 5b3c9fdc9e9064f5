"""What a request carries after our middleware, for type checkers."""

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from .models import Membership, Tenant, User


class SignedInRequest(HttpRequest):
    """A request of a signed-in user."""

    user: User
    htmx: HtmxDetails


class WorkspaceRequest(SignedInRequest):
    """A request inside a workspace, whose member the user is."""

    workspace: Tenant
    membership: Membership
