"""Masks as pictures in NumPy: their connected parts, distances, thinning, border weights, and the Rand score.

What is here prepares the training of segmentation and judges it; nothing of it is part of a compiled step.
"""

from gradloom.masks.borders import border_weights
from gradloom.masks.components import connected_components
from gradloom.masks.distance import distance_transform, nearest_labels
from gradloom.masks.rand import MembraneScore, RandScore, membrane_rand_score, rand_score
from gradloom.masks.thinning import thin

__all__ = [
    "MembraneScore",
    "RandScore",
    "border_weights",
    "connected_components",
    "distance_transform",
    "membrane_rand_score",
    "nearest_labels",
    "rand_score",
    "thin",
]
