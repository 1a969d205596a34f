"""Training: the trainer, its callbacks, model files."""

from gradloom.train.callbacks import Callback, Checkpoint, EarlyStopping
from gradloom.train.checkpoint import read_header
from gradloom.train.history import History
from gradloom.train.loading import load
from gradloom.train.preprocessing import Predictions, Preprocessing
from gradloom.train.sampling import WeightedSampling
from gradloom.train.source import Stream
from gradloom.train.stopping import AssertMonotone, Generalization, ReduceOnPlateau, StopAtRest, StopAtTarget
from gradloom.train.tiling import predict_tiles
from gradloom.train.trainable import LinearStackWarning
from gradloom.train.trainer import Trainer

__all__ = [
    "AssertMonotone",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "Generalization",
    "History",
    "LinearStackWarning",
    "Predictions",
    "Preprocessing",
    "ReduceOnPlateau",
    "StopAtRest",
    "StopAtTarget",
    "Stream",
    "Trainer",
    "WeightedSampling",
    "load",
    "predict_tiles",
    "read_header",
]
