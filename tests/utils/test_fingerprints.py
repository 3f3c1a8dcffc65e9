import time

from tfinet_mm.utils.fingerprints import untouched


def test_untouched_files_have_one_hash(tmp_path):
    paths = [tmp_path / name for name in 'ab']
    for path in paths:
        path.write_bytes(b'123')
    assert untouched(paths) is None  # A change within a tick of the clock would not show.
    time.sleep(0.06)
    before = untouched(paths)
    assert before is not None
    assert untouched(paths) == before
    assert untouched(paths[::-1]) != before
    paths[1].write_bytes(b'124')  # The same size.
    time.sleep(0.06)
    assert untouched(paths) not in (None, before)
    assert untouched([]) == untouched([])
