"""The lifespan that Django's own ASGI application does not have.

    application = with_lifespan(get_asgi_application())

uvicorn ends a process that was asked to stop by the signal itself, after the lifespan: without one there is no moment
for the engine to let its runs finish.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ..app.control import aside
from .project import enabled, the_bell

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def with_lifespan(application: Application) -> Application:
    """An ASGI application that starts the engine with the server and ends it in order; all else goes to `application`."""

    async def call(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await application(scope, receive, send)

    return call


async def _lifespan(receive: Receive, send: Send) -> None:
    embedding = the_bell()._embedding
    await receive()
    try:
        if enabled() and embedding.allowed():
            await aside(embedding.begin)
    except Exception as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await aside(embedding.end)
    await send({"type": "lifespan.shutdown.complete"})
