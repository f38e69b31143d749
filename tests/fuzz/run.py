#!/usr/bin/env python3
"""Runs the fuzz targets; docs/FUZZING.md has the what and why, `./dev fuzz` builds before.

usage: run.py BUILD [TARGET...] [--seconds N]   fuzzes each target for N seconds of CPU (60), one after another
       run.py BUILD [TARGET...] --minimize      takes what was found worth keeping into tests/fuzz/corpus
       run.py BUILD [TARGET...] --report        what all runs until now come to
       run.py BUILD --coverage [--missed]       what the corpus alone reaches of each parser's lines (of a build with gcc and
                                                -Db_coverage=true); --missed names the lines that it does not

What a run learns stays in BUILD/fuzz/work/TARGET, so that the next goes on from there; an input that fails is kept in
BUILD/fuzz/found, and the exit status is 1. BUILD/fuzz/log.jsonl has a line a round of at most a minute.
"""
import argparse
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS = HERE / "corpus"

TARGETS = sorted(f.name for f in CORPUS.iterdir())

# The parsers of outside bytes, whose lines --coverage counts; of a file that is more than a parser only these functions.
PARSERS = {
    "agent/decide_line.c": None,
    "agent/history_metrics.c": ["is_name_char", "take_name", "take_char", "take_quoted", "add_unescaped", "take_labels", "find_mapped",
                                "take_digits", "take_number", "is_no_number", "take_value", "read_line", "read_lines"],
    "agent/json_read.c": None,
    "agent/kube/access.c": ["read_review"],
    "agent/kube/client.c": ["kind_of_status", "first_line", "explain", "on_head", "on_data"],
    "agent/kube/config.c": None,
    "agent/kube/config_exec.c": None,
    "agent/kube/decode.c": None,
    "agent/kube/decode_json.c": None,
    "agent/kube/decode_pb.c": None,
    "agent/kube/exec_answer.c": None,
    "agent/kube/frame.c": None,
    "agent/kube/frame_json.c": None,
    "agent/kube/frame_pb.c": None,
    "agent/kube/jsonscan.c": None,
    "agent/kube/lease.c": ["get", "count_of", "text_of", "read_spec", "parse", "lease_read_record"],
    "agent/kube/pbwire.c": None,
    "agent/kube/pod_patch.c": ["get", "text_of", "write_tree", "write_tree_term", "other_gates", "write_tree_terms", "write_let_in_of",
                               "take_pod", "take_problem", "on_answer"],
    "agent/kube/proxy.c": None,
    "agent/kube/scale.c": None,
    "agent/kube/target_kind.c": None,
    "agent/kube/template.c": None,
    "agent/kube/version.c": None,
    "agent/kube/watch.c": None,
    "agent/pod_text.c": None,
    "agent/prom/ksm.c": ["label", "pod_id", "pod_at", "node_at", "is_replica_set_of", "is_filler", "priority_of", "take_info",
                         "is_time", "time_of", "keep_newest", "keep_oldest", "amount_of", "keep_amount", "is_name", "add_name",
                         "take_pod_points", "take_ended", "take_pod_time", "take_pod", "offer_of", "take_offer", "take_away",
                         "take_node_points", "take_node", "take_scrapes", "ksm_take"],
    "agent/prom/promread.c": None,
    "agent/prom/scrapes.c": None,
    "agent/serve/accept.c": None,
    "agent/serve/metrics/metrics_api.c": None,
    "agent/serve/metrics/metrics_ask.c": None,
    "agent/serve/metrics/metrics_values.c": None,
    "agent/serve/routes.c": None,
    "agent/top/answers.c": None,
    "agent/truth.c": None,
    "base/base64.c": None,
    "base/jsonr.c": None,
    "base/yaml.c": None,
    "base/zone.c": ["get_u32", "get_i64", "refuse", "read_header", "block_bytes", "read_times", "read_types", "read_block",
                    "read_footer", "read_file_bytes", "zone_parse", "passed", "zone_offset_s", "zone_next_s",
                    "zone_first_s", "zone_is_name"],
    "base/zone_rule.c": None,
    "capacity/quantity.c": None,
    "capacity/selector_parse.c": None,
    "policy/field_read.c": None,
    "policy/policy_read.c": None,
    "policy/schedule.c": None,
    "policy/sim/trace.c": None,
    "storage/activity.c": ["table_new", "table_free", "steps_of", "add_bin", "take_number", "unpack", "activity_check", "take_chunk",
                           "activity_each", "look_at", "activity_look", "activity_put", "put_number", "bins_in", "pack", "put_table"],
    "storage/blocked.c": None,
    "storage/codec.c": None,
    "storage/import.c": None,
    "storage/record.c": None,
    "storage/record_text.c": None,
    "storage/recover.c": None,
    "storage/rollup.c": ["id_of", "put_values", "depth_of", "needs", "plus", "settle", "take_column", "show_rows", "take_chunk",
                         "rollup_each"],
    "storage/samples.c": ["read_row", "next_row", "tell_rows", "unpack", "sample_of", "join_chunk", "join", "samples_each"],
    "storage/unpack.c": None,
    "storage/wire.c": ["wire_get", "wire_get_signed", "wire_get_byte", "wire_get_bytes"],
}
ENOUGH = 85  # percent of each parser's lines

# Beyond these a target has failed: an API server's largest object is 8 MiB, what is made of it 16.
RSS_MB, MALLOC_MB, INPUT_S, MAX_LEN = 512, 128, 10, 16384
ROUND_S = 60


def fuzzer(build, target, *args):
    """Runs libFuzzer; returns its exit status, its text, and the CPU seconds that it took."""
    env = dict(os.environ, ASAN_OPTIONS="abort_on_error=1:detect_leaks=1:allocator_may_return_null=0",
               UBSAN_OPTIONS="abort_on_error=1:print_stacktrace=1:halt_on_error=1")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(build / "tests/fuzz" / f"endless_{target}"), f"-rss_limit_mb={RSS_MB}",
                           f"-malloc_limit_mb={MALLOC_MB}", f"-timeout={INPUT_S}", f"-max_len={MAX_LEN}", *args],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env,
                          cwd=build, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (done.returncode, done.stderr.decode(errors="replace"),
            after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def figure(text, name):
    found = re.search(rf"stat::{name}:\s*(\d+)", text)
    return int(found[1]) if found else 0


def stood_still(build, target, text):
    """libFuzzer's timeout goes by the clock: on a machine that was stopped, or had other things to do, no input is at fault."""
    path = re.search(r"Test unit written to (\S+-timeout-\S+)", text)
    if path is None:
        return False
    status, _, cpu = fuzzer(build, target, f"-timeout={60 * INPUT_S}", path[1])
    if status != 0 or cpu >= INPUT_S:
        return False
    os.unlink(path[1])
    return True


def run_round(build, target, seconds):
    """At most that long by the clock; its figures, one more line of the log."""
    work, found, words = build / "fuzz/work" / target, build / "fuzz/found", HERE / "words" / target
    work.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    status, text, cpu = fuzzer(build, target, f"-max_total_time={seconds}", "-print_final_stats=1", "-reload=0",
                               f"-artifact_prefix={found}/{target}-", *([f"-dict={words}"] if words.exists() else []),
                               str(work), str(CORPUS / target))
    if status != 0 and stood_still(build, target, text):
        status = 0
    edges = re.findall(r"cov: (\d+)", text)
    figures = {"target": target, "cpu_s": round(cpu, 1), "executions": figure(text, "number_of_executed_units"),
               "rss_mb": figure(text, "peak_rss_mb"), "edges": int(edges[-1]) if edges else 0, "found": int(status != 0)}
    with open(build / "fuzz/log.jsonl", "a", encoding="utf-8") as log:
        log.write(json.dumps(figures) + "\n")
    if status != 0:
        print("\n".join(text.splitlines()[-60:]), file=sys.stderr)
    return figures


def total(rounds):
    sums = {"target": rounds[0]["target"]}
    sums |= {key: sum(r[key] for r in rounds) for key in ("cpu_s", "executions", "found")}
    sums |= {key: max(r[key] for r in rounds) for key in ("rss_mb", "edges")}
    print("{target:12} {cpu_s:8.1f} s of CPU {executions:12,} executions {edges:6} edges {rss_mb:5} MB {found} found"
          .format(**sums), flush=True)


def fuzz(build, target, seconds):
    """Until the seconds of CPU are used up. False: something was found."""
    rounds = []
    while sum(r["cpu_s"] for r in rounds) < seconds and not any(r["found"] for r in rounds):
        rounds.append(run_round(build, target, max(1, min(ROUND_S, int(seconds - sum(r["cpu_s"] for r in rounds))))))
    total(rounds)
    return not rounds[-1]["found"]


def report(build, targets):
    """What all runs in this build directory come to."""
    with open(build / "fuzz/log.jsonl", encoding="utf-8") as log:
        rounds = [json.loads(line) for line in log]
    for target in targets:
        own = [r for r in rounds if r["target"] == target]
        if own:
            total(own)
    return True


def minimize(build, target):
    """Files that a person named stay; of the others those that reach an edge that no other file does."""
    named = [f for f in sorted((CORPUS / target).iterdir()) if not re.fullmatch(r"[0-9a-f]{12}", f.name)]
    out = build / "fuzz/merged" / target
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for f in named:
        shutil.copy(f, out)
    work = build / "fuzz/work" / target
    work.mkdir(parents=True, exist_ok=True)
    status, text, _ = fuzzer(build, target, "-merge=1", "-use_counters=0", str(out), str(CORPUS / target), str(work))
    if status != 0:
        print(text[-2000:], file=sys.stderr)
        return False
    for f in (CORPUS / target).iterdir():
        if f not in named:
            f.unlink()
    for f in out.iterdir():
        if f.name not in {n.name for n in named}:
            shutil.copy(f, CORPUS / target / hashlib.sha1(f.read_bytes()).hexdigest()[:12])
    files = list((CORPUS / target).iterdir())
    print(f"{target:12} {len(files):5} files {sum(f.stat().st_size for f in files):8} bytes", flush=True)
    return True


def lines_of(build, source, functions):
    """What gcov says of one source: how often each of its lines was run."""
    lines = {}
    for data in build.rglob(f"*{Path(source).name}.gcda"):
        out = subprocess.run(["gcov", "--json-format", "--stdout", str(data)], capture_output=True, check=True, cwd=build)
        for text in out.stdout.splitlines():
            for f in json.loads(text)["files"]:
                if not f["file"].endswith("/" + source):
                    continue
                for line in f["lines"]:
                    if functions is None or line.get("function_name") in functions:
                        lines[line["line_number"]] = lines.get(line["line_number"], 0) + line["count"]
    return lines


def coverage(build, targets, missed):
    """The corpus once through the targets, then a line for each parser. False: one has too little."""
    good = True
    for data in build.rglob("*.gcda"):
        data.unlink()
    for target in targets:
        subprocess.run([str(build / "tests/fuzz" / f"fuzz_{target}"), str(CORPUS / target)], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    for source, functions in PARSERS.items():
        lines = lines_of(build, source, functions)
        ran = sum(1 for n in lines.values() if n)
        percent = 100 * ran / len(lines) if lines else 0
        print(f"{source:28} {ran:4} of {len(lines):4} lines {percent:6.1f} %" + ("" if percent >= ENOUGH else "  too little"))
        if missed:
            print("    not run: " + " ".join(str(n) for n in sorted(lines) if not lines[n]))
        good = good and percent >= ENOUGH
    return good


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("build", type=Path)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--minimize", action="store_true")
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--missed", action="store_true")
    args = parser.parse_args()
    build = args.build.resolve()
    unknown = [t for t in args.targets if t not in TARGETS]
    if unknown:
        parser.error(f"found target '{unknown[0]}', expected one of: {' '.join(TARGETS)}")
    targets = args.targets or TARGETS
    if args.report:
        good = report(build, targets)
    elif args.coverage:
        good = coverage(build, targets, args.missed)
    elif args.minimize:
        good = all([minimize(build, t) for t in targets])
    else:
        good = all([fuzz(build, t, args.seconds) for t in targets])
    return 0 if good else 1


sys.exit(main())
