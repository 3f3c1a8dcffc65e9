# A small version of the recipe, on synthetic pairs: see docs/recipe.md.
prepare = [
    dict(
        name='data',
        command='tools/dataset/make_synthetic.py data/synthetic --train 240 --val 40 --size 128'.split(),
        result='data/synthetic/meta.json',
    )
]
members = [
    'synthetic/fcn_r18_lightweight.py',
    'synthetic/pspnet_r18_lightweight.py',
    'synthetic/deeplabv3plus_r18_lightweight.py',
]
pseudo_labels = dict(method='vote', tta=True, options=['--batch-size', '8'])
retrain = [
    'synthetic/pspnet_r18_lightweight_pseudo.py',
    'synthetic/deeplabv3plus_r18_lightweight_pseudo.py',
]
