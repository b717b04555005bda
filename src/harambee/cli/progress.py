"""Long work with a bar on standard error."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_EVERY_S: Final = 0.2


async def follow(
    work: Coroutine[Any, Any, None],
    total: int | Callable[[], int],
    done: Callable[[], int],
    console: "Console",
    what: str,
) -> None:
    """Do the work, and show how many of `total` are done until it ends; its exceptions.

    A total that the work finds out is asked for every time.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    def whole() -> int:
        return total if isinstance(total, int) else total()

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(what, total=whole())
        running = asyncio.ensure_future(work)
        while not running.done():
            progress.update(bar, completed=done(), total=whole())
            await asyncio.wait([running], timeout=SHOWN_EVERY_S)
        progress.update(bar, completed=done(), total=whole())
        await running
