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


def growth(folder):
    rows, first, last = [], {}, {}
    newest = cpu = None
    for payload, kind in ((1200, "video"), (160, "audio")):
        for workers in (1, 2):
            for subs in (100, 1000, 10000, 50000):
                name = f"growth-{subs}-{payload}-{workers}"
                data = load(folder, name)
                if not data or not data["rows"]:
                    continue
                r = data["rows"][0]
                newest, cpu = max(newest or "", when(folder, name)), data["facts"]["cpu"]
                rows.append([f"{kind}, {payload} B", workers, number(subs), number(r["min"]), number(r["median"]),
                             number(1e3 / r["median"], 2), number(r["floor"]),
                             f"{r['round_ratio']['median']:.2f}" if workers == 1 else "-",
                             number(r["bytes_per_subscription"]), r["runs"], number(r["turns_cut"])])
                if subs == 1000:
                    first[kind, workers] = r["median"]
                if subs == 50000:
                    last[kind, workers] = r["median"]
    if not rows:
        return None
    text = f"{newest}, {cpu}.\n\n" + table(
        ["packets", "workers", "subscriptions", "best, ns", "median", "million/s", "floor", "ratio", "bytes each",
         "runs", "turns cut short"], rows)
    ratios = [f"{kind}, {workers} worker{'s' if workers > 1 else ''}: {last[kind, workers] / first[kind, workers]:.2f}"
              for kind, workers in last if (kind, workers) in first]
    if ratios:
        text += "\n\n50,000 ÷ 1,000 subscriptions: " + "; ".join(ratios) + "."
    parts = load(folder, "growth-50000-1200-1")
    if parts and parts["rows"]:
        named = parts["rows"][0]["bytes"]
        text += ("\n\nBytes of each of 50,000 subscriptions with video: " +
                 ", ".join(f"{k} {number(v)}" for k, v in named.items() if round(v)) + ".")
    return text


def latency(folder):
    rows, newest = [], None
    for subs in (1000, 10000):
        name = f"latency-{subs}"
        data = load(folder, name)
        if not data or not data["rows"]:
            continue
        r = data["rows"][0]
        newest = max(newest or "", when(folder, name))
        l = r["latency_us"]
        if "worker_p99_best" not in l:  # of a bench that did not tell them apart
            continue
        rows.append([number(subs), number(r["packets_per_s"]["median"])] +
                    [f"{number(l[k + '_best'])} / {number(l[k + '_median'])}"
                     for k in ("p50", "p99", "there_p50", "there_p99", "worker_p50", "worker_p99", "longest_turn", "away")] +
                    [number(100 * l["cut_share"], 1)])
    if not rows:
        return None
    return f"{newest}. Each: µs, best / median.\n\n" + table(
        ["subscriptions", "packets/s out, all it bears", "p50", "p99", "p50 there", "p99 there", "p50 of the worker", "p99",
         "longest turn", "receiver away", "% in turns cut short"], rows)


def rooms(folder):
    rows, day = [], None
    for name, text in (("room-500", "one room of 500, one publishes"),
                       ("rooms-50x10", "50 rooms of 10, all publish"),
                       ("rooms-50x10-plain", "the same, receivers without feedback")):
        data = load(folder, name)
        if not data:
            continue
        day = when(folder, name)
        f, r = data["figures"], data["receivers"]
        server = f["server"]
        rows.append([text, number(f["seconds"]), number(f["packets_per_second"]), number(r["lost"]), number(f["expected"] - f["received"] - r["lost"]),
                     r["freezes"], number(r["join_ms"].get("p50", 0)), number(r["join_ms"].get("p99", 0)),
                     number(f["latency_us"]["p50"]), number(f["latency_us"]["p99"]), f"{server['cpu']:.2f}",
                     number(server["graph"]["per_packet_out"]),
                     f"{server['rss_kb_before'] // 1024} → {server['rss_kb_after'] // 1024}"])
    if not rows:
        return None
    return f"{day}.\n\n" + table(["scenario", "s", "packets/s out", "lost", "held back", "freezes", "join p50 ms", "p99",
                                  "latency p50 µs", "p99", "server CPUs", "graph cycles a packet", "memory MiB"], rows)


def dtls(folder):
    data = load(folder, "dtls")
    if not data:
        return None
    rows = [[r["ns a handshake"], number(r["min"] / 1000), number(r["median"] / 1000), f"{r['ratio']:.2f}" if "ratio" in r else "-",
             number(r["handshakes_per_second"]), r["runs"]] for r in data["rows"]]
    return f"{when(folder, 'dtls')}, {data['facts']['cpu']}.\n\n" + table(
        ["side", "best, µs", "median", "÷ floor", "handshakes a second, one core", "runs"], rows)


def main():
    path, folder = sys.argv[1:]
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for name, make in (("compare", compare), ("forward", forward), ("growth", growth), ("latency", latency),
                       ("rooms", rooms), ("dtls", dtls)):
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
