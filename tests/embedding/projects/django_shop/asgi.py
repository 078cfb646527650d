"""For uvicorn."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_shop.settings")
plain = get_asgi_application()

from watchbell.django.asgi import with_lifespan

application = with_lifespan(plain)
