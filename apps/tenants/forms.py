import unicodedata
from typing import Any

from allauth.account.forms import SignupForm as AllauthSignupForm
from allauth.account.utils import get_next_redirect_url
from allauth.core import context
from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest

from .context import user_context
from .models import Tenant, User, validate_slug
from .signup import SlugTaken, create_workspace


class SignupForm(AllauthSignupForm):
    """An account and its first workspace: both, or neither. Who follows an invitation needs no workspace."""

    workspace_name = forms.CharField(label="Workspace", max_length=80, help_text="Your company or team.")
    field_order = ("email", "password1", "workspace_name")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if (get_next_redirect_url(context.request) or "").startswith("/invitations/"):
            del self.fields["workspace_name"]

    def save(self, request: HttpRequest) -> User:
        with transaction.atomic():
            user = super().save(request)
            if name := self.cleaned_data.get("workspace_name"):
                with user_context(user):
                    create_workspace(name, owner=user)
        return user


class NameForm(forms.ModelForm):
    """What others in the workspaces see of a person."""

    class Meta:
        model = User
        fields = ("name",)
        help_texts = {"name": "As the members of your workspaces see it."}
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}


def clean_address(slug: str) -> str:
    """Raises ValidationError with a sentence for this very address."""
    if foreign := next((letter for letter in slug if not letter.isascii()), ""):
        name = unicodedata.name(foreign, "unknown").capitalize()
        raise ValidationError(f"“{foreign}” is “{name}”. Addresses have only the letters a to z, digits and hyphens.")
    if slug != slug.lower():
        raise ValidationError(f"Addresses have no capital letters. Write “{slug.lower()}”.")
    if slug.startswith("xn--"):
        raise ValidationError("What begins with xn-- stands for letters of other alphabets. Choose another address.")
    validate_slug(slug)
    return slug


class WorkspaceForm(forms.Form):
    """A further workspace. An empty address is made from the name."""

    name = forms.CharField(max_length=80)

    slug = forms.CharField(
        label="Address", required=False, max_length=40, help_text="Lower-case letters, digits and hyphens."
    )

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        return clean_address(slug) if slug else ""

    def create(self, owner: User) -> Tenant | None:
        """The workspace; None, with an error on the form, if its address is taken."""
        data: dict[str, Any] = self.cleaned_data
        try:
            return create_workspace(data["name"], owner=owner, slug=data["slug"])
        except SlugTaken as taken:
            self.add_error("slug", str(taken))
            return None


class WorkspaceNameForm(forms.Form):
    name = forms.CharField(max_length=80, help_text="What members see, and what invitations say.")


class AddressForm(forms.Form):
    slug = forms.CharField(label="Address", max_length=40, help_text="Lower-case letters, digits and hyphens.")

    def clean_slug(self) -> str:
        return clean_address(self.cleaned_data["slug"])


class SecurityForm(forms.Form):
    mfa_required = forms.BooleanField(label="Require a second factor of every member", required=False)


class DomainForm(forms.Form):
    domain = forms.CharField(
        label="Domain",
        max_length=260,
        widget=forms.TextInput(
            attrs={"placeholder": "chat.example.com", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
