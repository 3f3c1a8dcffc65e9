"""Stand in for the process that predicts a job; the text in the first file says what it does."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

if __name__ == '__main__':
    folder = Path(sys.argv[1])
    request = json.loads((folder / 'request.json').read_bytes())
    what = (folder / request['before']).read_bytes()
    print('Reading the checkpoint', flush=True)
    print('\rbefore:   0%|    | 0/12 [00:00<?, ?window/s]', end='', file=sys.stderr)
    print(
        '\rbefore:  25%|#   | 3/12 [00:01<00:03, 2.9window/s]', end='', file=sys.stderr, flush=True
    )
    if b'SLOW' in what:
        child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])
        # In one step, so that a test never reads half of it.
        (folder / 'new').write_text(json.dumps([os.getpid(), child.pid]))
        os.replace(folder / 'new', folder / 'processes.json')
        if b'STUBBORN' in what:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    if b'WRONG' in what:
        (folder / 'error.json').write_text(
            json.dumps('before.tif, after.tif, a-before.tif: no CRS; <b>say</b> which')
        )
        sys.exit(2)
    if b'CRASH' in what:
        os.kill(os.getpid(), signal.SIGKILL)
    if b'BUG' in what:
        raise RuntimeError('a bug')
    for _ in range(2):
        print(f'\nwarning: after ({folder}/after.tif) lies 2 px from before.tif', file=sys.stderr)
    results = folder / 'results'
    (results / 'before').mkdir(parents=True)
    page = f'<!doctype html><title>{request["title"]}</title>'
    (results / 'report.html').write_text(page)
    (results / 'before' / 'change.tif').write_bytes(b'maps' * 1000)
    (results / 'before' / 'areas.csv').write_text(' '.join(request['options']))
    (results / 'before' / 'secret.txt').write_text('of the server')
    (results / 'before' / 'valid.tif').symlink_to('/etc/passwd')
