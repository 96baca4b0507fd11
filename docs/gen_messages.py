#!/usr/bin/env python3
"""Writes docs/messages.md from shared/msg.def, msg.h and limits.h: gen_messages.py ROOT > docs/messages.md

The bodies have no implicit padding (msg.c has the compiler prove it), so offsets are sums of sizes."""
import re
import sys

SCALARS = {"uint8_t": 1, "uint16_t": 2, "int32_t": 4, "uint32_t": 4, "uint64_t": 8, "sh_id": 4}


def read(root, name):
    with open(f"{root}/shared/{name}", encoding="utf-8") as f:
        return f.read()


def constants(root):
    """Named sizes: enum members with plain numbers, and the count of the extension list."""
    text = read(root, "limits.h") + read(root, "msg.h")
    named = {k: int(v, 0) for k, v in re.findall(r"\b(SH_\w+) = (0x[0-9a-fA-F]+|\d+)\b", text)}
    body = re.search(r"#define SH_EXT_LIST\(X\)(.*?)\n\n", text, re.S).group(1)
    named["SH_EXT_COUNT"] = len(re.findall(r"\bX\(", body))
    return named


def evaluate(expression, named):
    names = re.sub(r"\bSH_\w+\b", lambda m: str(named[m.group(0)]), expression)
    if not re.fullmatch(r"[\d\s+*()-]+", names):
        sys.exit(f"gen_messages: cannot evaluate '{expression}'")
    return int(eval(names))  # digits and operators only, see above


def structs(root):
    """name -> [(type, declarators, comment)], in order; the comment is what follows on the line."""
    found = {}
    for name in ("addr.h", "secret.h", "msg.h"):
        text = read(root, name)
        for struct, body in re.findall(r"struct (\w+) \{\n(.*?)\n\}", text, re.S):
            fields = []
            for line in body.split("\n"):
                line = line.strip()
                if line.startswith("//"):
                    fields[-1][2] += " " + line[2:].strip()
                    continue
                code, _, comment = line.partition("//")
                m = re.fullmatch(r"(?:struct )?(\w+)\s+(.*);", code.strip())
                if not m:
                    sys.exit(f"gen_messages: {struct}: cannot read '{line}'")
                fields.append([m.group(1), m.group(2), comment.strip()])
            found[struct] = fields
    return found


def size_of(name, table, named):
    if name in SCALARS:
        return SCALARS[name]
    return sum(size for _, _, _, size, _ in layout(name, table, named))


def layout(name, table, named):
    """[(offset, type, name, size, comment)]; of fields that share a line, the last that is not padding has its comment."""
    rows, at = [], 0
    for kind, declarators, comment in table[name]:
        parts = [d.strip() for d in declarators.split(",")]
        told = max((i for i, part in enumerate(parts) if not part.startswith("pad")), default=0)
        for i, part in enumerate(parts):
            m = re.fullmatch(r"(\w+)(?:\[(.+)\])?", part)
            count = evaluate(m.group(2), named) if m.group(2) else 1
            size = count * size_of(kind, table, named)
            shown = f"{kind}[{count}]" if m.group(2) else kind
            rows.append((at, shown, m.group(1), size, comment if i == told else ""))
            at += size
    return rows


def cell(text):
    return text.replace("|", "\\|")


def fields(name, table, named, out):
    out.append("| offset | type | field | |")
    out.append("| ---: | --- | --- | --- |")
    for at, kind, field, _, comment in layout(name, table, named):
        if field.startswith("pad"):
            comment = "must be zero"
        out.append(f"| {at} | `{kind}` | `{field}` | {cell(comment)} |")
    out.append("")


def main():
    root = sys.argv[1]
    table, named = structs(root), constants(root)
    rows = re.findall(r'^X\((\d+),\s*(\w+),\s*(\w+),\s*([CE]),\s*(\w+),\s*"(.*)"\)$', read(root, "msg.def"), re.M)
    if len(rows) != read(root, "msg.def").count("\nX("):
        sys.exit("gen_messages: msg.def has rows that this script cannot read")
    out = [
        "# Messages between callstackd and callstack-dataplane",
        "",
        "Generated from `shared/msg.def` and `shared/msg.h` by `docs/gen_messages.py`. Integers are in host byte order;",
        "padding, unused array entries and bytes behind strings are zero, and refused otherwise (`sh_msg_check`).",
        f"Version {named['SH_MSG_VERSION']}. How they travel: `shared/ring.h`, `shared/link.h`; how the daemon uses them: `controlplane/plane/plane.c`.",
        "",
        "| number | message | direction | bytes | secret | purpose |",
        "| ---: | --- | --- | ---: | --- | --- |",
    ]
    for number, sym, suffix, direction, flags, doc in rows:
        size = size_of(f"sh_msg_{suffix}", table, named)
        way = "daemon → dataplane" if direction == "C" else "dataplane → daemon"
        most = "at most " if suffix == "packet" else ""
        secret = "wiped in the ring" if flags == "SH_REC_SECRET" else ""
        out.append(f"| {number} | `{sym}` | {way} | {most}{size} | {secret} | {cell(doc)} |")
    out.append("")
    done = set()
    for _, _, suffix, _, _, _ in rows:
        if suffix in done:
            continue
        done.add(suffix)
        names = ", ".join(f"`{r[1]}`" for r in rows if r[2] == suffix)
        out += [f"## {names}: `struct sh_msg_{suffix}`", ""]
        fields(f"sh_msg_{suffix}", table, named, out)
    out += ["## Within them", ""]
    for inner in ("sh_addr", "sh_srtp_secret", "sh_track_pt", "sh_track_layer"):
        out += [f"### `struct {inner}`, {size_of(inner, table, named)} bytes", ""]
        fields(inner, table, named, out)
    print("\n".join(out).rstrip())


main()
