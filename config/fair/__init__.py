"""Fair queues: tenants take turns at the workers, and nothing that was published is lost.

    scripts    the state in Redis, and each step that changes it
    line       those steps as methods
    transport  what Celery talks to: publish, consume, acknowledge
    holder     what a consumer has, and the sign that it lives
    adopt      what the transport before this one left in Redis
    shares     who waits, who is served, which workers live: for people

How it works: docs/background.md.
"""
