"""What an admin edits of a case."""

from typing import Any

from django import forms
from django.http import QueryDict

from apps.knowledge.models import Document

from ..ask import MAX_QUESTION_CHARS
from ..models import EvalCase

ANSWERS, REFUSES = "answers", "refuses"
KINDS = ((ANSWERS, "It answers"), (REFUSES, "It says that the documents don’t hold the answer"))
MOST_TEXTS = 20


class Lines(forms.CharField):
    """Several texts, one a line."""

    def __init__(self, **more: Any) -> None:
        super().__init__(widget=forms.Textarea({"rows": 2}), required=False, max_length=4_000, **more)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        lines = [" ".join(line.split()) for line in super().clean(value).splitlines()]
        found = list(dict.fromkeys(line for line in lines if line))
        if len(found) > MOST_TEXTS:
            raise forms.ValidationError(f"Name at most {MOST_TEXTS}.")
        return found


class CaseForm(forms.Form):
    question = forms.CharField(
        max_length=MAX_QUESTION_CHARS,
        widget=forms.Textarea({"rows": 2}),
        help_text="It is asked by itself, without what was said before it.",
    )
    kind = forms.ChoiceField(label="What a right answer does", choices=KINDS, widget=forms.RadioSelect)
    texts = Lines(  # a field named `contains` would hide that method of its form from scripts
        label="Texts it has", help_text="One a line, such as <q>28 days</q>. Capitals and line breaks don’t matter."
    )
    cites = Lines(label="Files it cites", help_text="One a line, by the name under Documents.")
    expected = forms.CharField(
        label="A right answer",
        required=False,
        max_length=8_000,
        widget=forms.Textarea({"rows": 4}),
        help_text="For people. It is compared by meaning only where a model judges.",
    )

    def __init__(self, data: QueryDict | None, *, case: EvalCase, approves: bool = False) -> None:
        """approves: it must say what to look for."""
        first = {"question": case.question, "texts": case.contains, "cites": case.cites, "expected": case.expected}
        super().__init__(data, initial=first | {"kind": REFUSES if case.refuses else ANSWERS})
        self.approves = approves

    def clean_cites(self) -> list[str]:
        names: list[str] = self.cleaned_data["cites"]
        known = set(Document.objects.filter(filename__in=names).values_list("filename", flat=True))
        if missing := [name for name in names if name not in known]:
            raise forms.ValidationError(f"There is no document of the name “{missing[0]}”. Take it out, or upload it.")
        return names

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = self.cleaned_data
        if cleaned.get("kind") == REFUSES:
            cleaned |= {"texts": [], "cites": []}
        elif self.approves and not self.errors and not cleaned["texts"] and not cleaned["cites"]:
            self.add_error("texts", "Write at least one text, or a file that it cites: else any answer would pass.")
        return cleaned

    @property
    def values(self) -> dict[str, Any]:
        """The case's columns."""
        values = dict(self.cleaned_data)
        return {"refuses": values.pop("kind") == REFUSES, "contains": values.pop("texts"), **values}
