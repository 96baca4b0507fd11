"""Tests of the model: scenarios that it was not fitted on, up to the knee."""
import json, pathlib, subprocess, sys, tempfile

from planner_host import BAR, ROOT, WORDS, bench, die, host_facts, median, run, say, tool, write_model
from planner_measure import TAKEN, room_words, taken
from planner_report import report


FULL = 0.85           # busy share of the server's core from which on a loss is its own


def read_scenario(path, slots=(5, 9)):
    """The keys that bench_room takes; the shape of the file was checked by cost_model. `group:` then indented `key: value`.
    slots: for voices and pictures, that the daemon would give a room that grows."""
    values, group = {}, ''
    for line in pathlib.Path(path).read_text().splitlines():
        text = line.split('#', 1)[0].rstrip()
        if not text:
            continue
        key, _, value = text.strip().partition(':')
        if not text[0].isspace():
            group = key
        else:
            values[f'{group}.{key}'] = value.strip().strip('"\'')
            continue
        values[key] = value.strip()
    get = lambda key, otherwise: values.get(key, otherwise)
    on = lambda key: get(key, 'true') == 'true'
    grown = int(get('rooms.slots', 0)) > 0
    video = on('video.enabled')
    return {'participants': get('rooms.participants', 2), 'publishers': get('rooms.publishers', 1), 'watch': get('rooms.watch', 0),
            'audio': get('audio.size', 120) if on('audio.enabled') else 0,
            'kbps': get('video.bitrate', 1000) if on('video.enabled') else 0,
            'cameras': get('rooms.cameras', 0) if video else 0, 'audio_slots': slots[0] if grown else 0, 'video_slots': slots[1] if grown and video else 0,
            'feedback': int(get('feedback', 'twcc') == 'twcc'), 'payload': get('video.size', 1200), 'profile': WORDS[get('srtp.profile', 'gcm128')]}


def predicted(options, path, rooms):
    """On a port that does nothing, as bench_room has: share of a core that so many rooms need, and rooms that fill it."""
    a = json.loads(run([tool('cost_model'), 'ask', str(options.model), str(path), '--port', 'null', '--rooms', str(rooms),
                        '--audio-slots', str(options.audio_slots), '--video-slots', str(options.video_slots)], 30))
    return a['busy'], a['full_at']


def knee(points):
    """Rooms at which the worker is full: the middle between the most that it bore and the least that it did not."""
    bore = [p['rooms'] for p in points if not p['full']]
    not_ = [p['rooms'] for p in points if p['full']]
    return (max(bore) + min(not_)) / 2 if bore and not_ else None


def validate_real(options, path):
    """The daemons themselves and the load generator over memif: video's bitrate is raised until packets are lost."""
    script = ROOT / 'bench' / 'memif.sh'
    if not script.exists():
        die(f'{script} is not there')
    full = json.loads(run([tool('cost_model'), 'ask', str(options.model), str(path), '--port', 'memif'], 30))['full_at_kbps']
    if not full:
        die(f"{path}: it has no video, whose bitrate could be raised")
    short = ['--set', 'search.step=1', '--set', 'search.halves=2'] if options.quick else []
    with tempfile.NamedTemporaryFile(suffix='.json') as f:
        # its exit status says whether nothing was lost, also where that was looked for
        subprocess.run([str(script), str(path), '--set', f'search.from={options.search_from}', '--set', f'run.json={f.name}', *short],
                       timeout=1800, check=False)
        try:
            steps = json.load(f).get('steps', [])
        except ValueError:
            die(f'{path}: the load generator left no report')
    good = [s['video_kbps'] for s in steps if s['good']]
    bad = [s for s in steps if not s['good'] and s['video_kbps'] > max(good, default=0)]
    if not good or not bad:
        die(f'{path}: no knee between {options.search_from} kbit/s and the end of the search')
    first = min(bad, key=lambda s: s['video_kbps'])
    server = first.get('server', {}).get('cpu', 0)
    if server < FULL:
        die(f"{path}: at {first['video_kbps']} kbit/s packets were lost or late with the server's core {server:.0%} busy, the generator's {first['generator']['cpu']:.0%}: "
            'that is not the knee of the server. It takes a quieter machine, or a generator with more CPUs')
    measured = (max(good) + first['video_kbps']) / 2
    return {'scenario': path.stem, 'measured_rooms': measured, 'all': [measured], 'predicted_rooms': full, 'unit': 'kbit/s of each video',
            'error': full / measured - 1, 'points': [], 'date': host_facts()['date']}


def search(options, path, pace):
    """One search for the knee: rooms, its points, and the share that others took of its worst point. Turns are reckoned to the pace that the host had
    when the model was measured."""
    words = room_words(read_scenario(path, (options.audio_slots, options.video_slots)), options.cpu) + ['--ms', 150 if options.quick else 400, '--pace', round(pace * 10)]
    rows = bench('bench_room', words, 600)['rows']
    return {'knee': knee(rows), 'rows': rows, 'taken': max(map(taken, rows)),
            'crypto': median([r['crypto'] for r in rows])}


def validate_rooms(options, paths, pace):
    """Several searches of each scenario, by turns so that a slow minute hits one of each; the middle knee is what was measured."""
    found = {p: [] for p in paths}
    for k in range(options.repeats or (1 if options.quick else 3)):
        for path in paths:
            say(f'driving {path} to the knee, {k + 1} …')
            found[path].append(search(options, path, pace))
            if not found[path][-1]['knee']:
                die(f'{path}: no knee: the bench holds too few of such rooms')
    for path in paths:
        runs = found[path]
        alone = [r for r in runs if r['taken'] <= TAKEN] or runs
        measured = median([r['knee'] for r in alone])
        rows = [p for r in runs for p in r['rows']]
        busy = {n: predicted(options, path, n)[0] for n in {p['rooms'] for p in rows}}
        full = predicted(options, path, 1)[1]
        yield {'scenario': path.stem, 'measured_rooms': measured, 'all': sorted(r['knee'] for r in runs), 'predicted_rooms': full, 'unit': 'rooms',
               'error': full / measured - 1, 'taken': max(r['taken'] for r in alone),
               'pace': pace / median([r['crypto'] for r in alone]) if pace else 1, 'date': host_facts()['date'],
               'points': [{'rooms': p['rooms'], 'busy': p['median'] / 100, 'predicted': busy[p['rooms']]} for p in rows]}


def validate(options):
    path = pathlib.Path(options.model)
    model = json.loads(path.read_text())
    scenarios = [pathlib.Path(s) for s in options.scenarios]
    results = []
    for r in ([validate_real(options, s) for s in scenarios] if options.real else validate_rooms(options, scenarios, model['host'].get('pace', 0))):
        results.append(r)
        print(f"{r['scenario']}: predicted {r['predicted_rooms']:.0f} {r['unit']}, measured {r['measured_rooms']:.0f} "
              f"({', '.join(f'{k:.0f}' for k in r['all'])}): {r['error']:+.1%}")
        if not options.real:
            print(f"  reckoned to the pace of the model's measurement: the host ran at {r['pace']:.2f} of it; others took up to {r['taken']:.0%} of the CPU")
    new = {(r['scenario'], r['unit']) for r in results}
    model['validation'] = [v for v in model['validation'] if (v['scenario'], v['unit']) not in new] + results
    model['error'] = max([abs(v['error']) for v in model['validation']] + [model['fit']['held_out_worst'], 2 * max(model['fit']['rms'], model['fit']['one_out_rms'])])
    write_model(model, path)
    report(model, path.with_name('report.html'))
    worst = max(abs(r['error']) for r in results)
    print(f"worst {worst:.1%} ({'within' if worst <= BAR else 'not within'} {BAR:.0%}); the error of predictions is now {model['error']:.1%}")
    sys.exit(0 if worst <= BAR else 1)
