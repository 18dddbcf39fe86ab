"""The same job in the words of each queue: it notes its number in a file. Nothing is set but where Redis is."""

from dataclasses import dataclass

# A job lasts JOB_S and notes its number in the file DONE.
COMMON = """
import os, time

URL = os.environ["REDIS_URL"]

def note(number):
    time.sleep(float(os.environ["JOB_S"]))
    with open(os.environ["DONE"], "a") as done:
        done.write(f"{number}\\n")
"""

DRAMATIQ = """
import dramatiq
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=URL))

@dramatiq.actor
def job(number):
    note(number)

send = job.send
"""

CELERY = """
from celery import Celery

app = Celery("jobs", broker=URL)

@app.task
def job(number):
    note(number)

send = job.delay
"""

RQ = """
import redis, rq

queue = rq.Queue(connection=redis.Redis.from_url(URL))

def job(number):
    note(number)

def send(number):
    queue.enqueue(job, number)
"""

# Sends the number in each line it is given, and answers whether that went well.
SENDER = """
import sys
import jobs

for line in sys.stdin:
    try:
        jobs.send(int(line))
        print("ok", flush=True)
    except Exception as error:
        print("no", type(error).__name__, flush=True)
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A queue: what to install, its job, how its worker is started in the folder of `jobs.py`.

    `job_lines` finds the log lines that tell of single jobs, which are not counted, as they are not of Holdfast.
    """

    name: str
    requirement: str
    job: str
    worker: tuple[str, ...]
    job_lines: str = r"jobs\.job"


PEERS = (
    Peer("Dramatiq", "dramatiq[redis]==2.2.1", DRAMATIQ, ("dramatiq", "jobs", "--processes", "1", "--threads", "8")),
    Peer("Celery", "celery[redis]==5.7.0", CELERY, ("celery", "-A", "jobs", "worker", "--concurrency", "8")),
    Peer("RQ", "rq==3.0.0", RQ, ("rq", "worker", "--url", "{url}"), r"jobs\.job|Job OK|Result is kept"),
)
