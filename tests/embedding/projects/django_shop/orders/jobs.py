"""Jobs of the app, found by their place."""

import os

from watchbell import Run
from watchbell.django import bell

from .models import Order


def say(line: str) -> None:
    fd = os.open(f"{os.environ['SHOP_FOLDER']}/said", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


@bell.schedule("every 250ms", catchup="none")
@bell.job
def tick(run: Run) -> None:
    """Say that it runs."""
    say(f"{run.run_key} {os.getpid()} django")


@bell.job
def ship(number: int, run: Run) -> int:
    """Ship an order that must have been committed."""
    say(f"{run.run_key} {os.getpid()} ship-{number}")
    return Order.objects.filter(number=number).count()


@bell.job
async def ship_later(number: int) -> int:
    """The same on the job loop."""
    return await Order.objects.filter(number=number).acount()


@bell.job(isolated=True)
def count_apart() -> int:
    """In a process of its own."""
    return Order.objects.count()
