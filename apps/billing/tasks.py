"""What the clock does: all of it is of no workspace, finds out for whom there is work, and may be done twice."""

from celery import shared_task

from . import everybody, webhooks

LIMITS = {"soft_time_limit": 800, "time_limit": 850}  # below the queue's visibility timeout


@shared_task(platform_wide=True, acks_late=True, **LIMITS)
def meter_hours() -> None:
    everybody.meter_all()
    everybody.send_all()


@shared_task(platform_wide=True, acks_late=True, **LIMITS)
def look_again() -> None:
    everybody.look_again()


@shared_task(platform_wide=True, acks_late=True, **LIMITS)
def process_stripe_events() -> None:
    webhooks.process()


@shared_task(platform_wide=True, acks_late=True, **LIMITS)
def roll_local_periods() -> None:
    everybody.roll_all()
