"""What the server is told, and by what name the application is found."""

from __future__ import annotations

URL, SEED = "TORTURE_URL", "TORTURE_SEED"
APPLICATION = "torture.web.app:app"
