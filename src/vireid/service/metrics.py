"""The service's metrics in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Scope

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_BATCH = (1, 2, 4, 8, 16, 32)


class ServiceMetrics:
    """Metrics of one service; ``inside`` and ``waiting`` are called when the metrics are read."""

    def __init__(self, inside: Callable[[], float], waiting: Callable[[], float]) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "vireid_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "vireid_request_seconds",
            "Time from headers to last byte.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch = Histogram("vireid_batch_images", "Images per pass.", buckets=_BATCH, registry=registry)
        self.searches = Counter("vireid_searches", "Searches answered.", registry=registry)
        self.added = Counter("vireid_images_added", "Images added to the gallery.", registry=registry)
        self.removed = Counter("vireid_images_removed", "Images deleted.", registry=registry)
        Gauge("vireid_requests_inside", "Requests in progress.", registry=registry).set_function(inside)
        Gauge("vireid_images_waiting", "Images waiting for the model.", registry=registry).set_function(waiting)

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request under its route, never under a path that the caller made up; status 0 means no answer."""
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in ("GET", "POST") else "other"
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)
