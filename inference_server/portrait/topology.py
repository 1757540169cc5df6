"""Index sets of the 478-point MediaPipe face mesh, and its map to the 68 iBUG points.

"right" and "left" are the person's own: the right eye lies on the left of the picture. Upper and
lower rows run from the picture's left to its right (right eye: outer to inner corner; left eye:
outer corner to inner, that is picture right to left) and share their end points.
Source: the published canonical face mesh of MediaPipe (Kartynnik 2019, Grishchenko 2020).
"""

from __future__ import annotations

N_SKIN = 468  # points on the skin; the other ten are the irises
N_MESH = 478

LIP_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIP_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIP_OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIP_OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
# rows between the outer and the inner rim, from outside inwards
LIP_MIDDLE_UPPER = (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306)
LIP_MIDDLE_LOWER = (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306)
LIP_WET_UPPER = (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292)
LIP_WET_LOWER = (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292)

EYE_RIGHT_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
EYE_RIGHT_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
EYE_LEFT_UPPER = (263, 466, 388, 387, 386, 385, 384, 398, 362)
EYE_LEFT_LOWER = (263, 249, 390, 373, 374, 380, 381, 382, 362)
# one row outside the lid rims
LID_RIGHT_UPPER = (130, 247, 30, 29, 27, 28, 56, 190, 243)
LID_RIGHT_LOWER = (130, 25, 110, 24, 23, 22, 26, 112, 243)
LID_LEFT_UPPER = (359, 467, 260, 259, 257, 258, 286, 414, 463)
LID_LEFT_LOWER = (359, 255, 339, 254, 253, 252, 256, 341, 463)
IRIS_RIGHT = (468, 469, 470, 471, 472)  # centre, then four rim points
IRIS_LEFT = (473, 474, 475, 476, 477)

BROW_RIGHT = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)  # upper row, then lower row back
BROW_LEFT = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
NOSE = (1, 2, 4, 5, 6, 19, 94, 97, 326, 98, 327, 168, 195, 197, 129, 358, 64, 294, 48, 278)
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
# points that move with the skull alone: used to fit the head's pose
RIGID = (
    10, 109, 338, 67, 297, 103, 332, 54, 284, 21, 251, 162, 389, 127, 356, 234, 454, 168, 6, 197,
    195, 5, 4, 1, 19, 94, 2, 133, 362, 33, 263, 8, 9, 151, 193, 417, 122, 351, 196, 419, 174, 399,
    188, 412, 114, 343, 128, 357, 98, 327,
)  # fmt: skip

IBUG_68 = (
    127, 234, 93, 132, 58, 172, 150, 148, 152, 377, 379, 397, 288, 361, 323, 454, 356,  # jaw
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,  # brows
    168, 197, 5, 4, 98, 97, 2, 326, 327,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 321, 314, 17, 84, 91,  # outer lips
    78, 81, 13, 311, 308, 402, 14, 178,  # inner lips
)  # fmt: skip


def rim(upper: tuple[int, ...], lower: tuple[int, ...]) -> tuple[int, ...]:
    """Closed ring from an upper and a lower row that share their end points."""
    return upper + lower[-2:0:-1]


MOUTH_RIM = rim(LIP_INNER_UPPER, LIP_INNER_LOWER)
EYE_RIGHT_RIM = rim(EYE_RIGHT_UPPER, EYE_RIGHT_LOWER)
EYE_LEFT_RIM = rim(EYE_LEFT_UPPER, EYE_LEFT_LOWER)
