"""What each workspace's admin site shows. The pages themselves are in `workspace_admin.py` of each app."""

from apps.knowledge.models import Document
from apps.knowledge.workspace_admin import DocumentAdmin
from apps.prompts.models import Prompt, PromptVersion
from apps.prompts.workspace_admin import PromptAdmin, PromptVersionAdmin
from apps.runs.budget_admin import BudgetAdmin
from apps.runs.models import Budget, ModelRoute, Policy, Run
from apps.runs.workspace_admin import PolicyAdmin, RouteAdmin, RunAdmin
from apps.tenants.dead_letter_admin import DeadLetterAdmin
from apps.tenants.models import AuditEvent, DeadLetter, Domain, Flag, Invitation, Membership, ProviderKey
from apps.tenants.workspace_admin import (
    AuditEventAdmin,
    DomainAdmin,
    FlagAdmin,
    InvitationAdmin,
    MembershipAdmin,
    ProviderKeyAdmin,
)

from .admin import WorkspaceSite

site = WorkspaceSite("workspace_admin")
site.register(Membership, MembershipAdmin)
site.register(Invitation, InvitationAdmin)
site.register(Domain, DomainAdmin)
site.register(AuditEvent, AuditEventAdmin)
site.register(Flag, FlagAdmin)
site.register(ProviderKey, ProviderKeyAdmin)
site.register(DeadLetter, DeadLetterAdmin)
site.register(Document, DocumentAdmin)
site.register(Run, RunAdmin)
site.register(ModelRoute, RouteAdmin)
site.register(Policy, PolicyAdmin)
site.register(Budget, BudgetAdmin)
site.register(Prompt, PromptAdmin)
site.register(PromptVersion, PromptVersionAdmin)
