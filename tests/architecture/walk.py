"""Walking the addresses of the site."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import get_resolver
from django.urls.resolvers import URLPattern


@dataclass(frozen=True)
class Address:
    """One pattern of the site: where it lies, its full name and its view."""

    route: str
    name: str
    view: object

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows of the permission table that the view stands under."""
        view_class = getattr(self.view, "view_class", None)
        return getattr(self.view, "permission_rows", None) or getattr(view_class, "permission_rows", ()) or ()


def addresses() -> Iterator[Address]:
    """Every pattern, Wagtail's included."""
    yield from _walk(get_resolver().url_patterns, "", ())


def _walk(patterns, before: str, names: tuple[str, ...]) -> Iterator[Address]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield Address(route, ":".join([*names, pattern.name or "?"]), pattern.callback)
        else:
            inner = (*names, pattern.namespace) if pattern.namespace else names
            yield from _walk(pattern.url_patterns, route, inner)
