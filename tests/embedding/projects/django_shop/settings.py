"""Settings of the project; its folder is said by the test."""

import os
from importlib.util import find_spec
from pathlib import Path

BASE_DIR = Path(os.environ["SHOP_FOLDER"])
SECRET_KEY = "of a test"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
ROOT_URLCONF = "django_shop.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "shop.db"}}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "watchbell.django",
    "django_shop.orders",
]
if find_spec("django.tasks") is None:  # before Django 6.0
    INSTALLED_APPS.insert(0, "django_tasks")
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "static/"
WATCHBELL = {"DATABASE_URL": f"sqlite:///{BASE_DIR}/bell.db", "SHUTDOWN_GRACE": "3s", "SLOTS": {"thread": 4}}
TASKS = {
    "default": {
        "BACKEND": "watchbell.django.tasks.WatchbellBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"timeout": "1m"},
    }
}
