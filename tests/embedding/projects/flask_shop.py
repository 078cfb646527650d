"""A Flask application with jobs, as people write it. It is imported by real servers."""

from __future__ import annotations

import os

from flask import Flask, current_app

from watchbell import Run, Watchbell

app = Flask(__name__)
app.config["WATCHBELL_DATABASE_URL"] = (
    os.environ.get("SHOP_DATABASE") or f"sqlite:///{os.environ['SHOP_FOLDER']}/bell.db"
)
app.config["WATCHBELL_SHUTDOWN_GRACE"] = "3s"
bell = Watchbell(app)

if "SHOP_LOOKS_AT_IMPORT" in os.environ:
    bell.schedules()  # opens the database in whichever process imports this


def say(line: str) -> None:
    fd = os.open(f"{os.environ['SHOP_FOLDER']}/said", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


@bell.schedule("every 250ms", catchup="none")
@bell.job
def tick(run: Run) -> None:
    say(f"{run.run_key} {os.getpid()} {current_app.name}")


@bell.job
def errand(number: int, run: Run) -> None:
    say(f"{run.run_key} {os.getpid()} errand-{number}")


@app.get("/")
def home() -> str:
    return str(os.getpid())


@app.post("/errand/<int:number>")
def ask(number: int) -> str:
    return str(errand.enqueue(number, key=f"errand {number}"))


@app.cli.command("look")
def look() -> None:
    """A command of the application: nothing runs because of it."""
    print(len(bell.schedules().items), bell.status().engine.sentence)
