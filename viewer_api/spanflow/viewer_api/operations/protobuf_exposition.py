"""Metrics as Prometheus reads them in protobuf, the one format of its scrapes that has native histograms.

prometheus_client keeps native histograms and writes none in protobuf, so the few messages of `io.prometheus.client` are
written here: https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.samples import Sample

MEDIA_TYPE: Final = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
_TYPES: Final = {"counter": 0, "gauge": 1, "summary": 2, "histogram": 4}
_UNTYPED: Final = 3
#: The field of `Metric` that holds the value of each type.
_VALUE_FIELDS: Final = {0: 3, 1: 2, _UNTYPED: 5}
#: Sixteen buckets per power of two.
_SCHEMA: Final = 4

Labels = tuple[tuple[str, str], ...]


class NativeHistogramFamily(HistogramMetricFamily):
    """A histogram with fine buckets beside those that the text formats have."""

    def __init__(self, name: str, documentation: str, labels: Iterable[str]) -> None:
        super().__init__(name, documentation, labels=tuple(labels))
        #: By labels, the counts of the buckets with the upper bounds 2^(index/16).
        self.native: dict[Labels, Mapping[int, int]] = {}

    def add_native(
        self, labels: Mapping[str, str], buckets: Mapping[int, int], total: float, bounds: Iterable[int]
    ) -> None:
        """`bounds` are indexes: the buckets that the text formats have end there."""
        classic = [
            (repr(2.0 ** (bound / 16)), float(sum(n for index, n in buckets.items() if index <= bound)))
            for bound in bounds
        ]
        classic.append(("+Inf", float(sum(buckets.values()))))
        self.add_metric(tuple(labels.values()), classic, total)
        self.native[tuple(sorted(labels.items()))] = buckets


def is_preferred(accept: str) -> bool:
    """Whether a reader would rather have protobuf than any kind of text."""
    best = {True: 0.0, False: 0.0}
    for part in accept.split(","):
        media, *parameters = (word.strip() for word in part.split(";"))
        stated = dict(parameter.replace(" ", "").partition("=")[::2] for parameter in parameters)
        try:
            quality = float(stated.get("q", "1"))
        except ValueError:
            continue
        protobuf = media == "application/vnd.google.protobuf" and stated.get("encoding") == "delimited"
        if protobuf and stated.get("proto") != "io.prometheus.client.MetricFamily":
            continue
        if protobuf or media.startswith(("text/", "application/openmetrics-text", "*/")):
            best[protobuf] = max(best[protobuf], quality)
    return best[True] > 0 and best[True] >= best[False]


def encode(metrics: Iterable[Metric]) -> bytes:
    return b"".join(_delimited(_family(metric)) for metric in metrics)


def _family(metric: Metric) -> bytes:
    kind = _TYPES.get(metric.type, _UNTYPED)
    name = metric.name + ("_total" if kind == 0 else "")
    head = _text(1, name) + _text(2, metric.documentation) + _number(3, kind)
    if kind == _TYPES["histogram"]:
        native = metric.native if isinstance(metric, NativeHistogramFamily) else {}
        return head + b"".join(_message(4, each) for each in _histograms(metric, native))
    values = [sample for sample in metric.samples if sample.name == name]
    field = _VALUE_FIELDS[kind if kind in _VALUE_FIELDS else _UNTYPED]
    return head + b"".join(
        _message(4, _labels(sample.labels) + _message(field, _double(1, sample.value))) for sample in values
    )


def _histograms(metric: Metric, native: Mapping[Labels, Mapping[int, int]]) -> Iterator[bytes]:
    by_labels: dict[Labels, list[Sample]] = {}
    for sample in metric.samples:
        labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        by_labels.setdefault(labels, []).append(sample)
    for labels, samples in by_labels.items():
        values = {sample.name.removeprefix(metric.name): sample.value for sample in samples}
        body = _number(1, int(values.get("_count", 0))) + _double(2, values.get("_sum", 0.0))
        for sample in samples:
            if sample.name.endswith("_bucket"):
                bucket = _number(1, int(sample.value)) + _double(2, float(sample.labels["le"]))
                body += _message(3, bucket)
        if labels in native:
            body += _sparse(native[labels])
        yield _labels(dict(labels)) + _message(7, body)


def _sparse(buckets: Mapping[int, int]) -> bytes:
    """Spans of buckets in a row, each by its distance from the one before, and each count by its difference."""
    spans: list[list[int]] = []
    following = 0
    for index in sorted(buckets):
        if spans and index == following:
            spans[-1][1] += 1
        else:
            spans.append([index - following, 1])
        following = index + 1
    body = _signed(5, _SCHEMA) + _double(6, 0.0) + _number(7, 0)
    # An empty span says that the histogram is native, and has no observations yet.
    for offset, length in spans or [[0, 0]]:
        body += _message(12, _signed(1, offset) + _number(2, length))
    before = 0
    for index in sorted(buckets):
        body += _signed(13, buckets[index] - before)
        before = buckets[index]
    return body


def _labels(labels: Mapping[str, str]) -> bytes:
    return b"".join(_message(1, _text(1, name) + _text(2, value)) for name, value in labels.items())


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _signed(field: int, value: int) -> bytes:
    return _number(field, value * 2 if value >= 0 else -value * 2 - 1)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | 2) + _delimited(body)


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode(errors="replace"))


def _delimited(body: bytes) -> bytes:
    return _varint(len(body)) + body
