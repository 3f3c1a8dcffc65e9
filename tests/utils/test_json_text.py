import json
import os

from tfinet_mm.utils.json_text import json_text


def test_any_name_of_a_file_is_read_back():
    names = ['Zürich', '北京', os.fsdecode(b'caf\xe9'), 'a\udcff\udc80b', 'quote " \\ \n']
    for indent in (None, 2):
        text = json_text({name: [name] for name in names}, indent)
        assert json.loads(text.encode('utf-8').decode('utf-8')) == {n: [n] for n in names}
        assert '北京' in text


def test_text_is_that_of_the_standard_library():
    value = dict(a=[1, 2.5, None, True], b='ü')
    assert json_text(value) == json.dumps(value, indent=2, ensure_ascii=False)
