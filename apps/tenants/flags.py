"""Kill switches: the features that call models, each of which an operator or a workspace can switch off.

A switch is a row of `Flag`: an operator's for everybody or for one workspace, or that workspace's own. Off in any is
off, and a feature without a row is on. Writing one counts the policy's revision up, so the next call in
any process knows it; pages ask the database, once.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.db import transaction
from django.dispatch import Signal

from .audit import record
from .context import current_scope, require_tenant_id
from .models import Flag

EVERYTHING = "ai"

switched_on = Signal()  # in the workspace's context, or in none for everybody; apps above take up what has waited


@dataclass(frozen=True, slots=True)
class Feature:
    """`label` is its name on pages; `when_off` what people notice, and what still works."""

    name: str
    label: str
    when_off: str


FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature(
            EVERYTHING,
            "AI",
            "No model is called for anything. Documents, search by words, conversations, history and admin work as "
            "always; what is uploaded waits to be indexed.",
        ),
        Feature("chat", "Chat", "No question can be asked. Conversations can be read."),
        Feature("search", "Search by meaning", "Search, and the passages for answers, go by words alone."),
        Feature(
            "ingest",
            "Indexing of documents",
            "What is uploaded is stored and waits. It is read and indexed once this is switched on again.",
        ),
        Feature("api", "API", "Programs with an API key get an error that says so."),
        Feature(
            "batch",
            "Batches",
            "No batch is begun; those under way pause until it is on again, but for those that a provider has.",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Off:
    """A feature that is off, and why: by a `switch` of its own, or by that of AI as a whole."""

    feature: Feature
    switch: Feature
    note: str
    by_operator: bool

    @property
    def label(self) -> str:
        """ "AI is switched off": what a page says."""
        return f"{self.switch.label} is switched off"

    @property
    def when_off(self) -> str:
        return self.switch.when_off


def off(flags: Iterable[Flag]) -> dict[str, Off]:
    """The features that are off by these rows, by name. What an operator says comes first."""
    rows = [flag for flag in flags if not flag.is_on]
    rows.sort(key=lambda flag: (not flag.by_operator, flag.tenant_id is not None, flag.name != EVERYTHING))
    found: dict[str, Off] = {}
    for feature in FEATURES.values():
        for flag in rows:
            if flag.name in (EVERYTHING, feature.name):
                switch = FEATURES[flag.name]
                found[feature.name] = Off(feature, switch, flag.note, flag.by_operator)
                break
    return found


def off_now() -> dict[str, Off]:
    """The features that are off for the active tenant, by one query. Raises NoTenant."""
    return off(Flag.objects.filter(is_on=False))


def is_on(name: str) -> bool:
    return name not in off_now()


def off_by_operator() -> dict[str, Off]:
    """The features that an operator has switched off for the active tenant, or for everybody."""
    return off(Flag.objects.filter(by_operator=True, is_on=False))


def own_switches() -> Mapping[str, Flag]:
    """The active tenant's own rows, by name."""
    return {flag.name: flag for flag in Flag.objects.filter(tenant_id=require_tenant_id(), by_operator=False)}


def switch(wanted: Collection[str]) -> list[str]:
    """Have exactly the features `wanted` on for the active tenant. Returns the names of those that changed.

    What an operator switched off stays off all the same.
    """
    changed = write(wanted)
    if any(name in wanted for name in changed):
        switched_on.send(sender=Flag)
    return changed


@transaction.atomic
def write(wanted: Collection[str]) -> list[str]:
    rows, changed = own_switches(), []
    for name, feature in FEATURES.items():
        flag = rows.get(name) or Flag(tenant_id=require_tenant_id(), name=name)
        if flag.is_on != (name in wanted):
            flag.is_on, flag.note, flag.changed_by_id = name in wanted, "", current_scope().user_id
            flag.save()
            record("flag.switched", flag, feature=feature.label, state="on" if flag.is_on else "off")
            changed.append(name)
    return changed
