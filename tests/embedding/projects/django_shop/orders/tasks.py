"""Functions of django.tasks."""

try:
    from django.tasks import TaskContext, task
except ImportError:  # before Django 6.0
    from django_tasks import TaskContext, task


@task()
def add(one: int, two: int) -> int:
    return one + two


@task(queue_name="mail", priority=10)
async def greet(name: str) -> str:
    return f"hello {name}"


@task(takes_context=True)
def number_of_attempt(context: TaskContext) -> int:
    return context.attempt


@task()
def fails() -> None:
    raise LookupError("there is no such thing")


@task()
def gives_what_is_no_json() -> object:
    return object()
