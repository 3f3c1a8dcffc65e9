"""Generate scenes of the whole world: many resolutions, sensors, seasons, kinds of land."""

from tfinet_mm.datasets.synthetic.world.scene import WorldConfig, generate_scene

__all__ = ['WorldConfig', 'generate_scene']
