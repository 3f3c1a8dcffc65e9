"""Test networks of a config that are exported once, to run in another program."""

import numpy as np
import pytest
import tiny_export

from tfinet_mm.apis import SCDInferencer, export_cache

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
pytest.importorskip('onnxscript')


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv(export_cache.CACHE_VARIABLE, str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'tfinet_mm'


def test_answers_are_those_of_torch(member, cache, capsys):
    given = member(load=dict(value_range=(0, 1000)))
    random = np.random.default_rng(0)
    pair = [random.integers(0, 1100, (33, 50, 3)).astype(np.uint16) for _ in range(2)]
    wanted = SCDInferencer(*given)(*pair)
    network = SCDInferencer(*given, backend='onnxruntime')
    printed = capsys.readouterr().out
    assert 'Exporting the network once, to ' in printed
    assert 'Predicting with onnxruntime' in printed
    found = network(*pair)
    np.testing.assert_allclose(found.change_prob, wanted.change_prob, atol=1e-4)
    assert (found.land_cover_from == wanted.land_cover_from).mean() > 0.999
    assert (found.change == wanted.change).mean() > 0.999
    assert network.settings['model'] == SCDInferencer(*given).settings['model']
    (file,) = cache.glob('*.onnx')
    assert network.settings['exported']['file'] == file.name
    # Another range is an option of reading, as with torch.
    options = dict(value_range=(100, 900), threshold=0.3, window=32, overlap=8)
    wanted = SCDInferencer(*given, **options)(*pair)
    found = SCDInferencer(*given, backend='onnxruntime', **options)(*pair)
    np.testing.assert_allclose(found.change_prob, wanted.change_prob, atol=1e-4)
    assert (found.change == wanted.change).mean() > 0.999
    assert 'Exporting' not in capsys.readouterr().out
    assert list(cache.glob('*.onnx')) == [file]


def test_a_file_is_of_its_weights_views_and_options(member, cache, monkeypatch):
    made = []

    def export(config, checkpoint, path, **options):
        made.append(options)
        tiny_export.write(path)

    monkeypatch.setattr(export_cache, 'export_network', export)
    first = export_cache.cached_export(*member('a'))
    assert export_cache.cached_export(*member('a')) == first
    assert len(made) == 1
    others = {
        export_cache.cached_export(*member('b', seed=1)),
        export_cache.cached_export(*member('a'), tta=['identity', 'vertical_flip']),
        export_cache.cached_export(*member('a'), cfg_options={'model.test_cfg.threshold': 0.7}),
    }
    assert len({first, *others}) == len(made) == 4
    assert {path.parent for path in others} == {cache}


def test_an_unknown_program_is_named(member):
    with pytest.raises(ValueError, match='backend must be auto or one of openvino'):
        SCDInferencer(*member(), backend='tensorrt')
