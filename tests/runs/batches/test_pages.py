"""The pages of batches: made from a file, checked, started, watched, taken out, and nobody else's business."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from apps.prompts.lines import read_fields, read_variables
from apps.prompts.models import PromptVersion
from apps.prompts.publish import make
from apps.runs.batches import control, modes
from apps.runs.models import Batch, BatchRow
from apps.tenants.context import tenant_context
from apps.tenants.models import AuditEvent, Membership, Tenant, User
from tests.conftest import PASSWORD, Cast, signed_in

from .rows import RowStub, csv_of, draft, says, work_off

HERE = "/t/acme/batches/"
EVIL = "<script>alert(1)</script>"
TICKETS = "Ticket,Name,Ref\nI was charged twice,Maria,1\nThe export is broken,Jo,2\nThanks!,Sam,3\n"


@pytest.fixture
def bob(cast: Cast) -> Client:
    return signed_in(cast.bob)


@pytest.fixture
def inside(cast: Cast) -> Iterator[Cast]:
    with tenant_context(cast.acme):
        yield cast


def upload(client: Client, text: str | bytes = TICKETS, name: str = "june_tickets.csv", **headers: str) -> Any:
    data = text.encode() if isinstance(text, str) else text
    return client.post(f"{HERE}new/", {"file": SimpleUploadedFile(name, data)}, headers=headers)


def prompts(tenant: Tenant) -> tuple[PromptVersion, PromptVersion]:
    with tenant_context(tenant):
        sort = make(
            "sort-tickets",
            "Sort {ticket}",
            variables=read_variables("", "{ticket}"),
            output_schema=read_fields("team: one of billing, technical\nurgent: yes or no"),
        )
        reply = make("reply", "Write to {name} of {team}", variables=read_variables("", "{name}{team}"))
    return sort, reply


def text(response: Any) -> str:
    """What the page says, without its marks; an answer that was streamed as it is."""
    if response.streaming:

        async def whole() -> bytes:
            return b"".join([part async for part in response.streaming_content])

        return async_to_sync(whole)().decode()
    page = re.sub(r"<(script|svg|head).*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def chosen(response: Any) -> dict[str, str]:
    """The options that the page's lists have, by their names."""
    lists = re.findall(r'<select name="([^"]+)".*?</select>', response.content.decode(), re.DOTALL)
    whole = re.findall(r'<select name="[^"]+".*?</select>', response.content.decode(), re.DOTALL)
    options = [re.search(r'<option value="([^"]*)" selected', each) for each in whole]
    return {name: unescape(found[1]) if found else "" for name, found in zip(lists, options, strict=True)}


def batch_of(tenant: Tenant, **changed: Any) -> Batch:
    with tenant_context(tenant):
        batch = Batch.objects.get()
        if changed:
            Batch.objects.filter(pk=batch.pk).update(**changed)
        return batch


@pytest.mark.django_db(transaction=True, databases=["default", "platform"])
def test_a_file_becomes_answers(acme: Cast, stub: RowStub) -> None:
    """All the way: uploaded, laid, priced, previewed, started, seen and downloaded by a member."""
    sort, reply = prompts(acme.acme)
    client = signed_in(acme.bob)

    def answering(words: str, nth: int) -> Any:
        if not words.startswith("Sort"):
            return says(f"Dear {words[9:]}")
        if "Thanks" in words:
            return says("no JSON")
        return says(json.dumps({"team": "billing" if "charged" in words else "technical", "urgent": True}))

    stub.answering = answering
    steps = upload(client).headers["Location"]
    batch = Batch.objects.get()
    assert (steps, batch.name, batch.row_count) == (f"{HERE}{batch.pk}/steps/", "june tickets", 3)
    laid = {
        "name": "Tickets of June",
        "step-1-prompt": str(sort.prompt_id),
        "step-1-from_ticket": "column:Ticket",
        "step-1-label": "Sort",
        "step-2-prompt": str(reply.prompt_id),
        "step-2-from_name": "column:Name",
        "step-2-from_team": "step:1:team",
        "step-2-if": "step:1:team",
        "step-2-is": "equals",
        "step-2-value": "billing",
    }
    check = text(client.post(steps, laid, follow=True))
    assert "Tickets of June" in check and "only if team of step 1 is billing" in check and "Start 3 rows" in check
    assert re.search(r"Never more than \$\d", check) and "No model key" not in check
    previewed = text(client.post(f"{HERE}{batch.pk}/preview/", follow=True))
    assert "Dear Maria of billing" in previewed and "by what the preview cost" in previewed and "Failed" in previewed

    now, within_a_day = (each.estimate for each in modes.offers(batch))
    assert 0 < within_a_day.typical_usd < now.typical_usd < now.worst_usd
    assert now.rows == 1  # the one that failed is asked again
    cap_usd = modes.offers(batch)[0].cap_usd
    running = text(client.post(f"{HERE}{batch.pk}/start/", {"mode": "now"}, follow=True))
    batch.refresh_from_db()
    assert batch.cap_usd == cap_usd  # what the page has said
    assert "The batch is running" in running and "Pause" in running
    assert work_off(batch).status == Batch.Status.DONE

    page = text(client.get(f"{HERE}{batch.pk}/"))
    assert "Done 100 % 3 of 3 rows" in page and "2 answered" in page and "1 failed" in page
    assert "Why rows failed" in page and "Retry failed" in page and "Pause" not in page
    failed = text(client.get(f"{HERE}{batch.pk}/?show=failed"))
    assert "Thanks!" in failed and "Maria" not in failed
    row = client.get(f"{HERE}{batch.pk}/rows/1/")
    run = batch.rows.get(number=1).results.get(step__position=2).run_id
    assert "I was charged twice" in text(row) and "Dear Maria of billing" in text(row) and str(run) in text(row)
    csv = text(client.get(f"{HERE}{batch.pk}/results.csv"))
    assert "Sort: team" in csv and "Dear Maria of billing" in csv and str(run) in csv
    lines = [json.loads(line) for line in text(client.get(f"{HERE}{batch.pk}/results.jsonl")).splitlines()]
    assert [line["status"] for line in lines] == ["done", "done", "failed"]
    assert lines[1]["steps"][0]["value"] == {"team": "technical", "urgent": True}
    assert "june_tickets.csv" in text(client.get(HERE)) and "1 failed" in text(client.get(HERE))
    said = AuditEvent.objects.filter(action__startswith="batch.").order_by("at").values_list("action", flat=True)
    assert list(said) == ["batch.created", "batch.started", "batch.exported", "batch.exported"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"", "a.csv", "This file is empty."),
        (b"%PDF-1.7 ...", "a.pdf", "Save it as CSV, as an Excel workbook"),
        ("a,b\n1,2\n3\n", "a.csv", "Row 2: there are 1 cells, and the first row names 2 columns."),
        ("a,a\n1,2\n", "a.csv", "Column “a”: the first row has this name twice."),
        ('{"a": 1}\n[2]\n', "a.jsonl", "Row 2: this line is no JSON object."),
    ],
)
def test_a_file_that_cant_be_used_says_where(cast: Cast, bob: Client, content: Any, name: str, says: str) -> None:
    response = upload(bob, content, name)

    assert response.status_code == 422 and says in text(response)
    with tenant_context(cast.acme):
        assert not Batch.objects.exists()


@pytest.mark.django_db
def test_scripts_are_told_where_to_go_and_what_is_wrong(cast: Cast, bob: Client) -> None:
    fault = upload(bob, "a,b\n1\n", **{"HX-Request": "true"})
    there = upload(bob, **{"HX-Request": "true"})

    assert (fault.status_code, "Row 1" in text(fault), b"<html" in fault.content) == (422, True, False)
    assert there.headers["HX-Redirect"] == f"{HERE}{batch_of(cast.acme).pk}/steps/"
    assert "No file arrived" in text(bob.post(f"{HERE}new/"))


@pytest.mark.django_db
def test_steps_are_guessed_added_and_taken_away(cast: Cast, bob: Client) -> None:
    sort, reply = prompts(cast.acme)
    steps = upload(bob).headers["Location"]
    draw = f"{steps}draw/"

    first = bob.post(draw, {"step-1-prompt": str(sort.prompt_id)})
    assert chosen(first)["step-1-from_ticket"] == "column:Ticket" and "I was charged twice" in text(first)
    two = bob.post(draw, {"step-1-prompt": str(sort.prompt_id), "step-2-prompt": str(reply.prompt_id)})
    assert chosen(two)["step-2-from_name"] == "column:Name"
    assert chosen(two)["step-2-from_team"] == "step:1:team"
    assert "team of step 1" in text(two)
    three = {
        "step-1-prompt": str(reply.prompt_id),
        "step-2-prompt": str(sort.prompt_id),
        "step-3-prompt": str(reply.prompt_id),
        "step-3-from_name": "step:1:",
        "step-3-from_team": "step:2:team",
        "step-3-if": "step:2:team",
    }
    assert chosen(bob.post(draw, {**three, "add": "1"}))["step-4-prompt"] == ""
    left = chosen(bob.post(draw, {**three, "remove": "1"}))
    assert (left["step-2-from_team"], left["step-2-if"]) == ("step:1:team", "step:1:team")
    assert left["step-2-from_name"] == "column:Name"  # what it came from is gone, so it is guessed anew
    assert "billing" in bob.post(draw, {**three, "remove": "1"}).content.decode()  # offered to compare with


@pytest.mark.django_db
def test_steps_that_make_no_sense_say_so_and_are_not_saved(cast: Cast, bob: Client) -> None:
    sort, _ = prompts(cast.acme)
    theirs, _ = prompts(cast.globex)
    steps = upload(bob, f"Ticket,{EVIL}\n{EVIL},x\n").headers["Location"]
    good = {"step-1-prompt": str(sort.prompt_id), "step-1-from_ticket": "column:Ticket"}

    for sent, words in (
        ({}, "Choose a prompt."),
        ({**good, "step-1-prompt": str(theirs.prompt_id)}, "There is no such prompt."),
        ({**good, "step-1-prompt": "1' OR '1'='1"}, "There is no such prompt."),
        ({**good, "step-1-from_ticket": ""}, "Choose where it comes from."),
        ({**good, "step-1-from_ticket": "column:Nothing"}, "Choose another one"),
        ({**good, "step-1-from_ticket": "step:1:team"}, "Choose another one"),
        ({**good, "step-1-if": "step:99999999999:x"}, "Choose another one"),
        ({**good, "step-1-if": "column:Ticket", "step-1-is": "above", "step-1-value": "much"}, "which is no number"),
        ({**good, "step-1-tier": "best"}, "There is no such tier."),
        ({f"step-{number}-prompt": "x" for number in range(1, 60)}, "There is no such prompt."),
    ):
        response = bob.post(steps, sent)
        assert (response.status_code, words in text(response)) == (422, True), (sent, text(response))
        assert EVIL not in response.content.decode()
    with tenant_context(cast.acme):
        assert not Batch.objects.get().steps.exists()
    assert bob.post(steps, good | {"name": EVIL}).status_code == 302
    assert EVIL not in bob.get(steps.removesuffix("steps/")).content.decode()


@pytest.mark.django_db
def test_a_batch_is_paused_resumed_and_cancelled(inside: Cast, bob: Client) -> None:
    batch = draft(inside.alice)
    here = f"{HERE}{batch.pk}/"

    assert text(bob.post(f"{here}pause/", follow=True)).count("This batch is draft. Only a batch that runs can be") == 1
    assert "No model key is configured" in text(bob.get(here))
    bob.post(f"{here}start/")
    assert "already" in text(bob.get(f"{here}steps/", follow=True))
    assert "Somebody paused it" in text(bob.post(f"{here}pause/", follow=True))
    batch_of(
        inside.acme,
        pause_code="budget_spent",
        pause_message="The workspace has reached its daily budget of $5.",
        resumes_at=timezone.now() + timedelta(hours=3),
    )
    paused = bob.get(here)
    assert "daily budget of $5. It goes on by itself on" in text(paused) and b"data-time" in paused.content
    assert b"live-poll" not in paused.content
    assert "The batch is running again" in text(bob.post(f"{here}resume/", follow=True))
    assert b"live-poll" in bob.get(here).content and b'role="progressbar"' in bob.get(here).content
    assert "No row of this batch has failed" in text(bob.post(f"{here}retry/", follow=True))
    assert "The batch is cancelled" in text(bob.post(f"{here}cancel/", follow=True))
    assert set(batch.rows.values_list("status", flat=True)) == {BatchRow.Status.CANCELLED}


@pytest.mark.django_db
def test_a_batch_may_be_answered_within_a_day_at_half_the_price(inside: Cast, bob: Client, stub: RowStub) -> None:
    batch = draft(inside.alice, 2)
    here = f"{HERE}{batch.pk}/"

    assert b'value="within_a_day"' in bob.get(here).content
    assert "Choose whether it is answered now" in text(bob.post(f"{here}start/", {"mode": "never"}, follow=True))
    assert batch_of(inside.acme).status == Batch.Status.DRAFT
    bob.post(f"{here}start/", {"mode": "within_a_day"})

    started = batch_of(inside.acme)
    assert (started.status, started.mode) == (Batch.Status.RUNNING, Batch.Mode.WITHIN_A_DAY)
    assert 0 < started.worst_usd < batch.worst_usd
    assert b'hx-trigger="every 10s"' in bob.get(here).content


@pytest.mark.django_db
def test_results_are_paged_and_empty_pages_are_no_errors(inside: Cast, bob: Client) -> None:
    batch = draft(inside.alice, 60)
    control.start(batch)
    here = f"{HERE}{batch.pk}/"

    assert "Page 1 of 3" in text(bob.get(here)) and "n26" in text(bob.get(f"{here}?page=2"))
    for query in ("?page=999", "?page=x", "?show=failed", "?show=%00"):
        assert bob.get(here + query).status_code == 200
    assert bob.get(f"{here}rows/61/").status_code == 404
    assert bob.get(f"{here}rows/60/").status_code == 200
    assert bob.get(f"{HERE}{UUID(int=0)}/").status_code == 404


@pytest.mark.django_db
def test_who_may_not_gets_nothing(inside: Cast) -> None:
    batch = draft(inside.alice, sheet=csv_of({"name": "Acme's secret"}))
    viewer = User.objects.create_user("viewer@acme.example", PASSWORD)
    Membership.objects.create(user=viewer, role=Membership.Role.VIEWER)
    looks = ["", "new/", *(f"{batch.pk}/{each}" for each in ("", "steps/", "rows/1/", "results.csv", "results.jsonl"))]
    does = [f"{batch.pk}/{each}/" for each in ("steps/draw", "preview", "start", "pause", "resume", "cancel", "retry")]

    for client, path, status in (
        (signed_in(viewer), HERE, 403),
        (signed_in(inside.charlie), HERE, 404),
        (Client(), HERE, 302),
    ):
        assert {client.get(path + each).status_code for each in looks} == {status}
        assert {client.post(path + each).status_code for each in does} == {status}
    charlie = signed_in(inside.charlie)
    assert "Acme" not in text(charlie.get("/t/globex/batches/"))
    assert {charlie.get(f"/t/globex/batches/{each}").status_code for each in looks[2:]} == {404}
    assert {charlie.post(f"/t/globex/batches/{each}").status_code for each in does} == {404}
    assert b"Batches" not in signed_in(viewer).get("/t/acme/documents/").content
    assert batch_of(inside.acme).status == Batch.Status.DRAFT
