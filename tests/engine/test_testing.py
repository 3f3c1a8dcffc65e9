"""Change configs for --tta and for a missing CHECKPOINT."""

import pytest
from mmengine.config import Config

from tfinet_mm.engine.testing import is_ensemble, set_checkpoint, use_tta

DETECTOR = dict(type='tfinet_mm.SemanticChangeDetector', test_cfg=dict(mode='whole'))
ENSEMBLE = dict(type='tfinet_mm.SCDEnsemble', members=[])


def _wrapped(model):
    return dict(type='tfinet_mm.SCDTTAModel', module=model)


def test_ensembles_are_told_from_models():
    assert is_ensemble(Config(dict(model=ENSEMBLE)))
    assert is_ensemble(Config(dict(model=_wrapped(ENSEMBLE))))
    assert not is_ensemble(Config(dict(model=DETECTOR)))
    assert not is_ensemble(Config(dict(model=_wrapped(DETECTOR))))


def test_the_checkpoint_of_a_model(tmp_path):
    path = tmp_path / 'x.pth'
    path.touch()
    cfg = Config(dict(model=DETECTOR, load_from='other.pth', resume=True))
    set_checkpoint(cfg, str(path))
    assert (cfg.load_from, cfg.resume) == (str(path), False)
    with pytest.raises(ValueError, match='needs the argument CHECKPOINT'):
        set_checkpoint(cfg, None)
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        set_checkpoint(cfg, 'nowhere.pth')


def test_an_ensemble_has_none():
    cfg = Config(dict(model=ENSEMBLE, load_from='other.pth', resume=True))
    set_checkpoint(cfg, None)
    assert (cfg.load_from, cfg.resume) == (None, False)
    with pytest.raises(ValueError, match=r'x\.pth can not be used; .*members\.0\.checkpoint=PATH'):
        set_checkpoint(cfg, 'x.pth')


@pytest.mark.parametrize(
    ('tta_model', 'transforms'),
    [
        (None, None),
        (dict(transforms=['identity']), ['identity']),
        (dict(type='tfinet_mm.SCDTTAModel', transforms=['rotation_90']), ['rotation_90']),
    ],
)
def test_the_model_is_put_into_the_tta_model(tta_model, transforms):
    cfg = Config(dict(model=DETECTOR, tta_model=tta_model))
    use_tta(cfg)
    assert cfg.model.type == 'tfinet_mm.SCDTTAModel'
    assert cfg.model.get('transforms') == transforms
    assert cfg.model.module == DETECTOR
    once = cfg.model.to_dict()
    use_tta(cfg)
    assert cfg.model.to_dict() == once
    assert 'module' not in (cfg.tta_model or {})


def test_other_tta_models_are_refused():
    cfg = Config(dict(model=DETECTOR, tta_model=dict(type='mmseg.SegTTAModel')))
    with pytest.raises(ValueError, match=r'mmseg\.SegTTAModel, expected tfinet_mm\.SCDTTAModel'):
        use_tta(cfg)
