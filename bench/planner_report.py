"""The planner's report: one file, plots as SVG, nothing from outside."""
import html, json, math, pathlib, tempfile

from planner_host import BAR, NOISY, ROOT, run, tool, write_model

W, H, PAD = 640, 360, 56
COLOURS = ['#1f6feb', '#d1242f', '#1a7f37', '#9a6700', '#8250df', '#57606a', '#bf3989', '#0a7ea4', '#b35900', '#2da44e']


def nice(top):
    """A round number not below, for an axis."""
    if top <= 0:
        return 1
    e = 10 ** math.floor(math.log10(top))
    return next(m * e for m in (1, 2, 2.5, 5, 10) if m * e >= top * 0.999)


def axes(title, x_label, y_label, x_top, y_top):
    out = [f'<figure><svg viewBox="0 0 {W} {H}" role="img" aria-label="{html.escape(title)}">']
    for i in range(6):
        y, x = H - PAD - i / 5 * (H - 2 * PAD), PAD + i / 5 * (W - 2 * PAD)
        out.append(f'<line x1="{PAD}" y1="{y:.1f}" x2="{W - PAD}" y2="{y:.1f}" class="grid"/>'
                   f'<text x="{PAD - 6}" y="{y + 4:.1f}" text-anchor="end">{y_top * i / 5:g}</text>')
        if x_top:
            out.append(f'<text x="{x:.1f}" y="{H - PAD + 16}" text-anchor="middle">{x_top * i / 5:g}</text>')
    out.append(f'<text x="{W / 2}" y="{H - 12}" text-anchor="middle">{html.escape(x_label)}</text>'
               f'<text x="14" y="{H / 2}" text-anchor="middle" transform="rotate(-90 14 {H / 2})">{html.escape(y_label)}</text>')
    return out


def done(out, title):
    return '\n'.join(out) + f'</svg><figcaption>{html.escape(title)}</figcaption></figure>'


def place(x, y, x_top, y_top):
    return PAD + x / x_top * (W - 2 * PAD), H - PAD - min(y / y_top, 1.05) * (H - 2 * PAD)


def legend(out, names):
    for i, name in enumerate(names):
        out.append(f'<rect x="{W - PAD - 150}" y="{PAD + 16 * i - 9}" width="10" height="10" fill="{COLOURS[i % len(COLOURS)]}"/>'
                   f'<text x="{W - PAD - 136}" y="{PAD + 16 * i}">{html.escape(name)}</text>')


def described(s):
    """A sample in words."""
    if 'rooms' not in s:
        return f"{s['payload']} B, fan-out {s['fanout']}, {s['subs']} subscriptions"
    sent = [f"audio {s['audio']} B"] * (s['audio'] > 0) + [f"video {s['kbps']} kbit/s, {s['payload']} B"] * (s['kbps'] > 0)
    watch = f", {s['watch']} watched" if s['watch'] else ''
    slots = f", {s['cameras']} cameras, slots {s['audio_slots']} + {s['video_slots']}" if s.get('audio_slots') else ''
    silent = '' if s.get('feedback', 1) else ', no feedback'
    return f"{s['rooms']} rooms of {s['participants']}, {s['publishers']} publish {' and '.join(sent)}{watch}{slots}{silent}"


def plot_fit(samples):
    top = nice(max(max(s['cycles'], s['predicted']) for s in samples))
    out = axes('fit', 'measured, cycles a packet out', 'by the model', top, top)
    a, b = place(0, 0, top, top), place(top, top, top, top)
    out.append(f'<line x1="{a[0]}" y1="{a[1]}" x2="{b[0]}" y2="{b[1]}" stroke="#888" stroke-dasharray="4"/>')
    names = sorted({f"{s['profile']} {s['port']}" for s in samples})
    for s in samples:
        x, y = place(s['cycles'], s['predicted'], top, top)
        c = COLOURS[names.index(f"{s['profile']} {s['port']}") % len(COLOURS)]
        tip = f"{s['profile']} {s['port']}, {described(s)}: {s['cycles']:.0f} / {s['predicted']:.0f}"
        shape = f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="none" stroke="{c}" stroke-width="2">' if s.get('held_out') \
            else f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{c}">'
        out.append(f'{shape}<title>{html.escape(tip)}</title></{"rect" if s.get("held_out") else "circle"}>')
    legend(out, names)
    return done(out, 'Each sample as measured and as the model has it; squares were not fitted on.')


def plot_nodes(samples):
    chosen = [s for s in samples if s['port'] == 'null'][:24]
    names = sorted({n for s in chosen for n, v in s['node_cycles'].items() if v > 0.03 * sum(s['node_cycles'].values())})
    top = nice(max(sum(s['node_cycles'].values()) for s in chosen))
    out = axes('nodes', 'samples', 'cycles a packet out', 0, top)
    step = (W - 2 * PAD - 160) / len(chosen)
    for i, s in enumerate(chosen):
        y = 0
        for k, n in enumerate(names):
            v = s['node_cycles'].get(n, 0)
            x0, y0 = PAD + i * step, place(0, y + v, 1, top)[1]
            out.append(f'<rect x="{x0:.1f}" y="{y0:.1f}" width="{step * 0.8:.1f}" height="{max(place(0, y, 1, top)[1] - y0, 0):.1f}" fill="{COLOURS[k % len(COLOURS)]}">'
                       f'<title>{html.escape(s["profile"])} {html.escape(described(s))}: {n} {v:.0f}</title></rect>')
            y += v
    legend(out, names)
    return done(out, 'Where the cycles go, by node of the graph; hover for the sample.')


def plot_knee(v):
    x_top = nice(max(p['rooms'] for p in v['points']))
    out = axes(v['scenario'], 'rooms', 'busy share of the worker, %', x_top, 120)
    for i, key in enumerate(('predicted', 'busy')):
        for p in sorted(v['points'], key=lambda p: p['rooms']):
            x, y = place(p['rooms'], p[key] * 100, x_top, 120)
            out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{COLOURS[i]}"><title>{p["rooms"]} rooms: {p[key]:.1%}</title></circle>')
    for i, key in enumerate(('predicted_rooms', 'measured_rooms')):
        x = place(min(v[key], x_top), 0, x_top, 1)[0]
        out.append(f'<line x1="{x:.1f}" y1="{PAD}" x2="{x:.1f}" y2="{H - PAD}" stroke="{COLOURS[i]}" stroke-dasharray="5 3"/>')
    legend(out, [f"predicted, knee {v['predicted_rooms']:.0f}", f"measured, knee {v['measured_rooms']:.0f}"])
    return done(out, f"{v['scenario']}: predicted to measured {v['error']:+.1%} ({v['date']}). At few rooms each packet costs more than the model says: batches are small, and there is time.")


def plot_rooms(name, a):
    top = nice(max(m['rooms_high'] for m in a['most']))
    out = axes(name, 'workers', 'rooms', 0, top)
    step = (W - 2 * PAD) / len(a['most'])
    for i, m in enumerate(a['most']):
        x, y = PAD + (i + 0.5) * step, place(0, m['rooms'], 1, top)[1]
        lo, hi = place(0, m['rooms_low'], 1, top)[1], place(0, m['rooms_high'], 1, top)[1]
        out.append(f'<rect x="{x - step * 0.3:.1f}" y="{y:.1f}" width="{step * 0.6:.1f}" height="{H - PAD - y:.1f}" fill="{COLOURS[0]}"><title>{m["rooms"]} rooms, then {m["bottleneck"]}</title></rect>'
                   f'<path d="M{x:.1f} {lo:.1f}V{hi:.1f}M{x - 5:.1f} {lo:.1f}h10M{x - 5:.1f} {hi:.1f}h10" stroke="#111" fill="none"/>'
                   f'<text x="{x:.1f}" y="{H - PAD + 16}" text-anchor="middle">{m["workers"]}</text>')
    return done(out, f"{name}: rooms that fit a budget of {a['budget']:.0%}, with the error of the prediction ({a['error']:.0%}); the first limit beyond is in each bar's title.")


def table(head, rows):
    cells = lambda row, tag: '<tr>' + ''.join(f'<{tag}>{html.escape(str(c))}</{tag}>' for c in row) + '</tr>'
    return '<table>' + cells(head, 'th') + ''.join(cells(r, 'td') for r in rows) + '</table>'


def report(model, path):
    f, samples = model['fit'], model['fit']['samples']
    parts = [f'<p>{html.escape(", ".join(f"{k}: {v}" for k, v in model["host"].items() if v))}</p>',
             f"<p>{f['fitted']} samples fitted, residual {f['rms']:.1%} rms, {f['worst']:.1%} at worst. Each foretold by a fit "
             f"of the others: {f['one_out_rms']:.1%} rms, {f['one_out_worst']:.1%} at worst. {f['held_out']} held out: {f['held_out_rms']:.1%} rms, "
             f"{f['held_out_worst']:.1%} at worst. Error told with predictions: {model['error']:.1%}.</p>"]
    if model['host'].get('noise', 1) > NOISY:
        parts.append(f"<p><strong>The machine was not quiet while it was measured</strong>: medians are {model['host']['noise']:.2f} × the minima.</p>")
    parts += ['<h2>Coefficients</h2>',
              table(['cipher', 'in, cycles a packet', 'a byte', 'out, cycles a packet', 'a byte'],
                    [[n, f"{c['in']:.0f}", f"{c['in_byte']:.3f}", f"{c['out']:.0f}", f"{c['out_byte']:.3f}"] for n, c in model['ciphers'].items()]),
              table(['port', 'in', 'out', 'out, a byte', 'packets/s', 'bit/s'],
                    [[n, f"{p['in']:.0f}", f"{p['out']:.0f}", f"{p['out_byte']:.3f}", f"{p['max_pps']:g}", f"{p['max_bps']:g}"] for n, p in model['ports'].items()]),
              f"<p>For each doubling of what is touched beyond {model['cached'] / 1024:.0f} KiB: {model['cache']:.1f} cycles a packet out, {model['cache_in']:.1f} a packet in; where as many tracks are audio as "
              f"video, {model['mixed']:.0f} a packet in; {model['video']:.0f} more a packet of video in. A second: {model['endpoint']:.0f} cycles for each transport, {model['report']:.0f} for each subscription, {model['scan']:.0f} for each track, {model['link']:.0f} for each listener with feedback. "
              f"Each of its feedback packets {model['feedback']:.0f}, each packet that it tells of {model['track']:.0f}. Memory: {', '.join(f'{k} {v / 1024:.1f} KiB' for k, v in model['memory'].items())}.</p>",
              '<h2>Fit</h2>', plot_fit(samples), plot_nodes(samples)]
    if model['validation']:
        parts += ['<h2>Scenarios that were not fitted on</h2>'] + [plot_knee(v) for v in model['validation'] if v['points']]
        parts.append(table(['scenario', 'knee predicted', 'measured', 'of', 'error', 'when'],
                           [[v['scenario'], f"{v['predicted_rooms']:.0f}", f"{v['measured_rooms']:.0f}", v['unit'], f"{v['error']:+.1%}", v['date']] for v in model['validation']]))
    scenarios = sorted((ROOT / 'bench' / 'scenarios').glob('*.yaml'))
    if scenarios:
        with tempfile.TemporaryDirectory() as d:
            file = pathlib.Path(d) / 'model.json'
            write_model(model, file)
            parts.append('<h2>What this host bears</h2>')
            for s in scenarios:
                parts.append(plot_rooms(s.stem, json.loads(run([tool('cost_model'), 'ask', str(file), str(s)], 30))))
    parts += ['<h2>Samples</h2>',
              table(['profile', 'port', 'what', 'subscriptions', 'cycles', 'model', 'error', 'without it', 'median / min', 'others took', 'held out'],
                    [[s['profile'], s['port'], described(s), s['subs'], f"{s['cycles']:.0f}", f"{s['predicted']:.0f}", f"{s['predicted'] / s['cycles'] - 1:+.1%}",
                      '' if s.get('held_out') else f"{s['without'] / s['cycles'] - 1:+.1%}", f"{s['noise']:.2f}", f"{s.get('taken', 0):.0%}",
                      'yes' if s.get('held_out') else ''] for s in samples])]
    style = ('body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#1f2328;background:#fff}'
             'table{border-collapse:collapse;margin:1em 0;font-size:13px}td,th{border:1px solid #d0d7de;padding:2px 8px;text-align:right}'
             'figure{margin:1.5em 0}figcaption{color:#57606a;font-size:13px}svg{max-width:100%;height:auto}svg text{font-size:11px;fill:#444}.grid{stroke:#e4e8ec}')
    path.write_text(f'<!doctype html><html lang="en"><meta charset="utf-8"><title>CallStack: what this host bears</title><style>{style}</style>'
                    f'<h1>What this host bears</h1>{"".join(parts)}</html>\n')
