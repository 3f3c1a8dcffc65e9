"""List the kinds of regions, the uses of land in them, and the changes of those."""

from __future__ import annotations

from tfinet_mm.datasets.synthetic.world import built_land, open_land, paved_land
from tfinet_mm.datasets.synthetic.world.plot import Use

# fmt: off
USES: dict[str, Use] = dict(
    field=open_land.field,
    meadow=open_land.meadow,
    forest=open_land.forest,
    scrub=open_land.scrub,
    savanna=open_land.savanna,
    orchard=open_land.orchard,
    lawn=open_land.lawn,
    pond=open_land.pond,
    bare=open_land.bare,
    dry=open_land.dry,
    quarry=open_land.terraces,
    paved=paved_land.paved,
    parking=paved_land.parking,
    solar=paved_land.solar,
    sports=paved_land.sports,
    farm=built_land.farm,
    houses=built_land.houses,
    village=built_land.village,
    terraced=built_land.terraced,
    blocks=built_land.blocks,
    industry=built_land.industry,
    centre=built_land.centre,
    greenhouses=built_land.greenhouses,
    construction=built_land.construction,
    harbour=built_land.harbour,
    ruins=built_land.ruins,
)
"""Uses of land by name."""

REGIONS: dict[str, dict[str, float]] = dict(
    farmland=dict(
        field=9, savanna=0.7, meadow=2, forest=2, orchard=1, pond=0.8, farm=1.2,
        greenhouses=0.6, bare=0.8, village=0.8,
    ),
    woodland=dict(forest=8, scrub=2, meadow=2, bare=0.6, farm=0.5, quarry=0.3, pond=0.3),
    hills=dict(scrub=3, savanna=3, forest=4, meadow=2, bare=1.5, quarry=0.6, field=1, village=0.4),
    suburb=dict(
        houses=5, savanna=1, terraced=3, blocks=1.5, meadow=2, field=1.5, forest=1.5, bare=1.5,
        lawn=1, sports=0.9, parking=0.6, centre=0.7, construction=0.7,
    ),
    town=dict(
        blocks=4, terraced=3, village=3, paved=1, industry=1, lawn=1.2, sports=1.2, centre=1.5,
        construction=1, bare=0.8, parking=0.6, forest=0.4,
    ),
    old_town=dict(
        village=7, blocks=1.5, terraced=1, centre=0.8, lawn=0.6, ruins=0.5, paved=0.6, pond=0.2,
    ),
    works=dict(
        industry=7, paved=1, bare=2, meadow=1.5, field=1, parking=0.7, village=0.7,
        construction=0.8, harbour=0.4, solar=0.4,
    ),
    port=dict(harbour=4, industry=3, paved=2, bare=1, parking=0.5),
    desert=dict(
        dry=8, savanna=1, bare=2, solar=0.5, village=0.6, farm=0.4, quarry=0.4, industry=0.4,
    ),
    fringe=dict(
        bare=4, construction=3, field=2, meadow=2, industry=1.5, blocks=1.5, village=1,
        terraced=1, pond=0.4, scrub=1, quarry=0.3,
    ),
)
"""Weights of the uses in each kind of region."""

REGION_SHARES = dict(
    farmland=3, woodland=1.2, hills=1, suburb=3, town=2.5, old_town=1.2, works=2, port=0.4,
    desert=0.5, fringe=3,
)

WILD_REGIONS = ('farmland', 'woodland', 'hills', 'desert')
"""Regions with few roads, whose plots may be large."""

_OPEN = dict(
    houses=3.5, terraced=3.5, blocks=4.5, industry=5, construction=3, bare=4, sports=1.8,
    pond=0.9, centre=1.5, parking=0.8, greenhouses=1, solar=0.8, forest=0.7, lawn=0.5,
    harbour=0.2,
)

_EMPTY = dict(
    houses=3, terraced=3, blocks=5, industry=5, centre=2, sports=2.2, meadow=2, field=1,
    forest=0.7, lawn=1.2, pond=0.9, parking=0.8, construction=1,
)

_OLD = dict(
    ruins=3, bare=3, blocks=3, construction=2, lawn=1, centre=1, industry=0.8, terraced=1,
    meadow=0.8,
)

TRANSITIONS: dict[str, dict[str, float]] = dict(
    field={**_OPEN, 'orchard': 0.7, 'meadow': 0.2},
    meadow=_OPEN,
    scrub={**_OPEN, 'field': 0.8},
    savanna={**_OPEN, 'houses': 6.0},
    forest=dict(
        bare=5, field=1.5, meadow=2, houses=2, terraced=2, blocks=2, industry=2, quarry=1,
        construction=2, solar=0.5, scrub=0.5,
    ),
    orchard={**_OPEN, 'field': 1},
    lawn=dict(blocks=2, sports=2, parking=1, bare=2, centre=2, construction=2, paved=1),
    pond=dict(bare=3, field=2, meadow=1.5, industry=1, construction=1),
    bare={**_EMPTY, 'solar': 0.7, 'greenhouses': 0.5},
    dry={**_EMPTY, 'solar': 2.0, 'farm': 1},
    quarry=dict(pond=2, meadow=1, forest=1, industry=0.5),
    paved=dict(industry=2, blocks=2, centre=2, lawn=1, sports=1),
    parking=dict(centre=3, blocks=1, lawn=1, industry=1),
    solar=dict(meadow=1, bare=1),
    sports=dict(blocks=1, bare=1.5, centre=1, lawn=1),
    farm=dict(bare=2, houses=2, terraced=2, industry=2, blocks=1, field=1),
    houses=_OLD,
    village=_OLD,
    terraced=dict(bare=2, ruins=1, blocks=1, lawn=0.5),
    blocks=dict(bare=1.5, ruins=1, construction=1, lawn=0.5, centre=0.7),
    industry=dict(bare=2.5, ruins=1.5, blocks=2, paved=1, construction=1.5, centre=0.7),
    centre=dict(bare=1, ruins=1, blocks=1, parking=0.7),
    greenhouses=dict(field=2, bare=1.5, industry=1, meadow=1),
    construction=dict(
        blocks=5, terraced=3, industry=4, centre=2, houses=2, lawn=0.7, parking=0.5, sports=0.7,
    ),
    harbour=dict(bare=1, industry=1, paved=1),
    ruins=dict(blocks=3, lawn=1.5, bare=1.5, centre=1, construction=2, terraced=1, meadow=1),
)
# fmt: on
"""Uses that a plot of one use changes into, with their weights."""

INHABITED = ('houses', 'village', 'terraced', 'blocks', 'industry', 'farm', 'centre', 'greenhouses')
# fmt: on
