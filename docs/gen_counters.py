#!/usr/bin/env python3
"""Writes docs/counters.md from shared/stats.def: gen_counters.py ROOT > docs/counters.md"""
import re
import sys

with open(f"{sys.argv[1]}/shared/stats.def", encoding="utf-8") as f:
    text = f.read()
rows = re.findall(r'^X\((\w+), (COUNT|DROP), "(.*)"\)$', text, re.M)
if len(rows) != len(re.findall(r"^X\(", text, re.M)):
    sys.exit("gen_counters: stats.def has rows that this script cannot read")

print("""# Counters of the dataplane

Generated from `shared/stats.def` by `docs/gen_counters.py`. Each worker counts for itself, the control thread too; metrics
and `callstackctl` show sums.

## What happened

| metric | |
| --- | --- |""")
for name, kind, doc in rows:
    if kind == "COUNT":
        print(f"| `callstack_{name}_total` | {doc} |")
print("""
## Why a packet was dropped

`callstack_drop_total{reason="…"}`, `callstackctl drop-reasons`. Every discarded packet has exactly one of these.

| reason | |
| --- | --- |""")
for name, kind, doc in rows:
    if kind == "DROP":
        print(f"| `{name.removeprefix('drop_')}` | {doc} |")
