from typing import Any

from allauth.account.forms import SignupForm as AllauthSignupForm
from django import forms
from django.db import transaction
from django.http import HttpRequest

from .models import Tenant, User, validate_slug
from .signup import SlugTaken, create_workspace


class SignupForm(AllauthSignupForm):
    """An account and its first workspace: both, or neither."""

    workspace_name = forms.CharField(label="Workspace", max_length=80, help_text="Your company or team.")
    field_order = ("email", "password1", "workspace_name")

    def save(self, request: HttpRequest) -> User:
        with transaction.atomic():
            user = super().save(request)
            workspace = create_workspace(self.cleaned_data["workspace_name"], owner=user)
        request.new_workspace = workspace  # type: ignore[attr-defined]
        return user


class WorkspaceForm(forms.Form):
    """A further workspace. An empty address is made from the name."""

    name = forms.CharField(max_length=80)

    slug = forms.CharField(
        label="Address", required=False, max_length=40, help_text="Lower-case letters, digits and hyphens."
    )

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        if slug:
            validate_slug(slug)
        return slug

    def create(self, owner: User) -> Tenant | None:
        """The workspace; None, with an error on the form, if its address is taken."""
        data: dict[str, Any] = self.cleaned_data
        try:
            return create_workspace(data["name"], owner=owner, slug=data["slug"])
        except SlugTaken:
            self.add_error("slug", f"“{data['slug']}” is taken. Choose another address.")
            return None
