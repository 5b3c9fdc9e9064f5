from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.html import format_html

from apps.tenants.permissions import Permission
from apps.tenants.workspace_admin import MemberFilter, OfWorkspace

from .models import Document


class UploaderFilter(MemberFilter):
    field = "uploaded_by"


class DocumentAdmin(OfWorkspace):
    permission = Permission.READ
    list_display = ("title", "kind", "status", "size_bytes", "chunk_count", "uploaded_by", "created_at", "page")
    list_filter = ("status", "kind", UploaderFilter)
    list_select_related = ("uploaded_by",)
    search_fields = ("title", "filename", "uploaded_by__email")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fields = (
        ("title", "filename"),
        ("kind", "size_bytes", "sha256"),
        ("status", "progress_percent"),
        ("error_code", "error_message"),
        ("page_count", "chunk_count"),
        ("uploaded_by", "created_at"),
        "page",
    )

    def get_queryset(self, request: Any) -> QuerySet[Document]:
        return Document.objects.defer("text", "page_starts")

    @admin.display(description="Page")
    def page(self, document: Document) -> str:
        return format_html('<a class="text-link" href="{}">Open</a>', reverse("knowledge:document", args=[document.pk]))
