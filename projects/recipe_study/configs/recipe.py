# The worth of each step of the recipe, on embedded pairs: see ../README.md.
prepare = [
    dict(
        name='data',
        command='tools/dataset/make_synthetic.py data/study --train 320 --val 120 --size 128 --seed 1'.split(),
        result='data/study/meta.json',
    )
]
members = ['senseearth.py', 'tfinet.py', 'deeplabv3plus.py']
others = [
    'senseearth_unweighted.py',
    'tfinet_unweighted.py',
    'senseearth_online.py',
    'tfinet_online.py',
]
# soft: all that the members are surer of than 0.9, and of each class at least the surer half.
loading = '--batch-size 8 --workers 0 '
pseudo_labels = [
    dict(name='vote', method='vote', tta=True, options=loading.split()),
    dict(
        name='soft',
        method='soft',
        tta=True,
        options=(loading + '--threshold 0.9 --quota 0.5 --max-change-prob 0.5').split(),
    ),
]
retrain = [
    dict(config='senseearth_pseudo.py', name='senseearth_vote', labels='vote'),
    dict(config='tfinet_pseudo.py', name='tfinet_vote', labels='vote'),
    dict(config='senseearth_pseudo.py', name='senseearth_soft', labels='soft', ensemble=False),
    dict(config='tfinet_pseudo.py', name='tfinet_soft', labels='soft', ensemble=False),
]
tests = dict(others=['plain'])
