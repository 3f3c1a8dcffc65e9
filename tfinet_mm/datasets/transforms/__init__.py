"""Transforms of pairs; mmcv's and mmseg's geometric ones work on the same dictionary."""

from tfinet_mm.datasets.transforms.cropped import LoadCroppedPair
from tfinet_mm.datasets.transforms.formatting import PackPairInputs
from tfinet_mm.datasets.transforms.generated import LoadGeneratedPair
from tfinet_mm.datasets.transforms.geometry import RandomCropWithChange, RandomFlipOrRotate
from tfinet_mm.datasets.transforms.loading import LoadImagePair, LoadPairAnnotations
from tfinet_mm.datasets.transforms.made import LoadMadePair
from tfinet_mm.datasets.transforms.photometric import PairPhotoMetricDistortion
from tfinet_mm.datasets.transforms.radiometry import MatchRadiometry
from tfinet_mm.datasets.transforms.temporal import ExchangeDates

__all__ = [
    'ExchangeDates',
    'LoadCroppedPair',
    'LoadGeneratedPair',
    'LoadImagePair',
    'LoadMadePair',
    'LoadPairAnnotations',
    'MatchRadiometry',
    'PackPairInputs',
    'PairPhotoMetricDistortion',
    'RandomCropWithChange',
    'RandomFlipOrRotate',
]
