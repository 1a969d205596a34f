"""Colours of pictures: two schemes, maps from numbers to colours, and colours of classes."""

from __future__ import annotations

import numpy as np

Rgb = tuple[int, int, int]


def rgb(text: str) -> Rgb:
    """Red, green and blue of a text such as "#1d2330"."""
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


LIGHT = {"paper": "#ffffff", "ink": "#1d2330", "faint": "#5d6473", "line": "#c3cad8"}
LIGHT |= {"right": "#2563eb", "wrong": "#d9480f"}
DARK = {"paper": "#14171e", "ink": "#e8ebf2", "faint": "#98a1b3", "line": "#3e4758"}
DARK |= {"right": "#5b8def", "wrong": "#f08c4b"}
"""What each colour of a canvas is on light and on dark paper."""

_SEQUENTIAL = "#440154 #482878 #3e4989 #31688e #26828e #1f9e89 #35b779 #6ece58 #b5de2b #fde725"
_DIVERGING = "#053061 #2166ac #4393c3 #92c5de #d1e5f0 #f7f7f7 #fddbc7 #f4a582 #d6604d #b2182b #67001f"

# Okabe and Ito's, which people who see few colours can tell apart.
_CLASSES = "#000000 #e69f00 #56b4e9 #009e73 #f0e442 #0072b2 #d55e00 #cc79a7"


def _stops(text: str) -> np.ndarray:
    return np.array([rgb(stop) for stop in text.split()], np.float64)


def sequential(values: np.ndarray) -> np.ndarray:
    """Numbers from 0 to 1 as colours that grow lighter evenly (viridis), uint8 with an axis more."""
    return _along(_stops(_SEQUENTIAL), values)


def diverging(values: np.ndarray) -> np.ndarray:
    """Numbers from -1 to 1 as colours from blue over white to red, uint8 with an axis more."""
    return _along(_stops(_DIVERGING), (np.asarray(values) + 1) / 2)


def of_class(number: int) -> np.ndarray:
    """The colour of a class; they come again after seven, and class 0 is black."""
    stops = _stops(_CLASSES)
    return stops[0] if number == 0 else stops[1 + (number - 1) % (len(stops) - 1)]


def _along(stops: np.ndarray, shares: np.ndarray) -> np.ndarray:
    places = np.linspace(0, 1, len(stops))
    clipped = np.clip(np.nan_to_num(shares), 0, 1)
    return np.stack([np.interp(clipped, places, channel) for channel in stops.T], -1).round().astype(np.uint8)
