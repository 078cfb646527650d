"""The Flask application that gunicorn serves: the jobs of the plan, and a page that enqueues an errand."""

from __future__ import annotations

import os

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from ..jobs import BY_HAND, build
from ..plan import plan_of
from .names import SEED, URL

app = Flask(__name__)
bell = build(os.environ[URL], plan_of(int(os.environ[SEED]), 0, 0))
bell.init_app(app)


@app.post("/errand/<job>/<key>")
def ask(job: str, key: str) -> ResponseReturnValue:
    """The run that an errand with this key has."""
    arguments = {"longest": 0.3, "limit": BY_HAND[job] or 0}
    made = bell.run_now(job, arguments, key=key)
    return jsonify(job=job, key=key, run=made.run, new=made.new)
