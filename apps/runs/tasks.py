from uuid import UUID

from celery import shared_task

from . import lost
from .alerts import mail_unsent
from .batches.due import queue_due
from .batches.files import follow
from .batches.unfinished import resume_paused
from .batches.work import work


@shared_task
def mail_alerts() -> None:
    mail_unsent()


@shared_task(platform_wide=True)  # of whom runs and alerts were left behind, it finds out itself
def sweep_runs() -> None:
    lost.sweep()


@shared_task(soft_time_limit=800, time_limit=850, max_retries=20)
def work_batch(batch_id: str) -> None:
    work(UUID(batch_id))


@shared_task(platform_wide=True)  # of every tenant: it looks for what is due, and does it in its tenant's context
def resume_paused_batches() -> None:
    resume_paused()


@shared_task(platform_wide=True)  # of every tenant: it looks for what is due, and has it done in its tenant's turn
def poll_provider_batches() -> None:
    queue_due()


@shared_task(soft_time_limit=800, time_limit=850, max_retries=20)
def follow_provider_batch(providerbatch_id: str) -> None:
    follow(UUID(providerbatch_id))
