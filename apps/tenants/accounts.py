from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest

from .templatetags.workspace import workspace_url


class AccountAdapter(DefaultAccountAdapter):
    """Sign-up leads straight into the new workspace."""

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        workspace = getattr(request, "new_workspace", None)
        return workspace_url(workspace, "chat:home") if workspace else settings.LOGIN_REDIRECT_URL
