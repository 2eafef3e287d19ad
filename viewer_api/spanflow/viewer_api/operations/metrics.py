"""What Prometheus reads at `/metrics`. Every label has few values, none of which a client can choose."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from spanflow.viewer_api.operations import protobuf_exposition

PREFIX: Final = "spanflow_viewer"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: Close codes that are counted separately.
_CLOSES: Final = frozenset({1000, 1001, 1005, 1006, 1011, 1012, 1013, 4400, 4401, 4403, 4408, 4409, 4410, 4429})


class Metrics:
    """The numbers of one viewer process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            f"{PREFIX}_requests", "Requests answered.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            f"{PREFIX}_request_seconds",
            "Seconds that answers took, endless ones left out.",
            ("method", "route"),
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self._running = Gauge(f"{PREFIX}_requests_running", "Requests being answered.", registry=self._registry)
        self._sockets = Counter(
            f"{PREFIX}_sockets_ended", "Sockets that ended, by close code.", ("route", "code"), registry=self._registry
        )
        build = Gauge(f"{PREFIX}_build", "Always 1; the version is a label.", ("version",), registry=self._registry)
        build.labels(version("spanflow")).set(1)

    @contextmanager
    def request_running(self) -> Iterator[None]:
        with self._running.track_inprogress():
            yield

    def request_done(self, method: str, route: str, status: int, seconds: float | None) -> None:
        method = method if method in _METHODS else "(other)"
        self._requests.labels(method, route, str(status)).inc()
        if seconds is not None:
            self._seconds.labels(method, route).observe(seconds)

    def socket_done(self, route: str, code: int | None) -> None:
        """`code` None: it was refused."""
        shown = "refused" if code is None else str(code) if code in _CLOSES else "other"
        self._sockets.labels(route, shown).inc()

    @contextmanager
    def also(self, collector: Collector) -> Iterator[None]:
        """Tell what `collector` knows as well, as long as the block lasts."""
        self._registry.register(collector)
        try:
            yield
        finally:
            self._registry.unregister(collector)

    def text(self, accept: str) -> tuple[bytes, str]:
        """Everything in a format that the reader takes, and its media type."""
        if protobuf_exposition.is_preferred(accept):
            return protobuf_exposition.encode(self._registry.collect()), protobuf_exposition.MEDIA_TYPE
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type
