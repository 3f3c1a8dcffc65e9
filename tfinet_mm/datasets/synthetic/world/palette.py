"""Draw the tones of materials.

The tones of the classes overlap on purpose: roofs as grey as concrete or as green as grass,
ploughed fields as brown as bare soil, water as dark as a wood. Texture, shape and
surroundings tell them apart.
"""

from __future__ import annotations

import numpy as np

from tfinet_mm.datasets.synthetic.canvas import BUILDING, GRASS, GROUND, SPORTS, TREE, WATER
from tfinet_mm.datasets.synthetic.world.sketch import Colour, Look, Material

MATERIALS: dict[str, Material] = dict(
    lawn=Material(GRASS, 'grass', 0.5, 0.05, 0.05, 0.03, 0.02),
    meadow=Material(GRASS, 'grass', 1.0, 0.10, 0.09, 0.06, 0.03),
    crop=Material(GRASS, 'crop', 0.5, 0.05, 0.04, 0.03, 0.03, stripe=0.10),
    paddy=Material(GRASS, 'crop', 0.7, 0.06, 0.05, 0.02, 0.02, stripe=0.03),
    scrub=Material(GRASS, 'grass', 1.2, 0.10, 0.12, 0.12, 0.06),
    forest=Material(TREE, 'tree', 0.7, 0.07, 0.06, 0.05, 0.04, crown=1.0, snow=0.25),
    orchard=Material(
        TREE, 'tree', 0.5, 0.05, 0.04, 0.05, 0.04, crown=0.3, stripe=0.25, cross=0.2, snow=0.5
    ),
    crown=Material(TREE, 'tree', 0.5, 0.02, 0.05, 0.10, 0.07, crown=0.35, snow=0.25),
    water=Material(WATER, 'water', 0.4, 0.06, 0.02, 0.01, 0.008, snow=0.0),
    asphalt=Material(GROUND, 'stone', 0.4, 0.04, 0.03, 0.03, 0.03, snow=0.4),
    concrete=Material(GROUND, 'stone', 0.5, 0.05, 0.04, 0.04, 0.03, snow=0.7),
    joints=Material(
        GROUND, 'stone', 0.4, 0.04, 0.03, 0.02, 0.02, stripe=0.05, cross=0.05, hard=4, snow=0.7
    ),
    soil=Material(GROUND, 'soil', 1.4, 0.10, 0.10, 0.08, 0.05),
    rubble=Material(GROUND, 'soil', 2.0, 0.08, 0.14, 0.20, 0.14),
    sand=Material(GROUND, 'soil', 0.8, 0.08, 0.06, 0.03, 0.03),
    rock=Material(GROUND, 'stone', 1.6, 0.12, 0.16, 0.14, 0.08, snow=0.8),
    lots=Material(
        GROUND, 'stone', 0.3, 0.03, 0.03, 0.03, 0.03, stripe=0.15, cross=0.12, hard=3, snow=0.5
    ),
    solar=Material(GROUND, 'stone', 0.3, 0.02, 0.02, 0.02, 0.02, stripe=0.35, hard=4, snow=0.3),
    paint=Material(GROUND, 'stone', 0.2, 0.02, 0.02, 0.03, 0.03, snow=0.4),
    roof=Material(BUILDING, 'stone', 0.4, 0.03, 0.04, 0.05, 0.05, snow=0.9),
    sheet=Material(BUILDING, 'stone', 0.4, 0.03, 0.04, 0.02, 0.02, stripe=0.06, hard=2, snow=0.8),
    glass=Material(BUILDING, 'stone', 0.5, 0.05, 0.04, 0.03, 0.03, stripe=0.14, hard=2, snow=0.3),
    clutter=Material(
        BUILDING, 'stone', 0.4, 0.03, 0.08, 0.10, 0.07, stripe=0.10, cross=0.10, hard=2, snow=0.9
    ),
    track=Material(SPORTS, 'stone', 0.2, 0.02, 0.02, 0.02, 0.02, snow=0.9),
    pitch=Material(SPORTS, 'lawn', 0.3, 0.03, 0.03, 0.03, 0.02, stripe=0.04, hard=3),
    court=Material(SPORTS, 'stone', 0.2, 0.02, 0.02, 0.02, 0.02, snow=0.9),
)
"""Materials by name. Fields of solar panels count as ground, greenhouses as buildings."""

_HEX = dict(
    grass='5c6c42 70764c 827a54 4e603a 465436 3e5c2c 687c3e 586450 544e3c 605c46 464232 5a6450',
    crop='486638 5e7840 3a5430 7a7e4c 989056 4a5c42 32502c 647046 5c5844 6a6450 4e5440',
    stubble='b4a070 928262 967c60 806c54 a48c6c',
    tree='2e422a 3a5030 263628 485632 404836 223022 364a3a 4e5c3c 4c5a4e 3c443c 5a6656',
    water='283632 364a40 222a38 566250 7c765c 344a2e 425a6a 687062 1a2222 3c646e 1c2e2c',
    asphalt='626264 787672 54565c 88847e 6c6660 46464a 96928c',
    concrete='aaa69c 969694 bcb8ae 84827e a29686 cec8be',
    soil='967858 b0926c 806852 a47052 b8a688 766a56 c4b496 928870 a09688 866046 d0bea0',
    dark_soil='68624e 5c5042 746854 625850 7a7062',
    sand='cebc96 beaa84 dcccac b69e7c aa9880',
    rock='969088 807a74 b0a89c 8c7e6e 706c6a',
    rubble='a09488 8c8078 ac9c8a 967c6c 7c7672',
    roof=(
        '985642 824c40 78787a 929290 606268 46484a a8967a 786452 bab6b0 6c7078 544c48 a46c54 867c70'
    ),
    dark_roof='46484c 54545a 605c58 3c3e44 5c544c 6c6864',
    red_roof='aa5a42 964e3e b86c52 8a4a3c a0604e',
    hall=(
        '547aaa 4674be 6e94be 96989a cececa e8e8e6 7e7c7a 586c56 9a6c5a 6c7476 aca08a '
        '6088a0 ba5448 dadee2'
    ),
    flat='96928c aca8a0 82807e c4c0ba 706e6e a09280 dedcd6',
    green_house='ced2d0 b2bcba e2e4e0 a0aeb0 bec4ba',
    wall='969088 787470 b0a89c 64605e a08c7c',
    track='a05444 925c50 486894 865448 b05c4e 787064 a8767c 8a626c',
    pitch='4a6c3a 5e7644 425e3c 74744c 3c7842 8c8258 a0988c',
    court='466e96 48785a 965040 608060 3c5a82 8c8a86',
    panel='323a54 282e42 3e4254 46506e',
    car='dcdcdc 282a2e 962828 3c5082 8c8c8e',
    container='aa4636 3c5a8c be9646 5a785a 969696 c8c8c8',
)

TONES: dict[str, tuple[tuple[int, ...], ...]] = {
    name: tuple(tuple(bytes.fromhex(word)) for word in words.split())
    for name, words in _HEX.items()
}
"""Typical tones, RGB 0..255."""

WILD = 0.08
"""Share of the tones that may be any colour, as exceptions from the palettes."""


def tone(rng: np.random.Generator, name: str, spread: float = 10.0) -> Colour:
    """Draw a tone near a mixture of two tones of a palette.

    Args:
        rng: Random generator.
        name: A key of :data:`TONES`.
        spread: Standard deviation of the brightness, in grey levels.

    Returns:
        RGB, float (3,), 4..250.
    """
    table = TONES[name]
    one, other, share = rng.random(3).tolist()
    first, second = table[int(one * len(table))], table[int(other * len(table))]
    light, *hues = rng.standard_normal(4).tolist()
    share *= 0.6
    # Python's numbers are three times as fast here as arrays of three.
    return np.array(
        [
            min(max(a + (b - a) * share + spread * (light + 0.4 * hue), 4.0), 250.0)
            for a, b, hue in zip(first, second, hues, strict=True)
        ]
    )


def wild_tone(rng: np.random.Generator, name: str) -> Colour:
    """Draw the tone of a roof or another artefact, which is sometimes any colour."""
    if rng.random() < WILD:
        grey = rng.uniform(40, 230)
        return np.clip(grey + rng.normal(0, 40, 3), 4, 250)
    return tone(rng, name)


def look(rng: np.random.Generator, name: str, apart: float = 0.5, spread: float = 10.0) -> Look:
    """Draw the two tones of a surface.

    Args:
        rng: Random generator.
        name: A key of :data:`TONES`.
        apart: Difference of the second tone: 0 for the same, 1 for one drawn independently.
        spread: As for :func:`tone`.
    """
    first = tone(rng, name, spread)
    return Look(first, first + (tone(rng, name, spread) - first) * apart)


def plain(colour: Colour) -> Look:
    """Return a look of one tone."""
    return Look(colour, colour)
