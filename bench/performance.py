#!/usr/bin/env python3
"""Writes measured figures into docs/performance.md: performance.py FILE FOLDER.

What stands between `<!-- NAME -->` and `<!-- /NAME -->` is replaced by the table of that name, made of the
JSON in FOLDER; a table whose JSON is not there stays as it is."""
import datetime
import json
import os
import re
import sys


def load(folder, name):
    try:
        with open(os.path.join(folder, name + ".json"), encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return None


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def number(x, digits=0):
    return f"{x:,.{digits}f}"


def when(folder, name):
    at = os.path.getmtime(os.path.join(folder, name + ".json"))
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%d")


NAMES = {"callstack": "CallStack", "janus": "Janus", "rtpengine": "rtpengine"}


def compare(folder):
    data = load(folder, "compare")
    if not data:
        return None
    ours = next((s for s in data["servers"] if s["name"] == "callstack"), None)
    rates = table(
        ["server", "best, packets/s", "median", "ours ÷ it, best", "median", "runs"],
        [[NAMES[s["name"]], number(s["best"]), number(s["median"]),
          f"{ours['best'] / s['best']:.2f}" if ours and s["best"] else "-",
          f"{ours['median'] / s['median']:.2f}" if ours and s["median"] else "-", len(s["rates"])]
         for s in data["servers"]])
    rows = []
    for s in data["servers"]:
        f = s["common"]["figures"]
        l = f["latency_us"]
        rows.append([NAMES[s["name"]], number(f["packets_per_second"]), number(f["loss_ppm"]), number(l["p50"]),
                     number(l["p99"]), number(l["p99.9"]), f"{f['server']['cpu']:.2f}",
                     number(f["server"]["cycles_per_packet"])])
    common = table(["server", "packets/s out", "lost, ppm", "p50 µs", "p99 µs", "p99.9 µs", "CPUs", "cycles a packet"],
                   rows)
    return (f"{data['date']}, {data['cpu']}, {data['cpus']} CPUs, Linux {data['kernel']}; load average at the end "
            f"{data['load']}; Janus {data['janus']}, rtpengine {data['rtpengine']}; generator over {data['generator']}, "
            f"{data['subscribers']} subscribers.\n\n{rates}\n\nAt a rate that all of them carry:\n\n{common}")


def forward(folder):
    rows, cycles, day = [], {}, None
    for subs in (1000, 10000, 50000):
        data = load(folder, f"forward-{subs}")
        if not data or not data["rows"]:
            continue
        day = when(folder, f"forward-{subs}")
        r = data["rows"][0]
        rows.append([number(subs), number(r["min"]), number(r["median"]), number(r["floor"]),
                     f"{r['round_ratio']['median']:.2f}", number(r["cycles"]), number(r["bytes_per_subscription"]),
                     r["runs"], number(r["turns_cut"])])
        cycles[subs] = r["node_cycles"]
    if not rows:
        return None
    first = table(["subscriptions", "best, ns", "median", "floor", "ratio", "cycles", "bytes each", "runs",
                   "turns cut short"], rows)
    names = [n for n in cycles[max(cycles)] if any(c.get(n, 0) >= 0.5 for c in cycles.values())]
    second = table(["node, cycles a packet out"] + [number(s) for s in cycles],
                   [[f"`{n}`"] + [number(c.get(n, 0), 1) for c in cycles.values()] for n in names])
    return f"{day}, {data['facts']['cpu']}.\n\n{first}\n\n{second}"


def rooms(folder):
    rows, day = [], None
    for name, text in (("room-500", "one room of 500, one publishes"),
                       ("rooms-50x10", "50 rooms of 10, all publish")):
        data = load(folder, name)
        if not data:
            continue
        day = when(folder, name)
        f, r = data["figures"], data["receivers"]
        server = f["server"]
        rows.append([text, number(f["seconds"]), number(f["packets_per_second"]), number(f["expected"] - f["received"]),
                     r["freezes"], number(r["join_ms"].get("p50", 0)), number(r["join_ms"].get("p99", 0)),
                     number(f["latency_us"]["p50"]), number(f["latency_us"]["p99"]), f"{server['cpu']:.2f}",
                     number(server["graph"]["per_packet_out"]),
                     f"{server['rss_kb_before'] // 1024} → {server['rss_kb_after'] // 1024}"])
    if not rows:
        return None
    return f"{day}.\n\n" + table(["scenario", "s", "packets/s out", "lost", "freezes", "join p50 ms", "p99",
                                  "latency p50 µs", "p99", "server CPUs", "graph cycles a packet", "memory MiB"], rows)


def main():
    path, folder = sys.argv[1:]
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for name, make in (("compare", compare), ("forward", forward), ("rooms", rooms)):
        made = make(folder)
        if made is None:
            print(f"performance.py: {name}: nothing measured, left as it is", file=sys.stderr)
            continue
        text, n = re.subn(rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", lambda m: m[1] + made + m[2], text, flags=re.S)
        if n != 1:
            sys.exit(f"performance.py: {path}: {n} places for {name}, expected one")
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(path + ".new", path)


main()
