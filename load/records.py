"""Reads what each load tool wrote about a run, and makes the same figures of it.

A tool that writes a line for each request is judged over the steady part of its run: `skip` seconds after its first
request began, for `seconds` seconds, by when requests ended. What starts a tool (a JVM, users that come) is so left
out. Rows are those of every answer of the run.
"""

import csv
import json
import pathlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

ENDPOINTS = ("direct", "pooled", "cached")
# What JMeter asks before the time begins.
BEFORE = "GET /health/ready"


class Unusable(Exception):
    """Records that say nothing: a sentence that says why."""


@dataclass
class Request:
    """One request: when it ended (seconds since 1970), how long it took, what it asked, and whether all was right."""

    ended: float
    milliseconds: float
    endpoint: str
    good: bool


@dataclass
class Figures:
    """What a tool says of an endpoint in the steady part, or of all of them."""

    requests: int
    seconds: float
    errors: int
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None

    @property
    def rate(self):
        return self.requests / self.seconds

    @property
    def error_share(self):
        return self.errors / self.requests if self.requests else 0.0


@dataclass
class Run:
    """A tool's run: figures by endpoint, and how many answers had how many rows (of the whole run)."""

    figures: dict[str, Figures]
    rows: Counter = field(default_factory=Counter)

    @property
    def all(self):
        """All endpoints together. Percentiles of a mixture are not those of its parts, so there are none."""
        parts = list(self.figures.values())
        requests = sum(part.requests for part in parts)
        known = [part for part in parts if part.mean is not None]
        timed = sum(part.requests for part in known)
        mean = sum(part.mean * part.requests for part in known) / timed if timed else None
        return Figures(requests, parts[0].seconds, sum(part.errors for part in parts), mean)


def quantile(ordered, share):
    """The smallest value that at least this share do not exceed."""
    return ordered[max(0, -(-len(ordered) * share // 1).__int__() - 1)] if ordered else None


def endpoint_of(text):
    """The endpoint in a name or a label: the word behind /products/, or the whole of it."""
    word = text.rpartition("/products/")[2]
    if word not in ENDPOINTS:
        raise Unusable(f"a request to {text!r}, which is none of {', '.join(ENDPOINTS)}")
    return word


def steady(requests, skip, seconds):
    """The figures of the steady part."""
    if not requests:
        raise Unusable("not one request")
    begin = min(one.ended - one.milliseconds / 1000 for one in requests) + skip
    end = begin + seconds
    if max(one.ended for one in requests) < end - 1:
        raise Unusable(f"its requests end before {skip:g} s + {seconds:g} s are over")
    figures = {}
    for endpoint in ENDPOINTS:
        here = [one for one in requests if one.endpoint == endpoint and begin <= one.ended < end]
        times = sorted(one.milliseconds for one in here if one.good)
        mean = sum(times) / len(times) if times else None
        errors = sum(not one.good for one in here)
        figures[endpoint] = Figures(len(here), seconds, errors, mean, quantile(times, 0.5), quantile(times, 0.95))
    return figures


def lines_of(file):
    """A CSV file's lines as dictionaries."""
    with open(file, encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)


def locust(file, skip, seconds):
    """What load/locust writes with --records."""
    requests, rows = [], Counter()
    for line in lines_of(file):
        good = not line["failure"]
        requests.append(Request(float(line["ended"]), float(line["milliseconds"]), endpoint_of(line["name"]), good))
        rows[line["rows"] or "none"] += 1
    return Run(steady(requests, skip, seconds), rows)


def jmeter(file, skip, seconds):
    """A .jtl in CSV with the column `rows`, as load/jmeter/run.sh and scripts/newman.sh write it."""
    requests, rows = [], Counter()
    for line in lines_of(file):
        if line["label"] == BEFORE:
            continue
        took = float(line["elapsed"])
        ended = (float(line["timeStamp"]) + took) / 1000
        requests.append(Request(ended, took, endpoint_of(line["label"]), line["success"] == "true"))
        rows[line["rows"] or "none"] += 1
    return Run(steady(requests, skip, seconds), rows)


def k6(file, skip, seconds):
    """What `k6 run --out json=FILE` writes: lines of samples, those of `rows` in no order with their requests'."""
    requests, rows = [], Counter()
    with open(file, encoding="utf-8") as text:
        for line in text:
            point = json.loads(line)
            if point["type"] != "Point":
                continue
            data = point["data"]
            if point["metric"] == "http_req_duration":
                ended = datetime.fromisoformat(data["time"]).timestamp()
                good = data["tags"]["status"] == "200"
                requests.append(Request(ended, data["value"], endpoint_of(data["tags"]["name"]), good))
            elif point["metric"] == "rows":
                rows[f"{data['value']:g}"] += 1
    if sum(rows.values()) < len(requests):
        rows["none"] += len(requests) - sum(rows.values())
    return Run(steady(requests, skip, seconds), rows)


def lab(folder, seconds, reference):
    """The folder of `poolwise lab run`. The lab counts bytes: where every answer is the same, as many bytes as the
    answers must have are as many rows."""
    folder = pathlib.Path(folder)
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    if run["ended"]["how"] != "finished":
        raise Unusable(f"it {run['ended']['how']}: {run['ended'].get('why', '')}")
    told = {(line["strategy"], line["figure"]): line["value"] for line in lines_of(folder / "tables.csv") if line["section"] == "figure"}
    lanes = [lane for block in run["blocks"] if block["role"] == "measure" for lane in block["lanes"]]
    whole = int(seconds)
    figures, rows = {}, Counter()
    for endpoint in ENDPOINTS:
        times = [told.get((endpoint, f"latency_{word}_ms"), "") for word in ("mean", "p50", "p95")]
        seen = [second for lane in lanes if lane["strategy"] == endpoint for second in lane["seconds"]]
        inside = [second for lane in lanes if lane["strategy"] == endpoint for second in lane["seconds"][:whole]]
        errors = sum(second["errors"] for second in inside)
        answers = sum(second["answers"] for second in inside)
        figures[endpoint] = Figures(answers + errors, whole, errors, *(float(time) if time else None for time in times))
        for second in seen:
            right = second["body_bytes"] == second["answers"] * len(reference)
            rows[str(rows_of(reference)) if right else "other bytes"] += second["answers"]
    return Run(figures, rows)


def rows_of(body):
    """Rows of a JSON array of products."""
    return len(json.loads(body))
