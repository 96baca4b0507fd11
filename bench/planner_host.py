"""What the planner's parts share: running the bench's programs, and what is known of this host."""
import datetime, json, os, pathlib, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get('CALLSTACK_BUILD', ROOT / 'build'))
GCM128, GCM256, CM80 = 7, 8, 1
PROFILE = {GCM128: 'AEAD_AES_128_GCM', GCM256: 'AEAD_AES_256_GCM', CM80: 'AES_CM_SHA1_80'}
WORDS = {'gcm128': GCM128, 'gcm256': GCM256, 'cm80': CM80}
NICE = int(os.environ.get('NICE', -10))   # of what is measured
NOISY = 1.15          # median over minimum from which on the machine was not ours
BAR = 0.15            # that a prediction may be off


class TooSlow(Exception):
    pass


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def die(text):
    say('planner:', text)
    sys.exit(1)


def tool(name):
    path = BUILD / 'bench' / name
    if not path.exists():
        die(f'{path} is not there: meson setup build && ninja -C build')
    return str(path)


def favour():
    """In a bench before it starts: ahead of others on its CPU, where we may. nice counts within a session only where sessions are scheduled as groups."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
        pathlib.Path('/proc/self/autogroup').write_text(str(NICE))
    except OSError:
        pass


def run(command, timeout, first=False):
    """Output of a command. first: it is ahead of others."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, text=True,
                              start_new_session=first, preexec_fn=favour if first else None)
    except subprocess.TimeoutExpired:
        raise TooSlow(f'{" ".join(command)}: not done after {timeout} s') from None
    if done.returncode != 0:
        die(f'{" ".join(command)}: exit status {done.returncode}\n{done.stderr[-800:]}')
    return done.stdout


def bench(name, words, timeout=180, inside=()):
    """A bench's report. inside: what it is started by, a namespace."""
    with tempfile.NamedTemporaryFile(suffix='.json') as f:
        run([*inside, tool(name), '--json', f.name] + [str(w) for w in words], timeout, first=True)
        return json.load(f)


def host_facts():
    cpu = next((l.split(':', 1)[1].strip() for l in pathlib.Path('/proc/cpuinfo').read_text().splitlines() if l.startswith('model name')), 'unknown')
    return {'cpu': cpu, 'cpus': os.cpu_count(), 'kernel': os.uname().release,
            'date': datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d %H:%M UTC')}


def median(values):
    values = sorted(values)
    n = len(values)
    return (values[(n - 1) // 2] + values[n // 2]) / 2


def write_model(model, path):
    """Through a temporary file; only its owner may write it, as callstackd demands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + '.new')
    new.write_text(json.dumps(model, indent=1) + '\n')
    os.chmod(new, 0o644)
    os.replace(new, path)
