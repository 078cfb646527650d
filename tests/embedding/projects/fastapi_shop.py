"""A FastAPI application with jobs and a lifespan of its own. It is imported by real servers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from watchbell import Run, Watchbell

FOLDER = os.environ["SHOP_FOLDER"]
bell = Watchbell(f"sqlite:///{FOLDER}/bell.db", shutdown_grace="3s")


def say(line: str) -> None:
    fd = os.open(f"{FOLDER}/said", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, str]]:
    say(f"- {os.getpid()} up")
    yield {"colour": "green"}
    say(f"- {os.getpid()} down")


app = FastAPI(lifespan=lifespan)
bell.init_app(app)


@bell.schedule("every 250ms", catchup="none")
@bell.job
async def tick(run: Run) -> None:
    say(f"{run.run_key} {os.getpid()} fastapi_shop")


@bell.job
async def errand(number: int, run: Run) -> None:
    say(f"{run.run_key} {os.getpid()} errand-{number}")


@app.get("/")
async def home(request: Request) -> str:
    return f"{os.getpid()} {request.state.colour}"


@app.post("/errand/{number}")
async def ask(number: int) -> str:
    return str(await errand.aenqueue(number, key=f"errand {number}"))
