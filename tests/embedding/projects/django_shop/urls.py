"""Pages of the project."""

import os

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path


def home(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(os.getpid()))


urlpatterns = [path("", home), path("admin/", admin.site.urls)]
