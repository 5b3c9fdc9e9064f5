from smtplib import SMTPException

from celery import shared_task
from django.db import InterfaceError, OperationalError

from .alerts import mail_unsent


@shared_task(
    acks_late=True,
    autoretry_for=(SMTPException, OSError, OperationalError, InterfaceError),
    retry_backoff=5,
    retry_backoff_max=600,
    max_retries=10,
)
def mail_alerts() -> None:
    mail_unsent()
