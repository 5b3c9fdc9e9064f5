"""Prompts in a workspace's admin: to be read, put in force and taken back. They are written in the settings."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.tenants.permissions import Permission
from apps.tenants.workspace_admin import OfWorkspace

from . import publish
from .models import Prompt, PromptVersion
from .publish import Refused


class PromptAdmin(OfWorkspace):
    permission = Permission.MANAGE_PROMPTS
    list_display = ("name", "feature", "description", "in_settings")
    search_fields = ("name", "description")
    ordering = ("name",)
    fields = ("name", "feature", "description", "in_settings")
    actions = ("roll_back", "back_to_default")

    @admin.display(description="History")
    def in_settings(self, prompt: Prompt) -> SafeString:
        return format_html('<a href="{}">Open</a>', reverse("prompts:prompt", args=[prompt.name]))

    @admin.action(description="Roll back to the version before")
    def roll_back(self, request: Any, prompts: QuerySet[Prompt]) -> None:
        for prompt in prompts:
            try:
                version = publish.roll_back(prompt.name)
            except Refused as refusal:
                self.message_user(request, str(refusal), messages.ERROR)
            else:
                self.message_user(request, f"{version or f'The default of {prompt.name}'} is in force.")

    @admin.action(description="Back to the default")
    def back_to_default(self, request: Any, prompts: QuerySet[Prompt]) -> None:
        for prompt in prompts:
            try:
                publish.back_to_default(prompt.name)
            except Refused as refusal:
                self.message_user(request, str(refusal), messages.ERROR)
            else:
                self.message_user(request, f"The default of {prompt.name} is in force.")


class PromptVersionAdmin(OfWorkspace):
    """The workspace's own versions, and the defaults that count where it has none."""

    permission = Permission.MANAGE_PROMPTS
    list_display = ("prompt", "number", "whose", "is_live", "message", "author", "created_at")
    list_filter = ("is_live",)
    list_select_related = ("prompt", "author")
    search_fields = ("prompt__name", "body", "message")
    ordering = ("prompt__name", "-number")
    fields = (
        ("prompt", "number"),
        ("whose", "is_live"),
        ("author", "created_at"),
        ("tier", "max_output_tokens"),
        "message",
        "body",
    )
    actions = ("put_in_force",)

    def get_queryset(self, request: Any) -> QuerySet[PromptVersion]:
        found: QuerySet[PromptVersion] = PromptVersion.objects.visible()
        return found

    @admin.display(description="Whose", ordering="tenant_id")
    def whose(self, version: PromptVersion) -> str:
        return "this workspace’s" if version.tenant_id else "the default"

    @admin.action(description="Put in force")
    def put_in_force(self, request: Any, versions: QuerySet[PromptVersion]) -> None:
        prompts = [version.prompt_id for version in versions]
        if len(set(prompts)) < len(prompts):
            self.message_user(request, "Only one version of a prompt can be in force. Choose one.", messages.ERROR)
            return
        for version in versions.select_related("prompt"):
            try:
                publish.publish(version)
            except Refused as refusal:
                self.message_user(request, f"{version}: {refusal}", messages.ERROR)
            else:
                self.message_user(request, f"{version} is in force.")
