"""What the service is measured against: a bare Flask route on the same gunicorn."""

from __future__ import annotations

import json
import os
from pathlib import Path

from flask import Flask, Response, request
from gunicorn.app.base import BaseApplication

from service.server import gunicorn_config
from service.settings import Settings, load_settings

app = Flask("bare", static_folder=None)
ANSWER = json.dumps({"verified": True})


@app.post("/v1/verify")
def verify() -> Response:
    """Parse the JSON and return a constant."""
    request.get_json()
    return Response(ANSWER, mimetype="application/json")


class Bare(BaseApplication):
    """The bare application under the service's gunicorn settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Hand gunicorn the service's configuration, but for its hooks."""
        for name, value in gunicorn_config(self.settings).items():
            if name not in {"post_worker_init", "child_exit"}:
                self.cfg.set(name, value)

    def load(self) -> Flask:  # type: ignore[override] # a Flask is WSGI, whatever it says
        """Return the application."""
        return app


if __name__ == "__main__":
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    Bare(load_settings(data_dir=Path("unused"))).run()
