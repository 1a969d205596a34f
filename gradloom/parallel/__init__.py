"""Processes on one machine that share a program's work: graphs as bytes, arrays in common, workers, a fixed tree."""

from typing import TYPE_CHECKING

from gradloom.later import later

if TYPE_CHECKING:
    from gradloom.parallel.memory import Kind, Shared, kinds_of
    from gradloom.parallel.share import Share, Task, left_over, merges, shares
    from gradloom.parallel.workers import Workers

__all__ = ["Kind", "Share", "Shared", "Task", "Workers", "kinds_of", "left_over", "merges", "shares"]

__getattr__, __dir__ = later(
    __name__,
    __all__,
    {
        "memory": "Kind Shared kinds_of",
        "share": "Share Task left_over merges shares",
        "workers": "Workers",
    },
)
