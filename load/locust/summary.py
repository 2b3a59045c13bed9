"""The table at the end of run_all.sh: a line for each scenario, from the statistics that Locust wrote.

  summary.py RESULTS STATUSES SCENARIO...
"""

import csv
import pathlib
import sys

HEAD = ("scenario", "requests", "requests/s", "failures", "p50 ms", "p95 ms", "max ms", "result")


def line(results, statuses, scenario):
    """What is to be said of a scenario; a scenario without requests has not been run."""
    ended = (statuses / f"{scenario}.ended").read_text().strip()
    try:
        with open(results / f"{scenario}_stats.csv", encoding="utf-8", newline="") as file:
            total = next(one for one in csv.DictReader(file) if one["Name"] == "Aggregated")
    except (OSError, StopIteration):
        return (scenario, "0", "", "", "", "", "", "no statistics")
    failures, requests = int(total["Failure Count"]), int(total["Request Count"])
    result = "no requests" if requests == 0 else "good" if ended == "0" else f"failed ({ended})"
    return (
        scenario,
        str(requests),
        f"{float(total['Requests/s']):.1f}",
        str(failures),
        total["50%"],
        total["95%"],
        f"{float(total['Max Response Time']):.0f}",
        result,
    )


def main():
    results, statuses, *scenarios = sys.argv[1:]
    lines = [line(pathlib.Path(results), pathlib.Path(statuses), scenario) for scenario in scenarios]
    widths = [max(map(len, column)) for column in zip(HEAD, *lines)]
    for one in (HEAD, *lines):
        first, *others, last = (cell.ljust(width) if place in (0, len(HEAD) - 1) else cell.rjust(width) for place, (cell, width) in enumerate(zip(one, widths)))
        print("  ".join((first, *others, last)).rstrip())
    print(f"\nreports: {results}/*.html")
    return 0 if all(one[-1] == "good" for one in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
