"""Rows for any model: every text says whose it is and what it is, so that a leak names itself.

A field gets what its type allows; `PLANTED` in world.py says where that is not enough.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.core.files.base import ContentFile
from django.db import models
from django.utils import timezone
from pgvector.django import VectorField

from apps.tenants.models import Tenant, User

WORD = "secret"  # every planted text holds "<slug>-secret-"
Row = models.Model
Given = dict[str, Any]


def owned_models() -> list[type[Row]]:
    """Every model whose rows belong to a tenant."""
    return [model for model in apps.get_models() if any(field.name == "tenant" for field in model._meta.fields)]


def mark(slug: str) -> str:
    return f"{slug}-{WORD}-"


class Planter:
    """Plants one tenant's rows, those they point at first. `rows` holds them by model; call it in tenant_context."""

    def __init__(self, tenant: Tenant, owner: User, planted: dict[str, Callable[["Planter"], list[Given]]]) -> None:
        self.tenant, self.owner, self.planted = tenant, owner, planted
        self.rows: dict[type[Row], list[Row]] = {}

    def of(self, model: type[Row]) -> list[Row]:
        """The tenant's rows of `model`, planted at the first call."""
        if model not in self.rows:
            variants = self.planted.get(model._meta.label, lambda planter: [{}])(self)
            self.rows[model] = []
            for given in variants:
                try:
                    self.rows[model].append(self.plant(model, given))
                except Exception as error:
                    error.add_note(f"Give PLANTED in tests/sweep/world.py what a row of {model._meta.label} needs.")
                    raise
        return self.rows[model]

    def plant(self, model: type[Row], given: Given) -> Row:
        number = len(self.rows[model]) + 1
        values = {
            field.name: value
            for field in model._meta.concrete_fields
            if field.name not in given and (value := self.value(field, number)) is not None
        }
        row = model(**values, **{name: value for name, value in given.items() if not isinstance(value, ContentFile)})
        for name, content in given.items():
            if isinstance(content, ContentFile):
                getattr(row, name).save(content.name, content, save=False)
        row.save(force_insert=True)
        row.refresh_from_db()
        return row

    def value(self, field: models.Field, number: int) -> Any:
        """What `field` of the tenant's row with that number holds; None leaves it to the field's default."""
        text = f"{mark(self.tenant.slug)}{field.model._meta.model_name}-{field.name}-{number}"
        match field:
            case models.ForeignKey():
                return self.pointed_at(field)
            case models.GeneratedField() | models.AutoField():
                return None
            case models.FileField():
                return self.file(field, text)
            case models.UUIDField():
                return None if field.primary_key or field.has_default() else uuid4()
            case models.EmailField():
                return f"{text}@{self.tenant.slug}.example"
            case models.CharField() | models.TextField() if not field.choices:
                return text[: field.max_length] if field.max_length else text
            case models.BinaryField():
                return text.encode()
            case models.JSONField():
                return {"note": text}
            case ArrayField(base_field=models.CharField()):
                return [text[: field.base_field.max_length]]
            case VectorField():
                return [0.1] * field.dimensions
            case models.GenericIPAddressField():
                return "203.0.113.7"
        if field.null or field.has_default() or field.db_default is not models.NOT_PROVIDED or field.choices:
            return None
        if isinstance(field, models.DateField):  # or with a time
            return timezone.now() + timedelta(days=1)
        return 1

    def pointed_at(self, field: models.ForeignKey) -> Any:
        other = field.related_model
        if other is Tenant:
            return self.tenant
        if other is User:
            return self.owner
        if other is field.model:
            return None
        if other in owned_models():
            return self.of(other)[0]
        return other._base_manager.first()

    def file(self, field: models.FileField, text: str) -> str:
        """A file in storage, under a name that the field gives no row: one is `given` where the name matters."""
        return field.storage.save(f"{self.tenant.id}/{field.model._meta.model_name}.txt", ContentFile(text.encode()))
