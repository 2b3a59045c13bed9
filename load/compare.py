#!/usr/bin/env python3
"""Puts what several load tools measured beside what the lab measured, and says whether they agree.

  compare.py --reference ANSWER --seconds N [--skip S] lab=FOLDER locust=FILE jmeter=FILE k6=FILE newman=FILE

ANSWER is the body that each request must get. Requests a second and the share of errors must be within 15 % of those
of the lab's run named before, for each endpoint and for all, and each answer must have the rows of ANSWER. Latencies
stand side by side and are not judged. --rates-differ judges rows and errors only: where the tools and not the pause
are the limit, each has a rate of its own. So has Newman always. Exit codes: 1 something is wrong, 4 nothing but
requests a second.
"""

import argparse
import pathlib
import sys

import records

TOLERANCE = 0.15
READERS = {"locust": records.locust, "jmeter": records.jmeter, "k6": records.k6, "newman": records.jmeter}
# Newman takes some 5 ms of a processor for each request, so on a busy machine it, and not the pause, is the limit.
OWN_RATE = {"newman"}
HEAD = ("tool", "endpoint", "requests", "requests/s", "lab's", "errors", "rows", "mean ms", "p50 ms", "p95 ms")


def differs(ours, theirs):
    """Whether a figure is further than 15 % from the lab's; from 0 everything is."""
    return abs(ours - theirs) > TOLERANCE * theirs


def mistakes(tool, run, lab, wanted):
    """Answers that were not what they must be, each as a sentence."""
    for rows, count in sorted(run.rows.items()):
        if rows != str(wanted):
            yield f"{tool}: {count} answers had {rows} rows instead of {wanted}"
    for endpoint, ours, theirs in pairs(run, lab):
        if ours.requests == 0:
            yield f"{tool}: no request of {endpoint} in the steady part"
        elif differs(ours.error_share, theirs.error_share):
            yield f"{tool}: {share(ours.error_share)} of the requests of {endpoint} failed, the lab had {share(theirs.error_share)}"


def other_rates(tool, run, lab):
    """Requests a second that are not the lab's."""
    for endpoint, ours, theirs in pairs(run, lab):
        if differs(ours.rate, theirs.rate):
            yield f"{tool}: {ours.rate:.1f} requests/s of {endpoint}, the lab had {theirs.rate:.1f}"


def pairs(run, lab):
    yield "all", run.all, lab.all
    for endpoint, figures in run.figures.items():
        yield endpoint, figures, lab.figures[endpoint]


def share(value):
    return f"{100 * value:.1f} %"


def milliseconds(value):
    """To three digits, as far as a millisecond has any."""
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def lines(tool, run, lab):
    """The lines of a tool in the table."""
    rows = " ".join(sorted(run.rows))
    for endpoint, ours, theirs in pairs(run, lab):
        against = f"{100 * (ours.rate / theirs.rate - 1):+.1f} %" if tool != "lab" and theirs.requests else ""
        yield (
            tool if endpoint == "all" else "",
            endpoint,
            str(ours.requests),
            f"{ours.rate:.1f}",
            against,
            str(ours.errors),
            rows if endpoint == "all" else "",
            *map(milliseconds, (ours.mean, ours.p50, ours.p95)),
        )


def table(body):
    """A table for people: words to the left, numbers to the right."""
    widths = [max(len(line[place]) for line in body) for place in range(len(HEAD))]
    for line in body:
        cells = [text.ljust(width) if place < 2 else text.rjust(width) for place, (text, width) in enumerate(zip(line, widths))]
        yield "  ".join(cells).rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--skip", type=float, default=2.0)
    parser.add_argument("--rates-differ", action="store_true")
    parser.add_argument("--quiet", action="store_true", help="without the table")
    parser.add_argument("records", nargs="+", metavar="TOOL=PATH")
    given = parser.parse_intermixed_args()
    reference = given.reference.read_bytes()
    wanted = records.rows_of(reference)
    lab, body, wrong, slow = None, [HEAD], [], []
    for word in given.records:
        tool, _, path = word.partition("=")
        if tool not in (*READERS, "lab"):
            parser.error(f"{tool} is not known; there are lab, {', '.join(READERS)}")
        try:
            if tool == "lab":
                run = lab = records.lab(path, given.seconds, reference)
            else:
                run = READERS[tool](path, given.skip, given.seconds)
        except (records.Unusable, OSError, KeyError, ValueError) as problem:
            wrong.append(f"{tool}: {path} cannot be used: {problem}")
            continue
        if lab is None:
            wrong.append(f"{tool}: there is no run of the lab to compare it with")
            continue
        body += lines(tool, run, lab)
        wrong += mistakes(tool, run, lab, wanted)
        if not given.rates_differ and tool not in OWN_RATE:
            slow += other_rates(tool, run, lab)
    if not given.quiet:
        print("\n".join(table(body)), end="\n\n")
    for problem in (*wrong, *slow):
        print(f"error: {problem}", file=sys.stderr)
    if not wrong and not slow and not given.quiet:
        what = "no tool had more errors than the lab" if given.rates_differ else "requests/s and errors are within 15 % of the lab's"
        if not given.rates_differ and any(word.partition("=")[0] in OWN_RATE for word in given.records):
            what += ", but for Newman's requests/s, which are not judged"
        print(f"they agree: every answer had {wanted} rows, and {what}")
    return 1 if wrong else 4 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
