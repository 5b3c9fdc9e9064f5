"""The queues, which tasks go into each, and which of them are due again and again.

A worker that serves several queues looks into them in this order. Within each of them tenants take turns:
`config.fair`.
"""

INTERACTIVE = "interactive"  # somebody waits for it
SYSTEM = "system"  # the platform's own upkeep, by workers that may see every tenant
INGEST = "ingest"  # documents: a processor's time
BATCH = "batch"  # rows of files: waiting for providers

ALL = (INTERACTIVE, SYSTEM, INGEST, BATCH)

TASKS = {
    INTERACTIVE: (
        "apps.runs.tasks.mail_alerts",
        "apps.tenants.tasks.delete_expired_exports",
        "apps.tenants.tasks.make_export",
    ),
    SYSTEM: (
        "apps.billing.tasks.look_again",
        "apps.billing.tasks.meter_hours",
        "apps.billing.tasks.process_stripe_events",
        "apps.billing.tasks.roll_local_periods",
        "apps.knowledge.tasks.queue_orphaned_documents",
        "apps.runs.tasks.poll_provider_batches",
        "apps.runs.tasks.resume_paused_batches",
        "apps.runs.tasks.sweep_runs",
        "apps.tenants.tasks.copy_queue_weights",
        "apps.tenants.tasks.erase_workspace",
        "apps.tenants.tasks.finish_leaving",
    ),
    INGEST: ("apps.knowledge.tasks.ingest_document",),
    BATCH: ("apps.runs.tasks.follow_provider_batch", "apps.runs.tasks.work_batch"),
}

# For beat: seconds from one time to the next. Each is of no tenant, and finds out itself for whom there is work.
EVERY_S = {
    "apps.billing.tasks.process_stripe_events": 60,
    "apps.billing.tasks.meter_hours": 300,
    "apps.billing.tasks.look_again": 86_400,
    "apps.billing.tasks.roll_local_periods": 600,
    "apps.runs.tasks.poll_provider_batches": 60,
    "apps.runs.tasks.resume_paused_batches": 60,
    "apps.runs.tasks.sweep_runs": 60,
    "apps.knowledge.tasks.queue_orphaned_documents": 600,
    "apps.tenants.tasks.copy_queue_weights": 3_600,
    "apps.tenants.tasks.finish_leaving": 3_600,
}
