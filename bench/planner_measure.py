"""What the planner measures, and how: samples for the fit of the cost model.

Rooms (bench_room --pressed) of many shapes, none of them a scenario in bench/scenarios, give what packets and transports cost.
Uniform shapes (bench_forward) are run on each port and on the one that does nothing, in turns: the difference is the port's.

A machine is seldom quiet. Each shape is run in several passes over all of them, so that a slow minute hits one run of each; a run
in which others took much of the CPU is repeated; beside each stands what always the same work took meanwhile (bench/forward_calib.c).
"""
import json, os, pathlib, subprocess

from planner_host import CM80, GCM128, GCM256, PROFILE, TooSlow, bench, median, run, say, tool

PACKET_BYTES = 2432   # a packet buffer: 2 KiB, headroom, private area, its head
TAKEN = 0.05          # share of a run that others may take; bench_room repeats what is above

# participants, publishers, watch, bytes of audio (0: none), kbit/s of video (0: none), bytes of a packet of it; rooms; held out
ROOMS = [
    (2, 1, 0, 0, 1000, 1200, (300, 1500, 5000), ()),
    (2, 2, 0, 80, 600, 1000, (120, 600, 2400), (300,)),
    (3, 3, 0, 160, 0, 1200, (50, 800, 3000), ()),
    (25, 25, 0, 80, 0, 1200, (2, 20, 160), (8,)),
    (51, 1, 0, 200, 0, 1200, (15, 300, 900), ()),
    (5, 5, 0, 100, 2000, 1200, (12, 60, 300), (150,)),
    (12, 12, 0, 100, 500, 900, (2, 40, 200), (15,)),
    (30, 30, 9, 120, 800, 1100, (2, 20, 60), ()),
    (21, 1, 0, 0, 1500, 1200, (15, 150, 650), (60,)),
    (101, 1, 0, 120, 2500, 1200, (4, 30, 100), ()),
    (401, 2, 0, 120, 1200, 1000, (1, 8, 22), (3,)),
    (7, 2, 0, 0, 700, 600, (25, 250, 1000), ()),
]
# of the other ciphers: what they cost a packet and a byte; caches are the same to all
ROOMS_MORE = [
    (2, 1, 0, 0, 1000, 1200, (300,), ()),
    (3, 3, 0, 160, 0, 1200, (200,), ()),
    (5, 5, 0, 100, 2000, 1200, (100,), ()),
    (51, 1, 0, 200, 0, 1200, (50,), ()),
    (21, 1, 0, 0, 1500, 1200, (60,), ()),
    (7, 2, 0, 0, 700, 600, (100,), ()),
    (12, 12, 0, 100, 500, 900, (), (6,)),
]
# listeners without feedback, so that its part is told from the rest
ROOMS_SILENT = [
    (2, 1, 0, 0, 1000, 1200, (1500,), ()),
    (25, 25, 0, 80, 0, 1200, (20,), ()),
    (101, 1, 0, 120, 2500, 1200, (60,), ()),
    (401, 2, 0, 120, 1200, 1000, (8,), ()),
    (12, 12, 0, 100, 500, 900, (40,), ()),
]
# that have grown; with cameras, audio and video slots: nothing is fitted on them
ROOMS_GROWN = [
    (120, 120, 0, 100, 600, 1100, (4,), {'cameras': 20, 'audio_slots': 5, 'video_slots': 9}),
    (400, 400, 0, 120, 300, 1000, (1,), {'cameras': 40, 'audio_slots': 3, 'video_slots': 4}),
]
KEYS = ('participants', 'publishers', 'watch', 'audio', 'kbps', 'payload')


def shapes(quick):
    """(profile, {the words of bench_room}, held out)"""
    out = []
    for profile in (GCM128, CM80) if quick else (GCM128, GCM256, CM80):
        for *room, fitted, held in ROOMS if profile == GCM128 else ROOMS_MORE:
            for rooms in fitted + held:
                out.append((profile, dict(zip(KEYS, room), rooms=rooms), rooms in held))
    for *room, rooms, _ in ROOMS_SILENT:
        out += [(GCM128, dict(zip(KEYS, room), rooms=n, feedback=0), False) for n in rooms]
    for *room, rooms, more in ROOMS_GROWN:
        out += [(GCM128, dict(zip(KEYS, room), rooms=n) | more, True) for n in rooms]
    return out


def port_shapes():
    """(subscriptions, fan-out, payload, held out) of bench_forward."""
    return [(400, 1, 1200, False), (400, 1, 160, False), (4000, 50, 160, False), (4000, 50, 1200, False), (2000, 20, 800, True)]


def taken(row):
    """Share of a run that others took of the CPU."""
    return (row['waited_ms'] + row['stolen_ms']) / row['wall_ms']


def room_words(room, cpu):
    return [w for k, v in room.items() for w in ('--' + k.replace('_', '-'), v)] + ['--cpu', cpu]


def one_room(options, profile, room):
    """A row of bench_room, which repeats what was disturbed; None: no stretch of it was ours."""
    try:
        doc = bench('bench_room', room_words(room, options.cpu) + ['--pressed', 1, '--profile', profile, '--ms', 60 if options.quick else 150])
        row = doc['rows'][0]
        return row if row['cycles'] and row['cycles'] > 0 and row['crypto'] > 0 and 'node_cycles' in row else None, float(doc['facts']['tsc_hz'])
    except TooSlow as e:
        say(e)
        return None, 0


def of_room(profile, room, held, rows, pace):
    """A sample of several rows, each as it would be at that pace of the host: of those that others left alone the middle one."""
    rows = [r | {'cycles': r['cycles'] * pace / r['crypto'], 'timers': r['timers'] * pace / r['crypto']} for r in rows]
    alone = [r for r in rows if taken(r) <= TAKEN] or [min(rows, key=taken)]
    alone.sort(key=lambda r: r['cycles'])
    row = alone[(len(alone) - 1) // 2]
    return {'profile': PROFILE[profile], 'port': 'null', **room, 'subs': row['subs'], 'held_out': held, 'cycles': row['cycles'], 'timers': row['timers'],
            'look': row['look'], 'told_pps': row['told_pps'], 'node_cycles': row['node_cycles'], 'taken': taken(row), 'runs': len(rows),
            'all': [{'cycles': r['cycles'], 'crypto': r['crypto'], 'memory': r['memory'], 'taken': taken(r)} for r in rows],
            'noise': median([r['cycles'] for r in rows]) / min(r['cycles'] for r in rows)}


def selection(samples):
    """Cycles of the control thread for each track of a room that has grown, each time that it looks who speaks."""
    each = [s['look'] / (s['rooms'] * (s['publishers'] + s['cameras'])) for s in samples if s.get('audio_slots')]
    return sum(each) / len(each) if each else 0


def measure_rooms(options):
    """Samples, the TSC's rate, and the host's pace that they are reckoned to: cycles of the calibrating encryption, in the middle."""
    passes = options.passes or (1 if options.quick else 3)
    todo = shapes(options.quick)
    rows, clock = [[] for _ in todo], 0
    for k in range(passes):
        for i, (profile, room, _) in enumerate(todo):
            if i % 10 == 0:
                say(f'  rooms: pass {k + 1} of {passes}, {i} of {len(todo)} shapes')
            row, hz = one_room(options, profile, room)
            if row:
                clock = hz
                rows[i].append(row)
    if not any(rows):
        return [], 0, 0
    pace = median([row['crypto'] for r in rows for row in r])
    for shape, r in zip(todo, rows):
        if not r:
            say(f'  left out: {PROFILE[shape[0]]}, {shape[1]}: the CPU was never left to us')
    return [of_room(*shape, r, pace) for shape, r in zip(todo, rows) if r], clock, pace


# ---- ports ----

def one_uniform(options, shape, extra, inside):
    """A row of bench_forward, or None when the CPU was taken away from every single turn, also of longer runs."""
    subs, fanout, payload, _ = shape
    packets = 60000 if options.quick else 200000
    packets = packets // 4 if '--interface' in extra else packets   # the kernel's part takes its time
    try:
        for attempt in range(3):
            doc = bench('bench_forward', ['--subs', subs, '--fanout', fanout, '--payload', payload, '--profile', GCM128, '--cpu', options.cpu,
                                          '--runs', 3, '--packets', packets << attempt, *extra], 180, inside)
            row = doc['rows'][0]
            if row['min'] > 0 and 'node_cycles' in row:
                return row, float(doc['facts']['tsc_hz'])
    except TooSlow as e:
        say(e)
    return None, 0


def measure_ports(options, ports):
    """ports: name → (words of bench_forward, what it is started by). Each shape on all of them by turns; the fastest of several passes, as
    the kernel's part has no floor to compare with. base: the same on the port that does nothing."""
    passes = options.passes or (2 if options.quick else 3)
    best, samples = {}, []
    for k in range(passes):
        for shape in port_shapes():
            for port, (extra, inside) in ports.items():
                row, hz = one_uniform(options, shape, extra, inside)
                say(f'  {port}: pass {k + 1} of {passes}, fan-out {shape[1]}, {shape[2]} B' + ('' if row else ': the CPU was never left to us'))
                key = (port, shape)
                if row and (key not in best or row['min'] * hz < best[key]['cycles'] * 1e9):
                    best[key] = {'profile': PROFILE[GCM128], 'port': port, 'subs': shape[0], 'fanout': shape[1], 'payload': shape[2], 'held_out': shape[3],
                                 'cycles': row['min'] * hz / 1e9, 'ratio': row['round_ratio']['median'], 'noise': row['median'] / row['min'],
                                 'bytes': row['bytes_per_subscription'] * shape[0], 'node_cycles': row['node_cycles']}
    for (port, shape), s in best.items():
        base = best.get(('null', shape))
        if base:
            samples.append(s | {'base': base['cycles']})
    return [s for s in samples if s['port'] != 'null'], [s for s in samples if s['port'] == 'null']


class Veth:
    """Two ends of a veth in a namespace of their own, gone with it."""

    def __enter__(self):
        self.ns, self.end, self.peer = f'planner-{os.getpid()}', 'plan0', 'plan1'
        run(['ip', 'netns', 'add', self.ns], 10)
        try:
            run(['ip', '-n', self.ns, 'link', 'add', 'plan0', 'type', 'veth', 'peer', 'name', 'plan1'], 10)
            for end in ('lo', 'plan0', 'plan1'):
                run(['ip', '-n', self.ns, 'link', 'set', end, 'up'], 10)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(['ip', 'netns', 'del', self.ns], check=False)


# ---- the host ----

def solve(rows, values):
    """Least squares by the normal equations; two or three unknowns."""
    n = len(rows[0])
    m = [[sum(r[i] * r[k] for r in rows) for k in range(n)] + [sum(r[i] * v for r, v in zip(rows, values))] for i in range(n)]
    for i in range(n):
        p = max(range(i, n), key=lambda r: abs(m[r][i]))
        m[i], m[p] = m[p], m[i]
        if m[i][i] == 0:
            return [0] * n
        for r in range(n):
            if r != i:
                by = m[r][i] / m[i][i]
                m[r] = [a - by * b for a, b in zip(m[r], m[i])]
    return [m[i][n] / m[i][i] for i in range(n)]


def memory(uniform):
    """What bench_forward's process grew by: base, and a part for each subscription (with a transport) and track (likewise)."""
    size = json.loads(run([tool('cost_model'), 'host'], 20))
    base, sub, track = solve([[1, s['subs'], s['subs'] / s['fanout']] for s in uniform], [s['bytes'] for s in uniform])
    endpoint = max(sub - size['subscription'], size['endpoint'])
    track = max(track - endpoint, size['track'])
    available = 0
    for line in pathlib.Path('/proc/meminfo').read_text().splitlines():
        if line.startswith('MemAvailable:'):
            available = int(line.split()[1]) * 1024
    return {'base': max(base, 0), 'endpoint': endpoint, 'subscription': max(sub - endpoint, size['subscription']),
            'video': track + 512 * PACKET_BYTES, 'audio': track + 50 * PACKET_BYTES, 'available': available}


def link_speed(name):
    """Bits a second of an interface, as its driver says; 0 when it does not."""
    try:
        speed = int(pathlib.Path(f'/sys/class/net/{name}/speed').read_text())
        return speed * 1e6 if speed > 0 else 0
    except (OSError, ValueError):
        return 0
