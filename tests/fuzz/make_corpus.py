#!/usr/bin/env python3
"""Seeds of fuzz_ring and fuzz_conf: make_corpus.py OUT. Those of fuzz_msg: msg_seeds.c."""
import pathlib
import struct
import sys

out = pathlib.Path(sys.argv[1])


def put(fuzzer, name, data):
    folder = out / fuzzer
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def record(kind, body, flags=0):
    return struct.pack("<IHH", len(body), kind, flags) + body + bytes(-len(body) % 8)


def ring(head, tail, pos, data):
    return struct.pack("<QQH", head, tail, pos // 8) + data


one = record(3, b"hello", 1)
put("ring", "one", ring(len(one), 0, 0, one + bytes(4096 - len(one))))
many = b"".join(record(k, bytes(k * 7)) for k in range(1, 20))
put("ring", "many", ring(len(many), 0, 0, many + bytes(4096 - len(many))))
wrap = bytearray(4096)
wrap[4080:4088] = struct.pack("<IHH", 8, 0, 0)
wrap[0:16] = record(5, b"12345678")
put("ring", "wrap", ring(4096 + 16, 4080, 4080, bytes(wrap)))
put("ring", "odd_head", ring(13, 5, 0, one))
put("ring", "long", ring(4096, 0, 0, struct.pack("<IHH", 0xFFFFFFFF, 1, 0)))
put("ring", "repeat", ring(4096, 1 << 63, 16, record(9, b"")))

root = pathlib.Path(__file__).resolve().parents[2]
put("conf", "dataplane", b"\0" + (root / "conf/dataplane.yaml").read_bytes()[:3000])
put("conf", "callstackd", b"\1" + (root / "conf/callstackd.yaml").read_bytes()[:3000])
for n, (table, text) in enumerate([
    (0, "ports:\n- {kind: memif, socket: /run/m, id: 3}\n- kind: 'null'\nworkers: 2\n"),
    (0, "nack: {enabled: no}\nstun.burst: 3\naddresses: ['::1', 192.0.2.1]\n"),
    (0, "a: &a [*a, *a]\nb: *a\n---\nc\n"),
    (0, "log: \"info,\\x61=debug\"\nlcores: 1-2,5\n? [x]\n: {y: |\n  z}\n"),
    (1, "tls: {cert: /a, key: /b}\nlimits: {tracks: 3}\ncors_origins: [\"https://a:1\"]\n"),
    (2, "ports=[{kind: pci, pci: 0000:3b:00.0}]"),
    (2, "ports.1.interface=eth1"),
    (2, "addresses=1.2.3.4,2001:db8::1"),
    (3, "store=postgresql://x"),
]):
    put("conf", f"seed{n}", bytes([table]) + text.encode())
