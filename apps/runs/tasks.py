from celery import shared_task

from . import lost
from .alerts import mail_unsent


@shared_task
def mail_alerts() -> None:
    mail_unsent()


@shared_task(platform_wide=True)  # of whom runs and alerts were left behind, it finds out itself
def sweep_runs() -> None:
    lost.sweep()
