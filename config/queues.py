"""The queues, and which tasks go into each.

A worker that serves several looks into them in this order. Within each of them tenants take turns: `config.fair`.
"""

INTERACTIVE = "interactive"  # somebody waits for it
SYSTEM = "system"  # the platform's own upkeep
INGEST = "ingest"  # documents: a processor's time
BATCH = "batch"  # rows of files: waiting for providers

ALL = (INTERACTIVE, SYSTEM, INGEST, BATCH)

TASKS = {
    INTERACTIVE: ("apps.runs.tasks.mail_alerts", "apps.tenants.tasks.make_export"),
    SYSTEM: ("apps.tenants.tasks.delete_expired_exports", "apps.tenants.tasks.erase_workspace"),
    INGEST: ("apps.knowledge.tasks.ingest_document",),
    BATCH: (),
}
