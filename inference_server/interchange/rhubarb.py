"""Rhubarb Lip Sync's three formats: tab-separated text, JSON and XML.

Shapes A to H and X, times in seconds with two decimals. Written from the documentation of Rhubarb
1.13 (github.com/DanielSWolf/rhubarb-lip-sync).
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from pathlib import Path
from typing import Any

from .timing import RHUBARB, Mark, Timing, checked, seconds, unreadable


def read_tsv(path: Path, text: str) -> Timing:
    """Lines of time and shape; the last one is where the sound ends."""
    marks = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        parts = line.split()
        if len(parts) != 2:
            raise unreadable(path, f'has "{line[:30]}" in line {number}, not a time and a shape')
        marks.append(Mark(seconds(path, parts[0], f"line {number}"), parts[1]))
    if len(marks) < 2:
        raise unreadable(path, "holds no mouth cues")
    return checked(path, Timing(RHUBARB, tuple(marks[:-1]), marks[-1].start_s))


def read_json(path: Path, document: dict[str, Any]) -> Timing:
    """The object that Rhubarb writes with --exportFormat json."""
    cues = document.get("mouthCues")
    if not isinstance(cues, list) or not all(isinstance(cue, dict) for cue in cues):
        raise unreadable(path, 'has no list "mouthCues"')
    return _of_cues(path, [(cue.get("start"), cue.get("end"), cue.get("value")) for cue in cues])


def read_xml(path: Path, text: str) -> Timing:
    """The document that Rhubarb writes with --exportFormat xml."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise unreadable(path, "declares entities")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as failure:
        raise unreadable(path, f"is no XML: {failure}") from failure
    cues = root.findall("./mouthCues/mouthCue")
    return _of_cues(path, [(cue.get("start"), cue.get("end"), cue.text) for cue in cues])


def write_tsv(timing: Timing) -> str:
    """What `read_tsv` reads."""
    end = f"{_hundredths(timing.end_s)}\tX\n"
    lines = [f"{_hundredths(mark.start_s)}\t{mark.shape}\n" for mark in timing.marks]
    return "".join(lines) + end


def write_json(timing: Timing, sound: str) -> str:
    """What `read_json` reads; `sound` is the path that it names."""
    cues = [
        {"start": float(_hundredths(begin)), "end": float(_hundredths(end)), "value": shape}
        for begin, end, shape in _spans(timing)
    ]
    about = {"soundFile": sound, "duration": float(_hundredths(timing.end_s))}
    return json.dumps({"metadata": about, "mouthCues": cues}, indent=2, ensure_ascii=False) + "\n"


def write_xml(timing: Timing, sound: str) -> str:
    """What `read_xml` reads; `sound` is the path that it names."""
    root = ElementTree.Element("rhubarbResult")
    about = ElementTree.SubElement(root, "metadata")
    ElementTree.SubElement(about, "soundFile").text = sound
    ElementTree.SubElement(about, "duration").text = _hundredths(timing.end_s)
    cues = ElementTree.SubElement(root, "mouthCues")
    for begin, end, shape in _spans(timing):
        place = {"start": _hundredths(begin), "end": _hundredths(end)}
        ElementTree.SubElement(cues, "mouthCue", place).text = shape
    ElementTree.indent(root)
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    return head + ElementTree.tostring(root, encoding="unicode") + "\n"


def _of_cues(path: Path, cues: list[tuple[object, object, object]]) -> Timing:
    """Cues as (start, end, shape); a gap between two of them is rest."""
    marks: list[Mark] = []
    end = Fraction(0)
    for number, (begin_s, end_s, shape) in enumerate(cues, 1):
        begin = seconds(path, begin_s, f"cue {number}")
        if begin > end:
            marks.append(Mark(end, "X"))
        marks.append(Mark(begin, str(shape).strip()))
        end = seconds(path, end_s, f"cue {number}")
    return checked(path, Timing(RHUBARB, tuple(marks), end))


def _spans(timing: Timing) -> list[tuple[Fraction, Fraction, str]]:
    ends = [mark.start_s for mark in timing.marks[1:]] + [timing.end_s]
    return [(mark.start_s, end, mark.shape) for mark, end in zip(timing.marks, ends, strict=True)]


def _hundredths(moment: Fraction) -> str:
    """Seconds with two decimals, rounded half up; exact, whatever the frame rate."""
    cents = int(moment * 100 + Fraction(1, 2))
    return f"{cents // 100}.{cents % 100:02}"
