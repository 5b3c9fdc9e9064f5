"""A worker's slice of a batch: claims rows, answers them at once for a while, and says whether there is more."""

from uuid import UUID


def work(batch_id: UUID) -> None:
    """Answer rows of the active tenant's batch for about twenty seconds, then queue the next slice if there is more.

    Any number of processes may do it at once, and each may be killed anywhere.
    """
    raise NotImplementedError
