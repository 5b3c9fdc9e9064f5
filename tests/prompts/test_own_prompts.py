"""Prompts that a workspace makes itself: variables and fields as people write them, and nobody else's."""

from html import unescape
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apps.prompts.lines import read_fields, read_variables, write_fields, write_variables
from apps.prompts.models import Prompt, PromptVersion
from apps.prompts.publish import Refused, back_to_default, make, publish, roll_back, write
from apps.prompts.spec import BadPrompt
from apps.runs.prompted import ask, request_of
from apps.runs.schema_models import BadSchema, model_of
from apps.tenants.context import tenant_context
from apps.tenants.threads import in_thread
from tests.conftest import Cast, signed_in
from tests.gateway.stub import Finish, Say, Stub

NEW = "/t/acme/settings/prompts/new/"
BODY = "Sort this ticket from {email}:\n{ticket}"
VARIABLES = "email: line, The customer's address\nticket: text"
FIELDS = (
    "category: one of billing, technical\npriority: integer, 1 is most urgent\nurgent: yes or no\ntags: list of text"
)


@pytest.mark.django_db
def test_a_prompt_is_made_in_the_page_and_changed_like_any_other(cast: Cast) -> None:
    alice = signed_in(cast.alice)
    sent = {"name": "sort-tickets", "body": BODY, "variables": "email: line", "answer": FIELDS, "tier": "cheap"}

    page = unescape(alice.post(NEW, sent, follow=True).content.decode())

    assert (
        "sort-tickets is there" in page and "Your own, version 1" in alice.get(NEW.replace("new/", "")).content.decode()
    )
    with tenant_context(cast.acme):
        version = PromptVersion.objects.live("sort-tickets")
        assert [(each.name, each.kind, each.required) for each in version.declared] == [
            ("email", "line", True),
            ("ticket", "text", True),
        ]
        assert version.output_schema["properties"]["category"] == {"type": "string", "enum": ["billing", "technical"]}
        second = publish(write("sort-tickets", "Sort {ticket}.", variables=version.declared[1:]))
        assert roll_back("sort-tickets") == version
        with pytest.raises(Refused, match="the first version"):
            roll_back("sort-tickets")
        with pytest.raises(Refused, match="no default"):
            back_to_default("sort-tickets")
        assert second.number == 2
    for changed, says in (
        ({}, "There is a prompt named sort-tickets already"),
        ({"name": "answer"}, "There is a prompt named answer already"),
        ({"name": "a b"}, "Use letters, digits and hyphens"),
        ({"name": "new"}, "This page has that address"),
        ({"name": "x", "variables": "email: date"}, "Line 1: email is of the type 'date'"),
        ({"name": "x", "variables": "other: text"}, "doesn’t use {other}"),
        ({"name": "x", "answer": "a: text\nb: one of c"}, "Line 2: b chooses among 'c'"),
        ({"name": "x", "body": "{ticket"}, "Line 1: a brace is open"),
    ):
        assert says in unescape(alice.post(NEW, sent | changed, follow=True).content.decode())


@pytest.mark.django_db
def test_nobody_elses_is_seen_or_pointed_at(cast: Cast) -> None:
    with tenant_context(cast.globex):
        theirs = make("secret-sauce", "Say {x}.", variables=read_variables("", "{x}"))
    with tenant_context(cast.acme):
        assert not Prompt.objects.filter(name="secret-sauce").exists()
        with pytest.raises(Prompt.DoesNotExist):
            write("secret-sauce", "Ours.")
        with pytest.raises(IntegrityError, match="another tenant"), transaction.atomic():
            PromptVersion.objects.create(
                tenant=cast.acme, prompt_id=theirs.prompt_id, number=1, body="Ours.", checksum="x"
            )
        assert make("secret-sauce", "Our own.").prompt_id != theirs.prompt_id
    assert signed_in(cast.alice).get("/t/acme/settings/prompts/secret-sauce/").status_code == 200
    assert signed_in(cast.charlie).get(NEW).status_code == 404
    assert signed_in(cast.bob).get(NEW).status_code == 403


def test_lines_say_what_schemas_say() -> None:
    variables, schema = read_variables(VARIABLES, BODY), read_fields(FIELDS)

    assert write_variables(variables) == VARIABLES
    assert write_fields(schema) == FIELDS
    assert read_fields(" \n ") is None
    for text in ("A: text", "a: text\na: text", "a: list of dates", "a: one of , b"):
        with pytest.raises(BadPrompt, match="line"):
            read_fields(text)


def test_answers_are_checked_by_the_schema_and_a_schema_that_says_nothing_is_refused() -> None:
    model = model_of(read_fields("copy: text\njson: integer\nsort: one of a, b"))

    assert model.model_validate({"copy": "x", "json": 3, "sort": "a"}).model_dump(by_alias=True) == {
        "copy": "x",
        "json": 3,
        "sort": "a",
    }
    for schema in ({"type": "object"}, {"type": "object", "properties": {"a": {"type": "date"}}}):
        with pytest.raises(BadSchema):
            model_of(schema)


@pytest.mark.django_db(transaction=True)
async def test_an_answer_becomes_an_object_and_a_bad_value_is_refused_before_anything_is_asked(
    committed_cast: Cast, settings: Any
) -> None:
    with Stub().serving() as stub:
        settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = "sk-test", stub.base_url("openai")
        stub.script(settings.OPENAI_MODEL, Say('{"size": 3}'), Finish())
        with tenant_context(committed_cast.acme):
            version = await in_thread(
                make,
                "measure",
                "How large is {thing}?",
                variables=read_variables("", "{thing}"),
                output_schema=read_fields("size: integer"),
            )
            run = await ask(version, {"thing": "it"}, feature="batch", user=committed_cast.alice)
            with pytest.raises(BadPrompt, match="thing has no value"):
                request_of(version, {})
            version.output_schema = {"type": "object", "properties": {"size": {"type": "length"}}}
            with pytest.raises(BadPrompt, match=r"measure v1 asks for answers of a form .* 'length'"):
                request_of(version, {"thing": "it"})

    assert (run.value, run.prompt_version_id, run.feature) == ({"size": 3}, version.id, "batch")
