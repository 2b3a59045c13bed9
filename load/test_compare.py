"""What the comparison finds, and that it finds it: python3 -m unittest discover load"""

import contextlib
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
from datetime import datetime, timezone

import compare
import records

HERE = pathlib.Path(__file__).parent
ANSWER = json.dumps([{"id": number, "sku": f"S{number}"} for number in range(20)]).encode()
# 30 requests a second, each endpoint ten.
SECONDS, SKIP, GAP = 10, 2, 1 / 30


def requests(gap=GAP, seconds=SKIP + SECONDS + 1):
    """(ended, milliseconds, endpoint): evenly, in turn."""
    count = round(seconds / gap)
    return [(1_700_000_000 + 0.005 + number * gap, 5.0, records.ENDPOINTS[number % 3]) for number in range(count)]


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, name, lines):
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file

    def lab(self, per_second=10, errors=0, length=len(ANSWER), how="finished"):
        second = {"answers": per_second - errors, "errors": errors, "body_bytes": (per_second - errors) * length}
        lanes = [{"strategy": endpoint, "seconds": [second] * SECONDS + [{"answers": 1, "errors": 0, "body_bytes": length}]} for endpoint in records.ENDPOINTS]
        self.write("lab/run.json", [json.dumps({"ended": {"how": how}, "blocks": [{"role": "measure", "lanes": lanes}]})])
        self.write("lab/tables.csv", ["section,strategy,figure,value", "figure,direct,latency_mean_ms,4.5", "ratio,direct,latency_mean_ms,1.1"])
        return self.folder / "lab"

    def locust(self, all=None, rows=20, failure=""):
        lines = [f"{ended:.6f},{took},GET /products/{endpoint},{rows},{failure}" for ended, took, endpoint in all or requests()]
        return self.write("locust.csv", ["ended,milliseconds,name,rows,failure", *lines])

    def jmeter(self, all=None, rows=20, success="true"):
        lines = [f"{1000 * ended - took:.0f},{took:.0f},GET /products/{endpoint},{success},{rows}" for ended, took, endpoint in all or requests()]
        return self.write("results.jtl", ["timeStamp,elapsed,label,success,rows", *lines])

    def k6(self, all=None, rows=20, status=200):
        def lines():
            for ended, took, endpoint in all or requests():
                time = datetime.fromtimestamp(ended, timezone.utc).isoformat()
                tags = {"name": f"GET /products/{endpoint}", "status": str(status)}
                yield json.dumps({"metric": "http_req_duration", "type": "Point", "data": {"time": time, "value": took, "tags": tags}})
                if rows is not None:
                    yield json.dumps({"metric": "rows", "type": "Point", "data": {"time": time, "value": rows, "tags": {}}})

        return self.write("k6.json", [json.dumps({"metric": "rows", "type": "Metric", "data": {}}), *lines()])

    def newman(self, all=None, rows=20):
        lines = [f"{1000 * ended - took:.0f},{took:.0f},{endpoint},true,{rows}" for ended, took, endpoint in all or requests()]
        return self.write("requests.jtl", ["timeStamp,elapsed,label,success,rows", *lines])

    def compare(self, *words, lab=None):
        """Exit code, table, errors."""
        reference = self.write("answer.json", [ANSWER.decode()])
        reference.write_bytes(ANSWER)
        lab = lab or self.lab()
        command = [sys.executable, HERE / "compare.py", "--reference", reference, "--seconds", str(SECONDS), "--skip", str(SKIP), f"lab={lab}", *words]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr


class Agreement(Folder):
    def test_the_same_run_in_every_format_agrees(self):
        code, said, errors = self.compare(f"locust={self.locust()}", f"jmeter={self.jmeter()}", f"k6={self.k6()}", f"newman={self.newman()}")
        self.assertEqual((code, errors), (0, ""), said)
        self.assertIn("they agree: every answer had 20 rows", said)
        totals = [line.split() for line in said.splitlines() if " all " in line]
        self.assertIn("4.50", next(line for line in said.splitlines() if " direct " in line))
        self.assertEqual([line[:4] for line in totals], [[tool, "all", "300", "30.0"] for tool in ("lab", "locust", "jmeter", "k6", "newman")])

    def test_a_rate_18_percent_off_does_not_and_has_a_code_of_its_own(self):
        for factor, agrees in ((1.14, True), (1.18, False), (1 / 1.18, False)):
            code, _, errors = self.compare(f"jmeter={self.jmeter(requests(GAP / factor))}")
            self.assertEqual(code, 0 if agrees else 4, errors)
            self.assertEqual("requests/s of all, the lab had 30.0" in errors, not agrees)
        code, _, errors = self.compare(f"jmeter={self.jmeter(requests(GAP / 2), rows=19)}")
        self.assertEqual(code, 1, errors)

    def test_each_tool_is_compared_with_the_run_of_the_lab_before_it(self):
        slow = self.jmeter(requests(GAP * 2))
        other = self.folder / "other"
        self.lab(per_second=5).rename(other)
        first = self.lab()
        self.assertEqual(self.compare(f"jmeter={slow}", f"lab={other}", lab=first)[0], 4)
        code, said, errors = self.compare(f"locust={self.locust()}", f"lab={other}", f"jmeter={slow}", lab=first)
        self.assertEqual(code, 0, errors)
        self.assertEqual([line.split()[0] for line in said.splitlines() if " all " in line], ["lab", "locust", "lab", "jmeter"])

    def test_rates_may_differ_where_that_is_said(self):
        code, said, _ = self.compare("--rates-differ", f"jmeter={self.jmeter(requests(GAP * 3))}")
        self.assertEqual(code, 0)
        self.assertIn("-66.", said)

    def test_newman_has_a_rate_of_its_own(self):
        code, said, errors = self.compare(f"newman={self.newman(requests(GAP * 2))}")
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("-50.", said)

    def test_an_answer_with_other_rows_is_found_in_every_format(self):
        for word in (f"locust={self.locust(rows=19)}", f"jmeter={self.jmeter(rows=21)}", f"k6={self.k6(rows=0)}", f"newman={self.newman(rows='')}"):
            code, _, errors = self.compare("--rates-differ", word)
            self.assertEqual(code, 1)
            self.assertRegex(errors, r"answers had (19|21|0|none) rows instead of 20")

    def test_one_answer_outside_of_the_steady_part_counts_for_rows(self):
        file = self.jmeter()
        lines = file.read_text().splitlines()
        lines[1] = lines[1].removesuffix("20") + "7"
        self.write("results.jtl", lines)
        self.assertIn("1 answers had 7 rows", self.compare(f"jmeter={file}")[2])

    def test_requests_of_k6_without_rows_are_found(self):
        self.assertIn("answers had none rows", self.compare(f"k6={self.k6(rows=None)}")[2])

    def test_other_bytes_of_the_lab_are_found(self):
        self.assertIn("had other bytes rows instead of 20", self.compare(lab=self.lab(length=len(ANSWER) - 1))[2])

    def test_errors_that_the_lab_had_not_are_found(self):
        for word in (f"locust={self.locust(failure='status 503')}", f"jmeter={self.jmeter(success='false')}", f"k6={self.k6(status=503)}"):
            code, _, errors = self.compare(word)
            self.assertEqual(code, 1)
            self.assertIn("100.0 % of the requests of all failed, the lab had 0.0 %", errors)

    def test_errors_that_only_the_lab_had_are_found(self):
        self.assertIn("0.0 % of the requests of all failed, the lab had 10.0 %", self.compare(f"jmeter={self.jmeter()}", lab=self.lab(errors=1))[2])

    def test_an_endpoint_that_was_not_asked_is_found(self):
        only = [one for one in requests(GAP) if one[2] != "cached"]
        self.assertIn("no request of cached in the steady part", self.compare(f"jmeter={self.jmeter(only)}")[2])

    def test_what_cannot_be_read_is_an_error_that_names_the_file(self):
        (self.folder / "empty.jtl").touch()
        for word in ("jmeter=nowhere.jtl", f"jmeter={self.folder}/empty.jtl", f"k6={self.locust()}"):
            code, _, errors = self.compare(word)
            self.assertEqual(code, 1)
            self.assertIn(word.partition("=")[2], errors)
        self.assertIn("end before 2 s + 10 s are over", self.compare(f"jmeter={self.jmeter(requests(seconds=5))}")[2])
        self.assertIn("it failed", self.compare(lab=self.lab(how="failed"))[2])


class Figures(unittest.TestCase):
    def test_quantiles_are_the_nearest_rank(self):
        self.assertEqual(records.quantile(list(range(1, 101)), 0.95), 95)
        self.assertEqual(records.quantile([1, 2, 3, 4], 0.5), 2)
        self.assertEqual(records.quantile([7], 0.95), 7)
        self.assertIsNone(records.quantile([], 0.5))

    def test_what_starts_slowly_is_left_out(self):
        slow = [records.Request(100 + 0.5 * number, 400, "direct", True) for number in range(4)]
        fast = [records.Request(102 + 0.1 * number, 10, "direct", True) for number in range(40)]
        found = records.steady(slow + fast, skip=2.4, seconds=3)["direct"]
        self.assertEqual((found.requests, found.mean), (30, 10))

    def test_an_unknown_endpoint_is_refused(self):
        with self.assertRaises(records.Unusable):
            records.endpoint_of("GET /stats")
        self.assertEqual(records.endpoint_of("GET /products/pooled"), "pooled")
        self.assertEqual(records.endpoint_of("pooled"), "pooled")

    def test_the_table_is_aligned(self):
        with contextlib.redirect_stdout(io.StringIO()):
            lines = list(compare.table([compare.HEAD, ("k6", "all", "5", "1.0", "", "0", "20", "1.00", "", "2.00")]))
        self.assertEqual(len({len(line) for line in lines}), 1)


if __name__ == "__main__":
    unittest.main()
