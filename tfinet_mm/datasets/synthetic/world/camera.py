"""Turn light into a picture: air, optics, sensor, processing and compression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfinet_mm.datasets.synthetic.raster import cv2
from tfinet_mm.datasets.synthetic.world.tiles import Fields, white_noise

_GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Camera:
    """Settings with which one picture is taken and processed.

    Attributes:
        haze: Share of the light that the air adds.
        veil: Colour of the haze, RGB 0..255.
        blur: Standard deviation of the optics' blur, pixels.
        coarser: Factor by which the sensor's pixels are larger than the picture's.
        gain: Factor of each channel.
        gamma: Exponent of the tone curve.
        contrast: Factor of the distance from the mean.
        offset: Grey levels added.
        saturation: 0 for grey, 1 for no change.
        sharpen: Strength of unsharp masking.
        noise: Standard deviation of noise, grey levels.
        quality: Quality of JPEG compression, 0 for none.
        levels: Number of grey levels of the sensor.
        stretch: Percent of the darkest and of the brightest pixels that are cut off where 16 bits
            were brought to 8 band by band, as maps are shown; 0 for a picture of 8 bits.
        cloud: Density of thin cloud, 0 for none.
        shift: Shift right and down, pixels.
        turn: Rotation, radians.
        scale: Enlargement, 1 for none.
    """

    haze: float
    veil: np.ndarray
    blur: float
    coarser: float
    gain: np.ndarray
    gamma: float
    contrast: float
    offset: float
    saturation: float
    sharpen: float
    noise: float
    quality: int
    levels: int
    stretch: float
    cloud: float
    shift: tuple[float, float]
    turn: float
    scale: float


def draw_camera(rng: np.random.Generator, misregistration: float) -> Camera:
    """Draw a camera.

    Args:
        rng: Random generator.
        misregistration: Largest displacement in pixels.
    """
    away = misregistration * min(abs(rng.normal(0, 0.4)), 1.0)
    towards = rng.uniform(0, 2 * np.pi)
    return Camera(
        haze=float(0.02 + 0.5 * rng.beta(1.1, 3.4)),
        veil=np.array([190, 198, 208]) + rng.normal(0, 14, 3),
        blur=float(rng.uniform(0.3, 0.8)),
        coarser=float(rng.uniform(1.2, 2.5)) if rng.random() < 0.25 else 1.0,
        gain=np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.05, 3)),
        gamma=float(np.exp(rng.normal(0.15, 0.2))),
        contrast=float(np.exp(rng.normal(-0.08, 0.22))),
        offset=float(rng.normal(0, 10)),
        saturation=0.0 if rng.random() < 0.03 else float(np.clip(rng.normal(0.92, 0.25), 0.2, 1.6)),
        sharpen=float(rng.uniform(0.3, 1.6)) if rng.random() < 0.4 else 0.0,
        noise=float(abs(rng.normal(0, 2.5))),
        quality=int(rng.integers(25, 96)) if rng.random() < 0.7 else 0,
        levels=int(rng.integers(40, 200)) if rng.random() < 0.1 else 256,
        stretch=float(rng.uniform(0.2, 2.5)) if rng.random() < 0.12 else 0.0,
        cloud=float(rng.uniform(0.15, 0.6)) if rng.random() < 0.03 else 0.0,
        shift=(float(away * np.cos(towards)), float(away * np.sin(towards))),
        turn=float(rng.normal(0, 0.15) * away / 128),
        scale=float(1 + rng.normal(0, 0.15) * away / 128),
    )


def take(
    rng: np.random.Generator, light: np.ndarray, camera: Camera, fields: Fields, margin: int
) -> np.ndarray:
    """Take a picture.

    Args:
        rng: Random generator of the noise.
        light: RGB, float32 (H, W, 3), about 0..255; it is overwritten.
        camera: Settings of the camera.
        fields: Noise of the scene, for uneven haze and clouds.
        margin: Pixels to cut off on each side.

    Returns:
        RGB uint8 (H - 2 margin, W - 2 margin, 3).
    """
    image = light
    veil = camera.veil.astype(np.float32)
    thickness = camera.haze
    image *= np.float32(1 - thickness)
    image += veil * np.float32(thickness)
    if camera.cloud:
        cover = np.clip(camera.cloud * (0.6 * fields.coarse - 0.2), 0, 0.75)[..., None]
        image += cover * (235 - image)
    image = cv2.GaussianBlur(image, (0, 0), camera.blur)
    height, width = image.shape[:2]
    cosine, sine = camera.scale * np.cos(camera.turn), camera.scale * np.sin(camera.turn)
    x, y = (width - 1) / 2, (height - 1) / 2
    matrix = np.array(
        [
            [cosine, -sine, x * (1 - cosine) + y * sine + camera.shift[0]],
            [sine, cosine, y * (1 - cosine) - x * sine + camera.shift[1]],
        ]
    )
    if any(camera.shift):
        image = cv2.warpAffine(
            image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
    image = np.ascontiguousarray(image[margin:-margin, margin:-margin])
    if camera.coarser > 1:
        shape = image.shape[:2]
        small = tuple(max(int(side / camera.coarser), 8) for side in shape)
        image = cv2.resize(image, small[::-1], interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return _process(rng, image, camera)


def _process(rng: np.random.Generator, image: np.ndarray, camera: Camera) -> np.ndarray:
    # Gain, saturation, contrast and offset are one affine map of the colours.
    grey = np.tile(_GREY, (3, 1))
    colours = (grey + camera.saturation * (np.eye(3) - grey)) * camera.gain[None]
    mean = float((colours @ np.array(cv2.mean(image)[:3])).mean())
    shift = np.full((3, 1), mean * (1 - camera.contrast) + camera.offset)
    image = cv2.transform(image, np.hstack([colours * camera.contrast, shift]).astype(np.float32))
    if camera.noise > 0.3:
        image += np.float32(camera.noise) * white_noise(rng, image.shape[:2])
    if camera.stretch:
        image = _stretch(image, camera.stretch)
    # The tone curve as a table over the grey levels that the sensor has.
    levels = np.linspace(0, 1, 256)
    levels = np.round(levels * (camera.levels - 1)) / (camera.levels - 1)
    curve = np.rint(255 * levels**camera.gamma).astype(np.uint8)
    picture = cv2.LUT(np.clip(np.rint(image), 0, 255).astype(np.uint8), curve)
    if camera.sharpen:
        soft = cv2.GaussianBlur(picture, (0, 0), 1.2)
        picture = cv2.addWeighted(picture, 1 + camera.sharpen, soft, -camera.sharpen, 0)
    if camera.quality:
        data = cv2.imencode('.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, camera.quality])[
            1
        ]
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(picture)


def _stretch(image: np.ndarray, percent: float) -> np.ndarray:
    """Stretch each band between two percentiles, found from a seventh of the pixels."""
    low, high = np.percentile(image.reshape(-1, 3)[::7], (percent, 100 - percent), axis=0)
    factor = 255 / np.maximum(high - low, 8.0)
    matrix = np.hstack([np.diag(factor), (-low * factor)[:, None]]).astype(np.float32)
    return np.asarray(cv2.transform(image, matrix))


def colour_infrared(light: np.ndarray, green: np.ndarray) -> np.ndarray:
    """Turn RGB light into near infrared, red and green, shown as RGB.

    Args:
        light: RGB, float32 (H, W, 3).
        green: Strength with which each pixel's plants reflect infrared, float32 (H, W), 0..1.

    Returns:
        Float32 (H, W, 3).
    """
    infrared = light.mean(-1) * (0.9 + 1.3 * green)
    return np.stack([infrared, light[..., 0], light[..., 1]], axis=-1).astype(np.float32)
