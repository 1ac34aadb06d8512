"""Shards on a Ray cluster: workers process them, Ray starts those again whose worker died."""

from collections.abc import Callable, Iterator

from multistar.batch.folder import Shard, process
from multistar.batch.job import Job

RETRIES = 3  # of a shard whose worker died


def on_ray(
    todo: list[Shard], job: Job, done: Callable[[int], None], gpus: float = 0
) -> Iterator[tuple[Shard, dict]]:
    """The shards as they are finished, in any order.

    Joins the cluster that RAY_ADDRESS names, or starts a local one.

    A worker loads the model once. gpus: share of a GPU that a worker takes.
    Raises ImportError without ray, RuntimeError if a shard's worker died RETRIES times.
    """
    try:
        import ray
        from ray.exceptions import WorkerCrashedError
    except ImportError as error:
        raise ImportError("--engine ray needs `pip install multistar[ray]`") from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)

    @ray.remote(max_retries=RETRIES, num_gpus=gpus)
    def work(shard: Shard) -> dict:
        return process(shard, _here(job))

    waiting = {work.remote(shard): shard for shard in todo}
    while waiting:
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        shard = waiting.pop(ready)
        try:
            record = ray.get(ready)
        except WorkerCrashedError as error:
            raise RuntimeError(
                f"{shard.source}: the worker died {RETRIES + 1} times; too little memory?"
            ) from error
        done(record.get("rows", 0))
        yield shard, record


_JOBS: dict[str, Job] = {}


def _here(job: Job) -> Job:
    """One per worker process, so that a model is loaded once."""
    return _JOBS.setdefault(repr(job), job)
