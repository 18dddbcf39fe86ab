# One image for all three processes; the command says which one runs.
FROM python:3.11-slim AS requirements
COPY requirements.txt /tmp/
# Every file is checked against the hash in the lock; the virtual environment moves to the next stage as a whole.
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements.txt

FROM python:3.11-slim
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    APP_ENV=production \
    LOG_FORMAT=json \
    HOST=0.0.0.0
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin holdfast \
 && install --directory --owner=holdfast /app /app/var
WORKDIR /app
COPY --from=requirements /opt/venv /opt/venv
COPY shared shared
COPY workers workers
COPY scheduler scheduler
COPY status_api status_api
COPY holdfast_cli holdfast_cli
# By number, so that Kubernetes can tell that it is not root.
USER 10001
# Longer than SHUTDOWN_GRACE_S is given by whoever runs the image: `docker stop --time 30`.
STOPSIGNAL SIGTERM
CMD ["python", "-m", "status_api"]
