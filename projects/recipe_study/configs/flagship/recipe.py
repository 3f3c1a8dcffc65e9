# The recipe with the default network: an ensemble of three pyramids labels the land cover of
# unchanged pixels, and the smallest of them is trained again. See ../../README.md.
prepare = [
    dict(
        name='data',
        command='tools/dataset/make_synthetic.py data/study --train 320 --val 120 --size 128 --seed 1'.split(),
        result='data/study/meta.json',
    )
]
members = ['lite0.py', 'lite1.py', 'lite2.py']
others = ['lite0_long.py']
# soft: all that the members are surer of than 0.9, and of each class at least the surer half.
loading = '--batch-size 8 --workers 0 '
pseudo_labels = [
    dict(name='vote', method='vote', options=loading.split()),
    dict(
        name='soft',
        method='soft',
        options=(loading + '--threshold 0.9 --quota 0.5 --max-change-prob 0.5').split(),
    ),
]
retrain = [
    dict(config='lite0_pseudo.py', name='lite0_vote', labels='vote'),
    dict(config='lite0_pseudo.py', name='lite0_soft', labels='soft', ensemble=False),
]
tests = dict(
    members=['plain'],
    members_ensemble=['plain'],
    others=['plain'],
    retrained=['plain'],
    retrained_ensemble=[],
)
