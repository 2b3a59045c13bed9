"""The table at the end of run.sh: a line for each endpoint and one for all, from a .jtl in CSV.

  summary.py RESULTS.jtl ROWS
"""

import csv
import sys
from collections import Counter

# What is asked before the time begins.
BEFORE = "GET /health/ready"
HEAD = ("endpoint", "requests", "requests/s", "failed", "rows", "mean ms", "p50 ms", "p95 ms", "max ms")


def line(name, requests, seconds):
    times = sorted(int(one["elapsed"]) for one in requests)
    at = lambda share: str(times[min(len(times) - 1, int(share * len(times)))])
    rows = sorted({one["rows"] for one in requests}, key=len)
    return (
        name,
        str(len(requests)),
        f"{len(requests) / seconds:.1f}",
        str(sum(one["success"] != "true" for one in requests)),
        " ".join(rows[:3]) + (" ..." if len(rows) > 3 else ""),
        f"{sum(times) / len(times):.1f}",
        at(0.5),
        at(0.95),
        str(times[-1]),
    )


def reason(one, wanted):
    """What is wrong with an answer. JMeter says of a wrong number of rows only, in six lines, that a variable differs."""
    if one["responseCode"] == "200" and one["rows"] != wanted:
        return f"{one['rows']} rows instead of {wanted}"
    return " ".join((one.get("failureMessage") or one["responseMessage"]).split())


def main():
    file, wanted = sys.argv[1:]
    with open(file, encoding="utf-8", newline="") as text:
        everything = list(csv.DictReader(text))
    before = [one for one in everything if one["label"] == BEFORE]
    if any(one["success"] != "true" for one in before):
        why = before[0]["responseMessage"].removeprefix("Non HTTP response message: ")
        print(f"error: {BEFORE}: {why}: is the service running, and is --url right?", file=sys.stderr)
        return 1
    requests = [one for one in everything if one["label"] != BEFORE]
    if not requests:
        print(f"error: {file} has not one request", file=sys.stderr)
        return 1
    begin = min(int(one["timeStamp"]) for one in requests)
    seconds = max(0.001, (max(int(one["timeStamp"]) + int(one["elapsed"]) for one in requests) - begin) / 1000)
    labels = list(dict.fromkeys(one["label"] for one in requests))
    body = [line(label, [one for one in requests if one["label"] == label], seconds) for label in labels]
    body.append(line("all", requests, seconds))
    widths = [max(map(len, column)) for column in zip(HEAD, *body)]
    for one in (HEAD, *body):
        print("  ".join(cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(zip(one, widths))).rstrip())
    wrong = [one for one in requests if one["success"] != "true" or one["rows"] != wanted]
    for (code, message), count in Counter((one["responseCode"], reason(one, wanted)) for one in wrong).most_common(5):
        print(f"error: {count} times {code}: {message}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
