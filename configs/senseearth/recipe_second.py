# The winner's recipe on SECOND, split C: see docs/recipe.md.
# The five networks that labelled the pairs aren't published. These are five of the large ones, with
# every kind of head and several widths; ImageNet weights of all of them are downloaded.
members = [
    'fcn_hrnet48.py',
    'pspnet_hrnet32.py',
    'pspnet_hrnet40.py',
    'pspnet_hrnet48.py',
    'deeplabv3plus_r101.py',
]
pseudo_labels = dict(method='vote', tta=True, options=['--batch-size', '4'])
retrain = ['pspnet_hrnet40_lightweight_pseudo.py', 'pspnet_hrnet18_lightweight_pseudo.py']
