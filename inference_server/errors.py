"""Every error that a user may meet: what happened, with the value, and what to do.

AnimatePortraitError(message, hint)
    SpecInvalid            a setting of the shot is out of range or of the wrong type
    ImageUnreadable        the portrait file is missing, damaged or not an image
    NoFaceFound            no detector found a face, or the face asked for is not there
    AudioUnreadable        the sound is missing, damaged, empty or holds no such range
    ClipUnusable           a video that nothing can be learned from
    TranscriptUnusable     a transcript without words, or with words that do not fit the sound
    TimingUnreadable       a file of mouth cues or curves is damaged or of an unknown kind
    RendererUnavailable    the renderer or style is unknown, or cannot run here
    WeightsMissing         a model file has not been fetched or imported
    WeightsCorrupt         a model file does not have the sha256 that it should have
    TakeExists             the folder already holds another finished take
    TakeUnreadable         the folder holds no take, or a damaged one
    DiskFull               no space left while writing
    FolderNotWritable      the take folder or the cache cannot be written
    GpuOutOfMemory         the graphics card has no memory left for the speech network
    Cancelled              the artist cancelled the job
    ProtocolError          a message between add-on and server was not understood
        VersionMismatch    add-on and server speak different protocol versions
        Busy               the server is already working on a job
"""

from __future__ import annotations


class AnimatePortraitError(Exception):
    """Root of the tree.

    Args:
        message: what happened, with the value, as one sentence.
        hint: what the user can do about it, as one sentence; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def kind(self) -> str:
        """Name of the class: the `kind` that travels in an error response."""
        return type(self).__name__

    def __str__(self) -> str:
        """One line for a terminal: message, then hint."""
        return f"{self.message} {self.hint}".strip()


class SpecInvalid(AnimatePortraitError):
    """A setting of the shot is out of range or of the wrong type."""


class ImageUnreadable(AnimatePortraitError):
    """The portrait file is missing, damaged or not an image."""


class NoFaceFound(AnimatePortraitError):
    """No detector found a face, or the face asked for is not there."""


class AudioUnreadable(AnimatePortraitError):
    """The sound is missing, damaged, empty or holds no such range."""


class ClipUnusable(AnimatePortraitError):
    """A video that nothing can be learned from: too short, or sound that does not fit the lips."""


class TranscriptUnusable(AnimatePortraitError):
    """A transcript without words, with words that no one can pronounce, or too long a one."""


class TimingUnreadable(AnimatePortraitError):
    """A file of mouth cues or curves is missing, damaged or of an unknown kind."""


class RendererUnavailable(AnimatePortraitError):
    """The renderer, style or detector is unknown, or cannot run here."""


class WeightsMissing(AnimatePortraitError):
    """A model file has not been fetched or imported."""


class WeightsCorrupt(AnimatePortraitError):
    """A model file does not have the sha256 that it should have."""


class TakeExists(AnimatePortraitError):
    """The folder already holds another finished take."""


class TakeUnreadable(AnimatePortraitError):
    """The folder holds no take, or a damaged one."""


class DiskFull(AnimatePortraitError):
    """No space left while writing."""


class FolderNotWritable(AnimatePortraitError):
    """The take folder or the cache cannot be written."""


class GpuOutOfMemory(AnimatePortraitError):
    """The graphics card has no memory left for the speech network."""


class Cancelled(AnimatePortraitError):
    """The artist cancelled the job."""


class ProtocolError(AnimatePortraitError):
    """A message between add-on and server was not understood."""


class VersionMismatch(ProtocolError):
    """Add-on and server speak different protocol versions."""


class Busy(ProtocolError):
    """The server is already working on a job."""
