"""The audit log's page: who reads it, what it says, filters, pages and the CSV."""

import csv
import io
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpResponse
from django.test import Client

from apps.tenants.audit import record
from apps.tenants.audit_views import PAGE, page_of
from apps.tenants.context import tenant_context
from apps.tenants.models import AuditEvent, Membership, Tenant
from apps.tenants.spreadsheet import harmless
from tests.conftest import Cast, admin, signed_in

URL = "/t/acme/audit/"


@pytest.fixture
def history(cast: Cast) -> Cast:
    """Three days of Acme's log, and one line of Globex's."""
    with tenant_context(cast.acme):
        AuditEvent.objects.bulk_create(
            AuditEvent(action=action, actor_email=email, target_name=name, at=datetime(2026, 11, day, 12, tzinfo=UTC))
            for action, email, name, day in (
                ("document.added", "alice@acme.example", "Handbook", 1),
                ("document.removed", "bob@acme.example", "Old handbook", 2),
                ("document.added", "bob@acme.example", "New handbook", 3),
            )
        )
    with tenant_context(cast.globex):
        record("document.added", cast.globex, secret="Globex's own")
    return cast


def shown(client: Client, query: str = "") -> list[str]:
    """The deeds on the page, as text."""
    page = client.get(f"{URL}{query}").content.decode()
    deeds = re.findall(r'<p class="audit-deed">(.*?)</p>', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", deed).split()) for deed in deeds]


def exported(client: Client, query: str = "") -> list[dict[str, str]]:
    response = client.post(f"{URL}export/{query}")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(body(response).decode("utf-8-sig"))))


@async_to_sync
async def body(response: HttpResponse) -> bytes:
    return b"".join([part async for part in response])


# --- Who reads it


def test_owners_and_admins_read_it(history: Cast) -> None:
    for role, status in ((Membership.Role.ADMIN, 200), (Membership.Role.MEMBER, 403), (Membership.Role.VIEWER, 403)):
        with tenant_context(history.acme):
            Membership.objects.filter(user=history.bob).update(role=role)
        assert signed_in(history.bob).get(URL).status_code == status
        if status == 403:
            assert signed_in(history.bob).post(f"{URL}export/").status_code == 403
    assert signed_in(history.alice).get(URL).status_code == 200


def test_an_outsider_gets_nothing_of_it(history: Cast) -> None:
    charlie = signed_in(history.charlie)

    assert charlie.get(URL).status_code == charlie.post(f"{URL}export/").status_code == 404
    assert "Handbook" not in charlie.get("/t/globex/audit/").content.decode()


def test_the_newest_comes_first_and_reads_as_a_sentence(history: Cast) -> None:
    assert shown(signed_in(history.alice)) == [
        "Alice created the workspace Acme",
        "bob@acme.example added the document New handbook",
        "bob@acme.example removed the document Old handbook",
        "alice@acme.example added the document Handbook",
    ]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?who=BOB@acme.example", ["New handbook", "Old handbook"]),
        ("?action=document.added", ["New handbook", "Handbook"]),
        ("?since=2026-11-02&until=2026-11-02", ["Old handbook"]),
        ("?who=bob@acme.example&action=document.added", ["New handbook"]),
        ("?who=charlie@globex.example", []),
        ("?since=yesterday", []),
        ("?until=9999-12-31&since=0001-01-01&who=alice@acme.example", ["Acme", "Handbook"]),
        ("?who=%00", []),
    ],
)
def test_filters(history: Cast, query: str, names: list[str]) -> None:
    client = signed_in(history.alice)

    assert [deed.rpartition(" document ")[2].rpartition(" workspace ")[2] for deed in shown(client, query)] == names


def test_what_is_named_in_it_is_text_and_not_markup(cast: Cast) -> None:
    with tenant_context(cast.acme):
        AuditEvent.objects.create(action="document.added", target_name="<script>alert(1)</script>{0}")
        AuditEvent.objects.create(
            action="member.role_changed", target_name="B", details={"before": "<b>", "after": "x"}
        )

    page = signed_in(cast.alice).get(URL).content.decode()

    assert "<strong>&lt;script&gt;alert(1)&lt;/script&gt;{0}</strong>" in page
    assert "from &lt;b&gt; to x" in page


def test_an_action_of_an_older_release_is_still_read(cast: Cast) -> None:
    with tenant_context(cast.acme):
        AuditEvent.objects.create(action="unicorn.fed_twice", target_name="Sparkle", actor_email="gone@acme.example")

    assert "gone@acme.example unicorn fed twice: Sparkle" in shown(signed_in(cast.alice))


def test_a_changed_setting_says_what_it_was_and_is(cast: Cast) -> None:
    with tenant_context(cast.acme):
        for name, before, after in (("mfa_required", False, True), ("allowed_models", [], ["gpt-5", "claude"])):
            record("settings.changed", cast.acme, **{name: {"before": before, "after": after}})

    assert sorted(deed for deed in shown(signed_in(cast.alice)) if "settings" in deed) == [
        "The system changed settings: allowed models: nothing → gpt-5, claude",
        "The system changed settings: require a second factor of every member: off → on",
    ]


# --- Pages


def fill(tenant: Tenant, count: int) -> None:
    """Events of which many happened at the same instant."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    with tenant_context(tenant):
        AuditEvent.objects.bulk_create(
            AuditEvent(action="document.added", target_name=str(n), at=begin + timedelta(minutes=n // 7))
            for n in range(count)
        )


def test_paging_down_and_up_misses_nothing_and_repeats_nothing(cast: Cast) -> None:
    fill(cast.acme, 3 * PAGE + 10)
    client, query, seen, pages = signed_in(cast.alice), "?who=system", [], []

    while query is not None:
        response = client.get(f"{URL}{query}")
        pages.append([event.id for event in response.context["events"]])
        seen += pages[-1]
        older = response.context["older"]
        query = f"?{older}" if older else None
    newer = client.get(f"{URL}?{response.context['newer']}")

    with tenant_context(cast.acme):
        assert len(seen) == len(set(seen)) == AuditEvent.objects.filter(actor_email="").count()
    assert [event.id for event in newer.context["events"]] == pages[-2]


@pytest.mark.parametrize("place", ["x", "2026-01-01_x", "2026-01-01T00:00:00_" + "0" * 32, "_", "%00"])
def test_a_place_that_is_none_shows_the_first_page(cast: Cast, place: str) -> None:
    client = signed_in(cast.alice)

    assert shown(client, f"?before={place}") == shown(client, f"?after={place}") == shown(client)


@pytest.mark.django_db(transaction=True)
def test_the_last_page_of_a_long_log_is_as_near_as_the_first(committed_cast: Cast) -> None:
    rows = 50_000
    with admin() as connection:
        connection.execute(
            """
            INSERT INTO tenants_auditevent (id, tenant_id, at, action, actor_email, target_type, target_id,
              target_name, details, user_agent)
            SELECT gen_random_uuid(), %s, now() - n * interval '1 minute', 'document.added', '', '', '', n, '{}', ''
            FROM generate_series(1, %s) n
            """,
            [committed_cast.acme.id, rows],
        )
        connection.execute("ANALYZE tenants_auditevent")
    with tenant_context(committed_cast.acme):
        events = AuditEvent.objects.all()
        last = AuditEvent.objects.get(target_name=rows - PAGE)
        place = f"{last.at.isoformat()}_{last.id}"
        page_of(events, before=place)

        began = time.perf_counter()
        found, _, has_older = page_of(events, before=place)
        took_ms = (time.perf_counter() - began) * 1000

    assert (len(found), has_older) == (PAGE, False)
    assert took_ms < 100, took_ms


# --- CSV


@pytest.mark.django_db(transaction=True)
def test_csv_has_what_the_filter_shows_and_is_recorded_itself(committed_cast: Cast) -> None:
    fill(committed_cast.acme, 2_345)
    client = signed_in(committed_cast.alice)

    everything = exported(client)
    filtered = exported(client, "?action=audit.exported")

    assert [row["action"] for row in everything[:2]] == ["audit.exported", "workspace.created"]
    assert len(everything) == 2_345 + 2
    assert everything[-1]["time (UTC)"] == "2026-01-01 00:00:00"
    assert [row["person"] for row in filtered] == ["alice@acme.example"] * 2
    assert filtered[0]["details"] == '{"filters": {"action": "audit.exported"}}'


@pytest.mark.django_db(transaction=True)
def test_csv_runs_nothing_in_a_spreadsheet(committed_cast: Cast) -> None:
    evil = '=HYPERLINK("https://evil.example","Überraschung")'
    with tenant_context(committed_cast.acme):
        AuditEvent.objects.create(action="document.added", target_name=evil, user_agent="@SUM(1)", actor_email="-1+1")

    row = next(row for row in exported(signed_in(committed_cast.alice)) if row["action"] == "document.added")

    assert (row["thing"], row["browser"], row["person"]) == (f"'{evil}", "'@SUM(1)", "'-1+1")
    assert not [cell for cell in row.values() if cell.startswith(tuple("=+-@"))]


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", " =1", "＝1", "\u00a0=1"])
def test_every_beginning_of_a_formula_is_disarmed(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    assert harmless("a=1") == "a=1"


@pytest.mark.django_db(transaction=True)
def test_csv_of_one_tenant_has_no_line_of_another(committed_cast: Cast) -> None:
    fill(committed_cast.globex, 10)

    rows = exported(signed_in(committed_cast.alice))

    assert {row["action"] for row in rows} == {"audit.exported", "workspace.created"}
