"""The inside of the mouth: two rows of teeth, tongue and cavity, seen between the lips."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.portrait.face_mesh import Fit
from inference_server.portrait.topology import MOUTH_RIM

from . import seam
from .palette import LUMA, Palette
from .plates import shows_inside
from .polygons import box_around, coverage
from .pose import Pose, place, rigid_affine
from .raster import backward_map, compiled
from .rig import JAW_FORWARD, JAW_SIDEWAYS, Rig, turn_jaw
from .teeth import ARCH_SPAN, Arch, arches

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]

SHUT_PX, OPEN_PX = 0.9, 2.1  # of a 512 px crop: gap at which the inside starts to show, and shows
SOURCE_OPEN = 0.10  # gap over mouth width from which the picture's own teeth are used
HIDING = 0.075  # face widths that round lips hide of the teeth behind them
SEEN_SOFT = 0.5  # px of Palette.soft from which what is painted is blurred likewise
TONGUE_FOLLOWS = 0.75  # of the jaw's fall: its back stays near the palate
_NOISE_SIDE = 256
_WARMTH = np.array([0.16, 0.03, -0.03])  # lips and gums tint the light that they keep away


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the artist wants to see of a mouth; 1 is the renderer's own idea, 0 none, 2 much."""

    teeth: float = 1.0
    tongue: float = 1.0
    dark: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Jaw:
    """Where the lower jaw is in one frame."""

    opening: float  # of JAW_DEG
    sideways: float  # jawLeft - jawRight
    forward: float  # jawForward
    tongue: float  # tongueOut
    rounding: float  # 0..1 how far the lips are pushed forward

    def move(self, points: Array) -> Array:
        """Points (n, 3) fixed to the jaw, canonical axes."""
        shift = [JAW_SIDEWAYS * self.sideways, 0.0, -JAW_FORWARD * self.forward]
        return turn_jaw(points, self.opening) + shift


@dataclass(frozen=True, slots=True, eq=False)
class Mouth:
    """What is behind the lips of one portrait."""

    upper: Arch  # fixed to the skull
    lower: Arch  # fixed to the jaw
    tongue: Array  # (3, 3) centre, right edge and front edge at rest, canonical axes
    anchor: Array  # (3,) canonical place of the upper lip's inner rim
    own_teeth: Image | None  # (h, w, 4) teeth that the picture shows, RGB and coverage
    own_origin: tuple[int, int]  # x, y px of that patch
    noise: Image  # (256, 256) the picture's grain, 0..255 levels
    palette: Palette
    unit: float  # px per pixel of a 512 px crop
    seam: bool  # the picture shows no line between the lips: draw one when they shut
    wishes: Wishes


def prepare(
    image: npt.NDArray[np.uint8],
    mesh: npt.NDArray[np.floating],
    fit: Fit,
    rig: Rig,
    palette: Palette,
    unit: float,
    seed: int,
    wishes: Wishes,
) -> Mouth:
    """The mouth of an (H, W, 3) picture whose face mesh is (478, 3) px."""
    own, origin, tooth = None, (0, 0), palette.tooth
    if rig.mouth.gap / (2 * rig.mouth.half_width) > SOURCE_OPEN:
        own, origin = _own_teeth(image, mesh, fit)
        shown = own[own[..., 3] > 0.7][:, :3].astype(np.float64)
        seen = _tooth_colour(shown, palette)
        tooth = tooth if seen is None else seen
        if seen is None or palette.flat:
            own = None
    upper, lower = arches(rig, fit, palette, tooth)
    depth = float(fit.canonical[13, 2])
    centre, bottom = rig.mouth.centre, float(lower.points[0, 1])
    noise = np.random.default_rng(seed).standard_normal((_NOISE_SIDE, _NOISE_SIDE))
    noise = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 0.7)
    grain = 0.0 if palette.flat or palette.grain <= 1 else 0.6 * min(palette.grain, 6.0)
    return Mouth(
        upper=upper,
        lower=lower,
        tongue=np.array(
            [
                [centre, bottom + 0.030, depth + 0.14],
                [centre + 0.145, bottom + 0.032, depth + 0.14],
                [centre, bottom + 0.110, depth + 0.10],
            ]
        ),
        anchor=fit.canonical[13],
        own_teeth=own,
        own_origin=origin,
        noise=noise / noise.std() * np.float32(grain),
        palette=palette,
        unit=unit,
        seam=shows_inside(rig.mouth.gap * fit.scale),
        wishes=wishes,
    )


def _tooth_colour(shown: Array, palette: Palette) -> Array | None:
    """Colour (3,) of the teeth among what an open mouth shows (k, 3); None: there are none."""
    if len(shown) <= 20:
        return None
    luma = shown @ LUMA
    bright = np.median(shown[luma >= np.percentile(luma, 60)], axis=0)
    # neither tongue nor lip: nearly as light as the skin and no redder
    redness = (bright[0] - bright[1]) / max(float(bright.max()), 1.0)
    skin_redness = (palette.skin[0] - palette.skin[1]) / max(float(palette.skin.max()), 1.0)
    if bright @ LUMA < 0.62 * (palette.skin @ LUMA) or redness > skin_redness + 0.04:
        return None
    return bright


def _own_teeth(
    image: npt.NDArray[np.uint8], mesh: npt.NDArray[np.floating], fit: Fit
) -> tuple[Image, tuple[int, int]]:
    """The open mouth of the picture with soft coverage, its lower edge left out, and its origin."""
    rim = mesh[list(MOUTH_RIM), :2].astype(np.float64)
    x0, y0, x1, y1 = box_around(rim, 0.03 * fit.scale + 3, image.shape)
    inside = coverage(rim - [x0, y0], (y1 - y0, x1 - x0))
    kernel = max(3, int(0.012 * fit.scale) | 1)
    inside = cv2.erode(inside, np.ones((kernel, kernel), np.uint8))
    inside = cv2.GaussianBlur(inside, (0, 0), 0.008 * fit.scale + 0.5)
    rows = (np.arange(y0, y1) - mesh[13, 1]) / max(2.0, float(mesh[14, 1] - mesh[13, 1]))
    t = np.clip((rows - 0.62) / 0.36, 0, 1)
    inside *= (1 - t * t * (3 - 2 * t)).astype(np.float32)[:, None]
    patch = np.dstack([image[y0:y1, x0:x1].astype(np.float32), inside])
    return patch.astype(np.float32), (x0, y0)


def draw(
    canvas: npt.NDArray[np.uint8],
    corner: tuple[int, int],
    mouth: Mouth,
    rim: Array,
    jaw: Jaw,
    pose: Pose,
    fit: Fit,
) -> None:
    """Paint what shows between the lips into `canvas`, in place.

    Args:
        canvas: (h, w, 4) uint8; only its colours change.
        corner: x, y of the canvas in the picture.
        rim: (2k, 2) px of the picture: inner lip line now, upper row, then lower row back.
    """
    half = len(rim) // 2
    gaps = np.linalg.norm(rim[half + 1 :][::-1] - rim[1:half], axis=1)
    widest = float(gaps.max())
    strength = (widest / mouth.unit - SHUT_PX) / (OPEN_PX - SHUT_PX)
    scale = fit.scale * pose.zoom
    colours = mouth.palette
    if strength > 0:
        margin = 0.04 * scale + 3 + 2 * colours.soft
        x0, y0, x1, y1 = box_around(rim - corner, margin, canvas.shape)
        if x1 - x0 < 3 or y1 - y0 < 3:
            return
        origin = np.array([corner[0] + x0, corner[1] + y0], np.float64)
        view = canvas[y0:y1, x0:x1]
        mask = coverage(rim - origin, view.shape)
        inside = _inside(mouth, mask, origin, jaw, pose, fit, widest / scale)
        soft = max(1.0, min(0.022 * scale, 0.28 * widest))
        light = _occlusion(mask, soft, 1.0 if colours.flat else widest / scale)
        edge = cv2.GaussianBlur(mask, (3, 3), 0) * np.float32(min(1.0, strength))
        if colours.soft > SEEN_SOFT:
            inside = cv2.GaussianBlur(inside, (0, 0), colours.soft)
            edge = cv2.GaussianBlur(edge, (0, 0), colours.soft)
        noise = np.tile(mouth.noise, (view.shape[0] // 256 + 1, view.shape[1] // 256 + 1))
        tinted = not colours.flat and float(np.ptp(colours.skin)) > 12
        _blend(view, inside, light, edge, noise, _WARMTH if tinted else 0 * _WARMTH)
        if colours.lines:
            thickness = 1.2 * seam.HALF_WIDTH * scale
            seam.outline(view, rim[half:] - origin, min(1.0, strength), thickness, colours.seam)
    tongue = jaw.tongue * mouth.wishes.tongue
    if tongue > 0.02:
        _stick_out(canvas, corner, mouth, rim, tongue, scale)
    elif mouth.seam:
        seam.draw(canvas, corner, rim, colours.seam, scale, mouth.unit, colours.flat)


def _inside(
    mouth: Mouth, mask: Image, origin: Array, jaw: Jaw, pose: Pose, fit: Fit, gap: float
) -> Image:
    """(h, w, 3) cavity, tongue and teeth, unlit; `gap` in face widths."""

    def project(points: Array) -> Array:
        placed = place(fit.to_picture(points), np.ones(len(points)), pose, fit)
        placed[:, :2] -= origin
        return placed

    colours, wishes = mouth.palette, mouth.wishes
    shape = (mask.shape[0], mask.shape[1])
    ends = project(replace(jaw, opening=TONGUE_FOLLOWS * jaw.opening).move(mouth.tongue))[:, :2]
    across = max(float(np.linalg.norm(ends[1] - ends[0])), 1.0)
    along = max(float(np.linalg.norm(ends[2] - ends[0])), 1.0)
    inside = np.empty((*shape, 3), np.float32)
    dark = 1.8 - 0.8 * wishes.dark
    # little light falls on the tongue between lips that are hardly apart
    deep = 1.1 if colours.flat else 0.57 + 0.38 * min(1.0, gap / 0.12)
    shown_tongue = min(wishes.tongue, 1.0)
    low = 0.25 - 0.5 * max(0.0, wishes.tongue - 1) + (0.35 if colours.lines else 0.0)
    _paint_cavity(
        inside, colours.cavity * dark, colours.tongue * (dark * deep), ends[0, 0],
        ends[0, 1] + low * along, across, along,
        colours.flat, shown_tongue,
    )  # fmt: skip
    # how far the canonical x and z axes point away from the camera
    axes = project(np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))[:, 2]
    towards = (axes[1:] - axes[0]) / (fit.scale * pose.zoom)
    # teeth lie in the lips' shade while the mouth is but a slit
    shade = 1.0 if colours.flat else 0.84 + 0.16 * min(1.0, gap / 0.09)
    # lips pushed forward cover the teeth; so does the wish for none
    covered = HIDING * (jaw.rounding + max(0.0, 1 - wishes.teeth))
    bared = 0.016 * max(0.0, wishes.teeth - 1)
    lower = jaw.move(mouth.lower.points) + [0, covered - bared, 0]
    upper = mouth.upper.points - [0, covered - bared, 0]
    rows = [(mouth.lower, lower, 0.80, 0.7), (mouth.upper, upper, 1.0, -1.0)]
    for arch, points, level, width in rows if wishes.teeth > 0 else ():
        seen = backward_map(project(points), arch.uv, arch.triangles, shape)
        _paint_teeth(
            inside, arch.texture, seen.x, seen.y, np.float32(level * shade), np.float32(ARCH_SPAN),
            np.float32(towards[0]), np.float32(towards[1]), np.float32(width), colours.flat,
        )  # fmt: skip
    if mouth.own_teeth is not None and wishes.teeth > 0:
        forward = rigid_affine(mouth.anchor, pose, fit)
        forward[:, 2] -= forward[:, :2] @ (fit.rotation[:2, 1] * covered * fit.scale)
        forward[:, 2] += forward[:, :2] @ np.array(mouth.own_origin, np.float64) - origin
        own = cv2.warpAffine(mouth.own_teeth, forward, shape[::-1], flags=cv2.INTER_LINEAR)
        inside += (own[..., :3] - inside) * own[..., 3:]
    return inside


def _occlusion(mask: Image, soft: float, gap: float) -> Image:
    """(h, w) light that reaches between the lips: the blurred outline, the upper lip's shadow.

    `gap` is in face widths; from 1 on hardly any shadow is left.
    """
    near = cv2.GaussianBlur(mask, (0, 0), soft)
    down = np.array([[1, 0, 0], [0, 1, 0.9 * soft]], np.float32)
    near = np.minimum(near, cv2.warpAffine(near, down, mask.shape[::-1]))
    darkest = min(0.66 + 0.06 * gap / 0.08, 0.72) if gap < 1 else 0.9
    return np.float32(darkest) + np.float32(1 - darkest) * np.clip((near - 0.15) / 0.6, 0, 1)


def _stick_out(
    canvas: npt.NDArray[np.uint8],
    corner: tuple[int, int],
    mouth: Mouth,
    rim: Array,
    amount: float,
    scale: float,
) -> None:
    """A tongue over the lower lip, in place."""
    half = len(rim) // 2
    root, low = rim[half // 2] - corner, rim[half + half // 2] - corner
    right = rim[half] - rim[0]
    mouth_width = 0.5 * float(np.linalg.norm(right)) / scale
    right = right / max(float(np.linalg.norm(right)), 1e-6)
    down = np.array([-right[1], right[0]])
    gap = max(float((low - root) @ down), 0.0)
    # a little: the tip between the teeth (th, l); more: out over the lower lip
    out = min(1.0, amount / 0.2)
    length = (0.018 * out + 0.13 * max(0.0, amount - 0.15)) * scale + gap * (0.6 + 0.4 * out)
    half_width = min(0.055 + 0.035 * amount, 0.8 * mouth_width) * scale
    angle = np.linspace(0, np.pi, 24)
    tip = np.stack([np.cos(angle), np.sin(angle) ** 0.8], 1)
    bend = length - min(1.1 * half_width, 0.7 * length)
    outline = np.concatenate(
        [
            (tip[:, :1] * right * half_width) + down * (bend + tip[:, 1:] * (length - bend)),
            np.array([-right * half_width, right * half_width]),
        ]
    )
    outline += root
    x0, y0, x1, y1 = box_around(outline, 3, canvas.shape)
    if x1 - x0 < 3 or y1 - y0 < 3:
        return
    mask = cv2.GaussianBlur(coverage(outline - [x0, y0], (y1 - y0, x1 - x0)), (3, 3), 0)
    # behind the upper teeth
    edge = rim[: half + 1] + down * min(0.030 * scale, 0.35 * gap)
    below = np.concatenate([edge, edge[[-1, 0]] + down * 2 * scale]) - corner - [x0, y0]
    mask *= cv2.GaussianBlur(coverage(below, mask.shape), (3, 3), 0)
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float64)
    sideways = ((x - root[0]) * right[0] + (y - root[1]) * right[1]) / half_width
    forth = ((x - root[0]) * down[0] + (y - root[1]) * down[1]) / length
    if mouth.palette.flat:
        tone = np.ones_like(forth)
    else:
        tone = 1.25 - 0.35 * sideways**2 - 0.30 * np.clip(forth - 0.55, 0, 1) ** 2
        tone -= 0.09 * np.exp(-((sideways / 0.16) ** 2))
        tone *= np.clip(0.45 + 1.6 * forth, 0, 1)
    view = canvas[y0:y1, x0:x1, :3]
    painted = np.clip(tone[..., None] * mouth.palette.tongue, 0, 255)
    view[:] = (view * (1 - mask[..., None]) + painted * mask[..., None] + 0.5).astype(np.uint8)
    if mouth.palette.lines:
        edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))[..., None]
        view[:] = (view * (1 - edge) + mouth.palette.seam * edge + 0.5).astype(np.uint8)


@compiled
def _paint_cavity(inside, cavity, tongue, centre_x, centre_y, across, along, flat, tongue_cover):  # type: ignore[no-untyped-def]
    height, width = inside.shape[0], inside.shape[1]
    for i in range(height):
        tone = 0.45 + 0.6 * i / height
        if flat:
            tone = 0.8
        for j in range(width):
            x = (j - centre_x) / across
            y = (i - centre_y) / along
            radius = 0.6 * x**4 + 0.4 * x * x + y * y
            cover = min(max((1.05 - radius) / 0.25, 0.0), 1.0) * tongue_cover
            shade = 1.05 - 0.55 * min(radius, 1.0) - 0.07 * np.exp(-((x / 0.08) ** 2))
            shade += 0.25 * min(y, 0.0)  # its back lies in the dark
            shade = min(max(shade, 0.2), 1.1)
            if flat:
                shade = 0.9
            for c in range(3):
                inside[i, j, c] = cavity[c] * tone * (1 - cover) + tongue[c] * shade * cover


@compiled
def _paint_teeth(inside, texture, u, v, level, span, side, front, narrow, flat):  # type: ignore[no-untyped-def]
    height, width = texture.shape[0], texture.shape[1]
    for i in range(u.shape[0]):
        for j in range(u.shape[1]):
            if u[i, j] < -0.5:
                continue
            p = min(
                max(u[i, j] * width - np.float32(0.5), np.float32(0)), np.float32(width - 1.001)
            )
            q = min(
                max(v[i, j] * height - np.float32(0.5), np.float32(0)), np.float32(height - 1.001)
            )
            ip, iq = int(p), int(q)
            fp, fq = p - ip, q - iq
            w00, w01 = (1 - fp) * (1 - fq), fp * (1 - fq)
            w10, w11 = (1 - fp) * fq, fp * fq
            a = texture[iq, ip, 3] * w00 + texture[iq, ip + 1, 3] * w01
            a += texture[iq + 1, ip, 3] * w10 + texture[iq + 1, ip + 1, 3] * w11
            if a <= 0:
                continue
            # teeth further round the arch lie in the cheek's shade, or turn their backs
            angle = (2 * u[i, j] - 1) * span
            cosine = np.cos(angle)
            facing = max(min(cosine, front * cosine - side * np.sin(angle)), np.float32(0.0)) ** 0.7
            fade = min(facing * np.float32(2.2), np.float32(1.0))
            fade *= min(max((cosine - narrow) * np.float32(4), np.float32(0)), np.float32(1))
            a *= fade
            light = level * fade
            if not flat:
                light *= 0.24 + 0.76 * facing * facing
            for c in range(3):
                t = texture[iq, ip, c] * w00 + texture[iq, ip + 1, c] * w01
                t += texture[iq + 1, ip, c] * w10 + texture[iq + 1, ip + 1, c] * w11
                # premultiplied
                inside[i, j, c] = inside[i, j, c] * (1 - a) + t * light


@compiled
def _blend(view, inside, light, edge, noise, warmth):  # type: ignore[no-untyped-def]
    for i in range(view.shape[0]):
        for j in range(view.shape[1]):
            m = edge[i, j]
            if m <= 0:
                continue
            for c in range(3):
                lit = inside[i, j, c] * (light[i, j] + (1 - light[i, j]) * warmth[c])
                lit += noise[i, j] * min(lit / 160, 1.0)  # dark paint shows no grain
                value = view[i, j, c] * (1 - m) + lit * m
                view[i, j, c] = np.uint8(min(max(value, 0.0), 255.0) + 0.5)
