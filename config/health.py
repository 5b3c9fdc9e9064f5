import redis
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse

_redis = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2)


def healthz(request: HttpRequest) -> HttpResponse:
    """200 when the database and Redis answer; an exception, so a 500, when one doesn't."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    _redis.ping()
    return HttpResponse("ok", content_type="text/plain")
