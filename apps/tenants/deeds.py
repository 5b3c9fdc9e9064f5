"""The audit log's actions as sentences, and events as a person or a spreadsheet reads them.

`{thing}` is what the event is about. `{changes}` are those of its details that have a before and an after; other names
are details themselves.
"""

from string import Formatter
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from .models import AuditEvent, Tenant
from .sessions import device

SENTENCES = {
    "api_key.created": "made the API key {thing}, which ends with {last_four}",
    "api_key.revoked": "revoked the API key {thing}, which ended with {last_four}",
    "audit.exported": "exported the audit log",
    "batch.cancelled": "cancelled the batch {thing} with {rows} rows left",
    "batch.created": "made the batch {thing} of {rows} rows",
    "batch.exported": "downloaded the results of the batch {thing}",
    "batch.paused": "paused the batch {thing}: {reason}",
    "batch.resumed": "resumed the batch {thing}: {reason}",
    "batch.retried": "had {rows} failed rows of the batch {thing} tried again",
    "batch.started": "started the batch {thing}, which may cost {most} at most",
    "budget.added": "set a budget of {limit} for {who}",
    "budget.changed": "changed the budget for {who}: {changes}",
    "budget.removed": "removed the budget of {limit} for {who}",
    "cache.purged": "had every answer forgotten that was kept to be given again",
    "conversation.deleted": "deleted a conversation of their own",
    "document.added": "added the document {thing}",
    "document.removed": "removed the document {thing}",
    "document.retried": "had the document {thing} read again",
    "domain.added": "claimed the domain {thing}",
    "domain.lost": "took the domain {thing} out of use: its record was gone, and another workspace proved it",
    "domain.removed": "removed the domain {thing}",
    "domain.verified": "put the domain {thing} in use",
    "eval_case.approved": "approved an eval case",
    "eval_case.changed": "changed an eval case",
    "eval_case.exported": "exported {count} eval cases",
    "eval_case.made": "made an eval case of an answer",
    "eval_case.rejected": "rejected an eval case",
    "eval_case.removed": "removed an eval case",
    "export.downloaded": "downloaded the export of everything",
    "export.requested": "asked for an export of everything",
    "flag.switched": "switched {feature} {state}",
    "invitation.accepted": "accepted the invitation of {thing} and joined as {role}",
    "invitation.created": "invited {thing} as {role}",
    "invitation.revoked": "took back the invitation of {thing}",
    "member.left": "left the workspace",
    "member.removed": "removed {thing}, who was {role}",
    "member.role_changed": "changed the role of {thing} from {before} to {after}",
    "provider_key.added": "added the provider key {thing}, which ends with {last_four}",
    "provider_key.changed": "changed the provider key {thing}: {changes}",
    "provider_key.removed": "removed the provider key {thing}, which ended with {last_four}",
    "provider_key.replaced": "replaced the provider key {thing}: {changes}",
    "provider_key.switched": "switched the provider key {thing} {state}",
    "provider_key.tested": "tried the provider key {thing}: {result}",
    "ownership.transferred": "handed the workspace over to {thing}",
    "experiment.started": "began an experiment on the prompt {prompt}: {arms}",
    "experiment.stopped": "ended the experiment {thing}",
    "plan.changed": "put the workspace on the plan {plan} of {generation}",
    "plan.chosen": "chose the plan {plan} with {seats} seats",
    "prompt.discarded": "deleted the draft {thing}",
    "prompt.made": "made the prompt {thing}",
    "prompt.published": "put the prompt {thing} in force",
    "prompt.reset": "put the default of the prompt {thing} in force instead of version {number}",
    "prompt.rolled_back": "rolled back to the prompt {thing}: {changes}",
    "prompt.written": "wrote the prompt {thing}",
    "policy.changed": "changed how models are called: {changes}",
    "route.added": "added {model} to the {tier} models",
    "route.changed": "changed the route to {model} in the {tier} models",
    "route.moved": "made {model} number {place} of the {tier} models",
    "route.removed": "took {model} out of the {tier} models",
    "settings.changed": "changed settings: {changes}",
    "subscription.changed": "changed the subscription: {changes}",
    "task.tried_again": "had the task {task} tried again, which was given up",
    "workspace.created": "created the workspace {thing}",
    "workspace.deleted": "deleted the workspace",
    "workspace.demoted": "moved the workspace back into the shared tables",
    "workspace.promoted": "moved the workspace into a database schema of its own",
    "workspace.renamed": "renamed the workspace: {changes}",
    "workspace.resumed": "opened the workspace again",
    "workspace.suspended": "suspended the workspace",
}
SYSTEM = "system"  # in the place of an address, for what nobody who was signed in did


def label(action: str) -> str:
    """ "Member role changed", for a list to choose from."""
    return action.replace(".", " ").replace("_", " ").capitalize()


def sentence(event: AuditEvent) -> SafeString:
    """What was done, as HTML, to be read after a person's name. The thing is in <strong>."""
    template, values = parts(event)
    return format_html(template, **{**values, "thing": format_html("<strong>{}</strong>", values["thing"])})


def plain_sentence(event: AuditEvent) -> str:
    template, values = parts(event)
    return template.format(**values)


def parts(event: AuditEvent) -> tuple[str, dict[str, str]]:
    template = SENTENCES.get(event.action) or f"{label(event.action).lower()}: {{thing}}"
    names = [name for _, name, _, _ in Formatter().parse(template) if name]
    known = {name: said(event.details.get(name)) for name in names}
    return template, known | {"thing": thing(event), "changes": changes(event)}


def thing(event: AuditEvent) -> str:
    """Its name; a person's with the address, if the name is another."""
    name, email = event.target_name or "–", event.details.get("email")
    return f"{name} ({email})" if email and email != name else name


def changes(event: AuditEvent) -> str:
    changed = {name: value for name, value in event.details.items() if isinstance(value, dict)}
    labels = {field.name: field.verbose_name for field in Tenant._meta.concrete_fields}
    return "; ".join(
        f"{labels.get(name, name)}: {said(value.get('before'))} → {said(value.get('after'))}"
        for name, value in changed.items()
    )


def said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(said, value)) or "nothing"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "nothing" if value in (None, "") else str(value)


def where(event: AuditEvent) -> str:
    """The browser and system, as far as the request said; nothing for what no request asked for."""
    return device(event.user_agent) if event.user_agent else ""
