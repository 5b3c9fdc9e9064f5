"""The form of a batch's steps. What it holds is a flat dict for each step, as its fields are named:

    prompt, label, tier       the prompt's id, a name for the step, a tier or ""
    from_<variable>           "column:Name", "step:1:field", "step:1:" for the whole answer, or "text"
    text_<variable>           the text for all rows, where that is what it is from
    if, is, value             "" for every row, else a source as above, a test, and what is compared with

Each step offers what the ones before it say, so changing one changes what those behind it can choose from.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from apps.prompts.models import PromptVersion
from apps.tenants.models import Tier

from ..models import BatchStep
from .create import plain, suggested
from .mapping import MOST_STEPS, WITHOUT_VALUE, PlannedStep, fields_of
from .pipeline import TESTS

Values = dict[str, str]
NAMED = re.compile(r"step-(\d{1,2})-(\w{1,60})")
TEXT = "text"
SAMPLE_CHARS = 60
GONE = "Choose another one: its step is gone, or comes later."


def prompts() -> dict[str, PromptVersion]:
    """What a batch can ask with, by the prompt's id: of each prompt with variables the version in force."""
    found: dict[str, PromptVersion] = {}
    live = PromptVersion.objects.visible().filter(is_live=True).select_related("prompt")
    for version in live.order_by("prompt__name"):
        known = found.get(str(version.prompt_id))
        if version.variables and (known is None or known.tenant_id is None):
            found[str(version.prompt_id)] = version
    return found


def read_steps(data: Mapping[str, Any]) -> list[Values]:
    """The steps that a form was sent with, in its order."""
    found: dict[int, Values] = {}
    for name, value in data.items():
        if match := NAMED.fullmatch(name):
            found.setdefault(int(match[1]), {})[match[2]] = str(value).replace("\0", "")
    return [found[number] for number in sorted(found)][:MOST_STEPS] or [{}]


def saved_steps(steps: Sequence[BatchStep]) -> list[Values]:
    """Those that a draft has already, else one to begin with."""
    return [as_values(step) for step in steps] or [{}]


def as_values(step: BatchStep) -> Values:
    values = {"prompt": str(step.prompt_version.prompt_id), "label": step.label, "tier": step.tier}
    for name, source in step.mapping.items():
        values[f"from_{name}"] = choice_of(source)
        values[f"text_{name}"] = str(source.get("text", ""))
    if step.condition:
        values |= {"if": choice_of(step.condition), "is": step.condition["is"]}
        values["value"] = str(step.condition.get("value", ""))
    return values


def choice_of(source: Mapping[str, Any]) -> str:
    if "text" in source:
        return TEXT
    return f"column:{source['column']}" if "column" in source else f"step:{source['step']}:{source.get('field', '')}"


def source_of(choice: str, text: str) -> dict[str, Any]:
    kind, _, rest = choice.partition(":")
    if kind == "column":
        return {"column": rest}
    position, _, field = rest.partition(":")
    return {"step": int(position), "field": field} if kind == "step" and position.isdecimal() else {"text": text}


def without(steps: Sequence[Values], position: int) -> list[Values]:
    """The steps but the one at `position`, from 1; what came from it comes from nowhere, and later ones move up."""
    left = [step for number, step in enumerate(steps, start=1) if number != position]
    return [
        {name: moved for name, value in step.items() if (moved := moved_up(name, value, position)) is not None}
        for step in left
    ] or [{}]


def moved_up(name: str, choice: str, gone: int) -> str | None:
    match = re.fullmatch(r"step:(\d{1,2}):(\w*)", choice)
    if not match or int(match[1]) < gone or not (name == "if" or name.startswith("from_")):
        return choice
    return None if int(match[1]) == gone else f"step:{int(match[1]) - 1}:{match[2]}"


class StepForm(forms.Form):
    """One step. `earlier` are the versions of those before it, None where no prompt is chosen."""

    prompt = forms.ChoiceField(
        label="Prompt",
        error_messages={
            "required": "Choose a prompt.",
            "invalid_choice": "There is no such prompt. Choose another one.",
        },
    )
    label = forms.CharField(label="What to call this step", required=False, max_length=80)
    tier = forms.ChoiceField(
        label="Models that answer",
        required=False,
        error_messages={"invalid_choice": "There is no such tier. Choose another one."},
    )

    def __init__(
        self,
        values: Values,
        *,
        position: int,
        columns: Sequence[str],
        sample: Mapping[str, str],
        earlier: Sequence[PromptVersion | None],
        known: Mapping[str, PromptVersion],
        is_sent: bool,
    ) -> None:
        self.version = known.get(values.get("prompt", ""))
        self.position, self.sample = position, sample
        sources = choices(columns, earlier)
        values = guessed(self.version, columns, earlier) | values
        prefix = f"step-{position}"
        data = {f"{prefix}-{name}": value for name, value in values.items()}
        super().__init__(data if is_sent else None, prefix=prefix, initial=values)
        self.values = values
        self.fields["prompt"].choices = prompt_choices(known)  # type: ignore[attr-defined]
        self.fields["tier"].choices = [  # type: ignore[attr-defined]
            ("", f"As the prompt says: {self.version.forced_tier.label}")
            if self.version and self.version.forced_tier
            else ("", "As the workspace’s routing says"),
            *((tier.value, f"{tier.label} ones") for tier in Tier),
        ]
        placeholder = self.version.prompt.name if self.version else ""
        self.fields["label"].widget.attrs |= {"placeholder": placeholder, "autocomplete": "off"}
        self.variables = self.version.declared if self.version else ()
        for variable in self.variables:
            self.fields[f"from_{variable.name}"] = forms.ChoiceField(
                label=f"Where {{{variable.name}}} comes from",
                choices=[("", "Choose …"), *sources, ("All rows", [(TEXT, "The same text")])],
                error_messages={"required": "Choose where it comes from.", "invalid_choice": GONE},
            )
            self.fields[f"text_{variable.name}"] = forms.CharField(
                label=f"Text for {{{variable.name}}}",
                required=False,
                max_length=20_000,
                strip=False,
                widget=forms.TextInput(attrs={"placeholder": variable.example or "A text for all rows"}),
            )
        self.add_condition(sources, earlier)

    def add_condition(self, sources: Sequence[Any], earlier: Sequence[PromptVersion | None]) -> None:
        self.fields["if"] = forms.ChoiceField(
            label="Rows", required=False, choices=[("", "Every row"), *sources], error_messages={"invalid_choice": GONE}
        )
        self.fields["is"] = forms.ChoiceField(label="Test", required=False, choices=list(TESTS.items()))
        self.offered = offered(self.values.get("if", ""), earlier)
        attrs = {"list": f"id_step-{self.position}-offered", "autocomplete": "off"}
        self.fields["value"] = forms.CharField(
            label="Compared with", required=False, max_length=200, widget=forms.TextInput(attrs=attrs)
        )

    @property
    def has_condition(self) -> bool:
        return bool(self.values.get("if"))

    @property
    def compares(self) -> bool:
        return self.values.get("is", "") not in WITHOUT_VALUE

    @property
    def mapped(self) -> list[dict[str, Any]]:
        """Each variable with its two fields, and what the first row has there."""
        return [
            {
                "variable": variable,
                "from": self[f"from_{variable.name}"],
                "text": self[f"text_{variable.name}"],
                "is_text": self.values.get(f"from_{variable.name}") == TEXT,
                "sample": self.sample_of(self.values.get(f"from_{variable.name}", "")),
            }
            for variable in self.variables
        ]

    def sample_of(self, choice: str) -> str:
        source = source_of(choice, "")
        text = " ".join(self.sample.get(source.get("column", ""), "").split())
        return text if len(text) <= SAMPLE_CHARS else f"{text[:SAMPLE_CHARS]}…"

    @property
    def planned(self) -> PlannedStep | None:
        """What the form says so far; None without a prompt."""
        if self.version is None:
            return None
        mapping = {
            variable.name: source_of(choice, self.values.get(f"text_{variable.name}", ""))
            for variable in self.variables
            if (choice := self.values.get(f"from_{variable.name}"))
        }
        condition = None
        if chosen := self.values.get("if"):
            condition = source_of(chosen, "") | {"is": self.values.get("is") or "equals"}
            if self.compares:
                condition["value"] = self.values.get("value", "")
        tier = self.values.get("tier", "")
        return PlannedStep(self.version, mapping, condition, self.values.get("label", ""), tier)


def step_forms(
    steps: Sequence[Values], *, columns: Sequence[str], sample: Mapping[str, str], is_sent: bool = False
) -> list[StepForm]:
    """A form for each step; those that were sent to be saved say what is wrong with them."""
    known = prompts()
    found: list[StepForm] = []
    for position, values in enumerate(steps, start=1):
        found.append(
            StepForm(
                values,
                position=position,
                columns=columns,
                sample=sample,
                earlier=[form.version for form in found],
                known=known,
                is_sent=is_sent,
            )
        )
    return found


def prompt_choices(known: Mapping[str, PromptVersion]) -> list[Any]:
    """As a <select> lists them: those that the workspace made before those of the catalog."""
    groups: dict[str, list[tuple[str, str]]] = {"Your own": [], "The service’s": []}
    for pk, version in known.items():
        groups["Your own" if version.prompt.tenant_id else "The service’s"].append((pk, version.prompt.name))
    return [("", "Choose a prompt …"), *((name, each) for name, each in groups.items() if each)]


def choices(columns: Sequence[str], earlier: Sequence[PromptVersion | None]) -> list[Any]:
    """What a variable or a condition can come from, as a <select> lists it."""
    groups: list[Any] = [("Columns", [(f"column:{name}", name) for name in columns])]
    for position, version in enumerate(earlier, start=1):
        if version is not None:
            says = [(f"step:{position}:{field}", field) for field in fields_of(version)]
            groups.append((f"Step {position}, {version.prompt.name}", [*says, (f"step:{position}:", "Whole answer")]))
    return groups


def offered(choice: str, earlier: Sequence[PromptVersion | None]) -> list[str]:
    """What an answer's field can hold, where its schema names that."""
    source = source_of(choice, "")
    version = earlier[source["step"] - 1] if 1 <= source.get("step", 0) <= len(earlier) else None
    if version is None:
        return []
    schema = (version.output_schema or {}).get("properties", {}).get(source["field"], {})
    return ["true", "false"] if schema.get("type") == "boolean" else [str(each) for each in schema.get("enum", [])]


def guessed(version: PromptVersion | None, columns: Sequence[str], earlier: Sequence[PromptVersion | None]) -> Values:
    """A mapping that is likely: from the newest step with a field of the same name, else from such a column."""
    if version is None:
        return {}
    found = {f"from_{name}": choice_of(source) for name, source in suggested(version, columns).items()}
    for position, before in enumerate(earlier, start=1):
        said = {plain(field): field for field in fields_of(before)} if before else {}
        for variable in version.declared:
            if field := said.get(plain(variable.name)):
                found[f"from_{variable.name}"] = f"step:{position}:{field}"
    return found
