"""The planner without its measurements: samples from a formula through fit, ask, install and report."""
import html.parser, importlib.machinery, importlib.util, json, os, pathlib, re, stat, sys, tempfile, types, unittest

here = pathlib.Path(__file__).resolve().parent
os.environ['CALLSTACK_BUILD'] = sys.argv.pop(1)
loader = importlib.machinery.SourceFileLoader('planner', str(here / 'planner'))
planner = importlib.util.module_from_spec(importlib.util.spec_from_loader('planner', loader))
sys.dont_write_bytecode = True
loader.exec_module(planner)
import planner_measure as measure, planner_report, planner_validate
SCENARIOS = sorted((here / 'scenarios').glob('*.yaml'))


def cost(profile, ins, size_in, size_out, more=0, told=0):
    """Of a packet out, when `ins` packets come in for it, by a formula."""
    return 1500 * told + (400 + 0.2 * size_in) * ins + 150 + 0.15 * size_out + more + 0.5 * (profile == measure.CM80) * size_out


def samples():
    out = []
    for profile, room, held in measure.shapes(False):
        p, q, a, v = room['participants'], room['publishers'], 50 * (room['audio'] > 0), room['kbps'] * 125 / room['payload']
        watched = sum(min(room['watch'] or q, q - (i < q)) for i in range(p))
        listeners = sum(q > (i < q) for i in range(p))
        ins, outs = (a * q, v * (room.get('cameras') or q)), (a * watched, v * watched)
        if room.get('audio_slots'):
            outs = (a * room['audio_slots'] * (p - 1), v * room['video_slots'] * (p - 1))
        bytes_in, bytes_out = (x * room['audio'] + y * room['payload'] for x, y in (ins, outs))
        told = listeners * min(max((bytes_out + 20 * sum(outs)) / listeners / 1360, 4), 20) / sum(outs) * room.get('feedback', 1)
        cycles = cost(profile, sum(ins) / sum(outs), bytes_in / sum(ins), bytes_out / sum(outs), 0, told)
        out.append({'profile': measure.PROFILE[profile], 'port': 'null', **room, 'subs': watched * room['rooms'], 'held_out': held, 'cycles': cycles,
                    'look': 40 * room['rooms'] * (q + room.get('cameras', 0)), 'timers': 0, 'noise': 1.04, 'taken': 0, 'runs': 3, 'node_cycles': {'srtp_out': cycles * 0.7, 'tx': cycles * 0.3}})
    return out


def uniform(port, more):
    out = []
    for subs, fanout, payload, held in measure.port_shapes():
        base = cost(measure.GCM128, 1 / fanout, payload, payload)
        out.append({'profile': measure.PROFILE[measure.GCM128], 'port': port, 'payload': payload, 'fanout': fanout, 'subs': subs, 'held_out': held,
                    'cycles': base + more, 'base': base, 'noise': 1.04, 'ratio': 1.5, 'node_cycles': {'srtp_out': base, 'tx': more},
                    'bytes': 5e6 + 1500 * subs + 4000 * subs / fanout})
    return out


class Planner(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.dir.name)
        list_ = samples() + uniform('memif', 60)
        doc = {'tsc_hz': 2.6e9, 'usable': 0.95, 'host': planner.host_facts(), 'ports': {'memif': {'max_bps': 1e10, 'max_pps': 0}},
               'port': 'memif', 'samples': list_, 'memory': planner.memory(uniform('null', 0))}
        self.model = planner.fit(doc, self.path)
        planner.write_model(self.model, self.path / 'model.json')

    def tearDown(self):
        self.dir.cleanup()

    def ask(self, scenario, **more):
        options = types.SimpleNamespace(model=self.path / 'model.json', **{'rooms': None, 'budget': None, 'port': None, **more})
        return planner.ask_model(options, scenario)

    def test_fit(self):
        self.assertLess(self.model['fit']['worst'], 0.01)
        self.assertLess(self.model['fit']['held_out_worst'], 0.01)
        self.assertAlmostEqual(self.model['port']['out'], 60, delta=2)
        self.assertAlmostEqual(self.model['memory']['subscription'] + self.model['memory']['endpoint'], 1500, delta=5)

    def test_answers(self):
        for scenario in SCENARIOS:
            a = self.ask(scenario)
            rooms = [m['rooms'] for m in a['most']]
            self.assertEqual(rooms, sorted(rooms), scenario)
            for m in a['most']:
                self.assertTrue(m['rooms_low'] <= m['rooms'] <= m['rooms_high'])
            if rooms[1]:   # a single one may be too large for two workers
                w = self.ask(scenario, rooms=rooms[1])['wanted']
                self.assertLessEqual(w['workers'], 2, scenario)
                self.assertLessEqual(max(w['used'].values()), 0.81)
            self.assertLess(self.ask(scenario, budget=40)['most'][0]['rooms'], rooms[0] or 1)
            # the port's cycles are all that differs
            self.assertGreater(self.ask(scenario, port='null')['full_at'], a['full_at'])

    def test_rooms_that_grow_cost_by_their_slots(self):
        grown = here / 'scenarios/grown/room-1000.yaml'
        few, many = (self.ask(grown, audio_slots=n, video_slots=n) for n in (3, 6))
        self.assertAlmostEqual(many['wanted']['out_pps'], 2 * few['wanted']['out_pps'], delta=1)
        self.assertAlmostEqual(few['wanted']['out_pps'], 999 * 3 * (50 + 150 * 125 / 1200), delta=1)
        self.assertEqual(few['wanted']['in_pps'], many['wanted']['in_pps'])
        self.assertGreater(few['full_at'], many['full_at'])
        self.assertAlmostEqual(self.model['selection'], 40)
        for wrong in ({'audio_slots': 17}, {'video_slots': 33}):
            with self.assertRaises((SystemExit, RuntimeError)):
                self.ask(grown, **wrong)

    def test_a_port_that_is_too_slow_is_named(self):
        self.model['port']['max_bps'] = 1e8
        planner.write_model(self.model, self.path / 'model.json')
        self.assertEqual(self.ask(here / 'scenarios/meeting.yaml')['most'][0]['bottleneck'], 'port bandwidth')

    def test_model_file_is_the_daemons(self):
        planner.install(types.SimpleNamespace(model=self.path / 'model.json', data_dir=self.path / 'data'))
        mode = stat.S_IMODE((self.path / 'data/model.json').stat().st_mode)
        self.assertEqual(mode & 0o022, 0)

    def test_scenarios_read_alike(self):
        for scenario in SCENARIOS:
            sc = {k: int(v) for k, v in planner_validate.read_scenario(scenario).items()}
            w = self.ask(scenario, rooms=1)['wanted']
            p, q = sc['participants'], sc['publishers']
            watched = sum(q - (i < q) for i in range(p))
            pps = (50 if sc['audio'] else 0) + (sc['kbps'] * 125 / sc['payload'] if sc['kbps'] else 0) * (sc['cameras'] or q) / q
            self.assertAlmostEqual(w['out_pps'], watched * pps, delta=1, msg=scenario)

    def test_report(self):
        v = {'scenario': 'x<y', 'measured_rooms': 100, 'predicted_rooms': 96, 'error': -0.04, 'date': 'now', 'all': [100], 'unit': 'rooms',
             'points': [{'rooms': r, 'busy': r / 100, 'predicted': r / 96} for r in (10, 50, 99)]}
        self.model['validation'] = [v]
        planner.report(self.model, self.path / 'report.html')
        text = (self.path / 'report.html').read_text()
        open_, kinds = [], []

        class Check(html.parser.HTMLParser):
            def handle_startendtag(self, tag, attrs):
                kinds.append(tag)

            def handle_starttag(self, tag, attrs):
                kinds.append(tag)
                if tag != 'meta':
                    open_.append(tag)

            def handle_endtag(self, tag):
                if open_.pop() != tag:
                    raise AssertionError(f'</{tag}> closes something else')
        Check().feed(text)
        self.assertEqual(open_, [])
        self.assertGreater(kinds.count('svg'), 2 + len(SCENARIOS))
        self.assertNotIn('script', kinds)
        self.assertIsNone(re.search(r'(src|href|url)\s*[=(]|https?:|@import', text))
        self.assertNotIn('nan', text.lower().replace('tenan', ''))

    def test_knee(self):
        point = lambda rooms, full: {'rooms': rooms, 'full': full}
        self.assertEqual(planner_validate.knee([point(8, 0), point(16, 1), point(12, 0), point(14, 1)]), 13)
        self.assertIsNone(planner_validate.knee([point(8, 0)]))

    def test_disturbed_runs_do_not_count(self):
        row = lambda cycles, waited: {'cycles': cycles, 'timers': 0, 'subs': 9, 'crypto': 200, 'memory': 90, 'look': 0, 'told_pps': 0, 'node_cycles': {}, 'waited_ms': waited, 'stolen_ms': 0, 'wall_ms': 100}
        room = {'rooms': 1}
        self.assertEqual(measure.of_room(measure.GCM128, room, False, [row(300, 0), row(900, 60), row(310, 1), row(305, 0)], 200)['cycles'], 305)
        self.assertEqual(measure.of_room(measure.GCM128, room, False, [row(300, 70), row(400, 30)], 200)['cycles'], 400)
        # a host that is half as quick takes twice the cycles for everything
        self.assertEqual(measure.of_room(measure.GCM128, room, False, [row(300, 0)], 100)['cycles'], 150)

    def test_no_sample_is_a_scenario_that_tests_it(self):
        fitted = {tuple(room[k] for k in measure.KEYS[:3]) for _, room, _ in measure.shapes(False)}
        for scenario in SCENARIOS:
            sc = planner_validate.read_scenario(scenario)
            self.assertNotIn(tuple(int(sc[k]) for k in measure.KEYS[:3]), fitted, scenario)


unittest.main(verbosity=0)
