"""Pictures of what a trained model does: each function takes a trainer and gives a :class:`Figure`.

In the order in which a picture is made: ``colours``, ``pixels`` (arrays as images), ``canvas`` (what is drawn where),
``svg`` and ``png`` (files), ``figure``; on these stand the functions, one file each.  :func:`page` tells all about a
run: ``rating`` (answers beside the truth), ``intervals``, ``scores``, ``calibration``, ``importance``, ``boundary``,
``environment``, and ``html/``, the page itself.
"""

from gradloom.report.confusion import confusion_matrix
from gradloom.report.environment import environment
from gradloom.report.features import feature_maps
from gradloom.report.figure import Figure
from gradloom.report.filters import filters
from gradloom.report.html.assemble import Origin, Page, page
from gradloom.report.occlusion import occlusion
from gradloom.report.saliency import saliency
from gradloom.report.samples import mistakes, samples
from gradloom.report.segmentation import segmentation

__all__ = [
    "Figure",
    "Origin",
    "Page",
    "confusion_matrix",
    "environment",
    "feature_maps",
    "filters",
    "mistakes",
    "occlusion",
    "page",
    "saliency",
    "samples",
    "segmentation",
]
